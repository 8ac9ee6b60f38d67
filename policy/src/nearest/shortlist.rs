//! A few likely rules out of many, by their bits alone.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::table::{Bits, Found};

/// How many are looked at closely. A rule that shares more literal text with the
/// request than all others is always among them.
const LENGTH: usize = 12;

/// A line of `to`, perhaps with the entry of `from` that may stand for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Likely {
    likeness: (bool, u32, Reverse<u32>),
    line: Reverse<u32>,
    entry: Option<u32>,
    exactly: bool,
}

impl Likely {
    pub(super) fn new(bits: Bits, wants: Bits, line: u32, from: Option<(u32, Found)>) -> Self {
        let (shared, lacking) = bits.compare(wants);
        Self {
            likeness: (lacking == 0, shared, Reverse(lacking)),
            line: Reverse(line),
            entry: from.map(|(entry, _)| entry),
            exactly: from.is_some_and(|(_, found)| found == Found::Exactly),
        }
    }

    pub(super) const fn line(&self) -> u32 {
        self.line.0
    }

    pub(super) fn from(&self) -> Option<(u32, Found)> {
        let found = if self.exactly {
            Found::Exactly
        } else {
            Found::ByPattern
        };
        self.entry.map(|entry| (entry, found))
    }
}

/// The likeliest of `all`; of those alike, the first in the document.
pub(super) fn likeliest(all: impl Iterator<Item = Likely>) -> impl Iterator<Item = Likely> {
    let mut kept = BinaryHeap::with_capacity(LENGTH + 1);
    for likely in all {
        if kept.len() < LENGTH {
            kept.push(Reverse(likely));
        } else if kept.peek().is_some_and(|Reverse(least)| likely > *least) {
            kept.pop();
            kept.push(Reverse(likely));
        }
    }
    kept.into_iter().map(|Reverse(likely)| likely)
}
