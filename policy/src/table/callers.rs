//! From a caller to the entries of `from` that stand for it.

use std::{collections::HashMap, ops::Range};

use foldhash::fast::FixedState;

use super::{
    candidates::Candidates,
    find::Found,
    ids,
    trie::{SegmentTrie, Step, TrieBuilder},
};
use crate::{BuildError, CallerPattern, SpiffeId, pattern::IdSegment};

/// Entries of `from`, by the whole ID where it is exact and by its segments where
/// it is not.
#[derive(Debug, Default)]
pub(super) struct CallerIndex {
    exact: HashMap<Box<str>, Range<u32>, FixedState>,
    /// What the ranges in `exact` are ranges of.
    entries: Box<[u32]>,
    patterns: SegmentTrie,
}

/// A caller index while it grows.
#[derive(Debug, Default)]
pub(super) struct CallerIndexBuilder {
    exact: HashMap<Box<str>, Vec<u32>, FixedState>,
    patterns: TrieBuilder,
}

impl CallerIndex {
    pub(super) fn lookup(&self, caller: &SpiffeId) -> Candidates<'_> {
        let mut found = if self.patterns.is_empty() {
            Candidates::default()
        } else {
            let trust_domain = std::iter::once(caller.trust_domain());
            self.patterns.lookup(trust_domain.chain(caller.segments()))
        };
        if let Some(range) = self.exact.get(caller.as_str()) {
            let entries = self.entries.get(ids::range(range)).unwrap_or_default();
            found.push(entries, Found::Exactly);
        }
        found
    }

    /// No caller has more candidates than this.
    pub(super) fn most_candidates(&self) -> usize {
        let longest = self.exact.values().map(ExactSizeIterator::len).max();
        longest.unwrap_or(0) + self.patterns.len()
    }
}

impl CallerIndexBuilder {
    /// Entries have to come in ascending order.
    pub(super) fn insert(&mut self, pattern: &CallerPattern, entry: u32) -> Result<(), BuildError> {
        let Some(id) = pattern.exact() else {
            let segments = pattern.segments().iter().map(|segment| match segment {
                IdSegment::Literal(text) => Step::Literal(text),
                IdSegment::Any | IdSegment::Capture(_) => Step::Any,
            });
            let steps = std::iter::once(Step::Literal(pattern.trust_domain())).chain(segments);
            return self.patterns.insert(steps, pattern.has_tail(), entry);
        };
        match self.exact.get_mut(id.as_str()) {
            // A group may name one caller twice.
            Some(entries) if entries.last() == Some(&entry) => {}
            Some(entries) => entries.push(entry),
            None => {
                self.exact.insert(id.as_str().into(), vec![entry]);
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<CallerIndex, BuildError> {
        let mut entries = Vec::with_capacity(self.exact.values().map(Vec::len).sum());
        let mut exact = HashMap::with_capacity_and_hasher(self.exact.len(), FixedState::default());
        for (id, list) in self.exact {
            let start = ids::next(entries.len())?;
            entries.extend(list);
            exact.insert(id, start..ids::next(entries.len())?);
        }
        Ok(CallerIndex {
            exact,
            entries: entries.into(),
            patterns: self.patterns.finish()?,
        })
    }
}
