//! Finding the first rule that matches.

use super::{Candidates, FromEntry, Rule, RuleTable, ToEntry, build::FEW};
use crate::{
    CanonicalPath, Timestamp,
    call::Call,
    pattern::{Bindings, TrailingSlash},
};

/// How an index came upon a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// By the whole ID: it stands for the caller, and captures nothing.
    Exactly,
    /// By its segments: it may.
    ByPattern,
}

/// Which rules a table holds: the two read a request differently where the doubt
/// has to favour a refusal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Allow(TrailingSlash),
    Deny,
}

/// The first rules, in the order of the document, that are about a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Matches {
    /// One that holds.
    pub(crate) rule: Option<u32>,
    /// One whose exception has expired; looked for only until a rule holds.
    pub(crate) expired: Option<u32>,
}

impl RuleTable {
    /// The first rule about `call`, with its path read as `path`.
    pub(crate) fn find(
        &self,
        call: &Call<'_>,
        path: &CanonicalPath<'_>,
        side: Side,
        now: Timestamp,
    ) -> Matches {
        if self.is_empty() {
            return Matches::default();
        }
        let callers = self.candidates(call.caller);
        let search = Search {
            table: self,
            call,
            path,
            side,
            now,
        };
        let count = callers.count();
        match self.paths.as_ref().filter(|_| count > FEW) {
            Some(paths) => {
                let lines = paths.lookup(path.segments());
                if lines.count() < count {
                    search.by_line(&callers, &lines)
                } else {
                    search.by_caller(&callers)
                }
            }
            None => search.by_caller(&callers),
        }
    }
}

struct Search<'s> {
    table: &'s RuleTable,
    call: &'s Call<'s>,
    path: &'s CanonicalPath<'s>,
    side: Side,
    now: Timestamp,
}

impl<'s> Search<'s> {
    fn by_caller(&self, callers: &Candidates<'_>) -> Matches {
        let mut matches = Matches::default();
        for (entries, found) in callers.lists() {
            let entries = entries.iter().filter_map(|id| self.table.entry(*id));
            for from in entries {
                if matches.is_before(from.rule) {
                    break;
                }
                let Some(rule) = self.table.rule(from.rule) else {
                    continue;
                };
                let mut lines = self.table.lines_of(rule).iter();
                if lines.any(|to| self.line_fits(to) && self.agree(from, found, to)) {
                    matches.add(from.rule, rule.has_expired(self.now));
                }
            }
        }
        matches
    }

    fn by_line(&self, callers: &Candidates<'_>, lines: &Candidates<'_>) -> Matches {
        let mut matches = Matches::default();
        for (lines, _) in lines.lists() {
            let lines = lines.iter().filter_map(|id| self.table.line(*id));
            for to in lines {
                if matches.is_before(to.rule) {
                    break;
                }
                let Some(rule) = self.table.rule(to.rule) else {
                    continue;
                };
                if self.line_fits(to) && self.some_caller_agrees(callers, rule, to) {
                    matches.add(to.rule, rule.has_expired(self.now));
                }
            }
        }
        matches
    }

    fn some_caller_agrees(&self, callers: &Candidates<'_>, rule: &Rule, to: &ToEntry) -> bool {
        let mut entries = callers.within(rule.entry_ids());
        entries.any(|(id, found)| {
            let from = self.table.entry(id);
            from.is_some_and(|from| self.agree(from, found, to))
        })
    }

    /// Whether a line is about the request, captures aside.
    fn line_fits(&self, to: &ToEntry) -> bool {
        let operation = &to.operation;
        operation.path.fits(self.path, self.side.trailing_slash())
            && match self.side {
                Side::Allow(_) => operation.verb.admits(self.call),
                Side::Deny => operation.verb.catches(self.call),
            }
    }

    /// Whether an entry stands for the caller and every name for one text, on a line
    /// that fits.
    fn agree(&self, from: &'s FromEntry, found: Found, to: &'s ToEntry) -> bool {
        let mut bindings = Bindings::default();
        from.bind(self.call.caller, found, &mut bindings)
            && to.operation.path.bind(self.path, &mut bindings)
    }
}

impl Side {
    pub(crate) const fn trailing_slash(self) -> TrailingSlash {
        match self {
            Self::Allow(slash) => slash,
            Self::Deny => TrailingSlash::Ignore,
        }
    }
}

impl Matches {
    /// Whether a rule that holds stands before `rule`.
    fn is_before(&self, rule: u32) -> bool {
        self.rule.is_some_and(|best| best <= rule)
    }

    fn add(&mut self, rule: u32, expired: bool) {
        let best = if expired {
            &mut self.expired
        } else {
            &mut self.rule
        };
        *best = Some(best.map_or(rule, |best| best.min(rule)));
    }
}
