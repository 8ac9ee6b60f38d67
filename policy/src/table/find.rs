//! Finding the first rule that matches.

use std::cell::OnceCell;

use super::{
    Bits, Candidates, Found, Hits, Rule, RuleTable, ToEntry, build::FEW_CANDIDATES,
    candidates::Candidate,
};
use crate::{
    Operation, Timestamp,
    call::Call,
    pattern::{Bindings, TrailingSlash},
    spec::WhenSpec,
};

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
    /// The first rule about `call`.
    pub(crate) fn find(&self, call: &Call<'_>, side: Side, now: Timestamp) -> Matches {
        if self.is_empty() {
            return Matches::default();
        }
        let callers = self.candidates(call.caller);
        let search = Search {
            table: self,
            call,
            side,
            now,
            caller: OnceCell::new(),
        };
        let count = callers.count();
        if count > FEW_CANDIDATES
            && let Some(lines) = self.lines_for(call.path)
            && lines.count() < count
        {
            return search.by_line(&callers, &lines);
        }
        search.by_caller(&callers)
    }
}

struct Search<'s> {
    table: &'s RuleTable,
    call: &'s Call<'s>,
    side: Side,
    now: Timestamp,
    /// Bits of the caller, which only candidates with wildcards need.
    caller: OnceCell<Bits>,
}

impl Search<'_> {
    fn by_caller(&self, callers: &Candidates<'_>) -> Matches {
        let mut matches = Matches::default();
        for (list, found) in callers.lists() {
            for candidate in list
                .iter()
                .filter(|candidate| self.may_match(candidate, found))
            {
                if matches.is_before(candidate.rule) {
                    break;
                }
                // Both are far away in memory: asked for together, they come together.
                let rule = self.table.rule(candidate.rule);
                let expired = rule.is_some_and(|rule| rule.has_expired(self.now));
                let fits = self.table.line(candidate.line).is_some_and(|to| {
                    self.line_fits(to) && self.agrees(rule, candidate.entry, found, to)
                });
                if fits {
                    matches.add(candidate.rule, expired);
                }
            }
        }
        matches
    }

    fn may_match(&self, candidate: &Candidate, found: Found) -> bool {
        self.call.bits.cover(candidate.wants.path())
            && (found == Found::Exactly || {
                let caller = self
                    .caller
                    .get_or_init(|| Bits::of_caller(self.call.caller));
                self.call.bits.and(*caller).cover(candidate.wants)
            })
    }

    fn by_line(&self, callers: &Candidates<'_>, lines: &Hits<'_>) -> Matches {
        let mut matches = Matches::default();
        for list in lines.lists() {
            for id in list {
                let Some(to) = self.table.line(*id) else {
                    continue;
                };
                if matches.is_before(to.rule) {
                    break;
                }
                if self.line_fits(to) && self.some_caller_agrees(callers, *id, to) {
                    self.add(to.rule, &mut matches);
                }
            }
        }
        matches
    }

    fn some_caller_agrees(&self, callers: &Candidates<'_>, line: u32, to: &ToEntry) -> bool {
        let rule = self.table.rule(to.rule);
        let mut candidates = callers.within(rule.map_or(0..0, Rule::entry_ids));
        candidates.any(|(candidate, found)| {
            candidate.line == line && self.agrees(rule, candidate.entry, found, to)
        })
    }

    fn add(&self, id: u32, matches: &mut Matches) {
        if let Some(rule) = self.table.rule(id) {
            matches.add(id, rule.has_expired(self.now));
        }
    }

    /// Whether a line is about the request, captures aside.
    fn line_fits(&self, to: &ToEntry) -> bool {
        let Operation { verb, path } = &to.operation;
        let verb = match self.side {
            Side::Allow(_) => verb.admits(self.call),
            Side::Deny => verb.catches(self.call),
        };
        verb && path.fits(self.call.path, self.side.trailing_slash())
    }

    /// Whether an entry stands for the caller and every name for one text, on a line
    /// that fits, and the rule's condition holds.
    fn agrees(&self, rule: Option<&Rule>, entry: u32, found: Found, to: &ToEntry) -> bool {
        let path = &to.operation.path;
        let when = rule.and_then(|rule| rule.when.as_deref());
        let mut bindings = Bindings::default();
        let stands = match found {
            Found::Exactly => true,
            Found::ByPattern => {
                let entry = self.table.entry(entry);
                entry.is_some_and(|entry| entry.bind(self.call.caller, &mut bindings))
            }
        };
        let bound_by_path =
            path.repeats() || when.is_some_and(|when| when.condition.uses_captures());
        stands
            && ((bindings.is_empty() && !bound_by_path) || path.bind(self.call.path, &mut bindings))
            && when.is_none_or(|when| self.holds(when, to.rule, bindings.as_slice()))
    }

    /// Whether a condition holds. One without a result keeps its rule from allowing, and
    /// lets it deny.
    fn holds(&self, when: &WhenSpec, rule: u32, bindings: &[(&str, &str)]) -> bool {
        let scene = self.call.scene(bindings, self.now);
        when.condition.holds(&scene).unwrap_or_else(|fault| {
            let mut faults = self.call.notes.faults.borrow_mut();
            faults.push((rule, fault));
            matches!(self.side, Side::Deny)
        })
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
    /// The first of both.
    pub(crate) fn or(self, other: Self) -> Self {
        let first = |a: Option<u32>, b| a.into_iter().chain(b).min();
        Self {
            rule: first(self.rule, other.rule),
            expired: first(self.expired, other.expired),
        }
    }

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
