//! The admin side: is it alive, can it be sent Checks, and figures.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
    serve::Listener,
};
use tokio::sync::watch;

use super::listen::{Bound, Connection};
use crate::{health::Health, metrics::Exposition};

struct Shown {
    health: Arc<Health>,
    exposition: Exposition,
}

/// Serves `/healthz`, `/readyz` and `/metrics` until `stop`.
pub(super) async fn serve(
    bound: Bound,
    health: Arc<Health>,
    exposition: Exposition,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(Shown { health, exposition }));
    axum::serve(bound, router)
        .with_graceful_shutdown(async move {
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .await
}

/// Degraded is still ready: the last good set decides.
async fn ready(State(shown): State<Arc<Shown>>) -> (StatusCode, String) {
    let readiness = shown.health.readiness();
    let status = if readiness.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, format!("{readiness}\n"))
}

async fn metrics(State(shown): State<Arc<Shown>>) -> Response {
    match shown.exposition.text() {
        Ok(text) => ([(CONTENT_TYPE, Exposition::MEDIA_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

impl Listener for Bound {
    type Io = Connection;
    type Addr = ();

    async fn accept(&mut self) -> (Connection, ()) {
        (Self::accept(self).await, ())
    }

    fn local_addr(&self) -> std::io::Result<()> {
        Ok(())
    }
}
