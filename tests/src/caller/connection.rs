//! One connection and the calls made on it.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

use super::{Answer, Call};

/// Longer than any bound of the shipped configurations: what has not answered by
/// then hangs, and hanging is what these tests look for.
const ANSWER_LIMIT: Duration = Duration::from_secs(40);
/// A connection that failed a request ends at once, if it ends.
const CAUSE_LIMIT: Duration = Duration::from_millis(200);
/// The name that requests are addressed to.
const AUTHORITY: &str = "callee.test";

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Http {
    /// HTTP/1.1 (RFC 9112).
    One,
    /// HTTP/2 (RFC 9113).
    Two,
}

impl Http {
    pub(super) const fn alpn(self) -> &'static [u8] {
        match self {
            Self::One => b"http/1.1",
            Self::Two => b"h2",
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
    driver: JoinHandle<Result<()>>,
    /// The handshake took up an earlier TLS session.
    pub resumed: bool,
}

#[derive(Debug)]
enum Wire {
    One(http1::SendRequest<Full<Bytes>>),
    Two(h2::client::SendRequest<Bytes>),
}

impl Connection {
    /// HTTP/1.1 without TLS.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn plain(address: SocketAddr) -> Result<Self> {
        let tcp = TcpStream::connect(address)
            .await
            .with_context(|| format!("connect to {address}"))?;
        Self::over(tcp, Http::One, false).await
    }

    /// HTTP/2 without TLS, by prior knowledge.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn plain_http2(address: SocketAddr) -> Result<Self> {
        let tcp = TcpStream::connect(address)
            .await
            .with_context(|| format!("connect to {address}"))?;
        Self::over(tcp, Http::Two, false).await
    }

    pub(super) async fn over<S>(stream: S, http: Http, resumed: bool) -> Result<Self>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (wire, driver) = match http {
            Http::One => {
                let (send, connection) = http1::handshake(TokioIo::new(stream)).await?;
                let driver = async { Ok(connection.with_upgrades().await?) };
                (Wire::One(send), tokio::spawn(driver))
            }
            Http::Two => {
                let (send, connection) = h2::client::handshake(stream).await?;
                (
                    Wire::Two(send),
                    tokio::spawn(async { Ok(connection.await?) }),
                )
            }
        };
        Ok(Self {
            wire,
            driver,
            resumed,
        })
    }

    /// Makes a call and reads the answer to its end.
    ///
    /// # Errors
    /// When there is no answer, or not all of it.
    pub async fn call(&mut self, call: Call) -> Result<Answer> {
        let what = format!(
            "{} {}",
            call.method,
            call.path.get(..60).unwrap_or(&call.path)
        );
        let answer = async {
            match &mut self.wire {
                Wire::One(send) => call_http1(send, call).await,
                Wire::Two(send) => call_http2(send, call).await,
            }
        };
        match timeout(ANSWER_LIMIT, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.cause(error).await.context(what)),
            Err(_) => bail!("{what}: no answer within {ANSWER_LIMIT:?}"),
        }
    }

    /// The connection knows better than the request why it ended: a TLS alert, say.
    async fn cause(&mut self, error: anyhow::Error) -> anyhow::Error {
        match timeout(CAUSE_LIMIT, &mut self.driver).await {
            Ok(Ok(Err(cause))) => cause,
            _ => error,
        }
    }

    /// The HTTP/2 side, for streams.
    ///
    /// # Errors
    /// On HTTP/1.1.
    pub fn http2(&self) -> Result<h2::client::SendRequest<Bytes>> {
        match &self.wire {
            Wire::Two(send) => Ok(send.clone()),
            Wire::One(_) => bail!("not an HTTP/2 connection"),
        }
    }

    /// The HTTP/1.1 side, for upgrades.
    ///
    /// # Errors
    /// On HTTP/2.
    pub fn http1(&mut self) -> Result<&mut http1::SendRequest<Full<Bytes>>> {
        match &mut self.wire {
            Wire::One(send) => Ok(send),
            Wire::Two(_) => bail!("not an HTTP/1.1 connection"),
        }
    }
}

async fn call_http1(send: &mut http1::SendRequest<Full<Bytes>>, call: Call) -> Result<Answer> {
    let start = Instant::now();
    let body = Full::new(call.body.clone());
    send.ready().await?;
    let response = send
        .send_request(http1_request(&call)?.map(|()| body))
        .await?;
    let (head, body) = response.into_parts();
    let collected = body.collect().await?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: collected.to_bytes(),
        trailers,
        headers_only: false,
        took: start.elapsed(),
    })
}

/// The request's head, with `host` unless the call names its own.
pub(super) fn http1_request(call: &Call) -> Result<Request<()>> {
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(call.method.as_bytes())?;
    *request.uri_mut() = call.path.parse()?;
    request.headers_mut().clone_from(&call.headers);
    request
        .headers_mut()
        .entry("host")
        .or_insert(http::HeaderValue::from_static(AUTHORITY));
    Ok(request)
}

async fn call_http2(send: &mut h2::client::SendRequest<Bytes>, call: Call) -> Result<Answer> {
    let start = Instant::now();
    let request = http2_request(&call)?;
    let mut send = send.clone().ready().await?;
    let (response, mut stream) = send.send_request(request, call.body.is_empty())?;
    if !call.body.is_empty() {
        // A refusal may come before the body is taken; that is not our failure.
        let _ = send_body(&mut stream, call.body).await;
    }
    read_answer(response.await?, start).await
}

/// The request's head, with an authority and a scheme.
pub(super) fn http2_request(call: &Call) -> Result<Request<()>> {
    let uri = Uri::builder()
        .scheme("https")
        .authority(AUTHORITY)
        .path_and_query(call.path.as_str());
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(call.method.as_bytes())?;
    *request.uri_mut() = uri.build()?;
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().clone_from(&call.headers);
    Ok(request)
}

async fn send_body(stream: &mut h2::SendStream<Bytes>, mut body: Bytes) -> Result<()> {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
        let room = room.context("the stream has ended")??;
        let part = body.split_to(room.min(body.len()));
        stream.send_data(part, body.is_empty())?;
    }
    Ok(())
}

pub(super) async fn read_answer(
    response: http::Response<h2::RecvStream>,
    start: Instant,
) -> Result<Answer> {
    let (head, mut stream) = response.into_parts();
    let headers_only = stream.is_end_stream();
    let mut body = Vec::new();
    while let Some(part) = stream.data().await {
        let part = part?;
        stream.flow_control().release_capacity(part.len())?;
        body.extend_from_slice(&part);
    }
    let trailers: HeaderMap = stream.trailers().await?.unwrap_or_default();
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.into(),
        trailers,
        headers_only,
        took: start.elapsed(),
    })
}
