//! Proxies that were refused: counted always, logged now and then.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Instant,
};

use super::ProxyFault;
use crate::metrics::Metrics;

/// Between two lines of the log: whoever is refused may try again as fast as it can.
const QUIET_MILLIS: i64 = 1_000;

/// Where refused proxies are noted.
#[derive(Debug)]
pub struct RefusedProxies {
    metrics: Arc<Metrics>,
    started: Instant,
    /// Milliseconds since then at which the last line was written.
    last: AtomicI64,
    unsaid: AtomicU64,
}

impl RefusedProxies {
    /// Counts with `metrics`.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            started: Instant::now(),
            last: AtomicI64::new(-QUIET_MILLIS),
            unsaid: AtomicU64::new(0),
        }
    }

    /// Notes one.
    pub fn note(&self, fault: &ProxyFault) {
        self.metrics.count_refused_proxy(fault);
        let now = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        match self.may_say(now) {
            Some(unsaid) => tracing::warn!(unsaid, "proxy refused: {fault}"),
            None => tracing::debug!("proxy refused: {fault}"),
        }
    }

    /// If it is time for another line: how many there would have been since the last.
    fn may_say(&self, now: i64) -> Option<u64> {
        let due = |last: i64| (now.saturating_sub(last) >= QUIET_MILLIS).then_some(now);
        match self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, due)
        {
            Ok(_) => Some(self.unsaid.swap(0, Ordering::Relaxed)),
            Err(_) => {
                self.unsaid.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_a_second_that_says_how_many() {
        let refused = RefusedProxies::new(Arc::default());
        let said: Vec<_> = (0..3_000).filter_map(|now| refused.may_say(now)).collect();
        assert_eq!(said, [0, 999, 999]);
    }
}
