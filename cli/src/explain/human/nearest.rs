//! The rule that came closest: its two lines, how each clause fared, what to add.

use callgate_policy::{Addition, Clause, ClauseCheck, Location, MissStory, NearestMiss};

use super::super::explanation::Explanation;

/// What there is to tell of the nearest miss.
pub(super) fn lines(told: &Explanation<'_>) -> Vec<String> {
    let miss = told
        .decision
        .nearest_miss
        .as_deref()
        .zip(told.story.as_ref());
    miss.map_or_else(Vec::new, |(miss, story)| nearest(miss, story))
}

/// Which clauses failed: `method wants GET, saw DELETE`. Who calls is known.
pub(super) fn lacks(story: &MissStory) -> String {
    let failed = story.checks.iter().filter(|check| !check.passed);
    let told = failed.map(|check| match check.clause {
        Clause::From => format!("from wants {}", check.expected),
        Clause::When => format!("when {}", wants(check)),
        _ => wants(check),
    });
    told.collect::<Vec<_>>().join("; ")
}

fn nearest(miss: &NearestMiss<'_>, story: &MissStory) -> Vec<String> {
    let checks = |clauses: &[Clause]| -> String { told(story, clauses) };
    let mut rows = vec![
        (
            miss.from.location,
            format!("from: [{}]", miss.from.text),
            checks(&[Clause::From]),
        ),
        (
            miss.to.location,
            format!("- {}", miss.to.text),
            checks(&[Clause::Method, Clause::Path, Clause::Captures]),
        ),
    ];
    match miss.clause {
        Clause::When => rows.push((miss.location, "when".to_owned(), checks(&[Clause::When]))),
        Clause::Exception => rows.push((
            miss.location,
            "expires".to_owned(),
            checks(&[Clause::Exception]),
        )),
        Clause::From | Clause::Method | Clause::Path | Clause::Captures => {}
    }
    let mut lines = vec![format!("nearest: {}", miss.rule.name)];
    lines.extend(table(&rows));
    lines.extend(story.addition.as_ref().map(|addition| match addition {
        Addition::To(line) => format!("to allow exactly this, add:   - {line}"),
        Addition::From(line) => {
            format!("to give this caller all that the rule allows, add to `from`:   - {line}")
        }
    }));
    lines
}

/// Rows in columns.
fn table(rows: &[(Location<'_>, String, String)]) -> Vec<String> {
    let places: Vec<String> = rows.iter().map(|(place, ..)| place.to_string()).collect();
    let width = |texts: &mut dyn Iterator<Item = &String>| {
        texts.map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let first = width(&mut places.iter());
    let second = width(&mut rows.iter().map(|(_, text, _)| text));
    let rows = places.iter().zip(rows);
    rows.map(|(place, (_, text, told))| format!("  {place:first$}   {text:second$}   {told}"))
        .collect()
}

/// How some clauses fared: `path ok (order=7); method wants GET, saw DELETE`.
fn told(story: &MissStory, clauses: &[Clause]) -> String {
    let checks = story
        .checks
        .iter()
        .filter(|check| clauses.contains(&check.clause));
    let (passed, failed): (Vec<_>, Vec<_>) = checks.partition(|check| check.passed);
    if failed.is_empty() && clauses == [Clause::From] {
        return "ok".to_owned();
    }
    let passed = passed.into_iter().filter_map(|check| ok(check, story));
    passed
        .chain(failed.into_iter().map(wants))
        .collect::<Vec<_>>()
        .join("; ")
}

fn ok(check: &ClauseCheck, story: &MissStory) -> Option<String> {
    match check.clause {
        // That captures agree is told by their values.
        Clause::Captures => None,
        // Where they differ, only one side's are known here.
        Clause::Path if !story.captures.is_empty() && !differ(story) => {
            let values: Vec<String> = story
                .captures
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            Some(format!("path ok ({})", values.join(", ")))
        }
        clause => Some(format!("{clause} ok")),
    }
}

/// Whether captures stand for different texts.
fn differ(story: &MissStory) -> bool {
    let mut failed = story.checks.iter().filter(|check| !check.passed);
    failed.any(|check| check.clause == Clause::Captures)
}

fn wants(check: &ClauseCheck) -> String {
    let ClauseCheck {
        clause,
        expected,
        actual,
        ..
    } = check;
    match clause {
        Clause::From | Clause::When => format!("wants {expected}, saw {actual}"),
        Clause::Captures => format!("{clause} want {expected}, saw {actual}"),
        Clause::Exception => format!("held {expected}, it is {actual}"),
        Clause::Method | Clause::Path => {
            format!("{clause} wants {expected}, saw {actual}")
        }
    }
}
