//! Finding the first rule that matches.

use std::cell::{OnceCell, RefCell};

use super::{
    Bits, Candidates, Found, Hits, Rule, RuleTable, ToEntry, build::FEW_CANDIDATES,
    candidates::Candidate,
};
use crate::{
    ConditionError, Operation,
    call::Call,
    pattern::{Bindings, TrailingSlash},
    policy_set::Document,
    spec::WhenSpec,
    time::Moment,
};

/// Which rules a table holds: the two read a request differently where the doubt
/// has to favour a refusal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Allow(TrailingSlash),
    Deny,
}

/// Which rules are looked for, and who is told of conditions without a result.
pub(crate) struct Inquiry<'p, 'c> {
    pub(crate) side: Side,
    pub(crate) now: Moment,
    /// Whose rules they are.
    pub(crate) document: &'p Document,
    /// Each rule once.
    pub(crate) errors: &'c RefCell<Vec<ConditionError<'p>>>,
}

/// The first rules, in the order of the document, that are about a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Matches {
    /// One that holds.
    pub(crate) rule: Option<u32>,
    /// One whose exception has expired; looked for only until a rule holds.
    pub(crate) expired: Option<u32>,
    /// One that may hold, as far as can be known here. Of deny rules, such a one holds.
    open: Option<u32>,
    /// One whose exception has expired, that may be about the call.
    open_expired: Option<u32>,
}

/// Whether a rule is about a call, its exception aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    No,
    Yes,
    /// It is for others to say.
    Open,
}

impl RuleTable {
    /// The first rule about `call`.
    pub(crate) fn find<'p>(&'p self, call: &Call<'_>, inquiry: &Inquiry<'p, '_>) -> Matches {
        if self.is_empty() {
            return Matches::default();
        }
        let callers = self.candidates(call.caller);
        let search = Search {
            table: self,
            call,
            inquiry,
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

struct Search<'p, 'c> {
    table: &'p RuleTable,
    call: &'c Call<'c>,
    inquiry: &'c Inquiry<'p, 'c>,
    /// Bits of the caller, which only candidates with wildcards need.
    caller: OnceCell<Bits>,
}

impl<'p> Search<'p, '_> {
    fn by_caller(&self, callers: &Candidates<'_>) -> Matches {
        let mut matches = Matches::default();
        self.in_list(callers.exact, Found::Exactly, &mut matches);
        self.in_list(callers.by_pattern, Found::ByPattern, &mut matches);
        for list in &callers.more {
            self.in_list(list, Found::ByPattern, &mut matches);
        }
        matches
    }

    /// Nearly all candidates are ruled out, so that takes as little as it can.
    fn in_list(&self, list: &[Candidate], found: Found, matches: &mut Matches) {
        let lacking = self.call.bits.lacking_of_path();
        for candidate in list {
            if candidate.wants.some_of(lacking) {
                continue;
            }
            if matches.is_before(candidate.rule) {
                break;
            }
            if found == Found::Exactly || self.may_stand_for_caller(candidate) {
                self.consider(candidate, found, matches);
            }
        }
    }

    fn may_stand_for_caller(&self, candidate: &Candidate) -> bool {
        let caller = || Bits::of_caller(self.call.caller);
        let caller = *self.caller.get_or_init(caller);
        self.call.bits.and(caller).cover(candidate.wants)
    }

    fn consider(&self, candidate: &Candidate, found: Found, matches: &mut Matches) {
        // Both are far away in memory: asked for together, they come together.
        let rule = self.table.rule(candidate.rule);
        let Some((to, rule)) = self.table.line(candidate.line).zip(rule) else {
            return;
        };
        if self.line_fits(to) {
            let fit = self.fit(rule, candidate.entry, found, to);
            self.add(candidate.rule, rule, fit, matches);
        }
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
                if let Some(rule) = self.table.rule(to.rule)
                    && self.line_fits(to)
                {
                    let candidates = callers.within(rule.entry_ids());
                    for (candidate, found) in candidates.filter(|(one, _)| one.line == *id) {
                        let fit = self.fit(rule, candidate.entry, found, to);
                        self.add(to.rule, rule, fit, &mut matches);
                        if fit == Fit::Yes {
                            break;
                        }
                    }
                }
            }
        }
        matches
    }

    fn add(&self, id: u32, rule: &Rule, fit: Fit, matches: &mut Matches) {
        if fit == Fit::No {
            return;
        }
        let open = fit == Fit::Open;
        let places = match rule.is_over(self.inquiry.now) {
            Some(true) if open => [Some(&mut matches.open_expired), None],
            Some(true) => [Some(&mut matches.expired), None],
            Some(false) if !open => [Some(&mut matches.rule), None],
            _ => match self.inquiry.side {
                Side::Allow(_) => [Some(&mut matches.open), None],
                Side::Deny => [Some(&mut matches.open), Some(&mut matches.rule)],
            },
        };
        for place in places.into_iter().flatten() {
            *place = first(*place, Some(id));
        }
    }

    /// Whether a line is about the request, captures aside.
    fn line_fits(&self, to: &ToEntry) -> bool {
        let Operation { verb, path } = &to.operation;
        let verb = match self.inquiry.side {
            Side::Allow(_) => verb.admits(self.call),
            Side::Deny => verb.catches(self.call),
        };
        verb && path.fits(self.call.path, self.inquiry.side.trailing_slash())
    }

    /// Whether an entry stands for the caller and every name for one text, on a line
    /// that fits, and the rule's condition holds.
    fn fit(&self, rule: &'p Rule, entry: u32, found: Found, to: &ToEntry) -> Fit {
        let path = &to.operation.path;
        let when = rule.when.as_deref();
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
        let agrees = stands
            && ((bindings.is_empty() && !bound_by_path)
                || path.bind(self.call.path, &mut bindings));
        match when {
            _ if !agrees => Fit::No,
            None => Fit::Yes,
            Some(when) => self.holds(when, rule, bindings.as_slice()),
        }
    }

    /// Whether a condition holds. One without a result keeps its rule from allowing, and
    /// lets it deny.
    fn holds(&self, when: &WhenSpec, rule: &'p Rule, bindings: &[(&str, &str)]) -> Fit {
        let scene = self.call.scene(bindings, self.inquiry.now.latest);
        let Some(held) = when.condition.holds(&scene) else {
            return Fit::Open;
        };
        let holds = held.unwrap_or_else(|fault| {
            let rule = self.inquiry.document.rule_ref(rule);
            let mut errors = self.inquiry.errors.borrow_mut();
            // A rule may be tried several times: by several names, on several lines.
            if errors.iter().all(|error| error.rule != rule) {
                errors.push(ConditionError { rule, fault });
            }
            matches!(self.inquiry.side, Side::Deny)
        });
        if holds { Fit::Yes } else { Fit::No }
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
    /// The first of both, each by each.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            rule: first(self.rule, other.rule),
            expired: first(self.expired, other.expired),
            open: first(self.open, other.open),
            open_expired: first(self.open_expired, other.open_expired),
        }
    }

    /// Whether what may hold would decide if it did.
    pub(crate) fn is_open(&self) -> bool {
        let open = self.open;
        open.is_some_and(|open| self.rule.is_none_or(|rule| open <= rule))
    }

    /// The same of rules that have expired, where none holds.
    pub(crate) fn is_open_when_refused(&self) -> bool {
        let open = self.open_expired;
        open.is_some_and(|open| self.expired.is_none_or(|expired| open < expired))
    }

    /// Whether a rule that holds stands before `rule`.
    fn is_before(&self, rule: u32) -> bool {
        self.rule.is_some_and(|best| best <= rule)
    }
}

/// The first of both.
fn first(a: Option<u32>, b: Option<u32>) -> Option<u32> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
