//! The gRPC side: Check, health and reflection on one listener.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use callgate_wire::{
    FILE_DESCRIPTOR_SET,
    envoy::service::auth::v3::{
        CheckRequest, CheckResponse,
        authorization_server::{Authorization, AuthorizationServer},
    },
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, async_trait, transport::Server};
use tonic_health::{ServingStatus, server::HealthReporter};

use super::listen::{Bound, Connection};
use crate::{check::Authorizer, clock, health::Health, metrics::Metrics};

/// Bytes of one Check. Envoy takes 60 KiB of request headers by default; with every
/// one of them and a certificate sent along, this is more than enough.
const MAX_MESSAGE_BYTES: usize = 256 * 1_024;
/// Checks at once on one connection. Envoy itself opens at most 1,024 by default.
const MAX_STREAMS: u32 = 1_024;
/// Bytes of a Check's own headers: `:path`, `content-type`, a few more.
const MAX_HEADER_BYTES: u32 = 16 * 1_024;
/// From a Check's headers to its answer. A decision takes microseconds; this ends
/// those whose message never comes whole.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A proxy that vanished without a word is noticed after these two.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long connections are still taken once the server is to stop: a proxy that has
/// connected but was not accepted would have its requests reset.
const LINGER: Duration = Duration::from_millis(50);

const SERVICE: &str = "envoy.service.auth.v3.Authorization";

/// Answers Checks over gRPC.
#[derive(Debug)]
struct CheckService {
    authorizer: Arc<Authorizer>,
    metrics: Arc<Metrics>,
}

#[async_trait]
impl Authorization for CheckService {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let started = Instant::now();
        let answer = self.authorizer.check(request.get_ref(), clock::now());
        self.metrics.observe(started.elapsed().as_secs_f64());
        answer.map(Response::new).map_err(|error| {
            self.metrics.count_invalid();
            Status::invalid_argument(error.to_string())
        })
    }
}

/// Serves until `stop` is told, then ends connections once their requests are
/// answered.
pub(super) async fn serve(
    bound: Bound,
    authorizer: Arc<Authorizer>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    stop: watch::Receiver<bool>,
) -> Result<(), tonic::transport::Error> {
    let (reporter, health_service) = tonic_health::server::health_reporter();
    let reporting = tokio::spawn(report(reporter, health, stop.clone()));
    let check = AuthorizationServer::new(CheckService {
        authorizer,
        metrics,
    })
    .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1();
    // The accept loop ends by itself when told to stop, but a little later; a signal
    // here would end it at once.
    let served = Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .timeout(TIMEOUT)
        .add_service(check)
        .add_service(health_service)
        .add_optional_service(reflection.ok())
        .serve_with_incoming_shutdown(incoming(bound, stop), std::future::pending())
        .await;
    reporting.abort();
    served
}

/// Connections until `stop`, and those that were made around that moment.
fn incoming(
    bound: Bound,
    mut stop: watch::Receiver<bool>,
) -> ReceiverStream<Result<Connection, std::convert::Infallible>> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let connection = tokio::select! {
                connection = bound.accept() => connection,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            if sender.send(Ok(connection)).await.is_err() {
                return;
            }
        }
        let end = tokio::time::Instant::now() + LINGER;
        while let Ok(connection) = tokio::time::timeout_at(end, bound.accept()).await {
            if sender.send(Ok(connection)).await.is_err() {
                return;
            }
        }
    });
    ReceiverStream::new(receiver)
}

/// gRPC health follows the server's readiness. At the end the watchers' streams are
/// ended, which would otherwise keep their connections open.
async fn report(
    mut reporter: HealthReporter,
    health: Arc<Health>,
    mut stop: watch::Receiver<bool>,
) {
    let mut condition = health.watch();
    loop {
        let ready = condition.borrow_and_update().readiness().is_ready();
        let status = if ready {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        for service in ["", SERVICE] {
            reporter.set_service_status(service, status).await;
        }
        tokio::select! {
            changed = condition.changed() => if changed.is_err() { return },
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    for service in ["", SERVICE] {
        reporter
            .set_service_status(service, ServingStatus::NotServing)
            .await;
        reporter.clear_service_status(service).await;
    }
}
