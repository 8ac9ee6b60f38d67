//! Changes for people.
//!
//! ```text
//! old → new   as of 2026-11-22T12:00:00Z
//!
//! orders   spiffe://example.org/ns/shop/sa/orders
//!
//!   spiffe://example.org/ns/shop/sa/checkout
//!     + DELETE /orders/{order}
//!         allowed by   checkout-places-orders   new/orders.yaml:14
//!         for example  DELETE /orders/any-order   refused (no-rule) → allowed (checkout-places-orders)
//!
//! 1 access widens
//! ```

use callgate_analysis::diff::{AccessChange, CallerChange, Direction, ServiceChange};
use callgate_policy::Timestamp;

use super::{Shown, words};
use crate::output::printable;

pub(super) fn show(shown: &Shown<'_>, colour: bool) -> String {
    let diff = shown.diff;
    let mut lines = vec![format!(
        "{} → {}   as of {}",
        shown.old, shown.new, shown.at
    )];
    lines.push(String::new());
    for change in &diff.services {
        lines.extend(service(change, shown.at, colour));
    }
    for setting in &diff.settings {
        lines.push(format!(
            "{} {}",
            sign(setting.direction, true, colour),
            printable(&setting.text)
        ));
    }
    if !diff.settings.is_empty() {
        lines.push(String::new());
    }
    lines.push(words::summary(diff));
    if !diff.complete {
        lines.push(words::INCOMPLETE.to_owned());
    }
    lines.join("\n") + "\n"
}

fn service(change: &ServiceChange, now: Timestamp, colour: bool) -> Vec<String> {
    let name = change.policy.as_deref().unwrap_or_default();
    let mut lines = Vec::new();
    for (number, service) in words::services(change).into_iter().enumerate() {
        let name = if number == 0 { name } else { "" };
        let width = change
            .policy
            .as_ref()
            .map_or(0, |name| name.chars().count() + 3);
        let name = format!("{name:width$}");
        lines.push(printable(&format!(
            "{}{service}",
            bold(&name, colour && number == 0)
        )));
    }
    lines.push(String::new());
    for one in &change.callers {
        lines.extend(caller(one, now, colour));
        lines.push(String::new());
    }
    lines
}

fn caller(change: &CallerChange, now: Timestamp, colour: bool) -> Vec<String> {
    let everyone = change.who.len() > 1
        && change
            .who
            .iter()
            .all(|who| matches!(who, callgate_analysis::diff::Who::Everyone { .. }));
    let mut lines = if everyone {
        vec!["  every verified caller".to_owned()]
    } else {
        let names = change.who.iter().map(words::who);
        names
            .map(|name| format!("  {}", printable(&name)))
            .collect()
    };
    let exact = matches!(&*change.who, [who] if words::is_exact(who));
    for access in &change.accesses {
        lines.extend(one(access, exact, now, colour));
    }
    lines
}

fn one(access: &AccessChange, exact: bool, now: Timestamp, colour: bool) -> Vec<String> {
    let sign = sign(Some(access.direction()), access.is_certain(), colour);
    let mut lines = vec![printable_line(&sign, words::what(access))];
    let mut tell = |label: &str, text: &str| {
        lines.push(format!("        {label:11}  {}", printable(text)));
    };
    if let Some(rule) = &access.rule {
        let place = format!("{}   {}:{}", rule.name, rule.file, rule.line);
        tell(words::by(access), &place);
    }
    if !access.except.is_empty() {
        tell("except", &access.except.join("; "));
    }
    if let Some(when) = words::when(access) {
        tell("only", &when);
    }
    for condition in &access.conditions {
        tell("depends on", &format!("when: {condition}"));
    }
    let witness = &access.witness;
    let from = match exact || witness.unverified {
        true => String::new(),
        false => format!("   from {}", witness.point.caller()),
    };
    let at = match witness.at == now {
        true => String::new(),
        false => format!("   at {}", witness.at),
    };
    let headers: String = witness
        .headers
        .iter()
        .map(|(name, value)| format!("   {name}: {value}"))
        .collect();
    let answers = match witness.is_proof {
        true => {
            let (old, new) = (words::answer(&witness.old), words::answer(&witness.new));
            format!("{old} → {new}")
        }
        false => "nothing that was tried shows a difference".to_owned(),
    };
    tell(
        "for example",
        &format!("{}{headers}{from}{at}   {answers}", witness.point),
    );
    lines
}

fn printable_line(sign: &str, what: &str) -> String {
    format!("    {sign} {}", printable(what))
}

/// What goes one way, or may.
fn sign(direction: Option<Direction>, certain: bool, colour: bool) -> String {
    let (sign, code) = match direction {
        _ if !certain => ("~", "33"),
        Some(Direction::Widened) => ("+", "32"),
        Some(Direction::Narrowed) => ("-", "31"),
        None => ("~", "33"),
    };
    if colour {
        format!("\u{1b}[1;{code}m{sign}\u{1b}[0m")
    } else {
        sign.to_owned()
    }
}

fn bold(text: &str, colour: bool) -> String {
    if colour && !text.trim().is_empty() {
        format!("\u{1b}[1m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}
