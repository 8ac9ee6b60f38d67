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

use crate::frames::{Connection, Progress};

/// Proxies that ask: each has one connection.
const CONNECTIONS: usize = 4;
/// Checks that one proxy has under way.
const STREAMS: u64 = 16;
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
            connection.check(message);
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
        let progress = connection.receive(came, checks.wanted)?;
        total.messages += progress.messages;
        total.ended += progress.ended;
    }
    ensure!(
        total.messages == total.ended,
        "an answer without a message: a gRPC error"
    );
    Ok(total.ended)
}
