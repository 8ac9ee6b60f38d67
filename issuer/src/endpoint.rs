//! A bundle endpoint on loopback (SPIFFE_Federation.md, sections 5 and 6), by the
//! profile `https_spiffe`: its certificate is an SVID of the trust domain it serves.

use std::{convert::Infallible, fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use callgate_policy::{SpiffeId, TrustDomain};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{
    ServerConfig,
    crypto::ring::{default_provider, sign::any_ecdsa_type},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_rustls::TlsAcceptor;

use crate::{config::Workload, registry::View};

/// Clients poll every few seconds and hang up.
const MAX_CONNECTIONS: usize = 64;
/// A client on the same machine shakes hands in milliseconds.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
const HEADER_LIMIT: Duration = Duration::from_secs(5);
const PATH: &str = "/callgate/development-issuer";

/// Whom the endpoint of a trust domain presents. `@` keeps it out of the names that
/// workloads can have.
pub(crate) fn identity(domain: &TrustDomain) -> Option<Workload> {
    let id = format!("spiffe://{}{PATH}", domain.as_str());
    Some(Workload {
        name: format!("@{}", domain.as_str()),
        id: SpiffeId::parse(&id).ok()?,
    })
}

/// Accepts until dropped.
pub(crate) async fn serve(listener: TcpListener, view: View) -> Result<(), rustls::Error> {
    let acceptor = TlsAcceptor::from(Arc::new(tls(view.clone())?));
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return Ok(());
        };
        let tcp = match listener.accept().await {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                tracing::warn!(%error, "a bundle endpoint cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (acceptor, view) = (acceptor.clone(), view.clone());
        tokio::spawn(async move {
            if let Err(error) = connection(tcp, acceptor, view).await {
                tracing::debug!(%error, "a bundle endpoint's connection ended");
            }
            drop(place);
        });
    }
}

async fn connection(
    tcp: tokio::net::TcpStream,
    acceptor: TlsAcceptor,
    view: View,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let tls = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(tcp)).await??;
    let service = service_fn(|request| {
        let answer = answer(&request, &view);
        async move { Ok::<_, Infallible>(answer) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(tls), service)
        .await?;
    Ok(())
}

fn answer(request: &Request<Incoming>, view: &View) -> Response<Full<Bytes>> {
    let told = view.borrow().clone();
    let (status, body) = match (request.method(), request.uri().path(), told) {
        (&Method::GET, "/", Some(told)) => {
            let json = told.bundle.json().to_owned();
            (StatusCode::OK, Bytes::from(json))
        }
        (&Method::GET, "/", None) => (StatusCode::SERVICE_UNAVAILABLE, Bytes::new()),
        (&Method::GET, _, _) => (StatusCode::NOT_FOUND, Bytes::new()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, Bytes::new()),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

fn tls(view: View) -> Result<ServerConfig, rustls::Error> {
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Current(view)));
    Ok(config)
}

/// Presents the SVID of the moment.
struct Current(View);

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let told = self.0.borrow().clone()?;
        let key = any_ecdsa_type(told.svid.key()).ok()?;
        let chain = told.svid.chain().to_vec();
        Some(Arc::new(CertifiedKey::new(chain, key)))
    }
}

/// Binds, on loopback as the configuration was checked to say.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
