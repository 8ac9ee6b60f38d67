//! Streams that stay open: upgrades, and bodies that go on both ways.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use h2::{RecvStream, SendStream, ext::Protocol};
use http::Response;
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::process::eventually;

use super::{
    Answer, Call, Connection,
    connection::{http1_request, http2_request, read_answer},
};

const LIMIT: Duration = Duration::from_secs(40);

/// An answer to a request for a stream: the stream, or a refusal.
#[derive(Debug)]
pub enum Opened<T> {
    /// It is open.
    Stream(T),
    /// The gate said no.
    Refused(Box<Answer>),
}

impl<T> Opened<T> {
    /// The stream.
    ///
    /// # Errors
    /// When it was refused.
    pub fn stream(self) -> Result<T> {
        match self {
            Self::Stream(stream) => Ok(stream),
            Self::Refused(answer) => bail!("refused: {} {:?}", answer.status, answer.reason()),
        }
    }

    /// The refusal.
    ///
    /// # Errors
    /// When it was opened.
    pub fn refusal(self) -> Result<Answer> {
        match self {
            Self::Refused(answer) => Ok(*answer),
            Self::Stream(_) => bail!("opened"),
        }
    }
}

/// A connection that has left HTTP.
#[derive(Debug)]
pub struct Upgrade(TokioIo<Upgraded>);

impl Upgrade {
    /// Sends bytes and reads as many back.
    ///
    /// # Errors
    /// When the other side does not send them.
    pub async fn echo(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        self.0.write_all(bytes).await?;
        let mut back = vec![0; bytes.len()];
        timeout(LIMIT, self.0.read_exact(&mut back))
            .await
            .context("no echo")??;
        Ok(back)
    }
}

/// The body of an answer over HTTP/1.1, read as it comes.
#[derive(Debug)]
pub struct Download(Incoming);

impl Download {
    /// The next bytes, or `None` at its end.
    ///
    /// # Errors
    /// When it is cut, or nothing comes.
    pub async fn receive(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame = timeout(LIMIT, self.0.frame())
                .await
                .context("nothing comes")?;
            match frame.transpose()? {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

/// An HTTP/2 stream, open both ways.
#[derive(Debug)]
pub struct Duplex {
    /// The answer's head.
    pub head: Response<()>,
    send: SendStream<Bytes>,
    receive: RecvStream,
}

impl Duplex {
    /// Sends bytes; the stream stays open.
    ///
    /// # Errors
    /// When it has ended.
    pub fn send(&mut self, bytes: impl Into<Bytes>) -> Result<()> {
        Ok(self.send.send_data(bytes.into(), false)?)
    }

    /// The next bytes, or `None` at its end.
    ///
    /// # Errors
    /// When it is reset, or nothing comes.
    pub async fn receive(&mut self) -> Result<Option<Bytes>> {
        let part = timeout(LIMIT, self.receive.data())
            .await
            .context("nothing comes")?;
        let Some(part) = part.transpose()? else {
            return Ok(None);
        };
        self.receive.flow_control().release_capacity(part.len())?;
        Ok(Some(part))
    }
}

impl Connection {
    /// Asks to leave HTTP/1.1 for `protocol` (RFC 9110 section 7.8).
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn upgrade(&mut self, path: &str, protocol: &str) -> Result<Opened<Upgrade>> {
        let start = Instant::now();
        let call = Call::new("GET", path)
            .header("connection", "Upgrade")
            .header("upgrade", protocol)
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let request = http1_request(&call)?.map(|()| Full::new(Bytes::new()));
        let send = self.http1()?;
        send.ready().await?;
        let response = timeout(LIMIT, send.send_request(request)).await??;
        if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Opened::Stream(Upgrade(TokioIo::new(
                hyper::upgrade::on(response).await?,
            ))));
        }
        refused(response, start).await.map(Opened::Refused)
    }

    /// Asks over HTTP/1.1 for an answer that takes its time.
    ///
    /// # Errors
    /// When there is none.
    pub async fn download(&mut self, call: &Call) -> Result<Opened<Download>> {
        let start = Instant::now();
        let request = http1_request(call)?.map(|()| Full::new(Bytes::new()));
        let send = self.http1()?;
        send.ready().await?;
        let response = timeout(LIMIT, send.send_request(request)).await??;
        if response.status().is_success() {
            return Ok(Opened::Stream(Download(response.into_body())));
        }
        refused(response, start).await.map(Opened::Refused)
    }

    /// Asks for `protocol` by HTTP/2 extended CONNECT (RFC 8441).
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn extended_connect(
        &mut self,
        path: &str,
        protocol: &'static str,
    ) -> Result<Opened<Duplex>> {
        let mut request = http2_request(&Call::new("CONNECT", path))?;
        request
            .extensions_mut()
            .insert(Protocol::from_static(protocol));
        let send = self.http2()?.ready().await?;
        // The gate says so in its first frame, which may not be here yet.
        eventually(LIMIT, "extended CONNECT to be offered", async || {
            Ok(send.is_extended_connect_protocol_enabled().then_some(()))
        })
        .await?;
        open(send, request).await
    }

    /// Makes a call whose body stays open.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn open(&mut self, call: &Call) -> Result<Opened<Duplex>> {
        let send = self.http2()?.ready().await?;
        open(send, http2_request(call)?).await
    }
}

/// An answer over HTTP/1.1 that is not what was asked for.
async fn refused(response: Response<Incoming>, start: Instant) -> Result<Box<Answer>> {
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Box::new(Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
        trailers: http::HeaderMap::new(),
        headers_only: false,
        took: start.elapsed(),
    }))
}

async fn open(
    mut connection: h2::client::SendRequest<Bytes>,
    request: http::Request<()>,
) -> Result<Opened<Duplex>> {
    let start = Instant::now();
    let (response, send) = connection.send_request(request, false)?;
    let response = timeout(LIMIT, response).await.context("no answer")??;
    if !response.status().is_success() || response.headers().contains_key("grpc-status") {
        return Ok(Opened::Refused(Box::new(
            read_answer(response, start).await?,
        )));
    }
    let (head, receive) = response.into_parts();
    Ok(Opened::Stream(Duplex {
        head: Response::from_parts(head, ()),
        send,
        receive,
    }))
}
