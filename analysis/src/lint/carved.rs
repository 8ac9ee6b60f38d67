//! A hole that a deny rule cuts into a wide allow rule, and the way round it.

use callgate_policy::{
    PathSegment,
    document::{Code, Finding},
};

use super::{
    Remarks,
    ways::{Scope, Way},
};

/// A request that a deny rule was to stop, spelled so that it does not.
struct Detour<'s, 'a> {
    allow: &'s Way<'a>,
    stopped: String,
    path: String,
}

pub(super) fn check(scope: &Scope<'_>, remarks: &mut Remarks) {
    for rule in &scope.deny {
        for index in 0..rule.spec.to.len() {
            let ways = scope
                .denied
                .iter()
                .filter(|way| way.is_of(rule) && way.to == index);
            // gRPC compares with case everywhere.
            let mut ways = ways.filter(|way| way.access.to().verb() != "GRPC");
            if let Some((deny, detour)) = ways.find_map(|way| Some((way, detour(scope, way)?))) {
                remarks.found.push(finding(deny, &detour));
            }
        }
    }
}

fn finding(deny: &Way<'_>, detour: &Detour<'_, '_>) -> Finding {
    let Detour {
        allow,
        stopped,
        path,
    } = detour;
    let message = format!(
        "`{}` stops `{stopped}` but not `{path}`, which `{}` allows",
        deny.line(),
        allow.rule.spec.name
    );
    Finding::new(Code::CarvedOut, deny.rule.at_to(deny.to), message)
        .label("paths are compared with case")
        .related(allow.rule.at_to(allow.to), "allowed here")
        .help("a framework that does not tell them apart serves both: allow what is needed by name, instead of all but this")
}

/// A path that differs from one that `deny` stops in the case of one segment, and is let in.
fn detour<'s, 'a>(scope: &'s Scope<'a>, deny: &Way<'_>) -> Option<Detour<'s, 'a>> {
    let segments: Vec<usize> = deny
        .access
        .to()
        .segments()
        .enumerate()
        .filter(|(_, segment)| matches!(segment, PathSegment::Literal(text) if text.chars().any(|c| c.is_ascii_alphabetic())))
        .map(|(index, _)| index)
        .collect();
    let mut deciding = scope.allowed.iter().filter(|way| way.rule.decides());
    deciding.find_map(|allow| {
        let point = scope.language.meet(&allow.access, &deny.access)?;
        segments.iter().rev().find_map(|&index| {
            let path = swapped(point.path(), index)?;
            let is_open = allow.takes(&point, &path)
                && !scope.denied.iter().any(|deny| deny.takes(&point, &path));
            is_open.then(|| Detour {
                allow,
                stopped: point.path().to_owned(),
                path,
            })
        })
    })
}

/// `path` with the first letter of one segment in the other case.
fn swapped(path: &str, index: usize) -> Option<String> {
    let mut segments: Vec<String> = path.split('/').map(str::to_owned).collect();
    let segment = segments.get_mut(index.saturating_add(1))?;
    // Letters of an escape are no letters of the path.
    let at = segment.find(|c: char| c == '%' || c.is_ascii_alphabetic())?;
    let letter = segment
        .get(at..at.saturating_add(1))
        .filter(|letter| *letter != "%")?;
    let other = if letter.bytes().all(|b| b.is_ascii_uppercase()) {
        letter.to_ascii_lowercase()
    } else {
        letter.to_ascii_uppercase()
    };
    segment.replace_range(at..at.saturating_add(1), &other);
    Some(segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_letter_is_swapped() {
        let cases = [
            ("/admin/x", 0, Some("/Admin/x")),
            ("/a/Admin", 1, Some("/a/admin")),
            ("/7a", 0, Some("/7A")),
            ("/%C3%BC", 0, None),
            ("/7", 0, None),
            ("/a", 3, None),
        ];
        for (path, index, expected) in cases {
            assert_eq!(swapped(path, index).as_deref(), expected, "{path}");
        }
    }
}
