//! HTTP/2 by hand (RFC 9113), so that a request can be what no library would send. One
//! request at a time on a connection.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use loona_hpack::Decoder;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::Headers;
use crate::caller::Tls;

/// Longer than any bound of the shipped configurations.
const LIMIT: Duration = Duration::from_secs(40);
/// The largest payload that a peer must take (section 4.2).
const FRAME: usize = 16_384;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;

/// A connection.
pub(super) struct Http2 {
    tls: Tls,
    decoder: Decoder<'static>,
    next: u32,
}

/// An answer: its headers with `:status` and with its trailers behind them, and its body.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Headers and trailers.
    pub(super) headers: Headers,
    /// All of it.
    pub(super) body: Vec<u8>,
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was answered.
    Answer(Answer),
    /// Its stream was reset.
    Reset,
    /// The connection ended.
    Closed,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Http2 {
    /// Begins HTTP/2 on a connection that has agreed to it.
    ///
    /// # Errors
    /// When nothing can be written.
    pub(super) async fn begin(mut tls: Tls) -> Result<Self> {
        tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        let mut connection = Self {
            tls,
            decoder: Decoder::new(),
            next: 1,
        };
        connection.write(SETTINGS, 0, 0, &[]).await?;
        Ok(connection)
    }

    /// Sends a request and reads its answer; of one that opens a stream only the head.
    ///
    /// # Errors
    /// When neither an answer nor an end comes in time.
    pub(super) async fn ask(&mut self, headers: &Headers, opens: bool) -> Result<Outcome> {
        let stream = self.next;
        self.next += 2;
        // What was said before the connection ended counts.
        let _ = self.send_headers(stream, &block(headers), opens).await;
        let outcome = timeout(LIMIT, self.read_answer(stream, opens)).await;
        outcome.context("no answer")?
    }

    async fn send_headers(&mut self, stream: u32, block: &[u8], opens: bool) -> Result<()> {
        let mut kind = HEADERS;
        let end_stream = if opens { 0 } else { END_STREAM };
        let count = block.chunks(FRAME).count();
        for (index, part) in block.chunks(FRAME).enumerate() {
            let last = if index + 1 == count { END_HEADERS } else { 0 };
            let first = if kind == HEADERS { end_stream } else { 0 };
            self.write(kind, last | first, stream, part).await?;
            kind = CONTINUATION;
        }
        Ok(())
    }

    async fn read_answer(&mut self, stream: u32, opens: bool) -> Result<Outcome> {
        let mut answer = Answer::default();
        loop {
            let Some(frame) = self.read().await else {
                return Ok(Outcome::Closed);
            };
            match frame.kind {
                HEADERS => {
                    let fields = self.fields(&frame).await?;
                    if frame.stream == stream {
                        answer.headers.0.extend(fields);
                        if opens && answer.headers.one(":status") == Some("200") {
                            self.write(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
                                .await?;
                            return Ok(Outcome::Answer(answer));
                        }
                    }
                }
                DATA => {
                    self.give_back(frame.payload.len()).await?;
                    if frame.stream == stream {
                        answer.body.extend(unpadded(&frame)?);
                    }
                }
                RST_STREAM if frame.stream == stream => return Ok(Outcome::Reset),
                GOAWAY => return Ok(Outcome::Closed),
                SETTINGS if frame.flags & ACK == 0 => self.write(SETTINGS, ACK, 0, &[]).await?,
                PING if frame.flags & ACK == 0 => self.write(PING, ACK, 0, &frame.payload).await?,
                _ => {}
            }
            let ends = matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0;
            if ends && frame.stream == stream {
                return Ok(Outcome::Answer(answer));
            }
        }
    }

    /// Lets the peer send as much again on this connection.
    async fn give_back(&mut self, bytes: usize) -> Result<()> {
        match u32::try_from(bytes)? {
            0 => Ok(()),
            bytes => self.write(WINDOW_UPDATE, 0, 0, &bytes.to_be_bytes()).await,
        }
    }

    /// The fields of a HEADERS frame and of what continues it.
    async fn fields(&mut self, frame: &Frame) -> Result<Vec<(String, Vec<u8>)>> {
        let mut block = unpadded(frame)?.to_vec();
        if frame.flags & PRIORITY != 0 {
            block.drain(..block.len().min(5));
        }
        let mut ended = frame.flags & END_HEADERS != 0;
        while !ended {
            let more = self.read().await.context("headers that break off")?;
            block.extend(more.payload);
            ended = more.flags & END_HEADERS != 0;
        }
        let fields = self.decoder.decode(&block);
        let Ok(fields) = fields else {
            bail!("headers that HPACK cannot read")
        };
        Ok(fields
            .into_iter()
            .map(|(name, value)| (lossy(&name), value))
            .collect())
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<()> {
        let length = u32::try_from(payload.len())?.to_be_bytes();
        let mut frame = length.get(1..).unwrap_or_default().to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.tls.write_all(&frame).await?;
        Ok(self.tls.flush().await?)
    }

    async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.tls.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, s @ ..] = head;
        let length = u32::from_be_bytes([0, a, b, c]);
        let mut payload = vec![0; usize::try_from(length).ok()?];
        self.tls.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes(s),
            payload,
        })
    }
}

/// Literal fields that are never indexed (RFC 7541 section 6.2.3), bytes as they are.
fn block(headers: &Headers) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in &headers.0 {
        block.push(0x10);
        for text in [name.as_bytes(), value] {
            integer(&mut block, text.len());
            block.extend(text);
        }
    }
    block
}

/// RFC 7541 section 5.1, with a prefix of seven bits and no Huffman code.
fn integer(block: &mut Vec<u8>, mut value: usize) {
    let byte = |value: usize| u8::try_from(value & 0x7f).unwrap_or(0x7f);
    if value < 0x7f {
        block.push(byte(value));
        return;
    }
    block.push(0x7f);
    value -= 0x7f;
    while value >= 0x80 {
        block.push(byte(value) | 0x80);
        value >>= 7;
    }
    block.push(byte(value));
}

fn unpadded(frame: &Frame) -> Result<&[u8]> {
    if frame.flags & PADDED == 0 {
        return Ok(&frame.payload);
    }
    let (padding, rest) = frame
        .payload
        .split_first()
        .context("an empty padded frame")?;
    let end = rest
        .len()
        .checked_sub(usize::from(*padding))
        .context("more padding than frame")?;
    Ok(rest.get(..end).unwrap_or_default())
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
