//! Replays one log, once. A process of its own, because the most memory that it had is
//! the most that any run before it had.

use std::{fs, fs::File, time::Instant};

use anyhow::Context as _;
use callgate_analysis::replay::{Replay, Window};
use callgate_bench_replay::{made_up, policies};
use mimalloc::MiMalloc;

/// The one that `callgate` ships with.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `replay-once LOG` prints `{"seconds", "busy", "records", "changed", "bytes"}`: `busy` is
/// the time of all its processors together, and `bytes` what the replay itself took at
/// most, beside the rules.
fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("a log wanted")?;
    let set = policies(&made_up())?;
    let (before, idle) = (peak()?, busy()?);
    let start = Instant::now();
    let mut replay = Replay::new(&set, Window::default());
    replay.read(File::open(path)?)?;
    let replayed = replay.finish();
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{}",
        serde_json::json!({
            "seconds": seconds,
            "busy": busy()? - idle,
            "records": replayed.records,
            "changed": replayed.changed(),
            "bytes": peak()?.saturating_sub(before),
        })
    );
    Ok(())
}

/// Seconds of processor time so far (proc(5), `utime` and `stime`; Linux counts them in
/// hundredths of a second for everyone who asks).
fn busy() -> anyhow::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("no fields")?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: Vec<f64> = ticks.map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

/// The most memory that this process has had (proc(5), `VmHWM`).
fn peak() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib.context("no VmHWM")?.trim().parse()?;
    Ok(kib * 1_024)
}
