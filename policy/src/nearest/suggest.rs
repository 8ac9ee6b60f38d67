//! The one line that would have let a refused call in.

use super::describe::Scene;
use crate::{Addition, Clause, ClauseCheck, Operation, pattern::Verb};

/// What to add to the rule so that it allows exactly this call, if one line can.
pub(super) fn addition(scene: &Scene<'_, '_>, checks: &[ClauseCheck]) -> Option<Addition> {
    let miss = &scene.origin.miss;
    // It would have to hold too, and may read what a line would have to capture.
    if miss.rule.when.is_some() {
        return None;
    }
    let mut failed = checks.iter().filter(|check| !check.passed);
    let first = failed.next()?.clause;
    let second = failed.next().map(|check| check.clause);
    match (first, second) {
        // An entry that captures nothing cannot stand beside one that does.
        (Clause::From, None) if !miss.from.captures() => {
            Some(Addition::From(scene.probe.call.caller.to_string()))
        }
        (Clause::Method, None) => line(scene, method_path(scene)),
        (Clause::Path, None) | (Clause::Method, Some(Clause::Path)) if !miss.from.captures() => {
            line(scene, scene.probe.call.path.to_string())
        }
        _ => None,
    }
}

/// The pattern's path, unless it has an open end or is a gRPC method's: those may
/// stand for calls that have nothing in common with this one.
fn method_path(scene: &Scene<'_, '_>) -> String {
    let to = scene.origin.miss.to;
    match to.operation.verb {
        Verb::Grpc => scene.probe.call.path.to_string(),
        _ if to.operation.path.has_tail() => scene.probe.call.path.to_string(),
        _ => to.words().1.to_owned(),
    }
}

/// A line of `to` for the request's verb and `path`, if the language has one.
fn line(scene: &Scene<'_, '_>, path: String) -> Option<Addition> {
    let verb = match (scene.request.upgrade, scene.probe.call.grpc) {
        (None, true) => return grpc_line(scene),
        (None, false) => scene.request.method,
        (Some(_), _) => "WEBSOCKET",
    };
    checked(scene, format!("{verb} {path}"))
}

fn grpc_line(scene: &Scene<'_, '_>) -> Option<Addition> {
    let path = scene.probe.call.path.to_string();
    checked(scene, format!("GRPC {}", path.strip_prefix('/')?))
}

/// `line`, if it can be written, admits the request, and binds what `from` captures:
/// a rule with a line that does not would no longer load.
fn checked(scene: &Scene<'_, '_>, line: String) -> Option<Addition> {
    let miss = &scene.origin.miss;
    let operation = Operation::parse(&line, scene.origin.options).ok()?;
    let call = scene.probe.call;
    let admits = operation.verb.admits(call) && operation.path.fits(call.path, scene.probe.slash);
    // The rule's own line has every name that `from` captures.
    let mut names = miss.to.operation.captures();
    let binds =
        !miss.from.captures() || names.all(|name| operation.captures().any(|own| own == name));
    (admits && binds).then_some(Addition::To(line))
}
