//! The service behind the gate: it tells what reached it.
//!
//! HTTP/1.1 and HTTP/2 on one port. A request is answered with [`Seen`] as JSON;
//! under `/echo`, with its own body; under `/flow`, with lines that do not end; gRPC
//! calls are echoed frame by frame; an upgrade is granted and echoes bytes; `/slow/N`
//! takes N milliseconds.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    ext::Protocol,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle, time::sleep};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

/// Requests of which it knows what reached it, the latest ones: a soak makes millions.
const REMEMBERED: usize = 32_768;

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// Between two lines under `/flow`.
const FLOW: Duration = Duration::from_millis(20);

/// The line of that number under `/flow`, counted from 0. Readers of HTTP/2 take many frames
/// that are shorter for an attack.
#[must_use]
pub fn line(number: u64) -> String {
    format!("{number:0255}\n")
}

/// A request as it reached the service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// Its method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names and values in the order they came; one character is one byte.
    pub headers: Vec<(String, String)>,
}

impl Seen {
    /// The one value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(n, _)| n == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

/// A running service, until dropped.
#[derive(Debug)]
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Mutex<VecDeque<Seen>>>,
    task: JoinHandle<()>,
}

impl Upstream {
    /// Starts on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let seen = Arc::default();
        let task = tokio::spawn(serve(listener, Arc::clone(&seen)));
        Ok(Self {
            address,
            seen,
            task,
        })
    }

    /// Every request whose path is `path`, its query aside.
    #[must_use]
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter()
            .filter(|s| s.path.split('?').next() == Some(path))
            .cloned()
            .collect()
    }

    /// The last request whose header `name` has that one value.
    #[must_use]
    pub fn marked(&self, name: &str, value: &str) -> Option<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter()
            .rev()
            .find(|s| s.header(name) == Some(value))
            .cloned()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, seen: Arc<Mutex<VecDeque<Seen>>>) {
    while let Ok((tcp, _)) = listener.accept().await {
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&seen)));
            let mut server = auto::Builder::new(TokioExecutor::new());
            server.http2().enable_connect_protocol();
            // A caller that goes away is no failure of the service.
            let _ = server
                .serve_connection_with_upgrades(TokioIo::new(tcp), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    all: Arc<Mutex<VecDeque<Seen>>>,
) -> Result<Response<Body>, hyper::Error> {
    let seen = seen(&request);
    remember(&all, seen.clone());

    if request.headers().contains_key("upgrade") {
        return Ok(upgrade(request, StatusCode::SWITCHING_PROTOCOLS));
    }
    if request.method() == Method::CONNECT && request.extensions().get::<Protocol>().is_some() {
        return Ok(upgrade(request, StatusCode::OK));
    }
    let content_type = request.headers().get("content-type").cloned();
    if content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc")) {
        return Ok(grpc_echo(request, &seen));
    }
    if let Some(milliseconds) = seen
        .path
        .strip_prefix("/slow/")
        .and_then(|n| n.parse().ok())
    {
        sleep(Duration::from_millis(milliseconds)).await;
    }
    if seen.path.starts_with("/flow") {
        return Ok(Response::new(flow()));
    }
    if seen.path.starts_with("/echo") {
        return Ok(Response::new(request.into_body().boxed_unsync()));
    }
    // Read to the end, so that the connection can be used again.
    request.into_body().collect().await?;
    let json = serde_json::to_vec(&seen).unwrap_or_default();
    Ok(Response::new(whole(json)))
}

fn remember(all: &Mutex<VecDeque<Seen>>, seen: Seen) {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    if all.len() == REMEMBERED {
        all.pop_front();
    }
    all.push_back(seen);
}

fn seen(request: &Request<Incoming>) -> Seen {
    let text = |value: &HeaderValue| value.as_bytes().iter().copied().map(char::from).collect();
    Seen {
        method: request.method().to_string(),
        path: request
            .uri()
            .path_and_query()
            .map_or_else(String::new, ToString::to_string),
        headers: request
            .headers()
            .iter()
            .map(|(n, v)| (n.to_string(), text(v)))
            .collect(),
    }
}

fn grpc_echo(request: Request<Incoming>, seen: &Seen) -> Response<Body> {
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let body = request
        .into_body()
        .with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(body.boxed_unsync());
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    let caller = seen
        .header("x-callgate-caller")
        .and_then(|id| HeaderValue::from_str(id).ok());
    if let Some(caller) = caller {
        headers.insert("x-saw-caller", caller);
    }
    response
}

fn upgrade(mut request: Request<Incoming>, status: StatusCode) -> Response<Body> {
    let protocol = request.headers().get("upgrade").cloned();
    tokio::spawn(async move {
        let upgraded = hyper::upgrade::on(&mut request).await.context("upgrade")?;
        let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
        tokio::io::copy(&mut read, &mut write).await.context("echo")
    });
    let mut response = Response::new(whole(Vec::new()));
    *response.status_mut() = status;
    if let Some(protocol) = protocol {
        response
            .headers_mut()
            .insert("connection", HeaderValue::from_static("Upgrade"));
        response.headers_mut().insert("upgrade", protocol);
    }
    response
}

/// Goes on for as long as somebody reads.
fn flow() -> Body {
    let (lines, read) = mpsc::channel(1);
    tokio::spawn(async move {
        for number in 0.. {
            if lines.send(Bytes::from(line(number))).await.is_err() {
                return;
            }
            sleep(FLOW).await;
        }
    });
    let frames = ReceiverStream::new(read).map(|line| Ok(Frame::data(line)));
    StreamBody::new(frames).boxed_unsync()
}

fn whole(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes))
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}
