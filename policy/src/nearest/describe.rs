//! A miss in words.

use super::{Miss, Probe, suggest};
use crate::{
    Clause, ClauseCheck, Entry, Location, MissStory, NearestMiss, PathOptions, Request, SpiffeId,
    Timestamp,
    call::{self, Call},
    condition::{Account, Notes},
    pattern::{Bindings, Verb},
    policy_set::Document,
    request::Caller,
    table::{Found, FromEntry, RuleTable},
};

/// Entries of `from` that are told when none stands for the caller.
const ENTRIES_TOLD: usize = 5;

/// Characters of a header that are told; it is the caller's text, of any length.
const HEADER_TOLD: usize = 64;

/// What a miss is about: where its rule stands, and how paths are read there.
#[derive(Clone, Debug)]
pub(crate) struct Origin<'p> {
    pub(crate) miss: Miss<'p>,
    pub(crate) table: &'p RuleTable,
    pub(crate) options: PathOptions,
    /// The name under which the caller came closest, if not its own.
    pub(crate) alias: Option<SpiffeId>,
}

/// A miss, and the request that missed.
#[derive(Clone, Copy)]
pub(super) struct Scene<'p, 'c> {
    pub(super) origin: &'c Origin<'p>,
    pub(super) request: &'c Request<'c>,
    pub(super) probe: Probe<'c>,
}

/// Tells which clause fails first; `None` if all of them hold. Every refusal pays for
/// this, so it writes no word that a record does not need.
pub(crate) fn describe<'p>(
    origin: Origin<'p>,
    document: &'p Document,
    request: &Request<'_>,
    probe: Probe<'_>,
) -> Option<NearestMiss<'p>> {
    let miss = &origin.miss;
    let scene = Scene {
        origin: &origin,
        request,
        probe,
    };
    let failed = first_failed(&scene)?;
    let at = |line| Location {
        file: &document.file,
        line,
    };
    let line = match failed.clause {
        Clause::From => miss.from.line,
        Clause::Exception => miss.rule.exception.map_or(miss.rule.line, |e| e.line),
        Clause::When => miss
            .rule
            .when
            .as_ref()
            .map_or(miss.rule.line, |when| when.line),
        Clause::Method | Clause::Path | Clause::Captures => miss.to.line,
    };
    let entry = |line, text| Entry {
        location: at(line),
        text,
    };
    Some(NearestMiss {
        rule: document.rule_ref(miss.rule),
        clause: failed.clause,
        location: at(line),
        expected: failed.expected,
        actual: failed.actual,
        from: entry(miss.from.line, &*miss.from.text),
        to: entry(miss.to.line, &*miss.to.text),
        origin,
    })
}

/// Tells how every clause fares, and what would help.
pub(crate) fn story(
    origin: &Origin<'_>,
    request: &Request<'_>,
    now: Timestamp,
) -> Option<MissStory> {
    let caller = match request.caller {
        Caller::Verified(caller) => caller,
        Caller::Forwarded { original, .. } => original,
        Caller::Unverified(_) => return None,
    };
    let (method, path) = call::read(request, origin.options).ok()?;
    let caller = origin.alias.as_ref().unwrap_or(caller);
    let notes = Notes::default();
    let call = Call::new(caller, request, method, &path, &notes);
    let scene = Scene {
        origin,
        request,
        probe: Probe {
            call: &call,
            slash: origin.options.trailing_slash(),
            now,
        },
    };
    let mut bindings = bound_by_caller(&scene);
    let mut checks = vec![from(&scene), method_check(&scene), path_check(&scene)];
    checks.extend(captures(&scene, &mut bindings));
    if checks.iter().all(|check| check.passed) {
        checks.extend(when(&scene, bindings.as_slice()));
    }
    checks.extend(exception(&scene));
    let captures = bindings.iter();
    Some(MissStory {
        addition: suggest::addition(&scene, &checks),
        captures: captures
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        checks,
    })
}

fn first_failed(scene: &Scene<'_, '_>) -> Option<ClauseCheck> {
    if !scene.passes_from() {
        return Some(from(scene));
    }
    if !scene.passes_method() {
        return Some(method_check(scene));
    }
    if !scene.passes_path() {
        return Some(path_check(scene));
    }
    let mut bindings = bound_by_caller(scene);
    if let Some(captures) = captures(scene, &mut bindings).filter(|check| !check.passed) {
        return Some(captures);
    }
    let mut rest = when(scene, bindings.as_slice())
        .into_iter()
        .chain(exception(scene));
    rest.find(|check| !check.passed)
}

fn bound_by_caller<'c>(scene: &Scene<'_, 'c>) -> Bindings<'c> {
    let mut bindings = Bindings::default();
    if scene.origin.miss.found == Some(Found::ByPattern) {
        let from = scene.origin.miss.from;
        from.bind(scene.probe.call.caller, &mut bindings);
    }
    bindings
}

impl Scene<'_, '_> {
    const fn passes_from(&self) -> bool {
        self.origin.miss.found.is_some()
    }

    fn passes_method(&self) -> bool {
        let verb = &self.origin.miss.to.operation.verb;
        verb.admits(self.probe.call)
    }

    fn passes_path(&self) -> bool {
        let pattern = &self.origin.miss.to.operation.path;
        pattern.fits(self.probe.call.path, self.probe.slash)
    }
}

fn from(scene: &Scene<'_, '_>) -> ClauseCheck {
    let miss = &scene.origin.miss;
    let passed = scene.passes_from();
    let expected = if passed {
        miss.from.in_full()
    } else {
        let entries = scene.origin.table.entries_of(miss.rule);
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

fn method_check(scene: &Scene<'_, '_>) -> ClauseCheck {
    let to = scene.origin.miss.to;
    ClauseCheck {
        clause: Clause::Method,
        passed: scene.passes_method(),
        expected: to.words().0.to_owned(),
        actual: seen_method(&to.operation.verb, scene.request),
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
pub(crate) fn told(header: &str) -> String {
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

fn path_check(scene: &Scene<'_, '_>) -> ClauseCheck {
    ClauseCheck {
        clause: Clause::Path,
        passed: scene.passes_path(),
        expected: scene.origin.miss.to.words().1.to_owned(),
        actual: scene.probe.call.path.to_string(),
    }
}

/// Checks what the path captures against what the caller does, which `bindings`
/// holds, and adds it. There is nothing to check where either does not fit.
fn captures<'v>(scene: &Scene<'_, 'v>, bindings: &mut Bindings<'v>) -> Option<ClauseCheck> {
    if !scene.passes_path() {
        return None;
    }
    let miss = &scene.origin.miss;
    let check = |passed, name: &str, wanted: &str, seen: &str| ClauseCheck {
        clause: Clause::Captures,
        passed,
        expected: format!("{name}={wanted}"),
        actual: format!("{name}={seen}"),
    };
    let from_caller = miss.found.is_some() && miss.from.captures();
    let mut last = None;
    for (name, value) in miss.to.operation.path.values(scene.probe.call.path) {
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

/// The condition, of a rule whose captures are bound.
fn when(scene: &Scene<'_, '_>, bindings: &[(&str, &str)]) -> Option<ClauseCheck> {
    let when = scene.origin.miss.rule.when.as_ref()?;
    let at = scene.probe.call.scene(bindings, scene.probe.now);
    let Account {
        passed,
        expected,
        actual,
    } = when.condition.account(&at);
    Some(ClauseCheck {
        clause: Clause::When,
        passed,
        expected,
        actual,
    })
}

fn exception(scene: &Scene<'_, '_>) -> Option<ClauseCheck> {
    let rule = scene.origin.miss.rule;
    let exception = rule.exception?;
    Some(ClauseCheck {
        clause: Clause::Exception,
        passed: !rule.has_expired(scene.probe.now),
        expected: format!("before {}", exception.expires),
        actual: scene.probe.now.to_string(),
    })
}
