//! Bytes as they are, for what no client library would send.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{Answer, Caller, Http};

/// As for any other call.
const ANSWER_LIMIT: Duration = Duration::from_secs(40);

/// What the gate did with the bytes.
#[derive(Debug)]
pub enum Outcome {
    /// It answered.
    Answer(Box<Answer>),
    /// It closed or reset the connection and said nothing.
    Closed,
}

impl Caller {
    /// Sends `bytes` as HTTP/1.1 and reads until the gate closes, or an answer with
    /// a length is complete.
    ///
    /// # Errors
    /// When neither happens in time, or the handshake fails.
    pub async fn send_raw(&self, address: SocketAddr, bytes: &[u8]) -> Result<Outcome> {
        let mut tls = self.handshake(address, Http::One).await?;
        let start = std::time::Instant::now();
        // It may close while we write; what it said before counts.
        let _ = tls.write_all(bytes).await;
        let mut read = Vec::new();
        let reading = async {
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = tls.read(&mut buffer).await {
                read.extend_from_slice(buffer.get(..count).unwrap_or_default());
                if complete(&read) {
                    break;
                }
            }
        };
        timeout(ANSWER_LIMIT, reading)
            .await
            .context("neither an answer nor a close")?;
        if read.is_empty() {
            return Ok(Outcome::Closed);
        }
        let mut answer = parse(&read)?;
        answer.took = start.elapsed();
        Ok(Outcome::Answer(Box::new(answer)))
    }
}

impl Outcome {
    /// The answer.
    ///
    /// # Errors
    /// When there was none.
    pub fn answer(self) -> Result<Answer> {
        match self {
            Self::Answer(answer) => Ok(*answer),
            Self::Closed => anyhow::bail!("closed without an answer"),
        }
    }
}

fn split(read: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = read.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((read.get(..end)?, read.get(end + 4..)?))
}

fn complete(read: &[u8]) -> bool {
    let Some((head, body)) = split(read) else {
        return false;
    };
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    // What follows is no longer HTTP.
    if head.starts_with("http/1.1 101") {
        return true;
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    length
        .and_then(|text| text.trim().parse::<usize>().ok())
        .is_some_and(|n| body.len() >= n)
}

fn parse(read: &[u8]) -> Result<Answer> {
    let (head, body) = split(read).context("an answer that breaks off in its head")?;
    let mut lines = head.split(|byte| *byte == b'\n');
    let status_line = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    ensure!(
        status_line.starts_with("HTTP/1."),
        "`{status_line}` is no status line"
    );
    let status = status_line
        .split(' ')
        .nth(1)
        .context("no status")?
        .trim()
        .parse()?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .context("a header without a colon")?;
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        headers.append(
            HeaderName::from_bytes(name)?,
            HeaderValue::from_bytes(value)?,
        );
    }
    Ok(Answer {
        status,
        headers,
        body: Bytes::copy_from_slice(body),
        trailers: HeaderMap::new(),
        headers_only: false,
        took: Duration::ZERO,
    })
}
