//! The decision in a sentence or two.

use callgate_analysis::trial::{Level, Trial};
use callgate_policy::{Clause, ClauseCheck, MissStory, Reason};

use super::super::explanation::Explanation;

/// What happened, and why, in words.
pub(super) fn sentence(told: &Explanation<'_>) -> String {
    let rule = told.decision.rule.map_or("a rule", |rule| rule.name);
    match told.decision.reason {
        Reason::Allow => allowed(rule, told.decided_by.as_ref()),
        Reason::DenyRule => denied(rule, told),
        Reason::NoRule => match (&told.decision.nearest_miss, &told.story) {
            (Some(miss), Some(story)) => {
                format!("No rule allows this. {}", missed(miss.rule.name, story))
            }
            _ => "No rule allows this, and its policy allows nothing that comes near.".to_owned(),
        },
        Reason::NoPolicy => {
            "Nobody has written a policy for this service, and a service without one is closed."
                .to_owned()
        }
        Reason::ExceptionExpired => {
            format!("`{rule}` would allow this, but it is an exception, and it has ended.")
        }
        Reason::PathAmbiguous => {
            "Its path can be read in more than one way, so no rule was looked at.".to_owned()
        }
        Reason::IdentityRevoked => {
            "This caller is revoked: it is believed no longer, whatever the rules say.".to_owned()
        }
        Reason::IdentityUntrusted => {
            "The mesh does not accept this caller, so no rule was looked at.".to_owned()
        }
        Reason::IdentityMissing => "The caller showed no certificate.".to_owned(),
        Reason::IdentityInvalid => "The caller's certificate identifies nobody.".to_owned(),
        Reason::IdentityExpired => "The caller's certificate was not valid at the time.".to_owned(),
        Reason::PolicyUnavailable
        | Reason::AuthzUnreachable
        | Reason::AuthzTimeout
        | Reason::AuthzProtocol
        | Reason::FilterMisconfigured => "Nobody decided: something was not well.".to_owned(),
    }
}

fn allowed(rule: &str, decided_by: Option<&Trial<'_>>) -> String {
    let Some(placed) = decided_by.map(|trial| trial.placed) else {
        return format!("`{rule}` allows this.");
    };
    let whose = match placed.level {
        Level::Mesh => ", a rule of the mesh for every service,",
        Level::Service => "",
    };
    match placed.rule.exception {
        Some(exception) => {
            format!(
                "`{rule}`{whose} allows this until {}: it is an exception.",
                exception.expires
            )
        }
        None => format!("`{rule}`{whose} allows this."),
    }
}

fn denied(rule: &str, told: &Explanation<'_>) -> String {
    let of_mesh = told
        .decided_by
        .as_ref()
        .is_some_and(|trial| trial.placed.level == Level::Mesh);
    let whose = if of_mesh {
        "the operator's, for every service"
    } else {
        "a deny rule"
    };
    let mut sentence =
        format!("`{rule}` refuses this. It is {whose}, and no allow rule counts against it.");
    if let Some(placed) = told.would_allow {
        let (name, file, line) = (&placed.rule.name, placed.file, placed.rule.line);
        sentence.push_str(&format!(
            " Without it, `{name}` would allow this ({file}:{line})."
        ));
    }
    sentence
}

/// How close a rule came that does not match.
fn missed(rule: &str, story: &MissStory) -> String {
    let failed: Vec<&ClauseCheck> = story.checks.iter().filter(|one| !one.passed).collect();
    let clauses: Vec<Clause> = failed.iter().map(|check| check.clause).collect();
    let detail = |clause: Clause| failed.iter().find(|check| check.clause == clause);
    match &clauses[..] {
        [Clause::From] => format!("`{rule}` allows exactly this, but to other callers."),
        [Clause::From, ..] => {
            format!("`{rule}` comes closest, and is for other callers and other requests.")
        }
        [Clause::Method] => {
            let told = detail(Clause::Method).map_or_else(String::new, |check| {
                format!(", but by {}, not by {}", check.expected, check.actual)
            });
            format!("`{rule}` lets this caller have this path{told}.")
        }
        [Clause::Path] => {
            format!("`{rule}` lets this caller do such things, but on other paths.")
        }
        [Clause::Captures] => detail(Clause::Captures).map_or_else(
            || format!("`{rule}` lets this caller have what is its own, and this is not."),
            |check| {
                let (own, seen) = (&check.expected, &check.actual);
                format!("`{rule}` lets this caller have {own}, and this is {seen}.")
            },
        ),
        [Clause::When] => {
            let why = detail(Clause::When)
                .map_or_else(String::new, |check| format!(": {}", check.actual));
            format!("`{rule}` is about exactly this, but its condition does not hold{why}.")
        }
        _ => format!("`{rule}` comes closest: it is for this caller, but for other requests."),
    }
}
