//! Puts Checks on a server: few connections, many streams, as proxies do.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use crate::{
    frames::{Came, Connection},
    headers::Headers,
};

/// Proxies that ask: each has one connection.
const CONNECTIONS: usize = 4;
/// Checks that one proxy has under way.
const STREAMS: u64 = 16;
/// `:method: POST` and `:scheme: http` in the static table of HPACK.
const POST_HTTP: [u8; 2] = [3, 6];
const HEADERS: [(&str, &str); 4] = [
    (":path", "/envoy.service.auth.v3.Authorization/Check"),
    (":authority", "callgate"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
];
/// A server that says nothing for so long is not being measured.
const SILENCE: Duration = Duration::from_secs(5);

/// Checks, framed for the wire, and the right answer to each of them.
#[derive(Clone, Debug)]
pub struct Checks {
    /// Sent in turn.
    pub messages: Vec<Vec<u8>>,
    /// The `status.code` of the answers.
    pub wanted: u8,
}

/// Asks `address` as fast as it answers for `time`; answers a second.
///
/// # Errors
/// A connection that breaks, or an answer that is not the one wanted.
pub async fn put(address: SocketAddr, checks: &Checks, time: Duration) -> Result<f64> {
    let start = Instant::now();
    let mut proxies = JoinSet::new();
    for number in 0..CONNECTIONS {
        proxies.spawn(ask(address, checks.clone(), number, start + time));
    }
    let mut answers = 0;
    while let Some(asked) = proxies.join_next().await {
        answers += asked??;
    }
    Ok(f64::from(u32::try_from(answers)?) / start.elapsed().as_secs_f64())
}

/// One proxy: a new Check for each answer until `end`, then the answers still due.
async fn ask(address: SocketAddr, checks: Checks, number: usize, end: Instant) -> Result<u64> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut connection = Connection::new();
    let mut headers = Headers::new(&POST_HTTP, &HEADERS);
    let mut messages = checks.messages.iter().cycle().skip(number);
    let (mut sent, mut total) = (0_u64, Progress::default());
    let mut buffer = vec![0; 1 << 16];
    loop {
        let more = Instant::now() < end;
        while more && sent - total.ended < STREAMS {
            let message = messages.next().context("no messages")?;
            if !connection.has_room(message) {
                break;
            }
            connection.request(&headers.next(&[]), message);
            sent += 1;
        }
        stream.write_all(&connection.out).await?;
        connection.out.clear();
        if !more && total.ended == sent {
            break;
        }
        let read = timeout(SILENCE, stream.read(&mut buffer)).await;
        let read = read.context("the server is silent")??;
        ensure!(read > 0, "the server hung up");
        let came = buffer.get(..read).unwrap_or_default();
        connection.receive(came, |came| total.add(&came, checks.wanted))?;
    }
    ensure!(
        total.messages == total.ended,
        "an answer without a message: a gRPC error"
    );
    Ok(total.ended)
}

/// What came so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    /// Messages with the code that is wanted.
    messages: u64,
    /// Streams that ended.
    ended: u64,
}

impl Progress {
    fn add(&mut self, came: &Came<'_>, wanted: u8) -> Result<()> {
        match came {
            Came::Data(_, payload, _) => {
                // A byte for compression and four for the length come first.
                let message = payload.get(5..).unwrap_or_default();
                ensure!(
                    code(message) == Some(wanted),
                    "another answer: {message:x?}"
                );
                self.messages += 1;
            }
            Came::Headers(_, _, end) => self.ended += u64::from(*end),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn add(message: &[u8], wanted: u8) -> Result<()> {
        let framed = [&[0, 0, 0, 0, 9], message].concat();
        Progress::default().add(&Came::Data(1, &framed, false), wanted)
    }

    #[test]
    fn another_answer_is_an_error() {
        let refused = [0x0a, 2, 8, 7];
        assert!(add(&refused, 0).is_err());
        assert!(add(&refused, 7).is_ok());
        assert!(add(&[0x0a, 3, 0x12, 1, b'x'], 0).is_ok());
        assert!(add(&[], 0).is_err(), "without a status");
    }

    #[test]
    fn a_stream_is_answered_when_it_ends() {
        let mut progress = Progress::default();
        progress.add(&Came::Headers(1, &[0x88], false), 0).unwrap();
        assert_eq!(progress.ended, 0);
        progress.add(&Came::Headers(1, &[], true), 0).unwrap();
        assert_eq!(progress.ended, 1);
    }
}
