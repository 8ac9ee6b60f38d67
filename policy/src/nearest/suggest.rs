//! The one line that would have let a refused call in.

use super::{Miss, describe::Scene};
use crate::{Addition, Clause, ClauseCheck, Operation, pattern::Verb};

/// What to add to the rule so that it allows exactly this call, if one line can.
pub(super) fn addition(
    miss: &Miss<'_>,
    scene: &Scene<'_, '_>,
    checks: &[ClauseCheck],
) -> Option<Addition> {
    let mut failed = checks.iter().filter(|check| !check.passed);
    let first = failed.next()?.clause;
    let second = failed.next().map(|check| check.clause);
    match (first, second) {
        // An entry that captures nothing cannot stand beside one that does.
        (Clause::From, None) if !miss.from.captures() => {
            Some(Addition::From(scene.probe.call.caller.to_string()))
        }
        (Clause::Method, None) => line(miss, scene, method_path(miss, scene)),
        (Clause::Path, None) | (Clause::Method, Some(Clause::Path)) if !miss.from.captures() => {
            line(miss, scene, scene.probe.call.path.to_string())
        }
        _ => None,
    }
}

/// The pattern's path, unless it stands for more than this method's call.
fn method_path(miss: &Miss<'_>, scene: &Scene<'_, '_>) -> String {
    match miss.to.operation.verb {
        Verb::Grpc => scene.probe.call.path.to_string(),
        _ => miss.to.words().1.to_owned(),
    }
}

/// A line of `to` for the request's verb and `path`, if the language has one.
fn line(miss: &Miss<'_>, scene: &Scene<'_, '_>, path: String) -> Option<Addition> {
    let verb = match (scene.request.upgrade, scene.probe.call.grpc) {
        (None, true) => return grpc_line(miss, scene),
        (None, false) => scene.request.method,
        (Some(_), _) => "WEBSOCKET",
    };
    checked(miss, scene, format!("{verb} {path}"))
}

fn grpc_line(miss: &Miss<'_>, scene: &Scene<'_, '_>) -> Option<Addition> {
    let path = scene.probe.call.path.to_string();
    checked(miss, scene, format!("GRPC {}", path.strip_prefix('/')?))
}

/// `line`, if it can be written, admits the request, and binds what `from` captures:
/// a rule with a line that does not would no longer load.
fn checked(miss: &Miss<'_>, scene: &Scene<'_, '_>, line: String) -> Option<Addition> {
    let operation = Operation::parse(&line, scene.options).ok()?;
    let call = scene.probe.call;
    let admits = operation.verb.admits(call) && operation.path.fits(call.path, scene.probe.slash);
    // The rule's own line has every name that `from` captures.
    let mut names = miss.to.operation.captures();
    let binds =
        !miss.from.captures() || names.all(|name| operation.captures().any(|own| own == name));
    (admits && binds).then_some(Addition::To(line))
}
