//! As much HTTP/2 (RFC 9113) as a caller needs who knows every request beforehand.

use anyhow::{Result, bail, ensure};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const HEAD: usize = 9;
/// Before any window update (RFC 9113 section 6.9.2).
const INITIAL_WINDOW: i64 = 65_535;
/// Answers of a whole round fit into it, so it is never topped up.
const OUR_WINDOW: u32 = (1 << 31) - 1 - 65_535;

const CHECK: &[u8] = b"/envoy.service.auth.v3.Authorization/Check";

/// One end of a connection: bytes to send and bytes that came.
pub(crate) struct Connection {
    /// To be sent.
    pub(crate) out: Vec<u8>,
    received: Vec<u8>,
    next_stream: u32,
    window: i64,
    introduced: bool,
}

/// What came of the frames so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Messages with the code that is wanted.
    pub(crate) messages: u64,
    /// Streams that ended.
    pub(crate) ended: u64,
}

impl Connection {
    /// The preface is the first thing to be sent.
    pub(crate) fn new() -> Self {
        let mut out = PREFACE.to_vec();
        frame(&mut out, SETTINGS, 0, 0, &[]);
        frame(&mut out, WINDOW_UPDATE, 0, 0, &OUR_WINDOW.to_be_bytes());
        Self {
            out,
            received: Vec::new(),
            next_stream: 1,
            window: INITIAL_WINDOW,
            introduced: false,
        }
    }

    /// Whether the server has room for a message of this length.
    pub(crate) fn has_room(&self, message: &[u8]) -> bool {
        i64::try_from(message.len()).is_ok_and(|length| length <= self.window)
    }

    /// Sends a Check with this message, framed as gRPC frames it.
    pub(crate) fn check(&mut self, message: &[u8]) {
        let stream = self.next_stream;
        self.next_stream += 2;
        self.window -= i64::try_from(message.len()).unwrap_or(i64::MAX);
        let head = head(self.introduced);
        self.introduced = true;
        frame(&mut self.out, HEADERS, END_HEADERS, stream, &head);
        frame(&mut self.out, DATA, END_STREAM, stream, message);
    }

    /// Takes what came, and counts the answers, whose code must be `wanted`.
    pub(crate) fn receive(&mut self, bytes: &[u8], wanted: u8) -> Result<Progress> {
        self.received.extend_from_slice(bytes);
        let received = std::mem::take(&mut self.received);
        let mut rest = received.as_slice();
        let mut progress = Progress::default();
        while let Some((frame, after)) = split(rest) {
            self.take(&frame, wanted, &mut progress)?;
            rest = after;
        }
        self.received.extend_from_slice(rest);
        Ok(progress)
    }

    fn take(&mut self, came: &Frame<'_>, wanted: u8, progress: &mut Progress) -> Result<()> {
        let Frame {
            kind,
            flags,
            stream,
            payload,
        } = *came;
        match kind {
            DATA => {
                // A byte for compression and four for the length come first.
                let message = payload.get(5..).unwrap_or_default();
                ensure!(
                    code(message) == Some(wanted),
                    "another answer: {message:x?}"
                );
                progress.messages += 1;
            }
            HEADERS => progress.ended += u64::from(flags & END_STREAM),
            SETTINGS if flags & ACK == 0 => frame(&mut self.out, SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => frame(&mut self.out, PING, ACK, 0, payload),
            WINDOW_UPDATE if stream == 0 => self.window += increment(payload)?,
            // A stream's window is larger than any Check.
            SETTINGS | PING | WINDOW_UPDATE => {}
            other => bail!("the server sent a frame of type {other}"),
        }
        Ok(())
    }
}

/// The code of a `CheckResponse`: the first field of its first, `status`. Zero is not
/// written.
const fn code(message: &[u8]) -> Option<u8> {
    match message {
        [0x0a, length, 0x08, code, ..] if *length > 0 => Some(*code),
        [0x0a, ..] => Some(0),
        _ => None,
    }
}

fn increment(payload: &[u8]) -> Result<i64> {
    let bytes: [u8; 4] = payload.try_into()?;
    Ok(i64::from(u32::from_be_bytes(bytes)))
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    out.extend(length.into_iter().skip(1));
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend_from_slice(payload);
}

struct Frame<'a> {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &'a [u8],
}

/// The first frame, and what follows it.
fn split(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
    let [high, middle, low, kind, flags, a, b, c, d] = *head;
    let length = u32::from_be_bytes([0, high, middle, low]);
    let (payload, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    let stream = u32::from_be_bytes([a, b, c, d]);
    Some((
        Frame {
            kind,
            flags,
            stream,
            payload,
        },
        after,
    ))
}

/// A Check's headers (RFC 7541). The first request puts them into the dynamic table,
/// the others name them there, as a proxy that keeps its connections does.
fn head(introduced: bool) -> Vec<u8> {
    // `:method: POST` and `:scheme: http` are in the static table.
    let mut block = vec![0x83, 0x86];
    if introduced {
        block.extend([0x80 | 65, 0x80 | 64, 0x80 | 63, 0x80 | 62]);
    } else {
        literal(&mut block, 0x40 | 4, CHECK);
        literal(&mut block, 0x40 | 1, b"callgate");
        literal(&mut block, 0x40 | 31, b"application/grpc");
        literal(&mut block, 0x40, b"te");
        text(&mut block, b"trailers");
    }
    block
}

fn literal(block: &mut Vec<u8>, name: u8, value: &[u8]) {
    block.push(name);
    text(block, value);
}

/// A string shorter than 127 bytes, not Huffman-coded.
fn text(block: &mut Vec<u8>, value: &[u8]) {
    block.push(u8::try_from(value.len()).unwrap_or(0x7e));
    block.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(stream: u32, message: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame(&mut bytes, HEADERS, END_HEADERS, stream, &[0x88]);
        frame(
            &mut bytes,
            DATA,
            0,
            stream,
            &[&[0, 0, 0, 0, 9], message].concat(),
        );
        frame(&mut bytes, HEADERS, END_HEADERS | END_STREAM, stream, &[]);
        bytes
    }

    #[test]
    fn answers_are_counted_in_whatever_pieces_they_come() {
        let mut connection = Connection::new();
        let mut total = Progress::default();
        for byte in answer(1, &[0x0a, 0]).chunks(1) {
            let progress = connection.receive(byte, 0).unwrap();
            total.messages += progress.messages;
            total.ended += progress.ended;
        }
        assert_eq!(
            total,
            Progress {
                messages: 1,
                ended: 1
            }
        );
    }

    #[test]
    fn another_answer_is_an_error() {
        let refused = answer(1, &[0x0a, 2, 8, 7]);
        assert!(Connection::new().receive(&refused, 0).is_err());
        assert!(Connection::new().receive(&refused, 7).is_ok());
        let explained = answer(1, &[0x0a, 3, 0x12, 1, b'x']);
        assert!(Connection::new().receive(&explained, 0).is_ok());
        let without_status = answer(1, &[]);
        assert!(Connection::new().receive(&without_status, 0).is_err());
    }

    #[test]
    fn the_servers_window_is_kept() {
        let mut connection = Connection::new();
        let message = vec![0; 65_535];
        connection.check(&message);
        assert!(!connection.has_room(&[0]));
        let mut update = Vec::new();
        frame(&mut update, WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes());
        connection.receive(&update, 0).unwrap();
        assert!(connection.has_room(&[0]) && !connection.has_room(&[0, 0]));
    }
}
