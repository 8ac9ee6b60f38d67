//! Counting what became of records.

use std::collections::{BTreeMap, HashMap};

use callgate_policy::{Decision, Timestamp};

use super::{
    Outcome,
    change::{Change, Now, Parties, Was},
};
use crate::log::{Odd, OddLines, Record, Undecidable};

/// Kinds of change that are told apart, some 500 bytes each. More than anybody reads; the
/// rest is counted.
const MAX_KINDS: usize = 10_000;
/// Characters of a path in a sample. Paths have 8,000 bytes and more.
const MAX_PATH_CHARACTERS: usize = 512;

/// Where a record stands: the number of its log, counted from 0, and of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) log: usize,
    pub(super) line: u64,
}

/// What became of all records.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    /// Records that were decided again, or could not be.
    pub records: u64,
    /// Records outside of the window.
    pub outside: u64,
    /// Those of the records that proxies decided by leases.
    pub leased: u64,
    /// Those of the records that decided a call anew whose stream was open: the call is
    /// recorded before.
    pub rechecks: u64,
    /// Times of the first and of the last record, by their times.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Records whose outcome is as it was.
    pub unchanged: u64,
    /// Those of them that are refused for another reason.
    pub other_reason: u64,
    /// How many changed, by how.
    pub counts: BTreeMap<Change, u64>,
    /// The changes, each with a sample: by direction, most calls first.
    pub changes: Vec<Changed>,
    /// How many calls have changed beyond the kinds that are told apart.
    pub beyond: u64,
    /// What could not be decided again: why, how many, the first of them.
    pub undecided: BTreeMap<Undecidable, (u64, Sample)>,
    /// Lines that are no record.
    pub odd: OddLines,
    /// The number of the log that the first of these is in, counted from 0.
    pub first_odd_log: usize,
}

/// Calls that changed alike.
#[derive(Clone, Debug)]
pub struct Changed {
    /// How.
    pub change: Change,
    /// How many.
    pub count: u64,
    /// Whose calls to whom.
    pub parties: Parties,
    /// What was recorded.
    pub was: Was,
    /// What is decided now.
    pub now: Now,
    /// The first of them.
    pub sample: Sample,
}

/// One record, to look it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The number of its log, counted from 0.
    pub log: usize,
    /// Its line, counted from 1.
    pub line: u64,
    /// When it was decided.
    pub time: Timestamp,
    /// Its id.
    pub id: Box<str>,
    /// The method.
    pub method: Box<str>,
    /// The path, without its query; 512 characters at most.
    pub path: Box<str>,
    /// What the nearest rule wants, and what the call had.
    pub wants: Option<(Box<str>, Box<str>)>,
}

/// What one worker counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    replayed: Replayed,
    kinds: HashMap<(Parties, Was, Now), (u64, Sample)>,
}

impl Tally {
    pub(super) fn odd(&mut self, place: Place, odd: Odd) {
        let replayed = &mut self.replayed;
        // The reader tells lines in order, so the first one noted is the first one.
        if replayed.odd.first.is_none() {
            replayed.first_odd_log = place.log;
        }
        replayed.odd.note(place.line, odd);
    }

    pub(super) const fn outside(&mut self) {
        self.replayed.outside += 1;
    }

    pub(super) fn record(
        &mut self,
        place: Place,
        record: &Record<'_>,
        again: Result<Decision<'_>, Undecidable>,
    ) {
        let replayed = &mut self.replayed;
        replayed.records += 1;
        replayed.leased += u64::from(record.leased);
        replayed.rechecks += u64::from(record.rechecks.is_some());
        replayed.span = join(replayed.span, Some((record.time, record.time)));
        match again {
            Err(why) => {
                let sample = || Sample::of(place, record, None);
                let (count, _) = replayed
                    .undecided
                    .entry(why)
                    .or_insert_with(|| (0, sample()));
                *count += 1;
            }
            Ok(decision) => self.decided(place, record, &decision),
        }
    }

    fn decided(&mut self, place: Place, record: &Record<'_>, decision: &Decision<'_>) {
        let was = Outcome::of(record.verdict, record.enforced);
        let now = Outcome::of(decision.verdict, decision.enforced);
        let Some(change) = was.change_to(now) else {
            self.replayed.unchanged += 1;
            self.replayed.other_reason += u64::from(record.reason != decision.reason);
            return;
        };
        *self.replayed.counts.entry(change).or_default() += 1;
        let kind = (Parties::of(record), Was::of(record), Now::of(decision));
        let sample = || Sample::of(place, record, Some(decision));
        self.kind(kind, 1, sample);
    }

    /// Counts `count` more of `kind`. Of two samples the earlier one stays.
    fn kind(&mut self, kind: (Parties, Was, Now), count: u64, sample: impl FnOnce() -> Sample) {
        if let Some((counted, _)) = self.kinds.get_mut(&kind) {
            *counted += count;
        } else if self.kinds.len() < MAX_KINDS {
            self.kinds.insert(kind, (count, sample()));
        } else {
            self.replayed.beyond += count;
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (kind, (count, sample)) in other.kinds {
            if let Some((_, first)) = self.kinds.get_mut(&kind) {
                first.keep_first(&sample);
            }
            self.kind(kind, count, || sample);
        }
        self.replayed.merge(other.replayed);
    }

    pub(super) fn finish(self) -> Replayed {
        let kinds = self.kinds.into_iter();
        let changes = kinds.filter_map(|((parties, was, now), (count, sample))| {
            Some(Changed {
                change: was.outcome.change_to(now.outcome)?,
                count,
                parties,
                was,
                now,
                sample,
            })
        });
        let mut changes: Vec<Changed> = changes.collect();
        changes.sort_by(|a, b| {
            let order = a.change.cmp(&b.change).then(b.count.cmp(&a.count));
            let names = || (&a.parties, &a.was, &a.now).cmp(&(&b.parties, &b.was, &b.now));
            order.then_with(names)
        });
        Replayed {
            changes,
            ..self.replayed
        }
    }
}

impl Replayed {
    /// How many records changed.
    #[must_use]
    pub fn changed(&self) -> u64 {
        self.counts.values().sum()
    }

    /// How many records could not be decided again.
    #[must_use]
    pub fn undecided(&self) -> u64 {
        self.undecided.values().map(|(count, _)| count).sum()
    }

    fn merge(&mut self, other: Self) {
        self.records += other.records;
        self.outside += other.outside;
        self.leased += other.leased;
        self.rechecks += other.rechecks;
        self.span = join(self.span, other.span);
        self.unchanged += other.unchanged;
        self.other_reason += other.other_reason;
        self.beyond += other.beyond;
        for (change, count) in other.counts {
            *self.counts.entry(change).or_default() += count;
        }
        for (why, (count, sample)) in other.undecided {
            let (counted, first) = self
                .undecided
                .entry(why)
                .or_insert_with(|| (0, sample.clone()));
            *counted += count;
            first.keep_first(&sample);
        }
        self.merge_odd(other.odd, other.first_odd_log);
    }

    fn merge_odd(&mut self, odd: OddLines, log: usize) {
        if odd.first.is_some() && (self.odd.first.is_none() || log < self.first_odd_log) {
            self.odd.first = None;
            self.first_odd_log = log;
        }
        if log == self.first_odd_log {
            self.odd.merge(odd);
        } else {
            self.odd.merge(OddLines { first: None, ..odd });
        }
    }
}

impl Sample {
    fn of(place: Place, record: &Record<'_>, decision: Option<&Decision<'_>>) -> Self {
        let path = &*record.path;
        let cut = path.char_indices().nth(MAX_PATH_CHARACTERS);
        let end = cut.map_or(path.len(), |(end, _)| end);
        let miss = decision.and_then(|decision| decision.nearest_miss.as_deref());
        Self {
            log: place.log,
            line: place.line,
            time: record.time,
            id: (&*record.id).into(),
            method: (&*record.method).into(),
            path: path.get(..end).unwrap_or_default().into(),
            wants: miss.map(|miss| (miss.expected.as_str().into(), miss.actual.as_str().into())),
        }
    }

    fn keep_first(&mut self, other: &Self) {
        if (other.log, other.line) < (self.log, self.line) {
            self.clone_from(other);
        }
    }
}

fn join(
    one: Option<(Timestamp, Timestamp)>,
    other: Option<(Timestamp, Timestamp)>,
) -> Option<(Timestamp, Timestamp)> {
    match (one, other) {
        (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
        (one, other) => one.or(other),
    }
}
