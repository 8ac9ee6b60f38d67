//! Where Callgate's words mean a little more or less than the other system's.

use super::{
    draft::{Call, Draft, Rule},
    report::{Finding, Kind, Report},
    shape::{End, meet},
};

impl Draft {
    /// Says where Callgate's words mean a little more or less than the other system's.
    pub(super) fn compare(&self, report: &mut Report) {
        let all = || std::iter::once(&self.mesh).chain(self.services.values());
        let get = |call: &&Call| {
            call.methods
                .as_ref()
                .is_some_and(|methods| methods.contains("GET") && !methods.contains("HEAD"))
        };
        let rules = all().flat_map(|rules| rules.allow.iter().chain(&rules.deny));
        let mut with_get = rules.filter(|rule| rule.to.iter().any(|call| get(&call)));
        if let Some(first) = with_get.next() {
            let message =
                "`GET` covers `HEAD` here, in this rule and in others that name `GET` alone";
            let effect = "`HEAD`, which tells nothing that `GET` does not (RFC 9110, section 9.3.2), is \
                          let in and kept out with it";
            report.push(Finding::new(Kind::Head, first.at, message).effect(effect));
        }
        for rule in &self.mesh.deny {
            let allowed = || all().flat_map(|rules| &rules.allow);
            note_trailing_slash(rule, allowed, report);
        }
        for rules in self.services.values() {
            for rule in &rules.deny {
                let allowed = || rules.allow.iter().chain(&self.mesh.allow);
                note_trailing_slash(rule, allowed, report);
            }
        }
    }
}

/// A deny rule takes `/a` and `/a/` for one, which matters where the other is allowed.
fn note_trailing_slash<'r, I: Iterator<Item = &'r Rule>>(
    rule: &Rule,
    allowed: impl Fn() -> I,
    report: &mut Report,
) {
    for call in &rule.to {
        let end = match call.path.end {
            End::Here => End::Slash,
            End::Slash if call.path.segments.is_empty() => continue,
            End::Slash => End::Here,
            End::More => continue,
        };
        let twin = Call {
            path: call.path.clone().ending(end),
            ..call.clone()
        };
        let denied = rule.to.iter().any(|other| other.covers(&twin));
        let meets = |other: &Rule| {
            let callers = match (&rule.from, &other.from) {
                (Some(these), Some(those)) => !meet(these, those).is_empty(),
                _ => true,
            };
            callers && other.to.iter().any(|call| call.meets(&twin))
        };
        if !denied && allowed().any(meets) {
            let (path, twin) = (&call.path, &twin.path);
            let message = format!("a deny rule on `{path}` keeps out `{twin}` as well");
            let effect = "stricter than before: most frameworks serve both alike, so Callgate's deny rules ignore one trailing slash";
            report.push(Finding::new(Kind::TrailingSlash, rule.at, message).effect(effect));
        }
    }
}
