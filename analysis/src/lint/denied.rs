//! Allow rules of which a deny rule leaves nothing.

use callgate_policy::document::{Code, Finding};

use super::{
    Remarks,
    set::Rule,
    ways::{Scope, Way},
};

const HELP: &str = "deny rules come first: narrow the one, or remove the other";

pub(super) fn check(scope: &Scope<'_>, remarks: &mut Remarks) {
    let denied: Vec<&Way<'_>> = scope
        .denied
        .iter()
        .filter(|way| way.rule.is_unconditional())
        .collect();
    if denied.is_empty() {
        return;
    }
    for rule in &scope.allow {
        let own = scope.allowed.iter().filter(|way| way.is_of(rule));
        let own: Vec<&Way<'_>> = own.filter(|way| scope.is_live(way)).collect();
        let denied = scope.near(&denied, &own);
        if denied.is_empty() {
            continue;
        }
        if scope.covers(&denied, &own) {
            remarks.found.push(whole(rule, scope, &denied, &own));
            continue;
        }
        for (index, line) in rule.spec.to.iter().enumerate() {
            let ways: Vec<&Way<'_>> = own.iter().filter(|way| way.to == index).copied().collect();
            if !ways.is_empty() && scope.covers(&denied, &ways) {
                let message = format!(
                    "`{}` is never allowed: deny rules take all of it",
                    line.text
                );
                let finding = Finding::new(Code::DeniedWhole, rule.at_to(index), message);
                remarks
                    .found
                    .push(related(finding, scope, &denied, &ways).help(HELP));
            }
        }
        for (index, entry) in rule.spec.from.iter().enumerate() {
            let ways: Vec<&Way<'_>> = own
                .iter()
                .filter(|way| way.from == index)
                .copied()
                .collect();
            if !ways.is_empty() && scope.covers(&denied, &ways) {
                let message = format!(
                    "`{}` is never allowed here: deny rules take all of it",
                    entry.text
                );
                let finding = Finding::new(Code::DeniedWhole, rule.at_from(index), message);
                remarks
                    .found
                    .push(related(finding, scope, &denied, &ways).help(HELP));
            }
        }
    }
}

fn whole(rule: &Rule<'_>, scope: &Scope<'_>, denied: &[&Way<'_>], own: &[&Way<'_>]) -> Finding {
    let message = format!(
        "`{}` never allows anything: deny rules take all of it",
        rule.spec.name
    );
    let finding = Finding::new(Code::DeniedWhole, rule.name, message);
    related(finding, scope, denied, own).help(HELP)
}

/// With the deny line that takes all of `ways`, or else those that take some; a few.
fn related(finding: Finding, scope: &Scope<'_>, denied: &[&Way<'_>], ways: &[&Way<'_>]) -> Finding {
    /// More than a reader wants to see at once.
    const MOST: usize = 3;
    let near = scope.near(denied, ways);
    let mut lines: Vec<_> = near.iter().map(|way| way.rule.at_to(way.to)).collect();
    lines.sort_unstable();
    lines.dedup();
    let alone = lines.iter().find(|line| {
        let of_line = near.iter().filter(|way| way.rule.at_to(way.to) == **line);
        scope.covers(&of_line.copied().collect::<Vec<_>>(), ways)
    });
    let lines = alone
        .map_or(&*lines, std::slice::from_ref)
        .iter()
        .take(MOST);
    lines.fold(finding, |finding, line| {
        finding.related(*line, "denied here")
    })
}
