//! What an index proposes.

use std::ops::Range;

use smallvec::SmallVec;

use super::bits::Bits;

/// An entry of `from` with a line of `to` of the same rule: a way to match.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// What a request must have for it to be worth a look.
    pub(crate) wants: Bits,
    pub(crate) rule: u32,
    pub(crate) entry: u32,
    pub(crate) line: u32,
}

/// How an index came upon a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// By the caller's whole ID: the entry stands for it, and captures nothing.
    Exactly,
    /// By the caller's segments, or not at all: the entry may stand for it.
    ByPattern,
}

/// Lists of candidates, each in the order of the document.
#[derive(Clone, Debug, Default)]
pub(crate) struct Candidates<'i>(SmallVec<[(&'i [Candidate], Found); 4]>);

impl<'i> Candidates<'i> {
    pub(super) fn push(&mut self, candidates: &'i [Candidate], found: Found) {
        if !candidates.is_empty() {
            self.0.push((candidates, found));
        }
    }

    /// How many there are, those in several lists counted several times.
    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(|(list, _)| list.len()).sum()
    }

    pub(crate) fn lists(&self) -> impl Iterator<Item = (&'i [Candidate], Found)> {
        self.0.iter().copied()
    }

    /// Every candidate, list after list.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'i Candidate, Found)> {
        self.lists()
            .flat_map(|(list, found)| list.iter().map(move |candidate| (candidate, found)))
    }

    /// The candidates with an entry in `entries`.
    pub(crate) fn within(
        &self,
        entries: Range<u32>,
    ) -> impl Iterator<Item = (&'i Candidate, Found)> {
        self.lists().flat_map(move |(list, found)| {
            let start = list.partition_point(|candidate| candidate.entry < entries.start);
            let rest = list.iter().skip(start);
            let end = entries.end;
            rest.take_while(move |candidate| candidate.entry < end)
                .map(move |candidate| (candidate, found))
        })
    }
}
