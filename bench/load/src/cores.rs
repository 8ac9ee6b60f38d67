//! Which core runs what, how long it ran, and how much memory it has.

use std::fs;

use anyhow::{Context as _, Result};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::{Pid, SysconfVar, sysconf},
};

/// Two cores: one for what is measured, one for the rest. The same one twice where
/// there is only one.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    measured: usize,
    rest: usize,
}

impl Cores {
    /// The first and the last that this process may use.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn find() -> Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let mut cores = (0..CpuSet::count()).filter(|&core| allowed.is_set(core) == Ok(true));
        let measured = cores.next().context("no core at all")?;
        Ok(Self {
            measured,
            rest: cores.next_back().unwrap_or(measured),
        })
    }

    /// Lets this thread, and what it starts, run on the core for what is measured.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn measured(self) -> Result<()> {
        pin(0, self.measured)
    }

    /// Moves a running process, every thread of it, to the core for what is measured.
    ///
    /// # Errors
    /// When it is gone, or the system does not allow it.
    pub fn measure(self, process: u32) -> Result<()> {
        for task in fs::read_dir(format!("/proc/{process}/task"))? {
            let name = task?.file_name();
            let thread = name.to_str().context("an odd thread")?.parse()?;
            pin(thread, self.measured)?;
        }
        Ok(())
    }

    /// Lets this thread, and what it starts, run on the core for the rest.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn rest(self) -> Result<()> {
        pin(0, self.rest)
    }
}

/// Thread 0 is the one that asks.
fn pin(thread: i32, core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(thread), &set)?)
}

/// Seconds of processor time that a process has used, all its threads together.
///
/// # Errors
/// When there is no such process.
pub fn used(process: u32) -> Result<f64> {
    let path = format!("/proc/{process}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("read `{path}`"))?;
    // The name, in parentheses, may hold anything. After it, utime and stime are the
    // 12th and 13th fields (proc_pid_stat(5)).
    let (_, fields) = stat.rsplit_once(')').context("an odd stat")?;
    let ticks = fields.split_ascii_whitespace().skip(11).take(2);
    let ticks: f64 = ticks.map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    let per_second = sysconf(SysconfVar::CLK_TCK)?.context("no CLK_TCK")?;
    Ok(ticks / f64::from(i32::try_from(per_second)?))
}

/// MiB of memory that a process has now for itself: no file has it as well.
///
/// # Errors
/// When there is no such process.
pub fn private(process: u32) -> Result<f64> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("read `{path}`"))?;
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    Ok(f64::from(kib.context("an odd status")?.parse::<u32>()?) / 1_024.0)
}
