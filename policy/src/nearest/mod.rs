//! The nearest miss: of all rules that do not match, the one to look at first.
//!
//! Only refusals pay for this, and never more than a few hundred comparisons: the
//! rules that the indexes propose are compared, the rest is not.

mod describe;
mod shortlist;
mod suggest;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;

use crate::{
    Timestamp,
    call::Call,
    pattern::{Bindings, TrailingSlash},
    table::{Bits, Candidates, Found, FromEntry, MANY_LINES, Rule, RuleTable, ToEntry},
};

use self::shortlist::{Likely, likeliest};

#[cfg(feature = "documents")]
pub(crate) use describe::told;
pub(crate) use describe::{Origin, describe, story};

/// Lines from an index that are looked at closely, so that a refusal stays within
/// ten microseconds however many rules there are.
const CLOSELY: usize = 8;

/// A rule that does not match, with the entries that came closest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Miss<'t> {
    pub(crate) rule: &'t Rule,
    pub(crate) from: &'t FromEntry,
    /// How the caller matches `from`, if it does.
    pub(crate) found: Option<Found>,
    pub(crate) to: &'t ToEntry,
    pub(crate) closeness: Closeness,
}

/// How close a rule came; greater is closer.
///
/// A rule about this very path says more about what was meant than a rule that
/// happens to let this caller in somewhere else, but a rule about both beats either.
/// Then come the caller, the leading segments and the method, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Closeness {
    /// Only its condition or its exception stands in the way.
    all_but_these: bool,
    points: u8,
    from: bool,
    leading_segments: usize,
    method: bool,
}

const FROM: u8 = 4;
const PATH: u8 = 4;
const BOTH: u8 = FROM + PATH;

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
    if !search.is_settled() {
        search.lines_near(&callers);
        search.rules_of_caller(&callers);
    }
    if !search.is_settled() {
        search.lines_alike(&callers);
    }
    search.best
}

/// How one rule of a table missed.
pub(crate) fn of_rule<'t>(table: &'t RuleTable, rule: u32, probe: Probe<'_>) -> Option<Miss<'t>> {
    let mut search = Search::new(table, probe);
    let callers = table.candidates(probe.call.caller);
    let rule = table.rule(rule)?;
    for (candidate, found) in callers.within(rule.entry_ids()) {
        search.consider(candidate.line, Some((candidate.entry, found)));
    }
    search.best
}

struct Search<'t, 'c> {
    table: &'t RuleTable,
    probe: Probe<'c>,
    bits: Bits,
    best: Option<Miss<'t>>,
}

impl<'t, 'c> Search<'t, 'c> {
    fn new(table: &'t RuleTable, probe: Probe<'c>) -> Self {
        Self {
            table,
            probe,
            bits: probe.call.bits.and(Bits::of_caller(probe.call.caller)),
            best: None,
        }
    }

    /// Whether a rule about both the caller and the path was found: of the others,
    /// only such a one could be closer.
    fn is_settled(&self) -> bool {
        self.best
            .as_ref()
            .is_some_and(|best| best.closeness.points >= BOTH)
    }

    /// Where lines are indexed: those that the path fits.
    fn lines_on_path(&mut self, callers: &Candidates<'t>) {
        if let Some(lines) = self.table.lines_for(self.probe.call.path) {
            for line in lines.iter().take(CLOSELY) {
                self.consider_callers(line, callers);
            }
        }
    }

    /// Where lines are indexed: those that begin alike.
    fn lines_near(&mut self, callers: &Candidates<'t>) {
        let lines = self
            .table
            .lines_near(self.probe.call.path)
            .into_iter()
            .rev();
        for line in lines.take(CLOSELY) {
            self.consider_callers(line, callers);
        }
    }

    fn rules_of_caller(&mut self, callers: &Candidates<'t>) {
        let bits = self.bits;
        let all = callers.iter().take(MANY_LINES);
        let all = all.map(|(candidate, found)| {
            let from = Some((candidate.entry, found));
            Likely::new(bits, candidate.wants, candidate.line, from)
        });
        for likely in likeliest(all) {
            self.consider(likely.line(), likely.from());
        }
    }

    fn lines_alike(&mut self, callers: &Candidates<'t>) {
        let bits = self.bits;
        let lines = (0..).zip(self.table.wants()).take(MANY_LINES);
        let all = lines.map(|(line, wants)| Likely::new(bits, *wants, line, None));
        for likely in likeliest(all) {
            self.consider_callers(likely.line(), callers);
        }
    }

    /// Considers a line with those entries of its rule that stand for the caller, or
    /// without one if none does.
    fn consider_callers(&mut self, line: u32, callers: &Candidates<'t>) {
        let rule = self.table.line(line);
        let rule = rule.and_then(|to| self.table.rule(to.rule));
        let mut alone = true;
        for (candidate, found) in callers.within(rule.map_or(0..0, Rule::entry_ids)) {
            if candidate.line == line {
                alone &= !self.consider(line, Some((candidate.entry, found)));
            }
        }
        if alone {
            self.consider(line, None);
        }
    }

    /// Keeps a line if it is the closest yet: false if it comes with an entry that does
    /// not stand for the caller.
    fn consider(&mut self, line: u32, from: Option<(u32, Found)>) -> bool {
        let (table, call) = (self.table, self.probe.call);
        let Some(to) = table.line(line) else {
            return false;
        };
        let Some(rule) = table.rule(to.rule) else {
            return false;
        };
        let mut bindings = Bindings::default();
        let entry = match from {
            None => table.entries_of(rule).first(),
            Some((entry, found)) => table
                .entry(entry)
                .filter(|entry| found == Found::Exactly || entry.bind(call.caller, &mut bindings)),
        };
        let Some(entry) = entry else {
            return false;
        };
        let miss = Miss {
            rule,
            from: entry,
            found: from.map(|(_, found)| found),
            to,
            closeness: self.probe.closeness(to, from.is_some(), &mut bindings),
        };
        if self
            .best
            .as_ref()
            .is_none_or(|best| miss.rank() > best.rank())
        {
            self.best = Some(miss);
        }
        true
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
        let path = self.call.path;
        let method = operation.verb.admits(self.call);
        let leading = operation.path.leading(path, self.slash);
        let mut points = if from { FROM } else { 0 };
        let bound = leading.fits && operation.path.bind(path, bindings);
        if leading.fits && operation.path.is_specific() {
            points += PATH + if method { 2 } else { 0 };
            points += u8::from(method && bound);
        } else if leading.fits || leading.all_but_one {
            // A pattern without literal text fits everything, so it says little.
            points += 2;
        }
        Closeness {
            all_but_these: from && method && bound,
            points,
            from,
            leading_segments: leading.weight,
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
