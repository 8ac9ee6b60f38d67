//! Envoy's secret discovery service for one workload, with SPIRE's names.
//!
//! State of the world: each answer holds every secret that was asked for. What a
//! stream does with a request or a change is [`Subscription`], without I/O.

mod secrets;
mod subscription;

use std::pin::Pin;

use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    proto::{
        discovery::{
            DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
        },
        secret::secret_discovery_service_server::SecretDiscoveryService,
    },
    registry::View,
};
use subscription::Subscription;

/// Answers that wait for a proxy that does not read; it gets the newest after them.
const UNREAD: usize = 2;

/// The service behind one socket.
#[derive(Clone, Debug)]
pub(crate) struct Secrets {
    view: View,
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Secrets {
    pub(crate) const fn new(view: View) -> Self {
        Self { view }
    }
}

#[tonic::async_trait]
impl SecretDiscoveryService for Secrets {
    type StreamSecretsStream = Responses<DiscoveryResponse>;
    type DeltaSecretsStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_secrets(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamSecretsStream>, Status> {
        let (answers, stream) = mpsc::channel(UNREAD);
        let (view, requests) = (self.view.clone(), request.into_inner());
        tokio::spawn(async move {
            if let Err(status) = converse(view, requests, &answers).await {
                // A proxy that has gone away does not need to be told.
                let _ = answers.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn delta_secrets(
        &self,
        _: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaSecretsStream>, Status> {
        Err(Status::unimplemented(
            "secrets are served by `StreamSecrets` (`api_type: GRPC`) only",
        ))
    }

    async fn fetch_secrets(
        &self,
        request: Request<DiscoveryRequest>,
    ) -> Result<Response<DiscoveryResponse>, Status> {
        let mut subscription = Subscription::default();
        let told = self.view.borrow().clone();
        let answer = subscription.request(request.into_inner(), told.as_deref())?;
        answer
            .map(Response::new)
            .ok_or_else(|| Status::invalid_argument("a request that answers nothing"))
    }
}

/// Answers requests and tells changes until either end stops.
async fn converse(
    mut view: View,
    mut requests: Streaming<DiscoveryRequest>,
    answers: &mpsc::Sender<Result<DiscoveryResponse, Status>>,
) -> Result<(), Status> {
    let mut subscription = Subscription::default();
    loop {
        let answer = tokio::select! {
            request = requests.next() => match request {
                Some(request) => {
                    let told = view.borrow().clone();
                    subscription.request(request?, told.as_deref())?
                }
                None => return Ok(()),
            },
            changed = view.changed() => {
                changed.map_err(|_| Status::unavailable("the issuer stops"))?;
                let told = view.borrow_and_update().clone();
                subscription.change(told.as_deref())?
            }
        };
        if let Some(answer) = answer
            && answers.send(Ok(answer)).await.is_err()
        {
            return Ok(());
        }
    }
}
