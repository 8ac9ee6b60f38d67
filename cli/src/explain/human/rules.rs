//! Every rule about a service, and how it fared.

use callgate_analysis::{
    names::ShortNames,
    trial::{Level, Outcome, Placed, Side, Trial},
};

use callgate_policy::spec::Enforcement;

use super::{super::explanation::Explanation, nearest};
use crate::output::columns;

/// A table of the rules, in the order in which they are looked at.
pub(super) fn lines(names: &ShortNames, told: &Explanation<'_>, all: &[Trial<'_>]) -> Vec<String> {
    let to = told.to.map_or_else(String::new, |id| names.short(id));
    if all.is_empty() {
        return vec![format!("no rule is about calls to {to}")];
    }
    let rows = all.iter().map(|trial| {
        let Placed { rule, file, .. } = trial.placed;
        [
            format!("  {}", kind(trial.placed)),
            rule.name.clone(),
            format!("{file}:{}", rule.line),
            fared(told, trial),
        ]
    });
    let head = format!("rules about {to}, in the order in which they are looked at:");
    let table = columns(
        ["  kind", "rule", "where", "how it fared"].map(Into::into),
        rows,
    );
    std::iter::once(head)
        .chain(table.lines().map(str::to_owned))
        .collect()
}

/// What a rule does and whose it is: `mesh deny`.
pub(crate) fn kind(placed: Placed<'_>) -> &'static str {
    match (placed.level, placed.side) {
        (Level::Mesh, Side::Deny) => "mesh deny",
        (Level::Service, Side::Deny) => "deny",
        (Level::Service, Side::Allow) => "allow",
        (Level::Mesh, Side::Allow) => "mesh allow",
    }
}

fn fared(told: &Explanation<'_>, trial: &Trial<'_>) -> String {
    let Placed { rule, file, .. } = trial.placed;
    let decides = told.decision.rule.is_some_and(|one| {
        one.name == rule.name && one.location.file == file && one.location.line == rule.line
    });
    match trial.outcome {
        Outcome::Matches if decides => "matches, and decides".to_owned(),
        Outcome::Matches if rule.enforcement == Enforcement::Shadow => {
            "would match, but is in shadow".to_owned()
        }
        Outcome::Matches => "matches".to_owned(),
        Outcome::Expired => rule.exception.map_or_else(
            || "has ended".to_owned(),
            |exception| format!("would match, but ended {}", exception.expires),
        ),
        Outcome::Misses => trial.told.as_ref().map_or_else(
            || "does not match".to_owned(),
            |one| nearest::lacks(&one.story),
        ),
    }
}
