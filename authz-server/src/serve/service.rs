//! The gRPC side: Check, the Gate, health and reflection on one listener.
//!
//! The first two go straight to what answers them, which know the connection's
//! proxy; only the rest is routed by its path.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use callgate_wire::{
    FILE_DESCRIPTOR_SET, batch,
    callgate::v1::gate_server::GateServer,
    envoy::service::auth::v3::{
        CheckRequest, CheckResponse,
        authorization_server::{Authorization, AuthorizationServer},
    },
};
use hyper::body::Incoming;
use rustls::ServerConfig;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::timeout_at,
};
use tonic::{Request, Response, Status, async_trait, body::Body, service::Routes};
use tonic_health::{ServingStatus, pb::health_server::HealthServer, server::HealthReporter};
use tower_service::Service as _;

use super::{
    connection::{Peer, Shared},
    gate::{GateService, MAX_OF_CONNECTION},
    listen::Bound,
};
use crate::{
    check::{Authorizer, Unanswered},
    clock,
    gate::Gate,
    health::Health,
    identity::{Asker, RefusedProxies},
    live::Live,
    metrics::Metrics,
};

/// Bytes of one Check. Envoy takes 60 KiB of request headers by default; with every
/// one of them and a certificate sent along, this is more than enough.
const MAX_MESSAGE_BYTES: usize = 256 * 1_024;
/// How long connections are still taken once the server is to stop: a proxy that has
/// connected but was not accepted would have its requests reset.
const LINGER: Duration = Duration::from_millis(50);

const SERVICE: &str = "envoy.service.auth.v3.Authorization";
const GATE: &str = "callgate.v1.Gate";

/// What answers on the Check port.
#[derive(Debug)]
pub(super) struct Answering {
    pub(super) authorizer: Arc<Authorizer>,
    pub(super) gate: Gate,
    /// How many Watch streams there may still be.
    pub(super) watchers: Arc<Semaphore>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) refused: Arc<RefusedProxies>,
    pub(super) health: Arc<Health>,
    pub(super) live: Arc<Live>,
    /// None without an identity of the server's own.
    pub(super) tls: Option<Arc<ServerConfig>>,
}

/// Every service of one connection.
#[derive(Clone, Debug)]
pub(super) struct Services {
    checks: AuthorizationServer<CheckService>,
    gate: GateServer<GateService>,
    others: Routes,
}

/// Answers the Checks of one proxy.
#[derive(Debug)]
struct CheckService {
    answering: Arc<Answering>,
    peer: Peer,
}

impl Services {
    /// Those of a connection with `peer` that is told by `ending` when it is to end.
    pub(super) fn new(
        answering: Arc<Answering>,
        others: Routes,
        peer: Peer,
        ending: watch::Receiver<bool>,
    ) -> Self {
        let gate = GateServer::new(GateService {
            answering: Arc::clone(&answering),
            peer: peer.clone(),
            ending,
            places: Arc::new(Semaphore::new(MAX_OF_CONNECTION)),
        });
        let checks = AuthorizationServer::new(CheckService { answering, peer });
        Self {
            checks: checks.max_decoding_message_size(MAX_MESSAGE_BYTES),
            gate: gate.max_decoding_message_size(batch::MAX_BYTES),
            others,
        }
    }

    /// Answers one call.
    pub(super) async fn call(
        mut self,
        request: hyper::Request<Incoming>,
    ) -> Result<hyper::Response<Body>, Infallible> {
        let path = request.uri().path().strip_prefix('/');
        let service = path.and_then(|path| path.split_once('/'));
        match service.map(|(service, _)| service) {
            Some(SERVICE) => self.checks.call(request).await,
            Some(GATE) => self.gate.call(request).await,
            _ => self.others.call(request).await,
        }
    }
}

#[async_trait]
impl Authorization for CheckService {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let started = Instant::now();
        let asker = self.peer.asker();
        let answer = self
            .answering
            .authorizer
            .check(asker, request.get_ref(), clock::now());
        let metrics = &self.answering.metrics;
        metrics.observe(started.elapsed().as_secs_f64());
        answer
            .map(Response::new)
            .map_err(|error| self.unanswered(asker, &error))
    }
}

impl CheckService {
    /// Neither is an allowance to any proxy: only OK with a status in it is.
    fn unanswered(&self, asker: Asker<'_>, error: &Unanswered) -> Status {
        match error {
            Unanswered::Invalid(error) => {
                self.answering.metrics.count_invalid();
                Status::invalid_argument(error.to_string())
            }
            Unanswered::Proxy(fault) => self.answering.refuse(asker, fault),
        }
    }
}

/// Serves until `stop` is told, then ends connections once their requests are
/// answered.
pub(super) async fn serve(bound: Bound, answering: Answering, stop: watch::Receiver<bool>) {
    let (reporter, health_service) = tonic_health::server::health_reporter();
    let health = Arc::clone(&answering.health);
    let reporting = tokio::spawn(report(reporter, health, stop.clone()));
    let shared = Shared {
        answering: Arc::new(answering),
        others: others(health_service),
        stop: stop.clone(),
    };
    accept(bound, &shared, stop).await;
    reporting.abort();
}

/// What is asked seldom.
fn others(health: HealthServer<impl tonic_health::pb::health_server::Health>) -> Routes {
    let mut routes = Routes::new(health);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1();
    if let Ok(reflection) = reflection {
        routes = routes.add_service(reflection);
    }
    routes.prepare()
}

/// Takes connections until `stop`, and those that were made around that moment; then
/// waits for the last of them to end. Dropped, it ends them all.
async fn accept(bound: Bound, shared: &Shared, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            connection = bound.accept() => {
                connections.spawn(shared.clone().serve(connection));
            }
            _ = connections.join_next(), if !connections.is_empty() => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    let end = tokio::time::Instant::now() + LINGER;
    while let Ok(connection) = timeout_at(end, bound.accept()).await {
        connections.spawn(shared.clone().serve(connection));
    }
    drop(bound);
    while connections.join_next().await.is_some() {}
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
