//! Which batches were taken: one that is sent again is taken once.

use super::batch::{Batch, Dropped, Worker};
use crate::cache::Cache;

/// Workers that are remembered, each with each of its services: 200 bytes each with names
/// of usual length. Of one that was forgotten a batch could be taken twice.
const WORKERS: usize = 65_536;

/// The last batches of each worker and service.
#[derive(Debug)]
pub(super) struct Taken(Cache<(Worker, Box<str>), Last>);

/// What was taken of one worker.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    /// The highest number.
    sequence: u64,
    /// Bit n: the number n below it. A worker that ends sends all it has at once, some 16
    /// batches, and they may overtake each other.
    recent: u64,
    dropped: Dropped,
}

impl Taken {
    pub(super) fn new() -> Self {
        Self(Cache::new(WORKERS))
    }

    /// Takes `batch`, if it is new: what was dropped since the one before. What this
    /// server has not heard of was dropped since the worker began.
    pub(super) fn take(&self, service: &str, batch: &Batch<'_>) -> Option<Dropped> {
        let Batch {
            worker,
            sequence,
            dropped,
            ..
        } = batch;
        let (sequence, dropped) = (*sequence, *dropped);
        self.0.change((*worker, service.into()), |last| {
            let last: Last = last.unwrap_or_default();
            let Some((sequence, recent)) = last.with(sequence) else {
                return (last, None);
            };
            let since = Dropped {
                allowed: dropped.allowed.saturating_sub(last.dropped.allowed),
                denied: dropped.denied.saturating_sub(last.dropped.denied),
            };
            let dropped = Dropped {
                allowed: dropped.allowed.max(last.dropped.allowed),
                denied: dropped.denied.max(last.dropped.denied),
            };
            let last = Last {
                sequence,
                recent,
                dropped,
            };
            (last, Some(since))
        })
    }
}

impl Last {
    /// The highest number and the bits below it once `sequence` is taken; None if it was,
    /// or is so old that nobody knows.
    fn with(&self, sequence: u64) -> Option<(u64, u64)> {
        let shifted =
            |bits: u64, by: u64| bits.unbounded_shl(u32::try_from(by).unwrap_or(u32::MAX));
        if sequence > self.sequence {
            let recent = shifted(self.recent, sequence - self.sequence) | 1;
            return Some((sequence, recent));
        }
        let bit = shifted(1, self.sequence - sequence);
        (bit != 0 && self.recent & bit == 0).then_some((self.sequence, self.recent | bit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_taken_once_in_whatever_order() {
        let mut last = Last::default();
        let mut take = |sequence| match last.with(sequence) {
            None => false,
            Some((sequence, recent)) => {
                last = Last {
                    sequence,
                    recent,
                    ..last
                };
                true
            }
        };
        for (sequence, taken) in [
            (1, true),
            (1, false),
            (4, true),
            (2, true),
            (2, false),
            (3, true),
            (4, false),
            (100, true),
            (40, true),
            (40, false),
            (36, false),
            (u64::MAX, true),
            (100, false),
            (u64::MAX - 63, true),
            (u64::MAX, false),
        ] {
            assert_eq!(take(sequence), taken, "{sequence}");
        }
    }
}
