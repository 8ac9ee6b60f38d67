//! Which batches were taken: one that is sent again is taken once.

use super::batch::{Batch, Dropped, Worker};
use crate::cache::Cache;

/// Workers that are remembered, each with each of its services: 200 bytes each with names
/// of usual length. Of one that was forgotten a batch could be taken twice.
const WORKERS: usize = 65_536;

/// The last batch of each worker and service.
#[derive(Debug)]
pub(super) struct Taken(Cache<(Worker, Box<str>), Last>);

#[derive(Clone, Copy, Debug, Default)]
struct Last {
    sequence: u64,
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
            if sequence <= last.sequence {
                return (last, None);
            }
            let since = Dropped {
                allowed: dropped.allowed.saturating_sub(last.dropped.allowed),
                denied: dropped.denied.saturating_sub(last.dropped.denied),
            };
            (Last { sequence, dropped }, Some(since))
        })
    }
}
