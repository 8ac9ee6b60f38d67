//! Permissions: an ordered list, of which the first that fits decides.
//!
//! Here deny rules come before all others. So a permission that denies becomes one only if
//! nothing before it allows some of the same calls.

use std::collections::BTreeSet;

use crate::import::{
    document::Span,
    draft::{Action, Call, Draft, Rule, Target},
    formula::Formula,
    grouping::{calls, joined},
    report::{Finding, Kind, Report},
};

use super::intentions::Intention;

/// One permission.
#[derive(Clone, Debug)]
pub(super) struct Permission {
    pub(super) at: Span,
    pub(super) action: Action,
    pub(super) formula: Formula,
}

/// Which calls a permission is about, or why that cannot be said.
struct Said<'p> {
    permission: &'p Permission,
    calls: Vec<Call>,
    gaps: Vec<Finding>,
    /// A later one relies on this one to deny.
    is_needed: bool,
}

/// Adds the rules of `list` for the source of `intention`. `may_deny` tells whether deny
/// rules would be for that source at that destination alone.
pub(super) fn add(
    intention: &Intention<'_>,
    list: &[Permission],
    may_deny: bool,
    target: &Target,
    draft: &mut Draft,
    report: &mut Report,
) {
    let mut said: Vec<Said<'_>> = list.iter().map(say).collect();
    let mut allowed = Vec::new();
    for at in 0..said.len() {
        let (before, rest) = said.split_at_mut(at);
        let Some(one) = rest.first_mut() else {
            continue;
        };
        if one.permission.action == Action::Deny {
            continue;
        }
        for gap in one.gaps.drain(..) {
            draft.gap(gap, Action::Allow, target, report);
        }
        match obstacle(before, one, may_deny) {
            Some(finding) => draft.gap(finding, Action::Allow, target, report),
            None => allowed.extend(one.calls.iter().cloned()),
        }
    }
    let denied = said.into_iter().filter(|one| one.is_needed);
    let denied: Vec<Call> = denied.flat_map(|one| one.calls).collect();
    for (action, calls) in [(Action::Allow, allowed), (Action::Deny, denied)] {
        if calls.is_empty() {
            continue;
        }
        let rule = Rule {
            name: intention.name.clone(),
            at: intention.at,
            from: Some(vec![intention.source.clone()]),
            to: joined(calls),
            when: None,
        };
        draft.add(target, action, vec![rule]);
    }
}

fn say(permission: &Permission) -> Said<'_> {
    let (cases, gaps) = permission.formula.cases(permission.at);
    Said {
        permission,
        calls: cases.iter().flat_map(calls).collect(),
        gaps,
        is_needed: false,
    }
}

/// What keeps a permission that allows from being a rule; marks the denials that it needs.
fn obstacle(before: &mut [Said<'_>], one: &Said<'_>, may_deny: bool) -> Option<Finding> {
    for at in 0..before.len() {
        let (earlier, rest) = before.split_at_mut(at);
        let Some(denial) = rest.first_mut() else {
            continue;
        };
        if denial.permission.action == Action::Allow {
            continue;
        }
        if let Some(gap) = denial.gaps.first() {
            let finding = gap.clone();
            let effect =
                "the permissions after it are left out: it may keep out some of what they let in";
            return Some(finding.effect(effect));
        }
        if !meet(&denial.calls, &one.calls) {
            continue;
        }
        let allowed = earlier
            .iter()
            .filter(|other| other.permission.action == Action::Allow);
        let mut allowed =
            allowed.filter(|other| meet(&denial.calls, &other.calls) || !other.gaps.is_empty());
        if !may_deny || allowed.next().is_some() {
            let message = "a permission before this one keeps out some of it, which a deny rule cannot say here";
            let finding = Finding::new(Kind::Precedence, one.permission.at, message);
            let instead =
                "name what is let in so that no permission that denies has to come before it";
            return Some(finding.instead(instead));
        }
        denial.is_needed = true;
    }
    None
}

/// Whether some call is among both, as rules have it: `GET` covers `HEAD`.
fn meet(these: &[Call], those: &[Call]) -> bool {
    let with_head = |call: &Call| {
        let mut call = call.clone();
        if let Some(methods) = call
            .methods
            .as_mut()
            .filter(|methods| methods.contains("GET"))
        {
            methods.extend(BTreeSet::from(["HEAD".to_owned()]));
        }
        call
    };
    these.iter().any(|this| {
        those
            .iter()
            .any(|that| with_head(this).meets(&with_head(that)))
    })
}
