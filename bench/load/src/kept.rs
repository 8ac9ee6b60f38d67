//! A connection to a proxy that is kept, on which calls are made one at a time.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use callgate_tests::caller::{Http, Tls};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::{
    calls::{AUTHORITY, Target},
    frames::{Came, Connection},
    headers::{Headers, are_of_200},
};

/// A proxy that says nothing for so long is not being measured.
const SILENCE: Duration = Duration::from_secs(5);
/// More than any answer here.
const ANSWER_LIMIT: usize = 1 << 14;
/// `:method: GET` and `:scheme: https` in the static table of HPACK.
const GET_HTTPS: [u8; 2] = [2, 7];

/// An open connection.
pub(crate) struct Kept {
    tls: Tls,
    speaks: Speaks,
    received: Vec<u8>,
}

enum Speaks {
    /// What follows the path in each request.
    One(String),
    Two(Box<Two>),
}

/// HTTP/2: the frames, and the headers that all requests have.
pub(crate) struct Two {
    /// Bytes to send and bytes that came.
    pub(crate) connection: Connection,
    headers: Headers,
}

impl Two {
    pub(crate) fn new(target: &Target) -> Self {
        let mut kept = vec![(":authority", AUTHORITY)];
        let others = target.headers.iter();
        kept.extend(others.map(|(name, value)| (*name, value.as_str())));
        Self {
            connection: Connection::new(),
            headers: Headers::new(&GET_HTTPS, &kept),
        }
    }

    /// Sends a request once `connection.out` is written; its stream.
    pub(crate) fn get(&mut self, path: &str) -> u32 {
        let headers = self.headers.next(&[(":path", path)]);
        self.connection.request(&headers, &[])
    }
}

impl Kept {
    /// Opens it, without a call.
    pub(crate) async fn open(target: &Target) -> Result<Self> {
        let tls = target.caller.handshake(target.address, target.http).await?;
        let speaks = match target.http {
            Http::One => Speaks::One(head(target)),
            Http::Two => Speaks::Two(Box::new(Two::new(target))),
        };
        Ok(Self {
            tls,
            speaks,
            received: Vec::with_capacity(ANSWER_LIMIT),
        })
    }

    /// A call of `path`, which must be answered 200.
    pub(crate) async fn call(&mut self, path: &str) -> Result<()> {
        let status = self.status(path).await?;
        ensure!(status == 200, "refused: {status}");
        Ok(())
    }

    /// A call of `path`: the status of its answer. HTTP/2 tells 200 and 0, any other.
    pub(crate) async fn status(&mut self, path: &str) -> Result<u16> {
        let answer = async {
            match &mut self.speaks {
                Speaks::One(head) => call_1(&mut self.tls, &mut self.received, head, path).await,
                Speaks::Two(two) => call_2(&mut self.tls, &mut self.received, two, path).await,
            }
        };
        timeout(SILENCE, answer)
            .await
            .context("the proxy is silent")?
    }
}

fn head(target: &Target) -> String {
    let mut head = format!(" HTTP/1.1\r\nhost: {AUTHORITY}\r\n");
    for (name, value) in &target.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head + "\r\n"
}

async fn call_1(tls: &mut Tls, received: &mut Vec<u8>, head: &str, path: &str) -> Result<u16> {
    let request = ["GET ", path, head].concat();
    tls.write_all(request.as_bytes()).await?;
    received.clear();
    loop {
        let read = tls.read_buf(received).await?;
        ensure!(read > 0, "the proxy hung up");
        if let Some(status) = complete(received)? {
            return Ok(status);
        }
        ensure!(received.len() < ANSWER_LIMIT, "an endless answer");
    }
}

async fn call_2(tls: &mut Tls, received: &mut Vec<u8>, two: &mut Two, path: &str) -> Result<u16> {
    let asked = two.get(path);
    let (mut status, mut ended) = (0, false);
    while !ended {
        tls.write_all(&two.connection.out).await?;
        two.connection.out.clear();
        received.clear();
        let read = tls.read_buf(received).await?;
        ensure!(read > 0, "the proxy hung up");
        two.connection.receive(received, |came| {
            let (stream, end) = match came {
                Came::Headers(stream, block, end) => {
                    if are_of_200(block) {
                        status = 200;
                    }
                    (stream, end)
                }
                Came::Data(stream, _, end) => (stream, end),
            };
            ensure!(stream == asked, "an answer to stream {stream}");
            ended |= end;
            Ok(())
        })?;
    }
    Ok(status)
}

/// The status once the whole answer is there, which must have a length.
fn complete(bytes: &[u8]) -> Result<Option<u16>> {
    let text = std::str::from_utf8(bytes)?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Ok(None);
    };
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|s| s.get(..3));
    let status = status.context("no answer of HTTP/1.1")?.parse()?;
    for line in head.split("\r\n") {
        if let Some(length) = line.strip_prefix("content-length: ") {
            let whole = body.len() >= length.parse()?;
            return Ok(whole.then_some(status));
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
        assert_eq!(complete(answer).unwrap(), Some(200));
        assert_eq!(complete(&answer[..answer.len() - 1]).unwrap(), None);
        assert_eq!(complete(&answer[..20]).unwrap(), None);
    }

    #[test]
    fn a_refusal_is_told() {
        let answer = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(complete(answer).unwrap(), Some(403));
        assert!(complete(b"HTTP/1.1 403 Forbidden\r\n\r\n").is_err());
    }
}
