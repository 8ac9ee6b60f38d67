//! The results for people: a line for each file, and for each case that failed why, as
//! `callgate explain` tells it.

use callgate_analysis::suite::{CaseReport, Failure, Got, Unmet};
use callgate_policy::{
    Decision, Verdict,
    document::{Expectation, TestCase},
};

use super::Judged;
use crate::{
    explain::{Explainer, Parties, human},
    output::{columns, counted},
};

/// Calls of a case that are explained; the others have mostly the same cause.
pub(super) const EXPLAINED: usize = 3;

/// Calls of a case that are told on one line each, after those.
const LISTED: usize = 20;

/// The whole report.
pub(super) fn show(judged: &Judged<'_>, colour: bool) -> String {
    let explainer = explainer(judged);
    let mut text = files(judged);
    for case in judged.report.cases.iter().filter(|case| !case.passed()) {
        text.push('\n');
        text.push_str(&failed(&explainer, case, colour));
    }
    text.push('\n');
    if judged.tells_coverage() {
        text.push_str(&coverage(judged));
        text.push('\n');
    }
    text.push_str(&summary(judged));
    text
}

/// What explains the calls of these tests.
pub(super) fn explainer<'a>(judged: &Judged<'a>) -> Explainer<'a> {
    let cases = judged.tests.iter().flat_map(|test| &test.cases);
    let named = cases.flat_map(|case| case.from.iter().chain([&case.to]).chain(&case.forwarder));
    Explainer::new(judged.documents, named)
}

/// One line for each file.
fn files(judged: &Judged<'_>) -> String {
    let mut files: Vec<(&str, Vec<&CaseReport<'_>>)> = Vec::new();
    for case in &judged.report.cases {
        match files.last_mut() {
            Some((file, cases)) if *file == case.test.file => cases.push(case),
            _ => files.push((&case.test.file, vec![case])),
        }
    }
    let rows = files.iter().map(|(file, cases)| {
        let failed = cases.iter().filter(|case| !case.passed()).count();
        let calls: usize = cases.iter().map(|case| case.calls).sum();
        let cases = match failed {
            0 => counted(cases.len(), "case"),
            failed => format!("{failed} of {}", counted(cases.len(), "case")),
        };
        let word = if failed == 0 { "ok" } else { "FAILED" };
        [
            word.to_owned(),
            (*file).to_owned(),
            format!("{cases}, {}", counted(calls, "call")),
        ]
    });
    let table = columns(["", "", ""], rows);
    // The head of the table is empty.
    table
        .split_once('\n')
        .map_or("", |(_, rows)| rows)
        .to_owned()
}

/// A case that failed, with the calls that did.
fn failed(explainer: &Explainer<'_>, report: &CaseReport<'_>, colour: bool) -> String {
    let (test, case) = (report.test, report.case);
    let (file, line) = (&test.file, case.line);
    let word = human::painted("FAILED", "1;31", colour);
    let mut text = format!("{word}   {}: {}   {file}:{line}\n", test.name, case.name);
    text.push_str(&format!("  {}\n", complaint(report)));
    for failure in report.failures.iter().take(EXPLAINED) {
        text.push('\n');
        for line in explained(explainer, case, failure, colour).lines() {
            text.push_str(format!("  {line}").trim_end());
            text.push('\n');
        }
    }
    let rest = report.failures.get(EXPLAINED..).unwrap_or_default();
    if !rest.is_empty() {
        text.push('\n');
    }
    for failure in rest.iter().take(LISTED) {
        text.push_str(&format!("  {}\n", one_line(failure)));
    }
    let more = rest.len().saturating_sub(LISTED);
    if more > 0 {
        text.push_str(&format!("  and {}\n", counted(more, "more call")));
    }
    text
}

/// What was expected, and of how many calls it did not come out.
pub(super) fn complaint(report: &CaseReport<'_>) -> String {
    let expected = expected(&report.case.expect);
    let line = report.case.expect.line;
    match (report.failures.len(), report.calls) {
        (1, 1) => format!("expected {expected} (line {line}), but it came out otherwise"),
        (failed, calls) => {
            format!(
                "expected {expected} (line {line}), but {failed} of {calls} calls came out otherwise"
            )
        }
    }
}

/// `DENIED no-rule`, `ALLOWED by checkout-writes`.
pub(super) fn expected(expect: &Expectation) -> String {
    let mut text = match expect.verdict {
        Verdict::Allow => "ALLOWED".to_owned(),
        Verdict::Deny => "DENIED".to_owned(),
    };
    if let (Verdict::Deny, Some(reason)) = (expect.verdict, expect.reason) {
        text.push_str(&format!(" {reason}"));
    }
    if let Some(rule) = &expect.rule {
        text.push_str(&format!(" by {rule}"));
    }
    match expect.enforced {
        Some(true) => text.push_str(", enforced"),
        Some(false) => text.push_str(", but let pass"),
        None => {}
    }
    text
}

/// Why a call came out as it did.
pub(super) fn explained(
    explainer: &Explainer<'_>,
    case: &TestCase,
    failure: &Failure<'_>,
    colour: bool,
) -> String {
    let Got::Decided(_) = &failure.got else {
        return one_line(failure) + "\n";
    };
    let parties = Parties {
        from: Some(failure.from),
        forwarder: case.forwarder.as_ref(),
        revoked: None,
    };
    let call = failure.request.request.to_string();
    let request = failure.request(case);
    let told = explainer.explain(parties, &request, call, failure.now);
    let mut text = human::show(explainer, &told, colour);
    if case.now.is_some() {
        text.push_str(&format!("at {}\n", failure.now));
    }
    text
}

/// A call that failed, on one line.
pub(super) fn one_line(failure: &Failure<'_>) -> String {
    let (from, call) = (failure.from, &failure.request.request);
    match &failure.got {
        Got::Decided(decision) => format!("{}   {from}   {call}", came_out(decision)),
        Got::NoForwarder => format!(
            "NOT ASKED   {from}   {call}: the case's `forwarder` is none for this service, \
             so nobody hears for whom it calls"
        ),
    }
}

/// `DENIED no-rule`, `ALLOWED by checkout-writes`.
fn came_out(decision: &Decision<'_>) -> String {
    let mut text = match decision.verdict {
        Verdict::Allow => "ALLOWED".to_owned(),
        Verdict::Deny => format!("DENIED {}", decision.reason),
    };
    if let Some(rule) = decision.rule {
        text.push_str(&format!(" by {}", rule.name));
    }
    if !decision.enforced {
        text.push_str(", but let pass");
    }
    text
}

/// Which rules and lines no case has met.
fn coverage(judged: &Judged<'_>) -> String {
    let coverage = &judged.report.coverage;
    let (rules, lines) = (coverage.rules(), coverage.lines());
    let mut text = format!(
        "coverage: {} of {} ({} %), {} of {} of `to` ({} %)\n",
        rules.met,
        counted(rules.of, "rule"),
        rules.percent(),
        lines.met,
        counted(lines.of, "line"),
        lines.percent(),
    );
    let rows = coverage.unmet().flat_map(|unmet| {
        let Unmet {
            placed,
            whole,
            lines,
        } = unmet;
        let how = if whole { "never decides" } else { "" };
        lines.into_iter().map(move |line| {
            [
                format!("  {}:{}", placed.file, line.line),
                placed.rule.name.clone(),
                format!("- {}", line.text),
                how.to_owned(),
            ]
        })
    });
    let table = columns(["  no case has met", "rule", "line", ""], rows);
    if lines.met < lines.of {
        text.push_str(&table);
    }
    text
}

fn summary(judged: &Judged<'_>) -> String {
    let report = judged.report;
    let cases = counted(report.cases.len(), "case");
    let calls = counted(report.calls(), "call");
    let told = match report.failed() {
        0 => format!("{cases}, {calls}: all as expected"),
        failed => format!("{failed} of {cases} failed, {calls}"),
    };
    match judged.args.fail_under {
        Some(wanted) if !judged.covers_enough() => {
            let percent = report.coverage.lines().percent();
            format!("{told}; but {percent} % of the lines is less than the {wanted} % wanted\n")
        }
        _ => told + "\n",
    }
}
