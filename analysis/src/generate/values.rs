//! The texts that a capture stands for: how many, and of what kind.

use std::{
    collections::{BTreeSet, HashSet},
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
};

use super::token::{Kind, Token};

/// Values that are told apart to be counted, 8 bytes each.
const MOST_VALUES: usize = 100_000;

/// The texts that a capture stands for.
#[derive(Clone, Debug, Default)]
pub(super) struct Values {
    /// Hashes of them; enough of them to count.
    distinct: HashSet<u64>,
    kinds: BTreeSet<Kind>,
}

impl Values {
    pub(super) fn add(&mut self, text: &str, token: &Token) {
        self.kinds.insert(match token {
            Token::Word => Kind::Words,
            Token::Id { kind, .. } => *kind,
        });
        if self.distinct.len() < MOST_VALUES {
            let hasher = BuildHasherDefault::<DefaultHasher>::default();
            self.distinct.insert(hasher.hash_one(text));
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.kinds.extend(other.kinds);
        let room = MOST_VALUES.saturating_sub(self.distinct.len());
        self.distinct.extend(other.distinct.into_iter().take(room));
    }

    /// How many there are; at least, if there are too many to tell apart.
    pub(super) fn count(&self) -> (usize, bool) {
        let count = self.distinct.len();
        (count, count < MOST_VALUES)
    }

    /// What they are.
    pub(super) fn kinds(&self) -> impl ExactSizeIterator<Item = Kind> {
        self.kinds.iter().copied()
    }
}
