//! From a caller to the rules that may be about it.

use std::{collections::HashMap, ops::Range};

use foldhash::fast::FixedState;

use super::{
    allocated,
    bits::Bits,
    candidates::{Candidate, Candidates},
    ids,
    trie::{SegmentTrie, Step, TrieBuilder},
};
use crate::{BuildError, CallerPattern, SpiffeId, identity::Key, pattern::IdSegment};

/// So many candidates that no index proposed are ruled out faster than others are
/// looked up.
const FEW: usize = 64;

/// Candidates by the whole ID where `from` is exact, by its segments where it is not.
#[derive(Debug, Default)]
pub(super) struct CallerIndex {
    /// Where the candidates of an ID are in `candidates`.
    exact: Exact,
    /// Those of patterns in the order of the document, then list after list for exact
    /// IDs. Callers with the same candidates, such as the members of a group, share one.
    candidates: Box<[Candidate]>,
    /// How many are those of patterns.
    wild: u32,
    /// From patterns to where their candidates are, if there are many.
    patterns: Option<Box<Patterns>>,
}

type Exact = HashMap<Key, Range<u32>, FixedState>;

#[derive(Debug)]
struct Patterns {
    trie: SegmentTrie,
    ranges: Box<[Range<u32>]>,
}

impl CallerIndex {
    pub(super) fn lookup(&self, caller: &SpiffeId) -> Candidates<'_> {
        let exact = self.exact.get(caller.as_str().as_bytes());
        let exact = exact.map_or(&[][..], |range| self.list(range));
        let Some(patterns) = &self.patterns else {
            return Candidates {
                exact,
                by_pattern: self.list(&(0..self.wild)),
                more: Vec::new(),
            };
        };
        let texts = std::iter::once(caller.trust_domain()).chain(caller.segments());
        let hits = patterns.trie.lookup(texts);
        let lists = hits.iter().filter_map(|pattern| {
            let range = patterns.ranges.get(ids::index(pattern))?;
            Some(self.list(range))
        });
        Candidates {
            exact,
            by_pattern: &[],
            more: lists.collect(),
        }
    }

    fn list(&self, range: &Range<u32>) -> &[Candidate] {
        let list = self.candidates.get(ids::range(range));
        list.unwrap_or_default()
    }

    /// About how many bytes it takes beyond its own size.
    pub(super) fn footprint(&self) -> usize {
        let exact = self.exact.len() * 2 * (size_of::<(Key, Range<u32>)>() + 1);
        let patterns = self.patterns.as_ref().map_or(0, |patterns| {
            allocated(size_of_val(&*patterns.ranges)) + patterns.trie.footprint()
        });
        allocated(exact) + allocated(size_of_val(&*self.candidates)) + patterns
    }

    /// No caller has more candidates than this.
    pub(super) fn most_candidates(&self) -> usize {
        let longest = self.exact.values().map(ExactSizeIterator::len).max();
        longest.unwrap_or(0) + ids::index(self.wild)
    }
}

/// A caller index while it grows.
#[derive(Debug, Default)]
pub(super) struct CallerIndexBuilder<'p> {
    exact: HashMap<&'p SpiffeId, Vec<u32>, FixedState>,
    wild: Vec<(u32, &'p CallerPattern)>,
}

impl<'p> CallerIndexBuilder<'p> {
    /// Entries have to come in ascending order.
    pub(super) fn insert(&mut self, pattern: &'p CallerPattern, entry: u32) {
        match pattern.exact() {
            None => self.wild.push((entry, pattern)),
            Some(id) => {
                let entries = self.exact.entry(id).or_default();
                // A group may name one caller twice.
                if entries.last() != Some(&entry) {
                    entries.push(entry);
                }
            }
        }
    }

    /// `beside` says which lines of `to` stand beside an entry.
    pub(super) fn finish<L: Iterator<Item = Candidate>>(
        self,
        beside: impl Fn(u32) -> L,
    ) -> Result<CallerIndex, BuildError> {
        let mut candidates = Vec::new();
        let mut ranges = Vec::with_capacity(self.wild.len());
        for (entry, pattern) in &self.wild {
            let caller = Bits::wanted_by_caller(pattern);
            let wild = beside(*entry).map(|candidate| Candidate {
                wants: candidate.wants.and(caller),
                ..candidate
            });
            ranges.push(append(&mut candidates, wild)?);
        }
        let wild = ids::next(candidates.len())?;
        let many = candidates.len() > FEW;
        let patterns = many
            .then(|| Patterns::build(&self.wild, ranges))
            .transpose()?;
        let exact = exact_index(self.exact, |entries| {
            append(
                &mut candidates,
                entries.iter().flat_map(|entry| beside(*entry)),
            )
        })?;
        Ok(CallerIndex {
            exact,
            candidates: candidates.into(),
            wild,
            patterns: patterns.map(Box::new),
        })
    }
}

/// Gives callers with the same entries the same list.
fn exact_index(
    entries_by_id: HashMap<&SpiffeId, Vec<u32>, FixedState>,
    mut list: impl FnMut(&[u32]) -> Result<Range<u32>, BuildError>,
) -> Result<Exact, BuildError> {
    let mut lists: HashMap<Vec<u32>, Range<u32>, FixedState> = HashMap::default();
    let mut exact = Exact::with_capacity_and_hasher(entries_by_id.len(), FixedState::default());
    for (id, entries) in entries_by_id {
        let range = match lists.get(&entries) {
            Some(range) => range.clone(),
            None => {
                let range = list(&entries)?;
                lists.insert(entries, range.clone());
                range
            }
        };
        exact.insert(id.to_key(), range);
    }
    Ok(exact)
}

impl Patterns {
    fn build(
        patterns: &[(u32, &CallerPattern)],
        ranges: Vec<Range<u32>>,
    ) -> Result<Self, BuildError> {
        let mut trie = TrieBuilder::default();
        for (id, (_, pattern)) in patterns.iter().enumerate() {
            trie.insert(steps(pattern), pattern.has_tail(), ids::next(id)?)?;
        }
        Ok(Self {
            trie: trie.finish()?,
            ranges: ranges.into(),
        })
    }
}

fn steps(pattern: &CallerPattern) -> impl Iterator<Item = Step<'_>> {
    let segments = pattern.segments().iter().map(|segment| match segment {
        IdSegment::Literal(text) => Step::Literal(text),
        IdSegment::Any | IdSegment::Capture(_) => Step::Any,
    });
    std::iter::once(Step::Literal(pattern.trust_domain())).chain(segments)
}

/// Adds `items` to `all`, and says where they are.
fn append<T>(all: &mut Vec<T>, items: impl Iterator<Item = T>) -> Result<Range<u32>, BuildError> {
    let start = ids::next(all.len())?;
    all.extend(items);
    Ok(start..ids::next(all.len())?)
}
