//! One batch of decisions, as it will be sent.

use std::{cell::Cell, time::Duration};

use callgate_policy::{Reason, RuleRef};

use super::{
    Noted,
    encode::{number, present, text},
};

/// A caller, encoded, and where the batch that is being filled has it.
#[derive(Debug)]
pub(crate) struct NotedCaller {
    encoded: Vec<u8>,
    /// The number of a batch, and the place in its list.
    place: Cell<(u64, u32)>,
}

impl NotedCaller {
    /// An encoded `Caller`.
    pub(super) fn new(encoded: Vec<u8>) -> Self {
        Self {
            encoded,
            place: Cell::new((0, 0)),
        }
    }

    /// Bytes.
    pub(crate) fn size(&self) -> usize {
        self.encoded.len()
    }
}

/// What stands above each batch.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) service: String,
    pub(super) worker: [u8; 16],
    pub(super) dropped_allowed: u64,
    pub(super) dropped_denied: u64,
}

/// Decisions, and whom and what they name. Allowed calls and refusals stand by themselves,
/// so that the former can be dropped.
#[derive(Debug)]
pub(super) struct Batch {
    sequence: u64,
    began: Duration,
    /// It was sent, and is changed no more.
    sealed: bool,
    /// Fields of the `RecordRequest`.
    callers: Vec<u8>,
    caller_count: u32,
    rules: Vec<u8>,
    rule_keys: Vec<RuleKey>,
    allowed: Vec<u8>,
    allowed_count: u64,
    denied: Vec<u8>,
    denied_count: u64,
    /// The one that is being written.
    scratch: Vec<u8>,
}

/// What tells rules apart.
#[derive(Debug)]
struct RuleKey {
    line: u32,
    name: Box<str>,
    policy: Box<str>,
    file: Box<str>,
}

impl RuleKey {
    fn is(&self, rule: &RuleRef<'_>) -> bool {
        self.line == rule.location.line
            && *self.name == *rule.name
            && *self.policy == *rule.policy
            && *self.file == *rule.location.file
    }
}

impl Batch {
    pub(super) fn new(sequence: u64, began: Duration) -> Self {
        Self {
            sequence,
            began,
            sealed: false,
            callers: Vec::new(),
            caller_count: 0,
            rules: Vec::new(),
            rule_keys: Vec::new(),
            allowed: Vec::new(),
            allowed_count: 0,
            denied: Vec::new(),
            denied_count: 0,
            scratch: Vec::new(),
        }
    }

    pub(super) fn began(&self) -> Duration {
        self.began
    }

    /// Whether it was never sent.
    pub(super) fn is_open(&self) -> bool {
        !self.sealed
    }

    /// Bytes.
    pub(super) fn size(&self) -> usize {
        let parts = [&self.callers, &self.rules, &self.allowed, &self.denied];
        let parts = parts.into_iter().map(Vec::len);
        parts.fold(0, usize::saturating_add)
    }

    /// Decisions that allow, and that refuse.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.allowed_count, self.denied_count)
    }

    /// Drops the decisions that allow, and says how many.
    pub(super) fn forget_allowed(&mut self) -> u64 {
        self.allowed = Vec::new();
        std::mem::take(&mut self.allowed_count)
    }

    pub(super) fn add(&mut self, noted: &Noted<'_>) {
        let caller = self.place_of_caller(noted.caller);
        let rule = noted.rule.map_or(0, |rule| self.place_of_rule(&rule));
        self.scratch.clear();
        write(&mut self.scratch, noted, caller, rule);
        let (decisions, count) = match noted.reason {
            Reason::Allow => (&mut self.allowed, &mut self.allowed_count),
            _ => (&mut self.denied, &mut self.denied_count),
        };
        present(6, &self.scratch, decisions);
        *count = count.saturating_add(1);
    }

    pub(super) fn encode(&mut self, head: &Head) -> Vec<u8> {
        self.sealed = true;
        self.scratch = Vec::new();
        let mut all = Vec::with_capacity(self.size().saturating_add(256));
        text(1, &head.service, &mut all);
        text(2, head.worker, &mut all);
        number(3, self.sequence, &mut all);
        for part in [&self.callers, &self.rules, &self.denied, &self.allowed] {
            all.extend_from_slice(part);
        }
        number(7, head.dropped_allowed, &mut all);
        number(8, head.dropped_denied, &mut all);
        all
    }

    /// Counted from 0.
    fn place_of_caller(&mut self, caller: &NotedCaller) -> u32 {
        let (batch, place) = caller.place.get();
        if batch == self.sequence {
            return place;
        }
        let place = self.caller_count;
        present(4, &caller.encoded, &mut self.callers);
        self.caller_count = place.saturating_add(1);
        caller.place.set((self.sequence, place));
        place
    }

    /// Counted from 1.
    fn place_of_rule(&mut self, rule: &RuleRef<'_>) -> u32 {
        let known = self.rule_keys.iter().position(|key| key.is(rule));
        let place = known.unwrap_or_else(|| {
            self.add_rule(rule);
            self.rule_keys.len().saturating_sub(1)
        });
        u32::try_from(place).unwrap_or(u32::MAX).saturating_add(1)
    }

    fn add_rule(&mut self, rule: &RuleRef<'_>) {
        self.scratch.clear();
        text(1, rule.name, &mut self.scratch);
        text(2, rule.policy, &mut self.scratch);
        text(3, rule.location.file, &mut self.scratch);
        number(4, u64::from(rule.location.line), &mut self.scratch);
        present(5, &self.scratch, &mut self.rules);
        self.rule_keys.push(RuleKey {
            line: rule.location.line,
            name: rule.name.into(),
            policy: rule.policy.into(),
            file: rule.location.file.into(),
        });
    }
}

/// Writes a `Decided`.
fn write(to: &mut Vec<u8>, noted: &Noted<'_>, caller: u32, rule: u32) {
    text(1, noted.id, to);
    // An int64: negative numbers have the same bits.
    number(2, noted.time.as_millis().cast_unsigned(), to);
    number(3, u64::from(caller), to);
    text(4, noted.reason.as_str(), to);
    number(5, u64::from(rule), to);
    text(6, noted.revision, to);
    text(7, noted.method, to);
    text(8, noted.path, to);
    for (field, value) in [(9, noted.upgrade), (10, noted.content_type)] {
        if let Some(value) = value {
            present(field, value, to);
        }
    }
    text(11, noted.host, to);
    for (field, value) in [(12, noted.traceparent), (13, noted.rechecks)] {
        if let Some(value) = value {
            present(field, value, to);
        }
    }
}
