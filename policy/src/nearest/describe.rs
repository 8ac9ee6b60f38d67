//! A miss in words.

use super::{Miss, Probe, suggest};
use crate::{
    Clause, ClauseCheck, Entry, Location, NearestMiss, PathOptions, Request,
    pattern::{Bindings, Verb},
    policy_set::Document,
    table::{Found, FromEntry, RuleTable},
};

/// Entries of `from` that are told when none stands for the caller.
const ENTRIES_TOLD: usize = 5;

/// Characters of a header that are told; it is the caller's text, of any length.
const HEADER_TOLD: usize = 64;

/// Where a miss happened, and with what.
pub(crate) struct Scene<'p, 'c> {
    pub(crate) table: &'p RuleTable,
    pub(crate) document: &'p Document,
    pub(crate) options: PathOptions,
    pub(crate) request: &'c Request<'c>,
    pub(crate) probe: Probe<'c>,
}

/// Tells which clauses hold and which fails; `None` if all of them hold.
pub(crate) fn describe<'p>(miss: &Miss<'p>, scene: &Scene<'p, '_>) -> Option<NearestMiss<'p>> {
    let mut bindings = Bindings::default();
    let caller = scene.probe.call.caller;
    if miss.found == Some(Found::ByPattern) {
        miss.from.bind(caller, &mut bindings);
    }
    let mut checks = vec![from(miss, scene), method(miss, scene), path(miss, scene)];
    checks.extend(captures(miss, scene, &mut bindings));
    checks.extend(exception(miss, scene));
    let failed = checks.iter().find(|check| !check.passed)?;
    let entry = |line, text| Entry {
        location: Location {
            file: &scene.document.file,
            line,
        },
        text,
    };
    let from = entry(miss.from.line, &*miss.from.text);
    let to = entry(miss.to.line, &*miss.to.text);
    let location = match failed.clause {
        Clause::From => from.location,
        Clause::Exception => Location {
            line: miss.rule.exception.map_or(miss.rule.line, |e| e.line),
            ..from.location
        },
        Clause::Method | Clause::Path | Clause::Captures | Clause::When => to.location,
    };
    Some(NearestMiss {
        rule: scene.document.rule_ref(miss.rule),
        clause: failed.clause,
        location,
        expected: failed.expected.clone(),
        actual: failed.actual.clone(),
        from,
        to,
        addition: suggest::addition(miss, scene, &checks),
        captures: bindings
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        checks,
    })
}

fn from(miss: &Miss<'_>, scene: &Scene<'_, '_>) -> ClauseCheck {
    let passed = miss.found.is_some();
    let expected = if passed {
        miss.from.in_full()
    } else {
        let entries = scene.table.entries_of(miss.rule);
        let told = entries.iter().take(ENTRIES_TOLD);
        let told: Vec<String> = told.map(FromEntry::in_full).collect();
        match entries.len().saturating_sub(ENTRIES_TOLD) {
            0 => told.join(", "),
            more => format!("{} and {more} more", told.join(", ")),
        }
    };
    ClauseCheck {
        clause: Clause::From,
        passed,
        expected,
        actual: scene.probe.call.caller.to_string(),
    }
}

fn method(miss: &Miss<'_>, scene: &Scene<'_, '_>) -> ClauseCheck {
    let verb = &miss.to.operation.verb;
    ClauseCheck {
        clause: Clause::Method,
        passed: verb.admits(scene.probe.call),
        expected: miss.to.words().0.to_owned(),
        actual: seen_method(verb, scene.request),
    }
}

/// The method, with the header that matters to `verb`.
fn seen_method(verb: &Verb, request: &Request<'_>) -> String {
    let method = request.method;
    match (request.upgrade, verb, request.content_type) {
        (Some(upgrade), ..) => format!("{method} with `upgrade: {}`", told(upgrade)),
        (None, Verb::WebSocket, _) => format!("{method} without `upgrade`"),
        (None, Verb::Grpc, Some(kind)) => format!("{method} with content type `{}`", told(kind)),
        (None, Verb::Grpc, None) => format!("{method} without a content type"),
        (None, Verb::Any | Verb::Methods(_), _) => method.to_owned(),
    }
}

/// A caller's text, fit for a terminal and for a record.
fn told(header: &str) -> String {
    let mut told: String = header
        .chars()
        .take(HEADER_TOLD)
        .flat_map(char::escape_debug)
        .collect();
    if header.chars().nth(HEADER_TOLD).is_some() {
        told.push('…');
    }
    told
}

fn path(miss: &Miss<'_>, scene: &Scene<'_, '_>) -> ClauseCheck {
    let Probe { call, slash, .. } = scene.probe;
    ClauseCheck {
        clause: Clause::Path,
        passed: miss.to.operation.path.fits(call.path, slash),
        expected: miss.to.words().1.to_owned(),
        actual: scene.probe.call.path.to_string(),
    }
}

/// Checks what the path captures against what the caller does, which `bindings`
/// holds, and adds it. There is nothing to check where either does not fit.
fn captures<'v>(
    miss: &'v Miss<'_>,
    scene: &Scene<'_, 'v>,
    bindings: &mut Bindings<'v>,
) -> Option<ClauseCheck> {
    let path = scene.probe.call.path;
    let pattern = &miss.to.operation.path;
    if !pattern.fits(path, scene.probe.slash) {
        return None;
    }
    let check = |passed, name: &str, wanted: &str, seen: &str| ClauseCheck {
        clause: Clause::Captures,
        passed,
        expected: format!("{name}={wanted}"),
        actual: format!("{name}={seen}"),
    };
    let from_caller = miss.found.is_some() && miss.from.captures();
    let mut last = None;
    for (name, value) in pattern.values(path) {
        let wanted = bindings.value(name);
        if !bindings.bind(name, value) {
            return Some(check(false, name, wanted.unwrap_or_default(), value));
        }
        if from_caller && wanted.is_some() {
            last = Some(check(true, name, value, value));
        }
    }
    last
}

fn exception(miss: &Miss<'_>, scene: &Scene<'_, '_>) -> Option<ClauseCheck> {
    let exception = miss.rule.exception?;
    Some(ClauseCheck {
        clause: Clause::Exception,
        passed: !miss.rule.has_expired(scene.probe.now),
        expected: format!("before {}", exception.expires),
        actual: scene.probe.now.to_string(),
    })
}
