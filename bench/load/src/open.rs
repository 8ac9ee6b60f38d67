//! An open loop: requests come when they come, at a fixed rate, whether or not the ones
//! before were answered. A request's time runs from the moment at which it was due, so
//! that one slow answer counts for all who had to wait behind it ("coordinated omission"
//! is what a closed loop makes of that).
//!
//! Requests come at random (a Poisson process, as from many callers who do not know of
//! each other), over a few HTTP/2 connections.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use callgate_bench_report::Latencies;
use callgate_tests::caller::{Http, Tls};
use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinSet,
};

use crate::{
    calls::Target,
    frames::Came,
    headers::are_of_200,
    kept::{Kept, Two},
    timer::Timer,
};

/// Connections that the requests are spread over.
const CONNECTIONS: u32 = 8;
/// As many streams as a proxy as shipped takes on one connection.
const STREAMS: usize = 100;
/// How long after the last request was due its answer may still come.
const GRACE: Duration = Duration::from_millis(250);
/// Of those that were due, this many of 1,000 answered in time is keeping up.
const KEEPS_UP: usize = 990;
/// More than one look at a connection brings.
const BUFFER: usize = 1 << 15;

/// What came of it.
#[derive(Clone, Debug)]
pub struct Offered {
    /// From when a request was due until its answer was there.
    pub latencies: Latencies,
    /// Whether nearly all were answered in time. If not, latencies say how long it was
    /// measured, and nothing else.
    pub kept_up: bool,
}

/// Offers `rate` requests a second for `time`.
///
/// # Errors
/// A connection that breaks, or an answer other than 200.
pub async fn offer(target: &Target, rate: u32, time: Duration) -> Result<Offered> {
    let target = Target {
        http: Http::Two,
        ..target.clone()
    };
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        // The first call of a connection pays for more than itself.
        Kept::open(&target).await?.call(&target.path).await?;
        open.push(target.caller.handshake(target.address, Http::Two).await?);
    }
    let start = Instant::now();
    let mut lines = JoinSet::new();
    for (seed, tls) in (1..).zip(open) {
        let gap = Duration::from_secs(1) * CONNECTIONS / rate;
        lines.spawn(Line::new(tls, &target, (start, time), (gap, seed))?.run());
    }
    let (mut nanos, mut due) = (Vec::new(), 0);
    while let Some(line) = lines.join_next().await {
        let line = line??;
        nanos.extend(line.nanos);
        due += line.came;
    }
    Ok(Offered {
        kept_up: nanos.len() * 1_000 >= due * KEEPS_UP,
        latencies: Latencies::new(nanos),
    })
}

/// One connection and the requests that come by it.
struct Line {
    tls: Tls,
    two: Two,
    path: String,
    arrivals: Arrivals,
    end: Instant,
    /// Due, and not sent yet.
    waiting: VecDeque<Instant>,
    /// By their streams: when they were due.
    under_way: BTreeMap<u32, Instant>,
    done: Done,
}

/// Of one connection.
#[derive(Default)]
struct Done {
    nanos: Vec<u64>,
    came: usize,
}

impl Line {
    fn new(
        tls: Tls,
        target: &Target,
        (start, time): (Instant, Duration),
        (gap, seed): (Duration, u64),
    ) -> Result<Self> {
        Ok(Self {
            tls,
            two: Two::new(target),
            path: target.path.clone(),
            arrivals: Arrivals::new(start, gap, seed),
            end: start + time,
            waiting: VecDeque::new(),
            under_way: BTreeMap::new(),
            done: Done::default(),
        })
    }

    async fn run(mut self) -> Result<Done> {
        let timer = Timer::new()?;
        let mut buffer = Vec::with_capacity(BUFFER);
        loop {
            let now = Instant::now();
            self.arrive(now);
            self.tls.write_all(&self.two.connection.out).await?;
            self.two.connection.out.clear();
            let over = self.arrivals.next >= self.end;
            let idle = self.waiting.is_empty() && self.under_way.is_empty();
            if now >= self.end + GRACE || (over && idle) {
                return Ok(self.done);
            }
            let look_again = if over {
                self.end + GRACE
            } else {
                self.arrivals.next
            };
            tokio::select! {
                time = timer.until(look_again) => time?,
                read = self.tls.read_buf(&mut buffer) => {
                    ensure!(read? > 0, "the proxy hung up");
                    self.receive(&buffer)?;
                    buffer.clear();
                }
            }
        }
    }

    /// Takes what is due by now, and sends as much as may be under way.
    fn arrive(&mut self, now: Instant) {
        while self.arrivals.next <= now && self.arrivals.next < self.end {
            self.waiting.push_back(self.arrivals.next);
            self.arrivals.draw();
            self.done.came += 1;
        }
        while self.under_way.len() < STREAMS
            && let Some(due) = self.waiting.pop_front()
        {
            self.under_way.insert(self.two.get(&self.path), due);
        }
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<()> {
        let now = Instant::now();
        let (under_way, nanos) = (&mut self.under_way, &mut self.done.nanos);
        self.two.connection.receive(bytes, |came| {
            let (stream, end) = match came {
                Came::Headers(stream, block, end) => {
                    ensure!(are_of_200(block), "another answer: {block:x?}");
                    (stream, end)
                }
                Came::Data(stream, _, end) => (stream, end),
            };
            if end && let Some(due) = under_way.remove(&stream) {
                nanos.push(u64::try_from((now - due).as_nanos())?);
            }
            Ok(())
        })
    }
}

/// When requests come.
struct Arrivals {
    next: Instant,
    gap: Duration,
    rng: Rng,
}

impl Arrivals {
    /// On average `gap` apart.
    fn new(start: Instant, gap: Duration, seed: u64) -> Self {
        let mut arrivals = Self {
            next: start,
            gap,
            rng: Rng::with_seed(seed),
        };
        arrivals.draw();
        arrivals
    }

    fn draw(&mut self) {
        // Never the logarithm of zero.
        let chance = 1.0 - self.rng.f64();
        self.next += self.gap.mul_f64(-chance.ln());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_at_their_rate() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start, Duration::from_millis(1), 7);
        for _ in 0..10_000 {
            arrivals.draw();
        }
        let took = arrivals.next - start;
        let expected = Duration::from_secs(10);
        assert!(
            took.abs_diff(expected) < expected / 20,
            "10,000 in {took:?}"
        );
    }
}
