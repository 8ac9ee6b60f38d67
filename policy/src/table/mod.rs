//! The allow or the deny rules of one document, found by caller and by path.
//!
//! ```text
//!  caller ──CallerIndex──► its rules ──Bits──► those that the path does not rule out
//!                              │                        │
//!                     if they are very many             ▼
//!  path ─────SegmentTrie──► its lines ──────► patterns, captures ──► the first that matches
//! ```
//!
//! The indexes only propose; whether a rule matches is asked of its patterns. So an
//! index can cost time when it is wrong, never an answer.

mod bits;
mod build;
mod callers;
mod candidates;
mod excerpt;
mod find;
mod footprint;
mod ids;
mod trie;

use std::ops::Range;

pub(crate) use bits::Bits;
pub(crate) use build::MANY_LINES;
pub(crate) use candidates::{Candidates, Found};
pub(crate) use excerpt::Excerpt;
pub(crate) use find::{Inquiry, Matches, Side};

use self::{callers::CallerIndex, trie::SegmentTrie};
use crate::{
    CallerPattern, CanonicalPath, Operation, SpiffeId, Timestamp,
    pattern::Bindings,
    spec::{ExceptionSpec, WhenSpec},
    time::Moment,
};
pub(crate) use footprint::allocated;
pub(crate) use trie::Hits;

/// Compiled rules. Rules, entries and lines are numbered in the order of the document.
#[derive(Debug, Default)]
pub(crate) struct RuleTable {
    rules: Box<[Rule]>,
    from: Box<[FromEntry]>,
    to: Box<[ToEntry]>,
    /// What each line of `to` wants of a path.
    wants: Box<[Bits]>,
    callers: CallerIndex,
    /// Only where some caller or the table has too many rules to look at each.
    paths: Option<Box<SegmentTrie>>,
}

/// One rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: Box<str>,
    pub(crate) line: u32,
    from: Range<u32>,
    to: Range<u32>,
    /// Boxed, because most rules have none.
    pub(crate) when: Option<Box<WhenSpec>>,
    pub(crate) exception: Option<ExceptionSpec>,
}

/// One entry of `from`.
#[derive(Debug)]
pub(crate) struct FromEntry {
    pub(crate) rule: u32,
    pub(crate) line: u32,
    pub(crate) text: Box<str>,
    kind: FromKind,
}

#[derive(Debug)]
enum FromKind {
    Pattern(CallerPattern),
    /// The members with wildcards; the index alone answers for the others.
    Group(Box<[CallerPattern]>),
}

/// One line of `to`.
#[derive(Debug)]
pub(crate) struct ToEntry {
    pub(crate) rule: u32,
    pub(crate) line: u32,
    pub(crate) text: Box<str>,
    pub(crate) operation: Operation,
}

impl RuleTable {
    pub(crate) const fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub(crate) fn rule(&self, id: u32) -> Option<&Rule> {
        self.rules.get(ids::index(id))
    }

    /// When the exception of a rule ends, if it is one.
    pub(crate) fn expiry(&self, rule: Option<u32>) -> Option<Timestamp> {
        Some(self.rule(rule?)?.exception?.expires)
    }

    pub(crate) fn entry(&self, id: u32) -> Option<&FromEntry> {
        self.from.get(ids::index(id))
    }

    pub(crate) fn line(&self, id: u32) -> Option<&ToEntry> {
        self.to.get(ids::index(id))
    }

    /// The entries of `from` of a rule.
    pub(crate) fn entries_of(&self, rule: &Rule) -> &[FromEntry] {
        self.from.get(ids::range(&rule.from)).unwrap_or_default()
    }

    /// The ways to match that may be about `caller`.
    pub(crate) fn candidates(&self, caller: &SpiffeId) -> Candidates<'_> {
        self.callers.lookup(caller)
    }

    /// The lines of `to` that may be about `path`, if they are indexed.
    pub(crate) fn lines_for(&self, path: &CanonicalPath<'_>) -> Option<Hits<'_>> {
        self.paths
            .as_ref()
            .map(|paths| paths.lookup(path.segments()))
    }

    /// Lines of `to` that share leading segments with `path`, if they are indexed;
    /// the most promising ones last.
    pub(crate) fn lines_near(&self, path: &CanonicalPath<'_>) -> Vec<u32> {
        let paths = self.paths.as_ref();
        paths.map_or_else(Vec::new, |paths| paths.near(path.segments()))
    }

    /// What each line of `to` wants of a path.
    pub(crate) const fn wants(&self) -> &[Bits] {
        &self.wants
    }
}

impl Rule {
    pub(crate) fn has_expired(&self, now: Timestamp) -> bool {
        self.exception
            .is_some_and(|exception| exception.expires <= now)
    }

    /// Whether it is about nobody any more; `None` if that depends on what is known no
    /// better.
    pub(super) fn is_over(&self, now: Moment) -> Option<bool> {
        let over = self.has_expired(now.earliest);
        (over == self.has_expired(now.latest)).then_some(over)
    }

    pub(crate) const fn entry_ids(&self) -> Range<u32> {
        self.from.start..self.from.end
    }
}

impl ToEntry {
    /// The verb and what it is about, as written.
    pub(crate) fn words(&self) -> (&str, &str) {
        self.text.split_once(' ').unwrap_or((&self.text, ""))
    }
}

impl FromEntry {
    /// Whether the entry stands for `caller`; binds what it captures. Callers whose
    /// exact ID is in a group are for the index to find.
    pub(crate) fn bind<'v>(&'v self, caller: &'v SpiffeId, bindings: &mut Bindings<'v>) -> bool {
        match &self.kind {
            FromKind::Pattern(pattern) => pattern.bind(caller, bindings),
            FromKind::Group(members) => {
                let mut members = members.iter();
                members.any(|member| member.bind(caller, &mut Bindings::default()))
            }
        }
    }

    /// The entry as every output prints it: identities in full, groups by name.
    pub(crate) fn in_full(&self) -> String {
        match &self.kind {
            FromKind::Pattern(pattern) => pattern.to_string(),
            FromKind::Group(_) => self.text.to_string(),
        }
    }

    /// Whether the entry captures anything.
    pub(crate) fn captures(&self) -> bool {
        match &self.kind {
            FromKind::Pattern(pattern) => pattern.captures().next().is_some(),
            FromKind::Group(_) => false,
        }
    }
}
