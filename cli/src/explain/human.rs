//! The answer for people.
//!
//! ```text
//! DENIED no-rule   spiffe://example.org/… → spiffe://example.org/…   DELETE /orders/7
//! nearest: checkout-places-orders
//!   orders.yaml:11   from: [/ns/shop/sa/checkout]   ok
//!   orders.yaml:14   - GET /orders/{order}          path ok (order=7); method wants GET, saw DELETE
//! to allow exactly this, add:   - DELETE /orders/{order}
//! ```

use callgate_policy::{
    Addition, Clause, ClauseCheck, Decision, Location, MissStory, NearestMiss, Reason, Verdict,
    document::Revocation,
};

use super::{Asked, is_let_pass};

pub(super) fn show(
    asked: &Asked<'_>,
    decision: &Decision<'_>,
    story: Option<&MissStory>,
    colour: bool,
) -> String {
    let (word, code) = match decision.verdict {
        Verdict::Allow => ("ALLOWED", "32"),
        Verdict::Deny => ("DENIED", "31"),
    };
    let word = if colour {
        format!("\u{1b}[1;{code}m{word}\u{1b}[0m")
    } else {
        word.to_owned()
    };
    let reason = match decision.reason {
        Reason::Allow => String::new(),
        reason => format!(" {reason}"),
    };
    let Asked {
        from,
        forwarder,
        to,
        call,
        ..
    } = asked;
    let by = forwarder.map_or_else(String::new, |forwarder| format!("{forwarder} → "));
    let mut text = format!("{word}{reason}   {from} → {by}{to}   {call}\n");
    for line in because(asked, decision, story) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn because(asked: &Asked<'_>, decision: &Decision<'_>, story: Option<&MissStory>) -> Vec<String> {
    let mut lines = Vec::new();
    if is_let_pass(decision) {
        lines.push("shadow: recorded, but let pass".to_owned());
    }
    if let Some(revocation) = asked.revoked {
        let Revocation {
            name, file, line, ..
        } = revocation;
        lines.push(format!("revoked: {name}   {file}:{line}"));
        lines.extend(revocation.reason.lines().map(|line| format!("  {line}")));
    }
    if decision.reason == Reason::IdentityUntrusted {
        lines.push(untrusted(asked));
    }
    if let Some(rule) = decision.rule {
        lines.push(format!("rule: {}   {}", rule.name, rule.location));
    }
    if let Some(ambiguity) = decision.ambiguity {
        lines.push(ambiguity.to_string());
    }
    if decision.reason == Reason::NoPolicy {
        lines.push(format!(
            "no ServicePolicy has {} among its services",
            asked.to
        ));
    }
    match decision.nearest_miss.as_ref().zip(story) {
        Some((miss, story)) => lines.extend(nearest(miss, story)),
        None if decision.reason == Reason::NoRule => {
            lines.push("its policy allows nothing that comes near".to_owned());
        }
        None => {}
    }
    lines
}

/// What the documents have against an identity that is verified.
fn untrusted(asked: &Asked<'_>) -> String {
    match asked.forwarder {
        Some(forwarder) => format!(
            "`mayAssert` of {forwarder} or `acceptedTrustDomains` leaves out {}",
            asked.from
        ),
        None => format!("`acceptedTrustDomains` leaves out {}", asked.from),
    }
}

fn nearest(miss: &NearestMiss<'_>, story: &MissStory) -> Vec<String> {
    let checks = |clauses: &[Clause]| -> String { told(story, clauses) };
    let mut rows = vec![
        (
            miss.from.location,
            format!("from: [{}]", miss.from.text),
            checks(&[Clause::From]),
        ),
        (
            miss.to.location,
            format!("- {}", miss.to.text),
            checks(&[Clause::Method, Clause::Path, Clause::Captures, Clause::When]),
        ),
    ];
    if miss.clause == Clause::Exception {
        rows.push((
            miss.location,
            "expires".to_owned(),
            checks(&[Clause::Exception]),
        ));
    }
    let mut lines = vec![format!("nearest: {}", miss.rule.name)];
    lines.extend(table(&rows));
    lines.extend(story.addition.as_ref().map(|addition| match addition {
        Addition::To(line) => format!("to allow exactly this, add:   - {line}"),
        Addition::From(line) => {
            format!("to give this caller all that the rule allows, add to `from`:   - {line}")
        }
    }));
    lines
}

/// Rows in columns.
fn table(rows: &[(Location<'_>, String, String)]) -> Vec<String> {
    let places: Vec<String> = rows.iter().map(|(place, ..)| place.to_string()).collect();
    let width = |texts: &mut dyn Iterator<Item = &String>| {
        texts.map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let first = width(&mut places.iter());
    let second = width(&mut rows.iter().map(|(_, text, _)| text));
    let rows = places.iter().zip(rows);
    rows.map(|(place, (_, text, told))| format!("  {place:first$}   {text:second$}   {told}"))
        .collect()
}

/// How some clauses fared: `path ok (order=7); method wants GET, saw DELETE`.
fn told(story: &MissStory, clauses: &[Clause]) -> String {
    let checks = story
        .checks
        .iter()
        .filter(|check| clauses.contains(&check.clause));
    let (passed, failed): (Vec<_>, Vec<_>) = checks.partition(|check| check.passed);
    if failed.is_empty() && clauses == [Clause::From] {
        return "ok".to_owned();
    }
    let passed = passed.into_iter().filter_map(|check| ok(check, story));
    passed
        .chain(failed.into_iter().map(wants))
        .collect::<Vec<_>>()
        .join("; ")
}

fn ok(check: &ClauseCheck, story: &MissStory) -> Option<String> {
    match check.clause {
        // That captures agree is told by their values.
        Clause::Captures => None,
        // Where they differ, only one side's are known here.
        Clause::Path if !story.captures.is_empty() && !differ(story) => {
            let values: Vec<String> = story
                .captures
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            Some(format!("path ok ({})", values.join(", ")))
        }
        clause => Some(format!("{clause} ok")),
    }
}

/// Whether captures stand for different texts.
fn differ(story: &MissStory) -> bool {
    let mut failed = story.checks.iter().filter(|check| !check.passed);
    failed.any(|check| check.clause == Clause::Captures)
}

fn wants(check: &ClauseCheck) -> String {
    let ClauseCheck {
        clause,
        expected,
        actual,
        ..
    } = check;
    match clause {
        Clause::From => format!("wants {expected}, saw {actual}"),
        Clause::Captures => format!("{clause} want {expected}, saw {actual}"),
        Clause::Exception => format!("held {expected}, it is {actual}"),
        Clause::Method | Clause::Path | Clause::When => {
            format!("{clause} wants {expected}, saw {actual}")
        }
    }
}
