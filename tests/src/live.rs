//! Streams that stay open, and that tell when and how they end.
//!
//! Each kind is used for as long as it lasts, and everything that comes through it is
//! compared with what has to: a byte too many, too few or another one is an end as well.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    caller::{
        Call, Caller, Connection, Http,
        grpc::frame,
        stream::{Download, Duplex, Upgrade},
    },
    process::eventually,
    upstream::line,
};

/// Between two messages of a stream that goes both ways.
const PAUSE: Duration = Duration::from_millis(20);
/// What goes through it without a fault until it counts as open.
const PROVEN: u64 = 3;

/// A kind of stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A long answer over HTTP/1.1.
    Download,
    /// The same over HTTP/2.
    Download2,
    /// gRPC, messages both ways.
    Grpc,
    /// A WebSocket over HTTP/1.1.
    WebSocket,
    /// A WebSocket over HTTP/2 (RFC 8441).
    WebSocket2,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Download,
        Self::Download2,
        Self::Grpc,
        Self::WebSocket,
        Self::WebSocket2,
    ];

    const fn http(self) -> Http {
        match self {
            Self::Download | Self::WebSocket => Http::One,
            Self::Download2 | Self::Grpc | Self::WebSocket2 => Http::Two,
        }
    }

    /// A connection to `address` that can carry it.
    ///
    /// # Errors
    /// When there is none.
    pub async fn connect(self, caller: &Caller, address: SocketAddr) -> Result<Connection> {
        caller.connect(address, self.http()).await
    }
}

enum Stream {
    Download(Download),
    Download2(Duplex),
    Grpc(Duplex),
    WebSocket(Upgrade),
    WebSocket2(Duplex),
}

/// A stream in use, until it ends or this is dropped.
#[derive(Debug)]
pub struct Live {
    /// What it is.
    pub kind: Kind,
    passage: Arc<Passage>,
    task: JoinHandle<()>,
}

/// What came of a stream so far.
#[derive(Debug, Default)]
struct Passage {
    passed: AtomicU64,
    end: OnceLock<End>,
}

/// How a stream ended.
#[derive(Clone, Debug)]
pub struct End {
    /// When its last reader knew.
    pub at: Instant,
    /// In the words of whoever read it.
    pub how: String,
}

impl Live {
    /// Opens a stream of that kind and uses it from now on.
    ///
    /// # Errors
    /// When it does not open, or nothing passes through it.
    pub async fn open(kind: Kind, connection: &mut Connection) -> Result<Self> {
        let stream = Stream::open(kind, connection).await?;
        let passage = Arc::new(Passage::default());
        let live = Self {
            kind,
            task: tokio::spawn(run(stream, Arc::clone(&passage))),
            passage,
        };
        live.passes(PROVEN)
            .await
            .with_context(|| format!("{kind:?}"))?;
        Ok(live)
    }

    /// Waits until so much more has passed through it as it should.
    ///
    /// # Errors
    /// When it ends before.
    pub async fn passes(&self, more: u64) -> Result<()> {
        let Passage { passed, end } = &*self.passage;
        let goal = passed.load(Ordering::Relaxed) + more;
        let limit = Duration::from_secs(20);
        eventually(limit, "a stream to go on", async || {
            if let Some(End { how, .. }) = end.get() {
                bail!("{:?} has ended: {how}", self.kind);
            }
            Ok((passed.load(Ordering::Relaxed) >= goal).then_some(()))
        })
        .await
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// When it does not within `limit`.
    pub async fn ends(mut self, limit: Duration) -> Result<End> {
        let Ok(ended) = timeout(limit, &mut self.task).await else {
            bail!("{:?} is open after {limit:?}", self.kind);
        };
        ended?;
        self.passage.end.get().cloned().context("no end")
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stream {
    async fn open(kind: Kind, connection: &mut Connection) -> Result<Self> {
        let get = Call::new("GET", "/flow");
        Ok(match kind {
            Kind::Download => Self::Download(connection.download(&get).await?.stream()?),
            Kind::Download2 => Self::Download2(connection.open(&get).await?.stream()?),
            Kind::Grpc => {
                let call = Call::new("POST", "/shop.v1.Orders/Watch")
                    .header("content-type", "application/grpc")
                    .header("te", "trailers");
                Self::Grpc(connection.open(&call).await?.stream()?)
            }
            Kind::WebSocket => {
                let upgrade = connection.upgrade("/live", "websocket").await?;
                Self::WebSocket(upgrade.stream()?)
            }
            Kind::WebSocket2 => {
                let connect = connection.extended_connect("/live", "websocket").await?;
                Self::WebSocket2(connect.stream()?)
            }
        })
    }

    /// Has the next bytes pass, which are those of `number`.
    async fn pass(&mut self, number: u64, rest: &mut Vec<u8>) -> Result<()> {
        let expected = match self {
            Self::Grpc(_) => frame(line(number).as_bytes()).to_vec(),
            _ => line(number).into_bytes(),
        };
        match self {
            Self::Download(_) | Self::Download2(_) => {}
            Self::Grpc(stream) | Self::WebSocket2(stream) => stream.send(expected.clone())?,
            Self::WebSocket(stream) => {
                let back = stream.echo(&expected).await?;
                ensure!(back == expected, "other bytes: {back:?}");
                sleep(PAUSE).await;
                return Ok(());
            }
        }
        while rest.len() < expected.len() {
            let part = match self {
                Self::Download(body) => body.receive().await?,
                Self::Download2(stream) | Self::Grpc(stream) | Self::WebSocket2(stream) => {
                    stream.receive().await?
                }
                Self::WebSocket(_) => None,
            };
            rest.extend_from_slice(&part.context("its end")?);
        }
        let after = rest.split_off(expected.len());
        let got = std::mem::replace(rest, after);
        ensure!(got == expected, "other bytes: {got:?}");
        if let Self::Grpc(_) | Self::WebSocket2(_) = self {
            sleep(PAUSE).await;
        }
        Ok(())
    }
}

/// Uses a stream until it ends.
async fn run(mut stream: Stream, passage: Arc<Passage>) {
    let mut rest = Vec::new();
    loop {
        let number = passage.passed.load(Ordering::Relaxed);
        if let Err(error) = stream.pass(number, &mut rest).await {
            let end = End {
                at: Instant::now(),
                how: format!("{error:#}"),
            };
            passage.end.get_or_init(|| end);
            return;
        }
        passage.passed.store(number + 1, Ordering::Relaxed);
    }
}
