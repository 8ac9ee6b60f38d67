//! The words that all forms of a comparison share.

use callgate_analysis::diff::{AccessChange, Answer, Diff, Direction, Level, ServiceChange, Who};

use crate::output::counted;

/// Services that are named before the rest is counted.
const SERVICES: usize = 3;

/// The trust domain that stands for those that nothing names.
const ANY_DOMAIN: &str = "any.example";

/// Whom a change is about, in full.
pub(super) fn who(who: &Who) -> String {
    match who {
        Who::Pattern {
            pattern,
            group,
            alias,
            also,
        } => {
            let also = also.as_ref().map(|other| format!(" that are also {other}"));
            let group = group.as_ref().map(|name| format!(" of {name}"));
            let alias = alias.as_ref().map(|name| format!(", by its alias {name}"));
            pattern.clone()
                + &group.unwrap_or_default()
                + &alias.unwrap_or_default()
                + &also.unwrap_or_default()
        }
        Who::Group { name, members } => {
            format!("{name}, a group of {}", counted(*members, "member"))
        }
        Who::Everyone { trust_domain } if trust_domain == ANY_DOMAIN => {
            "callers of trust domains that no rule names".to_owned()
        }
        Who::Everyone { trust_domain } => format!("every caller of {trust_domain}"),
        Who::Unverified => "callers without a valid identity".to_owned(),
        Who::Forwarded { by, caller } => format!("{} through {by}", self::who(caller)),
    }
}

/// Whether a caller's own identity says no more than that of the witness.
pub(super) fn is_exact(who: &Who) -> bool {
    matches!(who, Who::Pattern { pattern, .. } if !pattern.contains(['*', '{']))
}

pub(super) fn what(access: &AccessChange) -> &str {
    access.what.as_deref().unwrap_or("whatever no rule allows")
}

pub(super) fn answer(answer: &Answer) -> String {
    match (answer.level, &answer.rule) {
        (Level::Allowed, Some(rule)) => format!("allowed ({rule})"),
        (Level::Allowed, None) => "allowed".to_owned(),
        (Level::LetPass, _) => format!("let pass ({}, Shadow)", answer.reason),
        (Level::Refused, _) => format!("refused ({})", answer.reason),
    }
}

/// The rule that a change comes from, in front of its name.
pub(super) fn by(access: &AccessChange) -> &'static str {
    let denies = access.rule.as_ref().is_some_and(|rule| rule.denies);
    let now = access.rule.as_ref().is_some_and(|rule| rule.is_new);
    match (denies, now) {
        (false, true) => "allowed by",
        (false, false) => "was by",
        (true, true) => "denied by",
        (true, false) => "was denied",
    }
}

/// During which time an access changes, if not from now on for good.
pub(super) fn when(access: &AccessChange) -> Option<String> {
    match (access.from, access.until) {
        (None, None) => None,
        (None, Some(until)) => Some(format!("until {until}")),
        (Some(from), None) => Some(format!("from {from} on")),
        (Some(from), Some(until)) => Some(format!("from {from} until {until}")),
    }
}

/// The services that a change is about.
pub(super) fn services(change: &ServiceChange) -> Vec<String> {
    let named: Vec<String> = change
        .services
        .iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    let mut lines: Vec<String> = named.iter().take(SERVICES).cloned().collect();
    if let Some(more) = named.len().checked_sub(SERVICES).filter(|more| *more > 0) {
        lines.push(format!("and {} more", counted(more, "service")));
    }
    if change.services.contains(&None) {
        lines.push("every service that has no policy".to_owned());
    }
    lines
}

/// `2 accesses widen, 1 narrows`.
pub(super) fn summary(diff: &Diff) -> String {
    let count = |direction| {
        let accesses = diff.accesses();
        accesses
            .filter(|access| access.is_certain() && access.direction() == direction)
            .count()
    };
    let number = |n: usize, one: &str, many: &str| match n {
        0 => None,
        1 => Some(format!("1 {one}")),
        n => Some(format!("{n} {many}")),
    };
    let unsure = diff
        .accesses()
        .filter(|access| !access.is_certain())
        .count();
    let parts = [
        number(count(Direction::Widened), "access widens", "accesses widen"),
        number(
            count(Direction::Narrowed),
            "access narrows",
            "accesses narrow",
        ),
        number(unsure, "access may differ", "accesses may differ"),
        number(diff.settings.len(), "setting changes", "settings change"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        "no access changes".to_owned()
    } else {
        parts.join(", ")
    }
}

/// What is told where not everything could be looked at.
pub(super) const INCOMPLETE: &str = "not everything was compared: the sets are too large, or their rules too odd; there may be more";
