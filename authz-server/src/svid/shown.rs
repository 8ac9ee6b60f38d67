//! Leaves as they are shown: by whom, for how long they still last, and whether callers
//! renew them in time.

use std::{collections::BTreeMap, sync::Arc};

use callgate_policy::{SpiffeId, Timestamp};

use super::Svid;

/// A verified leaf, and when it was shown last.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The leaf.
    pub svid: Arc<Svid>,
    /// When it was shown last.
    pub last: Timestamp,
}

/// How long the leaves of one caller lasted when they were shown last. An old leaf that
/// was replaced in time therefore does not count against its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerLife {
    /// The caller.
    pub caller: SpiffeId,
    /// Leaves that were shown: one or more for each of its instances.
    pub leaves: usize,
    /// What the worst of them had left, in milliseconds; below 0 for one that was shown
    /// when it had expired.
    pub min_millis: i64,
    /// The median of what they had left.
    pub p50_millis: i64,
}

/// The part of its life that a leaf has left when its renewal is overdue: SPIRE renews
/// with half of it left, others with a third.
const OVERDUE_PART: i64 = 5;

impl Shown {
    /// What it had left when it was shown last, in milliseconds.
    #[must_use]
    pub fn left_millis(&self) -> i64 {
        self.svid.not_after.as_millis() - self.last.as_millis()
    }

    /// Whether its caller should have another one by now, and did not show it.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        let life = self.svid.not_after.as_millis() - self.svid.not_before.as_millis();
        self.left_millis() < life / OVERDUE_PART
    }
}

/// Every caller among `shown`, those that have the least left first.
#[must_use]
pub fn lives(shown: &[Shown]) -> Vec<CallerLife> {
    let mut left: BTreeMap<&SpiffeId, Vec<i64>> = BTreeMap::new();
    for one in shown {
        left.entry(&one.svid.id)
            .or_default()
            .push(one.left_millis());
    }
    let lives = left.into_iter().filter_map(|(caller, mut left)| {
        left.sort_unstable();
        Some(CallerLife {
            caller: caller.clone(),
            leaves: left.len(),
            min_millis: *left.first()?,
            // Of an even number, the lower of the two in the middle.
            p50_millis: *left.get((left.len() - 1) / 2)?,
        })
    });
    let mut lives: Vec<CallerLife> = lives.collect();
    lives.sort_by_key(|life| life.min_millis);
    lives
}
