//! The nearest miss: of all rules that do not match, the one to look at first.
//!
//! Only refusals pay for this, and never more than a few hundred comparisons: the
//! rules that the indexes propose are compared, the rest is not.

mod describe;
mod suggest;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;

use crate::{
    Timestamp,
    call::Call,
    pattern::{Bindings, TrailingSlash},
    table::{Candidates, Found, FromEntry, MANY_LINES, Rule, RuleTable, ToEntry},
};

pub(crate) use describe::{Scene, describe};

/// Lines compared from each source, so that a refusal stays within ten
/// microseconds however many rules there are.
const BUDGET: usize = 128;

/// A rule that does not match, with the entries that came closest.
#[derive(Clone, Debug)]
pub(crate) struct Miss<'t> {
    pub(crate) rule: &'t Rule,
    pub(crate) from: &'t FromEntry,
    /// How the caller matches `from`, if it does.
    pub(crate) found: Option<Found>,
    pub(crate) to: &'t ToEntry,
    pub(crate) closeness: Closeness,
}

/// How close a rule came; greater is closer. The order of the fields is the order
/// of importance: a rule about the caller is worth more than one about the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Closeness {
    from: bool,
    path: bool,
    method_on_path: bool,
    captures: bool,
    leading_segments: usize,
    method: bool,
}

/// What rules are compared with.
#[derive(Clone, Copy)]
pub(crate) struct Probe<'c> {
    pub(crate) call: &'c Call<'c>,
    pub(crate) slash: TrailingSlash,
    pub(crate) now: Timestamp,
}

/// The closest allow rule of a table; the first in the document of those alike.
pub(crate) fn find<'t>(table: &'t RuleTable, probe: Probe<'_>) -> Option<Miss<'t>> {
    let mut search = Search::new(table, probe);
    let callers = table.candidates(probe.call.caller);
    search.lines_on_path(&callers);
    search.rules_of_caller(&callers);
    if search.best.as_ref().is_none_or(|best| best.found.is_none()) {
        for to in table.lines().iter().take(MANY_LINES) {
            search.consider(to, None);
        }
    }
    search.best
}

/// How one rule of a table missed.
pub(crate) fn of_rule<'t>(table: &'t RuleTable, rule: u32, probe: Probe<'_>) -> Option<Miss<'t>> {
    let mut search = Search::new(table, probe);
    let callers = table.candidates(probe.call.caller);
    let rule = table.rule(rule)?;
    for to in table.lines_of(rule) {
        search.consider_callers(to, rule, &callers);
    }
    search.best
}

struct Search<'t, 'c> {
    table: &'t RuleTable,
    probe: Probe<'c>,
    best: Option<Miss<'t>>,
}

impl<'t, 'c> Search<'t, 'c> {
    const fn new(table: &'t RuleTable, probe: Probe<'c>) -> Self {
        Self {
            table,
            probe,
            best: None,
        }
    }

    /// Lines that the path fits, then lines that begin alike.
    fn lines_on_path(&mut self, callers: &Candidates<'t>) {
        let path = &self.probe.call.path;
        let Some(on_path) = self.table.lines_for(path) else {
            return;
        };
        let on_path = on_path.iter().map(|(id, _)| id).take(BUDGET);
        let near = self.table.lines_near(path).into_iter().rev().take(BUDGET);
        for to in on_path.chain(near).filter_map(|id| self.table.line(id)) {
            if let Some(rule) = self.table.rule(to.rule) {
                self.consider_callers(to, rule, callers);
            }
        }
    }

    fn rules_of_caller(&mut self, callers: &Candidates<'t>) {
        let table = self.table;
        let entries = callers
            .iter()
            .filter_map(|(id, found)| Some((table.entry(id)?, found)));
        let pairs = entries.flat_map(|(from, found)| {
            let rule = table.rule(from.rule);
            let lines = rule.map_or(&[][..], |rule| table.lines_of(rule));
            lines.iter().map(move |to| (to, from, found))
        });
        for (to, from, found) in pairs.take(BUDGET) {
            self.consider(to, Some((from, found)));
        }
    }

    /// Considers a line with those entries of its rule that stand for the caller.
    fn consider_callers(&mut self, to: &'t ToEntry, rule: &Rule, callers: &Candidates<'t>) {
        let mut alone = true;
        for (id, found) in callers.within(rule.entry_ids()).take(BUDGET) {
            if let Some(from) = self.table.entry(id) {
                alone = false;
                self.consider(to, Some((from, found)));
            }
        }
        if alone {
            self.consider(to, None);
        }
    }

    /// Keeps `to`, with `from` if it stands for the caller, if it is the closest yet.
    fn consider(&mut self, to: &'t ToEntry, from: Option<(&'t FromEntry, Found)>) {
        let caller = self.probe.call.caller;
        let mut bindings = Bindings::default();
        let from = from.filter(|(from, found)| from.bind(caller, *found, &mut bindings));
        if from.is_none() {
            bindings = Bindings::default();
        }
        let closeness = self.probe.closeness(to, from.is_some(), &mut bindings);
        let rank = (closeness, Reverse(to.rule));
        if self.best.as_ref().is_some_and(|best| best.rank() >= rank) {
            return;
        }
        let Some(rule) = self.table.rule(to.rule) else {
            return;
        };
        let first = self.table.entries_of(rule).first();
        let found = from.map(|(_, found)| found);
        if let Some(from) = from.map(|(from, _)| from).or(first) {
            self.best = Some(Miss {
                rule,
                from,
                found,
                to,
                closeness,
            });
        }
    }
}

impl Probe<'_> {
    fn closeness<'v>(
        &'v self,
        to: &'v ToEntry,
        from: bool,
        bindings: &mut Bindings<'v>,
    ) -> Closeness {
        let operation = &to.operation;
        let method = operation.verb.admits(self.call);
        let path = operation.path.fits(&self.call.path, self.slash);
        Closeness {
            from,
            path,
            method_on_path: path && method,
            captures: path && operation.path.bind(&self.call.path, bindings),
            leading_segments: operation.path.closeness(&self.call.path),
            method,
        }
    }
}

impl Miss<'_> {
    /// Of rules alike, the first in the document.
    const fn rank(&self) -> (Closeness, Reverse<u32>) {
        (self.closeness, Reverse(self.to.rule))
    }
}
