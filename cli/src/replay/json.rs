//! What changes, for programs.

use callgate_analysis::replay::{Changed, Now, Outcome, Sample, Was};
use serde_json::{Value, json};

use super::Shown;

pub(super) fn show(shown: &Shown<'_>) -> serde_json::Result<String> {
    let replayed = shown.replayed;
    let logs: Vec<String> = (0..shown.logs.len()).map(|log| shown.log(log)).collect();
    let counts = replayed.counts.iter();
    let counts = counts.map(|(change, count)| (change.as_str().to_owned(), json!(count)));
    let changes = replayed.changes.iter();
    let changes = changes.filter(|changed| shown.tells(changed.change.direction()));
    let undecided = replayed.undecided.iter();
    let (from, to) = replayed.span.unzip();
    let odd = &replayed.odd;
    let text = serde_json::to_string_pretty(&json!({
        "logs": logs,
        "policies": shown.policies.display().to_string(),
        "records": replayed.records,
        "outside": replayed.outside,
        "leased": replayed.leased,
        "rechecks": replayed.rechecks,
        "from": from.map(|time| time.to_string()),
        "to": to.map(|time| time.to_string()),
        "unchanged": replayed.unchanged,
        "otherReason": replayed.other_reason,
        "changed": shown.changed(),
        "undecided": replayed.undecided(),
        "counts": counts.collect::<serde_json::Map<_, _>>(),
        "changes": changes.map(|one| changed(shown, one)).collect::<Vec<_>>(),
        "beyond": replayed.beyond,
        "notDecided": undecided
            .map(|(why, (count, first))| json!({
                "why": why.to_string(),
                "count": count,
                "sample": sample(shown, first),
            }))
            .collect::<Vec<_>>(),
        "oddLines": {
            "foreign": odd.foreign,
            "torn": odd.torn,
            "first": odd.first.as_ref().map(|(line, why)| json!({
                "log": shown.log(replayed.first_odd_log),
                "line": line,
                "why": why.to_string(),
            })),
        },
    }))?;
    Ok(text + "\n")
}

fn changed(shown: &Shown<'_>, changed: &Changed) -> Value {
    json!({
        "change": changed.change.as_str(),
        "direction": changed.change.direction().as_str(),
        "count": changed.count,
        "source": changed.parties.source,
        "forwarder": changed.parties.forwarder,
        "destination": changed.parties.destination,
        "was": was(&changed.was),
        "now": now(&changed.now, &changed.sample),
        "sample": sample(shown, &changed.sample),
    })
}

fn was(was: &Was) -> Value {
    json!({
        "verdict": verdict(was.outcome),
        "enforced": was.outcome != Outcome::LetPass,
        "reason": was.reason.as_str(),
        "rule": was.rule,
        "policy": was.policy,
    })
}

fn now(now: &Now, sample: &Sample) -> Value {
    let wants = sample.wants.as_ref();
    let nearest = now.nearest.as_ref().zip(wants);
    json!({
        "verdict": verdict(now.outcome),
        "enforced": now.outcome != Outcome::LetPass,
        "reason": now.reason.as_str(),
        "rule": now.rule,
        "policy": now.policy,
        "nearestMiss": nearest.map(|((rule, policy, clause), (expected, actual))| json!({
            "rule": rule,
            "policy": policy,
            "clause": clause,
            "expected": expected,
            "actual": actual,
        })),
    })
}

const fn verdict(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Allowed => "Allow",
        Outcome::LetPass | Outcome::Refused => "Deny",
    }
}

fn sample(shown: &Shown<'_>, sample: &Sample) -> Value {
    json!({
        "log": shown.log(sample.log),
        "line": sample.line,
        "time": sample.time.to_string(),
        "id": sample.id,
        "method": sample.method,
        "path": sample.path,
    })
}
