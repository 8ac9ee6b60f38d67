//! The answer for people, who may be tired.
//!
//! ```text
//! DENIED no-rule   spiffe://example.org/ns/shop/sa/checkout → …/sa/orders   DELETE /orders/7
//! No rule allows this. `checkout-places-orders` lets this caller have this path, but by GET, not by DELETE.
//! nearest: checkout-places-orders
//!   orders.yaml:11   from: [/ns/shop/sa/checkout]   ok
//!   orders.yaml:14   - GET /orders/{order}          path ok (order=7); method wants GET, saw DELETE
//! to allow exactly this, add:   - DELETE /orders/{order}
//!
//!   orders.yaml
//!     10 |     - name: checkout-places-orders
//!   > 14 |         - GET /orders/{order}
//!   +    |         - DELETE /orders/{order}
//!
//! ask: team-orders   #team-orders
//! …/sa/orders is spiffe://example.org/ns/shop/sa/orders
//! ```

mod excerpt;
mod nearest;
mod rules;
mod story;

use callgate_analysis::names::ShortNames;
use callgate_policy::{Reason, SpiffeId, Verdict, document::Revocation};

use super::explanation::{Explainer, Explanation};

/// Everything there is to tell.
pub(crate) fn show(explainer: &Explainer<'_>, told: &Explanation<'_>, colour: bool) -> String {
    let names = &explainer.names;
    let mut lines = vec![headline(names, told, colour), story::sentence(told)];
    lines.extend(facts(told));
    lines.extend(nearest::lines(told));
    let excerpt = excerpt::lines(explainer, told, colour);
    if !excerpt.is_empty() {
        lines.push(String::new());
        lines.extend(excerpt);
    }
    if let Some(all) = &told.all {
        lines.push(String::new());
        lines.extend(rules::lines(names, told, all));
    }
    let footer: Vec<String> = ask(told).into_iter().chain(legend(names, told)).collect();
    if !footer.is_empty() {
        lines.push(String::new());
        lines.extend(footer);
    }
    lines.join("\n") + "\n"
}

/// Verdict, reason, who, whom, what. The caller is told in full: it is the one that
/// nobody may take for another.
pub(crate) fn headline(names: &ShortNames, told: &Explanation<'_>, colour: bool) -> String {
    let (word, code) = match told.decision.verdict {
        Verdict::Allow => ("ALLOWED", "1;32"),
        Verdict::Deny => ("DENIED", "1;31"),
    };
    let word = painted(word, code, colour);
    let reason = match told.decision.reason {
        Reason::Allow => String::new(),
        reason => format!(" {reason}"),
    };
    let from = told
        .parties
        .from
        .map_or("an unknown caller", SpiffeId::as_str);
    let by = told.parties.forwarder.map(|id| names.short(id));
    let by = by.map_or_else(String::new, |forwarder| format!("{forwarder} → "));
    let to = told.to.map_or_else(
        || "a service without a SPIFFE ID".to_owned(),
        |id| names.short(id),
    );
    let call = &told.call;
    format!("{word}{reason}   {from} → {by}{to}   {call}")
}

/// What is known besides the rules that came near.
fn facts(told: &Explanation<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    if told.is_let_pass() {
        lines.push("shadow: recorded, but let pass".to_owned());
    }
    if let Some(revocation) = told.parties.revoked {
        let Revocation {
            name, file, line, ..
        } = revocation;
        lines.push(format!("revoked: {name}   {file}:{line}"));
        lines.extend(revocation.reason.lines().map(|line| format!("  {line}")));
    }
    if told.decision.reason == Reason::IdentityUntrusted {
        lines.extend(untrusted(told));
    }
    if let Some(rule) = told.decision.rule {
        lines.push(format!("rule: {}   {}", rule.name, rule.location));
    }
    for error in &told.decision.condition_errors {
        let rule = error.rule;
        lines.push(format!(
            "the condition of {} has no result: {}   {}",
            rule.name, error.fault, rule.location
        ));
    }
    if let Some(shadow) = told.decision.shadow {
        let would = match shadow.verdict {
            Verdict::Allow => "would allow",
            Verdict::Deny => "would refuse",
        };
        let rule = shadow.rule;
        lines.push(format!(
            "shadow: {} {would} this, were it live   {}",
            rule.name, rule.location
        ));
    }
    if let Some(ambiguity) = told.decision.ambiguity {
        lines.push(ambiguity.to_string());
    }
    if told.decision.reason == Reason::NoPolicy
        && let Some(to) = told.to
    {
        lines.push(format!("no ServicePolicy has {to} among its services"));
    }
    lines
}

/// What the documents have against an identity that is verified.
fn untrusted(told: &Explanation<'_>) -> Option<String> {
    let from = told.parties.from?;
    Some(match told.parties.forwarder {
        Some(forwarder) => {
            format!("`mayAssert` of {forwarder} or `acceptedTrustDomains` leaves out {from}")
        }
        None => format!("`acceptedTrustDomains` leaves out {from}"),
    })
}

/// Whose word it is, for who was refused.
fn ask(told: &Explanation<'_>) -> Option<String> {
    let decision = &told.decision;
    if decision.verdict == Verdict::Allow {
        return None;
    }
    let owner = decision.owner?;
    let help = decision.help.map_or_else(String::new, |help| {
        // One line of it: it may be a paragraph.
        format!("   {}", help.lines().next().unwrap_or_default())
    });
    Some(format!("ask: {owner}{help}"))
}

/// What short names stand for.
fn legend(names: &ShortNames, told: &Explanation<'_>) -> Vec<String> {
    let shortened = told.to.into_iter().chain(told.parties.forwarder);
    let mut lines = Vec::new();
    for id in shortened {
        let short = names.short(id);
        if short != id.as_str() {
            lines.push(format!("{short} is {id}"));
        }
    }
    lines
}

pub(crate) fn painted(text: &str, code: &str, colour: bool) -> String {
    if colour {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}
