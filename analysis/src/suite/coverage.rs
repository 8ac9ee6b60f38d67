//! Which rules, and which of their lines, no case has met.
//!
//! A rule is met by a call that it decides, or would decide were it not in Shadow, and a
//! line of its `to` by a call that it is about. A rule that matches where another one
//! decides is not met: what it does has not been seen.

use std::collections::HashMap;

use callgate_policy::{Decision, Request, Timestamp, spec::ToSpec};

use crate::trial::{OneLine, Placed, Rules};

/// What cases met.
#[derive(Debug)]
pub struct Coverage<'r> {
    rules: &'r Rules<'r>,
    /// By file and line.
    placed: Vec<(Placed<'r>, Met)>,
    /// Where a rule is in `placed`, by file, line and name.
    index: HashMap<Key<'r>, usize>,
}

type Key<'r> = (&'r str, u32, &'r str);

/// What calls met of one rule.
#[derive(Debug, Default)]
struct Met {
    rule: bool,
    lines: Vec<Line>,
}

/// Whether calls met one line of `to`.
#[derive(Debug)]
enum Line {
    Met,
    /// Not yet; compiled once a call comes near.
    Unmet(Option<Box<OneLine>>),
}

/// A part of something, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Those that were met.
    pub met: usize,
    /// All.
    pub of: usize,
}

/// A rule of which no case has met everything.
#[derive(Debug)]
pub struct Unmet<'r> {
    /// The rule.
    pub placed: Placed<'r>,
    /// Whether no case has met it at all.
    pub whole: bool,
    /// The lines of `to` that no case has met.
    pub lines: Vec<&'r ToSpec>,
}

impl Share {
    /// Whether at least `percent` of all were met. Of nothing, all is.
    #[must_use]
    pub fn reaches(self, percent: u8) -> bool {
        self.met.saturating_mul(100) >= self.of.saturating_mul(usize::from(percent))
    }

    /// In percent, rounded down: 100 is all of them.
    #[must_use]
    pub fn percent(self) -> usize {
        let percent = self.met.saturating_mul(100).checked_div(self.of);
        percent.unwrap_or(100)
    }
}

impl<'r> Coverage<'r> {
    pub(super) fn of(rules: &'r Rules<'r>) -> Self {
        let mut all: Vec<_> = rules.all().collect();
        all.sort_by_key(|placed| key(*placed));
        let placed: Vec<_> = all
            .into_iter()
            .map(|placed| {
                let lines = placed.rule.to.iter().map(|_| Line::Unmet(None));
                let lines = lines.collect();
                (placed, Met { rule: false, lines })
            })
            .collect();
        let index = placed.iter().enumerate();
        let index = index.map(|(at, (placed, _))| (key(*placed), at)).collect();
        Self {
            rules,
            placed,
            index,
        }
    }

    /// Counts a call.
    pub(super) fn add(&mut self, decision: &Decision<'_>, request: &Request<'_>, now: Timestamp) {
        let decided = decision.rule.into_iter();
        let rules = decided.chain(decision.shadow.map(|shadow| shadow.rule));
        for placed in rules.filter_map(|rule| self.rules.find(&rule)) {
            self.meet(placed, request, now);
        }
    }

    fn meet(&mut self, placed: Placed<'r>, request: &Request<'_>, now: Timestamp) {
        let at = self.index.get(&key(placed));
        let Some((placed, met)) = at.and_then(|at| self.placed.get_mut(*at)) else {
            return;
        };
        met.rule = true;
        for (index, line) in met.lines.iter_mut().enumerate() {
            line.meet(self.rules, *placed, index, request, now);
        }
    }

    /// The rules that were met.
    #[must_use]
    pub fn rules(&self) -> Share {
        Share {
            met: self.placed.iter().filter(|(_, met)| met.rule).count(),
            of: self.placed.len(),
        }
    }

    /// The lines of `to` that were met.
    #[must_use]
    pub fn lines(&self) -> Share {
        let lines = || self.placed.iter().flat_map(|(_, met)| &met.lines);
        Share {
            met: lines().filter(|line| matches!(line, Line::Met)).count(),
            of: lines().count(),
        }
    }

    /// What was not met, by file and line.
    pub fn unmet(&self) -> impl Iterator<Item = Unmet<'r>> {
        self.placed.iter().filter_map(|(placed, met)| {
            let lines = placed.rule.to.iter().zip(&met.lines);
            let lines: Vec<_> = lines
                .filter(|(_, line)| matches!(line, Line::Unmet(_)))
                .map(|(line, _)| line)
                .collect();
            (!lines.is_empty()).then_some(Unmet {
                placed: *placed,
                whole: !met.rule,
                lines,
            })
        })
    }
}

impl Line {
    fn meet<'r>(
        &mut self,
        rules: &Rules<'r>,
        placed: Placed<'r>,
        index: usize,
        request: &Request<'_>,
        now: Timestamp,
    ) {
        let (Self::Unmet(compiled), Some(service)) = (&mut *self, request.service) else {
            return;
        };
        if compiled.as_ref().is_none_or(|one| one.service() != service) {
            *compiled = rules.one_line(placed, index, service).map(Box::new);
        }
        if compiled
            .as_ref()
            .is_some_and(|one| one.is_about(request, now))
        {
            *self = Self::Met;
        }
    }
}

fn key(placed: Placed<'_>) -> Key<'_> {
    (placed.file, placed.rule.line, &placed.rule.name)
}
