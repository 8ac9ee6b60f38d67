//! Whether what runs grows.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};

/// Shorter than this, a run says nothing about memory: caches still fill.
pub(crate) const TELLING: Duration = Duration::from_secs(180);
/// What may be added between the second and the last quarter of a run …
const SHARE: f64 = 1.15;
/// … and beside it: allocators give back late.
const MIB: f64 = 8.0;

/// How much one process had, second by second, in MiB.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Vec<f64>);

impl Memory {
    /// Looks at the process; one that is not there just now is not looked at.
    pub(crate) fn look(&mut self, process: u32) {
        self.0.extend(resident(process));
    }

    /// What it had in the second quarter, and in the last.
    pub(crate) fn quarters(&self) -> (f64, f64) {
        let quarter = self.0.len() / 4;
        let of = |number: usize| {
            let some = self.0.iter().skip(number * quarter).take(quarter);
            median(some.copied().collect())
        };
        (of(1), of(3))
    }

    /// Whether it grew no more than allocators do.
    pub(crate) fn is_flat(&self) -> bool {
        let (early, late) = self.quarters();
        late <= early * SHARE + MIB
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn resident(process: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    Ok(f64::from(kib.context("an odd status")?.parse::<u32>()?) / 1_024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_from_noise() {
        let flat = (0..400).map(|n| 100.0 + f64::from(n % 7)).collect();
        assert!(Memory(flat).is_flat());
        let grows = (0..400).map(|n| 100.0 + f64::from(n)).collect();
        assert!(!Memory(grows).is_flat());
    }

    #[test]
    fn what_is_there_is_measured() {
        let mut memory = Memory::default();
        (0..8).for_each(|_| memory.look(std::process::id()));
        assert!(memory.quarters().0 > 1.0);
    }
}
