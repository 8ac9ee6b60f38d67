//! What an index proposes: a few ascending lists of numbers.

use std::ops::Range;

use smallvec::SmallVec;

use super::find::Found;

/// Ascending lists of numbers, without repetition within a list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Candidates<'i>(SmallVec<[(&'i [u32], Found); 4]>);

impl<'i> Candidates<'i> {
    pub(super) fn push(&mut self, ids: &'i [u32], found: Found) {
        if !ids.is_empty() {
            self.0.push((ids, found));
        }
    }

    /// How many there are, those in several lists counted several times.
    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(|(ids, _)| ids.len()).sum()
    }

    /// The lists, each ascending.
    pub(crate) fn lists(&self) -> impl Iterator<Item = (&'i [u32], Found)> {
        self.0.iter().copied()
    }

    /// Every candidate, list after list.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, Found)> {
        self.lists()
            .flat_map(|(ids, found)| ids.iter().map(move |id| (*id, found)))
    }

    /// The candidates with numbers in `range`.
    pub(crate) fn within(&self, range: Range<u32>) -> impl Iterator<Item = (u32, Found)> {
        self.lists().flat_map(move |(ids, found)| {
            let start = ids.partition_point(|id| *id < range.start);
            let rest = ids.iter().skip(start).copied();
            let end = range.end;
            rest.take_while(move |id| *id < end)
                .map(move |id| (id, found))
        })
    }
}
