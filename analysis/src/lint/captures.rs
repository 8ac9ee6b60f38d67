//! `{order}`, which is also `7:refund`.

use callgate_policy::{
    Operation, PathOptions, PathSegment,
    document::{Code, Finding},
};

use super::{
    Remarks,
    ways::{Scope, Way},
};
use crate::language::{Access, Point};

pub(super) fn check(scope: &Scope<'_>, remarks: &mut Remarks) {
    let verbs: Vec<&Way<'_>> = scope
        .allowed
        .iter()
        .filter(|way| verb_at(way.access.to()).is_some())
        .collect();
    let mut told = Vec::new();
    let is_own = |way: &&Way<'_>| scope.allow.iter().any(|rule| way.is_of(rule));
    let deciding = scope.allowed.iter().filter(|way| way.rule.decides());
    for plain in deciding.filter(is_own) {
        for verb in &verbs {
            let lines = (plain.rule.at_to(plain.to), verb.rule.at_to(verb.to));
            if !is_bare(plain.access.to(), verb.access.to()) || told.contains(&lines) {
                continue;
            }
            if let Some(point) = taken(scope, plain, verb) {
                told.push(lines);
                remarks.found.push(finding(plain, verb, &point));
            }
        }
    }
}

fn finding(plain: &Way<'_>, verb: &Way<'_>, point: &Point) -> Finding {
    let message = format!(
        "`{}` also allows `{point}`, which `{}` is about",
        plain.line(),
        verb.line()
    );
    Finding::new(Code::CaptureTakesVerb, plain.rule.at_to(plain.to), message)
        .label(format!("for `{}`", point.caller()))
        .related(verb.rule.at_to(verb.to), "has a meaning of its own here")
        .help("if it is not meant, deny it there or give it a segment of its own; if it is, say so: `# callgate: allow CG506 REASON`")
}

/// Where a segment is a capture with literal text around it.
fn verb_at(line: &Operation) -> Option<usize> {
    line.segments().position(|segment| matches!(segment, PathSegment::Capture { prefix, suffix, .. } if !prefix.is_empty() || !suffix.is_empty()))
}

/// Whether `line` has a bare capture where `verb` has one with text around it. A `/**` does
/// not hide what it takes.
fn is_bare(line: &Operation, verb: &Operation) -> bool {
    let segment = verb_at(verb).and_then(|at| line.segments().nth(at));
    matches!(
        segment,
        Some(PathSegment::Capture {
            prefix: "",
            suffix: "",
            ..
        })
    )
}

/// A request of callers of `plain` that is what `verb` says, and is let in by `plain` alone.
fn taken(scope: &Scope<'_>, plain: &Way<'_>, verb: &Way<'_>) -> Option<Point> {
    let theirs = Access::new(
        plain.access.from(),
        verb.access.to(),
        plain.access.side(),
        PathOptions::default(),
    );
    if !plain.access.shape().may_meet(theirs.shape()) {
        return None;
    }
    let points = scope.language.points(&[&plain.access, &theirs]);
    points.into_iter().find(|point| {
        let elsewhere = scope
            .allowed
            .iter()
            .any(|way| way.line() != plain.line() && way.access.holds(point));
        let mut denied = scope.denied.iter().filter(|way| way.rule.decides());
        let denied = denied.any(|way| way.access.holds(point));
        !elsewhere && !denied
    })
}
