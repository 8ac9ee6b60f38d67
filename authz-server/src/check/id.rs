//! Ids of decisions: ULIDs, in order within one server.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use callgate_policy::Timestamp;
use ulid::{ULID_LEN, Ulid};

/// Mints ids: the decision's time, then a number that grows by one from a place that
/// was picked at random among 2^79. Two servers would have to pick neighbouring places
/// to mint one id twice, and within one the ids of a millisecond stand in order. Not a
/// secret, and not to be used as one.
#[derive(Debug)]
pub(super) struct DecisionIds {
    start: u128,
    minted: AtomicU64,
}

/// One id in its text form.
pub(super) struct DecisionId([u8; ULID_LEN]);

impl DecisionIds {
    pub(super) fn new() -> Self {
        let random = || u128::from(RandomState::new().hash_one(0));
        Self {
            // One of the 80 bits stays free, so that counting cannot overflow.
            start: (random() << 64 | random()) >> (128 - 79),
            minted: AtomicU64::new(0),
        }
    }

    pub(super) fn mint(&self, now: Timestamp) -> DecisionId {
        let count = u128::from(self.minted.fetch_add(1, Ordering::Relaxed));
        let millis = u64::try_from(now.as_millis()).unwrap_or_default();
        let mut text = [0; ULID_LEN];
        Ulid::from_parts(millis, self.start + count).array_to_str(&mut text);
        DecisionId(text)
    }
}

impl DecisionId {
    pub(super) fn as_str(&self) -> &str {
        // Crockford's base 32 is ASCII.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_stand_in_order() {
        let ids = DecisionIds::new();
        let minted: Vec<String> = (0..1_000)
            .map(|n| Timestamp::from_millis(1_700_000_000_000 + n / 100))
            .map(|now| ids.mint(now).as_str().to_owned())
            .collect();
        assert!(minted.is_sorted_by(|a, b| a < b));
        assert!(minted.iter().all(|id| id.parse::<Ulid>().is_ok()));
        let other = DecisionIds::new().mint(Timestamp::from_millis(0));
        assert_ne!(
            other.as_str(),
            DecisionIds::new().mint(Timestamp::from_millis(0)).as_str()
        );
    }
}
