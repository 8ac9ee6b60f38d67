//! The allow or the deny rules of one document, found by caller and by path.
//!
//! ```text
//!  caller ──CallerIndex──► entries of `from` ─┐
//!                                             ├─► the shorter side is held against the
//!  path ─────PathIndex───► lines of `to` ─────┘   other; the first rule that matches decides
//! ```
//!
//! The indexes only propose; whether a rule matches is asked of its patterns. So an
//! index can cost time when it is wrong, never an answer.

mod build;
mod callers;
mod candidates;
mod find;
mod ids;
#[cfg(test)]
mod tests;
mod trie;

use std::ops::Range;

pub(crate) use build::MANY_LINES;
pub(crate) use candidates::Candidates;
pub(crate) use find::{Found, Matches, Side};

use self::{callers::CallerIndex, trie::SegmentTrie};
use crate::{
    CallerPattern, CanonicalPath, Operation, SpiffeId, Timestamp, pattern::Bindings,
    spec::ExceptionSpec,
};

/// Compiled rules. Rules, entries and lines are numbered in the order of the document.
#[derive(Debug, Default)]
pub(crate) struct RuleTable {
    rules: Box<[Rule]>,
    from: Box<[FromEntry]>,
    to: Box<[ToEntry]>,
    callers: CallerIndex,
    /// Only where some caller or the table has too many rules to look at each.
    paths: Option<SegmentTrie>,
}

/// One rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: Box<str>,
    pub(crate) line: u32,
    from: Range<u32>,
    to: Range<u32>,
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

    /// The lines of `to` of a rule.
    pub(crate) fn lines_of(&self, rule: &Rule) -> &[ToEntry] {
        self.to.get(ids::range(&rule.to)).unwrap_or_default()
    }

    /// The entries of `from` that may stand for `caller`.
    pub(crate) fn candidates(&self, caller: &SpiffeId) -> Candidates<'_> {
        self.callers.lookup(caller)
    }

    /// The lines of `to` that may stand for `path`, if they are indexed.
    pub(crate) fn lines_for(&self, path: &CanonicalPath<'_>) -> Option<Candidates<'_>> {
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

    pub(crate) const fn lines(&self) -> &[ToEntry] {
        &self.to
    }
}

impl Rule {
    pub(crate) fn has_expired(&self, now: Timestamp) -> bool {
        self.exception
            .is_some_and(|exception| exception.expires <= now)
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
    /// Whether the entry stands for `caller`, which the index found by its exact ID
    /// or by a pattern; binds what it captures.
    pub(crate) fn bind<'v>(
        &'v self,
        caller: &'v SpiffeId,
        found: Found,
        bindings: &mut Bindings<'v>,
    ) -> bool {
        match (&self.kind, found) {
            (_, Found::Exactly) => true,
            (FromKind::Pattern(pattern), Found::ByPattern) => pattern.bind(caller, bindings),
            (FromKind::Group(members), Found::ByPattern) => {
                members.iter().any(|member| member.matches(caller))
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
