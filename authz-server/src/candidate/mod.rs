//! A second set of policies, tried beside the one that decides: every request is decided by
//! both, one answers, and where they differ is counted and now and then recorded.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use callgate_policy::{Decision, Reason, RuleRef, SpiffeId, Timestamp};
use foldhash::fast::FixedState;
use prometheus_client::metrics::{counter::Counter, family::Family};

/// Pairs of a caller and a rule that have series of their own. Prometheus keeps each series
/// that it ever saw; who has more differences than these reads the log or replays it.
const MOST_SERIES: usize = 1_000;

/// Between two records that tell the same difference: often enough to see it, and a
/// candidate that refuses everything does not double the log.
const SAMPLE_MILLIS: i64 = 60_000;

/// What stands for the caller and the rule of all further differences.
const OTHERS: &str = "others";

/// Differences between the two sets, counted.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    counts: Family<Labels, Counter>,
    sampled: Mutex<HashMap<Labels, Timestamp, FixedState>>,
}

type Labels = [(&'static str, String); 4];

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Allowed,
    /// Refused by the rules, let pass by Shadow.
    Shadowed,
    Refused,
}

impl Effect {
    const fn of(decision: &Decision<'_>) -> Self {
        match (decision.reason, decision.enforced) {
            (Reason::Allow, _) => Self::Allowed,
            (_, false) => Self::Shadowed,
            (_, true) => Self::Refused,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "Allow",
            Self::Shadowed => "Shadow",
            Self::Refused => "Deny",
        }
    }
}

impl Differences {
    /// The counter, for the metrics.
    pub(crate) fn counts(&self) -> Family<Labels, Counter> {
        self.counts.clone()
    }

    /// Counts a difference; true if the record of this request is to tell it. A request
    /// on which both agree costs nothing.
    pub(crate) fn note(
        &self,
        caller: Option<&SpiffeId>,
        enforced: &Decision<'_>,
        candidate: &Decision<'_>,
        now: Timestamp,
    ) -> bool {
        let effects = (Effect::of(enforced), Effect::of(candidate));
        if effects.0 == effects.1 {
            return false;
        }
        let labels = |caller: &str, rule: &str| {
            [
                ("caller", caller.to_owned()),
                ("rule", rule.to_owned()),
                ("enforced", effects.0.as_str().to_owned()),
                ("candidate", effects.1.as_str().to_owned()),
            ]
        };
        let rule = telling(enforced, candidate).map(name).unwrap_or_default();
        let labels = labels(caller.map_or("", SpiffeId::as_str), &rule);
        let mut sampled = self.sampled.lock().unwrap_or_else(PoisonError::into_inner);
        let [_, _, from, to] = &labels;
        let labels = if sampled.contains_key(&labels) || sampled.len() < MOST_SERIES {
            labels
        } else {
            let others = OTHERS.to_owned();
            [
                ("caller", others.clone()),
                ("rule", others),
                from.clone(),
                to.clone(),
            ]
        };
        self.counts.get_or_create(&labels).inc();
        let due =
            |last: &Timestamp| now.as_millis().saturating_sub(last.as_millis()) >= SAMPLE_MILLIS;
        let is_due = sampled.get(&labels).is_none_or(due);
        if is_due {
            sampled.insert(labels, now);
        }
        is_due
    }
}

/// The rule that makes the difference: the candidate's, or else the one that it has not.
fn telling<'d>(enforced: &'d Decision<'_>, candidate: &'d Decision<'_>) -> Option<RuleRef<'d>> {
    candidate.rule.or(enforced.rule)
}

fn name(rule: RuleRef<'_>) -> String {
    format!("{}/{}", rule.policy, rule.name)
}

#[cfg(test)]
mod tests;
