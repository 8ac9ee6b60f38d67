//! Lines of the log that others can cause as fast as they like.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Instant,
};

/// Between two lines.
const QUIET_MILLIS: i64 = 1_000;

/// Says when there may be another line: once a second.
#[derive(Debug)]
pub(crate) struct Seldom {
    started: Instant,
    /// Milliseconds since then at which the last line was written.
    last: AtomicI64,
    unsaid: AtomicU64,
}

impl Seldom {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            last: AtomicI64::new(-QUIET_MILLIS),
            unsaid: AtomicU64::new(0),
        }
    }

    /// If it is time for another line: how many there would have been since the last.
    pub(crate) fn may_say(&self) -> Option<u64> {
        let now = i64::try_from(self.started.elapsed().as_millis());
        self.may_say_at(now.unwrap_or(i64::MAX))
    }

    fn may_say_at(&self, now: i64) -> Option<u64> {
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
        let seldom = Seldom::new();
        let said: Vec<_> = (0..3_000)
            .filter_map(|now| seldom.may_say_at(now))
            .collect();
        assert_eq!(said, [0, 999, 999]);
    }
}
