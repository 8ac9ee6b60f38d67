//! The answer for a program, with the fields that a decision record has.

use callgate_analysis::trial::{Level, Outcome, Side, Trial};
use callgate_policy::{Decision, Location, NearestMiss, Verdict};
use serde::Serialize;

use super::explanation::Explanation;

pub(super) fn show(told: &Explanation<'_>) -> serde_json::Result<String> {
    Ok(serde_json::to_string(&Answer::of(told))? + "\n")
}

/// The answer, as records have it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer<'a> {
    verdict: &'static str,
    reason: &'static str,
    rule: Option<&'a str>,
    policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revocation: Option<&'a str>,
    nearest_miss: Option<Miss<'a>>,
    /// Every rule about the service, where that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<Vec<Rule<'a>>>,
}

impl<'a> Answer<'a> {
    fn of(told: &'a Explanation<'a>) -> Self {
        let trials = told.all.as_ref();
        Self {
            revocation: told.parties.revoked.map(|one| one.name.as_str()),
            rules: trials.map(|all| all.iter().map(Rule::of).collect()),
            ..Self::of_decision(&told.decision)
        }
    }

    /// Of a decision alone.
    pub(crate) fn of_decision(decision: &'a Decision<'a>) -> Self {
        Self {
            verdict: verdict(decision.verdict),
            reason: decision.reason.as_str(),
            rule: decision.rule.map(|rule| rule.name),
            policy: decision.rule.map(|rule| location(rule.location)),
            revocation: None,
            nearest_miss: decision.nearest_miss.as_deref().map(Miss::from),
            rules: None,
        }
    }
}

pub(crate) const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "Allow",
        Verdict::Deny => "Deny",
    }
}

/// How one rule fared. Of one that does not match, the first clause that failed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule<'a> {
    rule: &'a str,
    policy: String,
    /// `mesh` or `service`.
    level: &'static str,
    /// `allow` or `deny`.
    side: &'static str,
    /// `matches`, `expired` or `misses`.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lacks: Option<Lack<'a>>,
}

#[derive(Serialize)]
struct Lack<'a> {
    policy: String,
    clause: &'static str,
    expected: &'a str,
    actual: &'a str,
}

impl<'a> Rule<'a> {
    fn of(trial: &'a Trial<'a>) -> Self {
        let placed = trial.placed;
        let failed = trial.told.as_ref().and_then(|told| {
            let (clause, line) = told.failed?;
            let mut checks = told.story.checks.iter();
            let check = checks.find(|check| check.clause == clause && !check.passed)?;
            Some(Lack {
                policy: format!("{}:{line}", placed.file),
                clause: clause.as_str(),
                expected: &check.expected,
                actual: &check.actual,
            })
        });
        Self {
            rule: &placed.rule.name,
            policy: format!("{}:{}", placed.file, placed.rule.line),
            level: match placed.level {
                Level::Mesh => "mesh",
                Level::Service => "service",
            },
            side: match placed.side {
                Side::Allow => "allow",
                Side::Deny => "deny",
            },
            outcome: match trial.outcome {
                Outcome::Matches => "matches",
                Outcome::Expired => "expired",
                Outcome::Misses => "misses",
            },
            lacks: failed,
        }
    }
}

#[derive(Serialize)]
struct Miss<'a> {
    rule: &'a str,
    policy: String,
    clause: &'static str,
    expected: &'a str,
    actual: &'a str,
}

impl<'a> From<&'a NearestMiss<'a>> for Miss<'a> {
    fn from(miss: &'a NearestMiss<'a>) -> Self {
        Self {
            rule: miss.rule.name,
            policy: location(miss.location),
            clause: miss.clause.as_str(),
            expected: &miss.expected,
            actual: &miss.actual,
        }
    }
}

fn location(location: Location<'_>) -> String {
    location.to_string()
}
