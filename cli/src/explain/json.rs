//! The answer for a program, with the fields that a decision record has.

use callgate_policy::{Decision, Location, NearestMiss, Verdict, document::Revocation};
use serde::Serialize;

pub(super) fn show(
    decision: &Decision<'_>,
    revoked: Option<&Revocation>,
) -> serde_json::Result<String> {
    let answer = Answer {
        verdict: match decision.verdict {
            Verdict::Allow => "Allow",
            Verdict::Deny => "Deny",
        },
        reason: decision.reason.as_str(),
        rule: decision.rule.map(|rule| rule.name),
        policy: decision.rule.map(|rule| location(rule.location)),
        revocation: revoked.map(|one| one.name.as_str()),
        nearest_miss: decision.nearest_miss.as_ref().map(Miss::from),
    };
    Ok(serde_json::to_string(&answer)? + "\n")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    verdict: &'static str,
    reason: &'static str,
    rule: Option<&'a str>,
    policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revocation: Option<&'a str>,
    nearest_miss: Option<Miss<'a>>,
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
