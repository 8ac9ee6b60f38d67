//! "Captures bind": a name that a rule captures from its callers must hold for
//! every way into the rule.
//!
//! A caller that could skip a capture would be let into every tenant, so a rule
//! whose names do not bind everywhere is refused when it is loaded.

use std::{fmt, ops::Range};

use crate::{
    CallerPattern,
    spec::{Callers, RuleSpec},
};

/// Why the captures of a rule do not bind, and at which entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindingError {
    /// An entry of `from` does not capture a name that another entry captures.
    From {
        /// The entry that lacks it, counted from 0.
        entry: usize,
        /// The name.
        capture: String,
        /// The entry that has it, counted from 0.
        captured_by: usize,
    },
    /// A line of `to` does not use a name that `from` captures.
    To {
        /// The line that lacks it, counted from 0.
        entry: usize,
        /// The name.
        capture: String,
    },
    /// `when` reads a name that neither the caller nor some line of `to` captures.
    When {
        /// The name.
        capture: String,
        /// The bytes of the condition where it stands.
        range: Range<usize>,
        /// The first line of `to` that lacks it, counted from 0.
        line: usize,
    },
    /// A member of a group captures something.
    Group {
        /// The entry that names the group, counted from 0.
        entry: usize,
        /// The name.
        capture: String,
    },
}

/// Checks that the captures of `rule` bind.
///
/// # Errors
/// Every entry that lets a caller skip a capture, `from` first.
pub fn check_captures(rule: &RuleSpec) -> Result<(), Vec<BindingError>> {
    let mut errors = group_captures(rule);
    let names = names_in_from(rule);
    errors.extend(missing_in_from(rule, &names));
    errors.extend(missing_in_to(rule, &names));
    errors.extend(missing_for_when(rule));
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

fn group_captures(rule: &RuleSpec) -> Vec<BindingError> {
    let groups = rule.from.iter().enumerate().filter_map(|(entry, from)| {
        matches!(from.callers, Callers::Group(_)).then_some((entry, from.callers.patterns()))
    });
    let captured = groups.flat_map(|(entry, members)| {
        let names = members.iter().flat_map(CallerPattern::captures);
        names.map(move |name| (entry, name))
    });
    captured
        .map(|(entry, name)| BindingError::Group {
            entry,
            capture: name.to_owned(),
        })
        .collect()
}

/// Every name that an entry of `from` captures, with the first entry that does.
fn names_in_from(rule: &RuleSpec) -> Vec<(&str, usize)> {
    let mut names: Vec<(&str, usize)> = Vec::new();
    for (entry, from) in rule.from.iter().enumerate() {
        if let Callers::Pattern(pattern) = &from.callers {
            for name in pattern.captures() {
                if !names.iter().any(|(known, _)| *known == name) {
                    names.push((name, entry));
                }
            }
        }
    }
    names
}

fn missing_in_from(rule: &RuleSpec, names: &[(&str, usize)]) -> Vec<BindingError> {
    let lacks = |from: &Callers, name: &str| match from {
        Callers::Pattern(pattern) => !pattern.captures().any(|captured| captured == name),
        Callers::Group(_) => true,
    };
    let entries = rule.from.iter().enumerate();
    let pairs = entries.flat_map(|(entry, from)| names.iter().map(move |name| (entry, from, name)));
    pairs
        .filter(|(_, from, (name, _))| lacks(&from.callers, name))
        .map(|(entry, _, (name, captured_by))| BindingError::From {
            entry,
            capture: (*name).to_owned(),
            captured_by: *captured_by,
        })
        .collect()
}

fn missing_in_to(rule: &RuleSpec, names: &[(&str, usize)]) -> Vec<BindingError> {
    let lines = rule.to.iter().enumerate();
    // A name that `when` reads binds there.
    let read = |name: &str| captures_of_when(rule).any(|(read, _)| read == name);
    let names = names.iter().map(|(name, _)| *name);
    let names: Vec<&str> = names.filter(|name| !read(name)).collect();
    let pairs = lines.flat_map(|(entry, to)| names.iter().map(move |name| (entry, to, *name)));
    pairs
        .filter(|(_, to, name)| !to.operation.captures().any(|captured| captured == *name))
        .map(|(entry, _, name)| BindingError::To {
            entry,
            capture: name.to_owned(),
        })
        .collect()
}

fn captures_of_when(rule: &RuleSpec) -> impl Iterator<Item = (&str, &Range<usize>)> {
    let captures = rule.when.as_ref().map(|when| when.condition.captures());
    let captures = captures.unwrap_or_default().iter();
    captures.map(|(name, range)| (name.as_str(), range))
}

/// Every pair of an entry of `from` and a line of `to` has to bind what `when` reads.
fn missing_for_when(rule: &RuleSpec) -> impl Iterator<Item = BindingError> {
    let by_every_caller = |name: &str| {
        let mut entries = rule.from.iter();
        entries.all(|from| match &from.callers {
            Callers::Pattern(pattern) => pattern.captures().any(|captured| captured == name),
            Callers::Group(_) => false,
        })
    };
    let lacking = |name: &str| {
        let mut lines = rule.to.iter();
        lines.position(|to| !to.operation.captures().any(|captured| captured == name))
    };
    captures_of_when(rule).filter_map(move |(name, range)| {
        let line = (!by_every_caller(name)).then(|| lacking(name))??;
        Some(BindingError::When {
            capture: name.to_owned(),
            range: range.clone(),
            line,
        })
    })
}

impl fmt::Display for BindingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From { capture, .. } => write!(
                f,
                "`{{{capture}}}` is captured by another entry of `from`, but not by this one: its callers would skip it"
            ),
            Self::To { capture, .. } => write!(
                f,
                "`{{{capture}}}` is captured in `from`, but this line does not use it: it would be open to every `{capture}`"
            ),
            Self::When { capture, .. } => write!(
                f,
                "`when` reads `captures.{capture}`, but there are ways to match this rule that do not capture it"
            ),
            Self::Group { capture, .. } => {
                write!(
                    f,
                    "a group captures nothing, but a member captures `{{{capture}}}`"
                )
            }
        }
    }
}

impl std::error::Error for BindingError {}

#[cfg(test)]
mod tests {
    use super::{BindingError as E, check_captures};
    use crate::{
        spec::Callers,
        testing::{caller, rule},
    };

    fn from(entry: usize, capture: &str, captured_by: usize) -> E {
        let capture = capture.to_owned();
        E::From {
            entry,
            capture,
            captured_by,
        }
    }

    fn to(entry: usize, capture: &str) -> E {
        let capture = capture.to_owned();
        E::To { entry, capture }
    }

    #[test]
    fn every_way_in_has_to_bind() {
        let cases: [(&[&str], &[&str], Vec<E>); 8] = [
            (&["/a"], &["GET /x/{id}", "GET /y"], vec![]),
            (
                &["/{t}/a", "/b/{t}/*"],
                &["GET /{t}/{id}", "GET /x-{t}/**"],
                vec![],
            ),
            (&["/{t}/{u}"], &["GET /{u}/{t}"], vec![]),
            (&["/a", "/{t}"], &["GET /{t}"], vec![from(0, "t", 1)]),
            (&["/{t}"], &["GET /{t}", "GET /x"], vec![to(1, "t")]),
            (&["/{t}"], &["GRPC a.B/*"], vec![to(0, "t")]),
            (&["/{t}/{u}"], &["GET /{t}"], vec![to(0, "u")]),
            (
                &["/{t}", "/{u}"],
                &["GET /{t}"],
                vec![from(0, "u", 1), from(1, "t", 0), to(0, "u")],
            ),
        ];
        for (callers, lines, errors) in cases {
            let checked = check_captures(&rule("r", 1, callers, lines));
            assert_eq!(
                checked.err().unwrap_or_default(),
                errors,
                "{callers:?} {lines:?}"
            );
        }
    }

    #[test]
    fn groups_do_not_capture() {
        let mut rule = rule("r", 1, &["/{t}", "/b"], &["GET /{t}"]);
        let members = |texts: &[&str]| Callers::Group(texts.iter().map(|t| caller(t)).collect());
        rule.from[1].callers = members(&["/a", "/b/*"]);
        assert_eq!(check_captures(&rule), Err(vec![from(1, "t", 0)]));
        rule.from[1].callers = members(&["/a", "/{u}"]);
        let group = E::Group {
            entry: 1,
            capture: "u".to_owned(),
        };
        assert_eq!(check_captures(&rule), Err(vec![group, from(1, "t", 0)]));
    }
}
