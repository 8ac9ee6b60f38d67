//! As much HTTP/2 (RFC 9113) as a caller needs who knows every request beforehand.

use anyhow::{Result, bail};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
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

/// One end of a connection: bytes to send and bytes that came.
pub(crate) struct Connection {
    /// To be sent.
    pub(crate) out: Vec<u8>,
    received: Vec<u8>,
    next_stream: u32,
    window: i64,
}

/// What the server said about a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came<'a> {
    /// Headers or trailers, as they are on the wire; whether that was all.
    Headers(u32, &'a [u8], bool),
    /// A part of the body; whether that was all.
    Data(u32, &'a [u8], bool),
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
        }
    }

    /// Whether the server has room for a body of this length.
    pub(crate) fn has_room(&self, body: &[u8]) -> bool {
        i64::try_from(body.len()).is_ok_and(|length| length <= self.window)
    }

    /// Sends a request with these headers, and this body unless it is empty; the stream.
    pub(crate) fn request(&mut self, headers: &[u8], body: &[u8]) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        self.window -= i64::try_from(body.len()).unwrap_or(i64::MAX);
        let end = if body.is_empty() { END_STREAM } else { 0 };
        frame(&mut self.out, HEADERS, END_HEADERS | end, stream, headers);
        if !body.is_empty() {
            frame(&mut self.out, DATA, END_STREAM, stream, body);
        }
        stream
    }

    /// Takes what came, and hands on what is about streams.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Came<'_>) -> Result<()>,
    ) -> Result<()> {
        self.received.extend_from_slice(bytes);
        let received = std::mem::take(&mut self.received);
        let mut rest = received.as_slice();
        while let Some((frame, after)) = split(rest) {
            if let Some(came) = self.take(&frame)? {
                each(came)?;
            }
            rest = after;
        }
        self.received.extend_from_slice(rest);
        Ok(())
    }

    fn take<'a>(&mut self, came: &Frame<'a>) -> Result<Option<Came<'a>>> {
        let Frame {
            kind,
            flags,
            stream,
            payload,
        } = *came;
        let end = flags & END_STREAM != 0;
        match kind {
            DATA => return Ok(Some(Came::Data(stream, payload, end))),
            HEADERS => return Ok(Some(Came::Headers(stream, payload, end))),
            SETTINGS if flags & ACK == 0 => frame(&mut self.out, SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => frame(&mut self.out, PING, ACK, 0, payload),
            WINDOW_UPDATE if stream == 0 => self.window += increment(payload)?,
            // A stream's window is larger than any body.
            SETTINGS | PING | WINDOW_UPDATE => {}
            RST_STREAM => bail!("stream {stream} was reset: {payload:x?}"),
            other => bail!("the server sent a frame of type {other}"),
        }
        Ok(None)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_told_in_whatever_pieces_it_comes() {
        let mut bytes = Vec::new();
        frame(&mut bytes, HEADERS, END_HEADERS, 1, &[0x88]);
        frame(&mut bytes, PING, 0, 0, &[7; 8]);
        frame(&mut bytes, DATA, END_STREAM, 1, b"ok");
        let mut connection = Connection::new();
        connection.out.clear();
        let mut came = Vec::new();
        for byte in bytes.chunks(1) {
            let told = connection.receive(byte, |part| {
                came.push(format!("{part:?}"));
                Ok(())
            });
            told.unwrap();
        }
        assert_eq!(
            came,
            ["Headers(1, [136], false)", "Data(1, [111, 107], true)"]
        );
        let mut pong = Vec::new();
        frame(&mut pong, PING, ACK, 0, &[7; 8]);
        assert_eq!(connection.out, pong);
    }

    #[test]
    fn a_stream_that_is_reset_is_an_error() {
        let mut bytes = Vec::new();
        frame(&mut bytes, RST_STREAM, 0, 1, &[0, 0, 0, 8]);
        assert!(Connection::new().receive(&bytes, |_| Ok(())).is_err());
    }

    #[test]
    fn the_servers_window_is_kept() {
        let mut connection = Connection::new();
        connection.request(&[0x82], &vec![0; 65_535]);
        assert!(!connection.has_room(&[0]));
        let mut update = Vec::new();
        frame(&mut update, WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes());
        connection.receive(&update, |_| Ok(())).unwrap();
        assert!(connection.has_room(&[0]) && !connection.has_room(&[0, 0]));
    }
}
