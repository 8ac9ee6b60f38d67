//! What an index proposes.

use std::ops::Range;

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
pub(crate) struct Candidates<'i> {
    pub(super) exact: &'i [Candidate],
    pub(super) by_pattern: &'i [Candidate],
    /// More of those by pattern, where there are many patterns.
    pub(super) more: Vec<&'i [Candidate]>,
}

impl<'i> Candidates<'i> {
    /// How many there are, those in several lists counted several times.
    pub(crate) fn count(&self) -> usize {
        let more = self.more.iter().map(|list| list.len());
        self.exact.len() + self.by_pattern.len() + more.sum::<usize>()
    }

    pub(crate) fn lists(&self) -> impl Iterator<Item = (&'i [Candidate], Found)> {
        let few = [
            (self.exact, Found::Exactly),
            (self.by_pattern, Found::ByPattern),
        ];
        let more = self.more.iter().map(|list| (*list, Found::ByPattern));
        few.into_iter().chain(more)
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
