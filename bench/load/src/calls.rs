//! Calls through a proxy, each caller one at a time: HTTP/1.1 over mutual TLS on
//! connections that are kept.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use callgate_bench_report::Latencies;
use callgate_tests::caller::{Caller, Http, Tls};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinSet,
    time::timeout,
};

/// A proxy that says nothing for so long is not being measured.
const SILENCE: Duration = Duration::from_secs(5);
/// Calls on a new connection that are not counted: the first ones pay for it.
const WARM_UP: usize = 50;
/// More than any answer here.
const ANSWER_LIMIT: usize = 1 << 14;

/// What is called: the request's bytes, which get `200`.
#[derive(Clone, Debug)]
pub struct Target {
    /// Who calls.
    pub caller: Caller,
    /// Where.
    pub address: SocketAddr,
    /// The whole request, without a body.
    pub request: Vec<u8>,
}

/// One connection, calls one after the other, `count` of them or as many as fit into
/// `time`: how long each took.
///
/// # Errors
/// A connection that breaks, or an answer other than 200.
pub async fn latencies(target: &Target, count: usize, time: Duration) -> Result<Latencies> {
    let mut connection = Kept::open(target).await?;
    for _ in 0..WARM_UP {
        connection.call(&target.request).await?;
    }
    let mut nanos = Vec::with_capacity(count);
    let end = Instant::now() + time;
    while nanos.len() < count && Instant::now() < end {
        let start = Instant::now();
        connection.call(&target.request).await?;
        nanos.push(u64::try_from(start.elapsed().as_nanos())?);
    }
    Ok(Latencies::new(nanos))
}

/// `connections` callers at once for `time`: calls a second, handshakes not counted.
///
/// # Errors
/// A connection that breaks, or an answer other than 200.
pub async fn throughput(target: &Target, connections: usize, time: Duration) -> Result<f64> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut connection = Kept::open(target).await?;
        connection.call(&target.request).await?;
        open.push(connection);
    }
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for connection in open {
        callers.spawn(keep_calling(
            connection,
            target.request.clone(),
            start + time,
        ));
    }
    let mut calls = 0;
    while let Some(called) = callers.join_next().await {
        calls += called??;
    }
    Ok(f64::from(calls) / start.elapsed().as_secs_f64())
}

async fn keep_calling(mut connection: Kept, request: Vec<u8>, end: Instant) -> Result<u32> {
    let mut calls = 0;
    while Instant::now() < end {
        connection.call(&request).await?;
        calls += 1;
    }
    Ok(calls)
}

/// A connection that is kept.
struct Kept {
    tls: Tls,
    received: Vec<u8>,
}

impl Kept {
    async fn open(target: &Target) -> Result<Self> {
        let tls = target.caller.handshake(target.address, Http::One).await?;
        Ok(Self {
            tls,
            received: Vec::with_capacity(ANSWER_LIMIT),
        })
    }

    async fn call(&mut self, request: &[u8]) -> Result<()> {
        self.tls.write_all(request).await?;
        self.received.clear();
        loop {
            let read = timeout(SILENCE, self.tls.read_buf(&mut self.received)).await;
            let read = read.context("the proxy is silent")??;
            ensure!(read > 0, "the proxy hung up");
            if complete(&self.received)? {
                return Ok(());
            }
            ensure!(self.received.len() < ANSWER_LIMIT, "an endless answer");
        }
    }
}

/// Whether the whole answer is there, which must be a 200 with a length.
fn complete(bytes: &[u8]) -> Result<bool> {
    let text = std::str::from_utf8(bytes)?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Ok(false);
    };
    ensure!(head.starts_with("HTTP/1.1 200 "), "refused: {text}");
    for line in head.split("\r\n") {
        if let Some(length) = line.strip_prefix("content-length: ") {
            return Ok(body.len() >= length.parse()?);
        }
    }
    bail!("an answer without a length: {head}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_with_its_body() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        assert!(complete(answer).unwrap());
        assert!(!complete(&answer[..answer.len() - 1]).unwrap());
        assert!(!complete(&answer[..20]).unwrap());
    }

    #[test]
    fn a_refusal_is_an_error() {
        assert!(complete(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").is_err());
    }
}
