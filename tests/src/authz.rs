//! An authorization server that misbehaves on cue, and remembers what it was asked.
//!
//! It has the server's identity, wants one from whoever connects, and speaks HTTP/2
//! by hand, so that an answer can be anything that fits into one.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use callgate_wire::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Response};
use prost::Message as _;
use rustls::{
    RootCertStore, ServerConfig, crypto::ring::default_provider, server::WebPkiClientVerifier,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    caller::grpc,
    gate::Asked,
    pki::{CALLGATE, Pki},
};

/// What it does with a Check.
#[derive(Clone, Debug)]
pub enum Script {
    /// Answers with the message, well-formed.
    Answer(Box<CheckResponse>),
    /// Answers with these bytes where the message belongs.
    Bytes(Vec<u8>),
    /// Sends these bytes as the stream's data, whatever they frame, and status 0.
    Data(Vec<u8>),
    /// Ends with this gRPC status and `grpc-message`.
    Status(u16, Vec<u8>),
    /// Answers with this HTTP status and no gRPC at all.
    Http(u16),
    /// Ends without a gRPC status.
    NoTrailers,
    /// Resets the stream.
    Reset,
    /// Says nothing, ever.
    Silence,
    /// Does the other thing later.
    Late(Duration, Box<Script>),
}

type Cue = dyn Fn(&CheckRequest) -> Script + Send + Sync;

/// A running server, until dropped.
#[derive(Debug)]
pub struct Authz {
    /// Where it listens.
    pub address: SocketAddr,
    pki: Arc<Pki>,
    state: Arc<State>,
    tasks: JoinSet<()>,
}

struct State {
    cue: Mutex<Arc<Cue>>,
    asked: Mutex<Vec<(CheckRequest, HeaderMap)>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

impl Authz {
    /// Starts on a free port and does what `cue` says for each Check.
    ///
    /// # Errors
    /// When there is no free port, or no key.
    pub async fn start(
        cue: impl Fn(&CheckRequest) -> Script + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            cue: Mutex::new(Arc::new(cue)),
            asked: Mutex::default(),
        });
        let pki = Arc::new(Pki::new()?);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, acceptor(&pki)?, Arc::clone(&state)));
        Ok(Self {
            address,
            pki,
            state,
            tasks,
        })
    }

    /// Takes another cue from now on.
    pub fn cue(&self, cue: impl Fn(&CheckRequest) -> Script + Send + Sync + 'static) {
        *self
            .state
            .cue
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(cue);
    }

    /// The Checks so far that asked about `path`, with their gRPC metadata.
    #[must_use]
    pub fn asked(&self, path: &str) -> Vec<(CheckRequest, HeaderMap)> {
        let asked = self
            .state
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        asked
            .iter()
            .filter(|(check, _)| path_of(check) == path)
            .cloned()
            .collect()
    }

    /// Stops listening and drops every connection.
    pub fn stop(&mut self) {
        self.tasks.abort_all();
    }
}

/// The path that a Check asks about, or nothing.
#[must_use]
pub fn path_of(check: &CheckRequest) -> &str {
    let http = check
        .attributes
        .as_ref()
        .and_then(|a| a.request.as_ref()?.http.as_ref());
    http.map_or("", |http| http.path.as_str())
}

impl From<&Authz> for Asked {
    fn from(authz: &Authz) -> Self {
        Self {
            address: authz.address,
            pki: Arc::clone(&authz.pki),
        }
    }
}

/// Mutual TLS as the server that it stands for.
fn acceptor(pki: &Pki) -> Result<TlsAcceptor> {
    let provider = Arc::new(default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(pki.root.der())?;
    let proxies =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let own = pki.svid(CALLGATE)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(proxies.build()?)
        .with_single_cert(own.chain, own.key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, state: Arc<State>) {
    // Dropped with this task, and its connections with it.
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        connections.spawn(serve(tcp, tls.clone(), Arc::clone(&state)));
    }
}

async fn serve(tcp: TcpStream, tls: TlsAcceptor, state: Arc<State>) -> Result<()> {
    let mut connection = h2::server::handshake(tls.accept(tcp).await?).await?;
    let mut streams = JoinSet::new();
    while let Some(accepted) = connection.accept().await {
        let (request, respond) = accepted?;
        let state = Arc::clone(&state);
        streams.spawn(async move {
            let (head, mut body) = request.into_parts();
            let mut bytes = Vec::new();
            while let Some(part) = body.data().await {
                let part = part?;
                body.flow_control().release_capacity(part.len())?;
                bytes.extend_from_slice(&part);
            }
            let check = CheckRequest::decode(grpc::unframe(&bytes)?)?;
            let cue = Arc::clone(&state.cue.lock().unwrap_or_else(PoisonError::into_inner));
            let script = cue(&check);
            state
                .asked
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((check, head.headers));
            perform(script, respond).await
        });
    }
    Ok(())
}

async fn perform(mut script: Script, mut respond: SendResponse<Bytes>) -> Result<()> {
    while let Script::Late(after, then) = script {
        tokio::time::sleep(after).await;
        script = *then;
    }
    match script {
        Script::Answer(answer) => message(
            &mut respond,
            grpc::frame(&answer.encode_to_vec()),
            Some("0"),
        ),
        Script::Bytes(bytes) => message(&mut respond, grpc::frame(&bytes), Some("0")),
        Script::Data(bytes) => message(&mut respond, bytes.into(), Some("0")),
        Script::NoTrailers => message(&mut respond, grpc::frame(&[]), None),
        Script::Status(code, text) => {
            let mut response = Response::new(());
            let headers = response.headers_mut();
            headers.insert("content-type", HeaderValue::from_static("application/grpc"));
            headers.insert("grpc-status", HeaderValue::from(code));
            headers.insert("grpc-message", HeaderValue::from_bytes(&text)?);
            respond.send_response(response, true)?;
            Ok(())
        }
        Script::Http(status) => {
            let response = Response::builder().status(status).body(())?;
            respond.send_response(response, true)?;
            Ok(())
        }
        Script::Reset => {
            respond.send_reset(h2::Reason::INTERNAL_ERROR);
            Ok(())
        }
        Script::Silence => std::future::pending().await,
        Script::Late(..) => Ok(()),
    }
}

fn message(
    respond: &mut SendResponse<Bytes>,
    data: Bytes,
    status: Option<&'static str>,
) -> Result<()> {
    let mut response = Response::new(());
    response
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    let mut stream = respond.send_response(response, false).context("answer")?;
    stream.send_data(data, status.is_none())?;
    if let Some(status) = status {
        let name = http::HeaderName::from_static("grpc-status");
        stream.send_trailers(HeaderMap::from_iter([(
            name,
            HeaderValue::from_static(status),
        )]))?;
    }
    Ok(())
}
