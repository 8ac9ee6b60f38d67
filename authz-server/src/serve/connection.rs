//! One connection of the Check port: TLS, then HTTP/2, until either side has enough.
//!
//! ```text
//!  accepted ──handshake──► admitted? ──► HTTP/2 ──┬── the proxy leaves
//!                                                 ├── the server stops   ┐ GOAWAY, answer
//!                                                 ├── half of the proxy's│ what has begun,
//!                                                 │   SVID's life is over│ close
//!                                                 └── it is no good now  ┘
//! ```
//!
//! A proxy keeps a connection for as long as it is let, and shows its certificate
//! only at the beginning; when it renews it, no connection notices. So the server ends
//! the connection well before that certificate expires, and the proxy comes back with
//! the one that it has by then.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use callgate_policy::Timestamp;
use hyper::{body::Incoming, server::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::{Status, body::Body, service::Routes};

use super::{
    listen::Connection,
    service::{Answering, Services},
};
use crate::{
    clock,
    identity::{Asker, Proxy},
};

/// Checks at once on one connection. Envoy itself opens at most 1,024 by default.
const MAX_STREAMS: u32 = 1_024;
/// Bytes of a Check's own headers: `:path`, `content-type`, a few more.
const MAX_HEADER_BYTES: u32 = 16 * 1_024;
/// From a Check's headers to its answer. A decision takes microseconds; this ends
/// those whose message never comes whole.
const TIMEOUT: Duration = Duration::from_secs(5);
/// From an accepted connection to the end of its handshake, which takes three
/// messages. Until then it holds a place that another proxy could have.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a connection that is being ended waits for its last streams: longer than
/// any Check takes. A health watch would stay for ever.
const LAST_STREAMS: Duration = Duration::from_secs(10);
/// The age at which a connection is ended, whatever its proxy's certificate: a bound
/// of no consequence but that none grows without one, and that replicas which were
/// added get their share.
const MAX_AGE: Duration = Duration::from_secs(3_600);
/// And the least: of a certificate that is about to expire, half would be no time.
const MIN_AGE: Duration = Duration::from_secs(1);

/// What every connection needs.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) answering: Arc<Answering>,
    /// What there is besides Checks.
    pub(super) others: Routes,
    /// Told once, when the server stops.
    pub(super) stop: watch::Receiver<bool>,
}

/// Who is at the other end, for every request of a connection.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    /// Whoever can connect.
    Unnamed,
    /// Who was admitted in the handshake.
    Proxy(Arc<Proxy>),
}

impl Shared {
    /// Serves one connection until it ends.
    pub(super) async fn serve(self, connection: Connection) {
        match self.answering.tls.clone() {
            None => self.exchange(connection, Peer::Unnamed, MAX_AGE).await,
            Some(tls) => {
                // In the acceptor's state machine alone, some KB: boxed, so that
                // connections that are past it do not carry it.
                let handshake = Box::pin(TlsAcceptor::from(tls).accept(connection));
                match timeout(HANDSHAKE, handshake).await {
                    Ok(Ok(stream)) => self.admitted(stream).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
                    Err(_) => tracing::debug!("a handshake was not finished in time"),
                }
            }
        }
    }

    async fn admitted(self, stream: TlsStream<Connection>) {
        let (_, session) = stream.get_ref();
        let proxy = Proxy::new(session.peer_certificates().unwrap_or_default());
        let now = clock::now();
        // It was good a moment ago, and is remembered.
        match proxy.verify(&self.answering.live.current(), now) {
            Ok(svid) => {
                let age = age(svid.not_after, now);
                self.exchange(stream, Peer::Proxy(Arc::new(proxy)), age)
                    .await;
            }
            Err(fault) => tracing::debug!(%fault, "a proxy is refused after its handshake"),
        }
    }

    async fn exchange<S>(mut self, stream: S, peer: Peer, age: Duration)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (end, ending) = watch::channel(false);
        let services = Services::new(self.answering, self.others, peer.clone(), ending);
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            answer(services.clone(), request)
        });
        let connection = http().serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let stopping = tokio::select! {
            ended = connection.as_mut() => return note(ended),
            _ = self.stop.wait_for(|stop| *stop) => true,
            () = sleep(age) => false,
            () = peer.dismissed() => false,
        };
        connection.as_mut().graceful_shutdown();
        // Watchers, who would stay for ever, are to come back on another connection.
        end.send_replace(true);
        if stopping {
            // How long it may take then is the whole server's matter.
            note(connection.await);
        } else {
            let _ = timeout(LAST_STREAMS, async { note(connection.await) }).await;
        }
    }
}

impl Peer {
    /// Who asks.
    pub(super) fn asker(&self) -> Asker<'_> {
        match self {
            Self::Unnamed => Asker::Unnamed,
            Self::Proxy(proxy) => Asker::Proxy(proxy),
        }
    }

    async fn dismissed(&self) {
        match self {
            Self::Unnamed => std::future::pending().await,
            Self::Proxy(proxy) => proxy.dismissed().await,
        }
    }
}

/// When to end a connection whose proxy's certificate lasts until `not_after`: its
/// successor is there by half of what is left, with whatever renews halfway.
fn age(not_after: Timestamp, now: Timestamp) -> Duration {
    let left = not_after.as_millis().saturating_sub(now.as_millis());
    let half = Duration::from_millis(u64::try_from(left / 2).unwrap_or(0));
    half.clamp(MIN_AGE, MAX_AGE)
}

fn http() -> http2::Builder<TokioExecutor> {
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES);
    http
}

async fn answer(
    services: Services,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Body>, Infallible> {
    match timeout(TIMEOUT, services.call(request)).await {
        Ok(answer) => answer,
        Err(_) => Ok(Status::deadline_exceeded("no whole message in time").into_http()),
    }
}

fn note(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_ends_well_before_its_proxys_certificate() {
        let now = Timestamp::from_secs(1_000);
        for (left, expected) in [
            (-1, 1.0),
            (0, 1.0),
            (1, 1.0),
            (3, 1.5),
            (60, 30.0),
            (3_600, 1_800.0),
            (i64::from(u32::MAX), 3_600.0),
        ] {
            let not_after = Timestamp::from_secs(1_000 + left);
            let age = age(not_after, now);
            assert_eq!(age, Duration::from_secs_f64(expected), "{left} s left");
        }
    }
}
