//! The results for programs.

use callgate_analysis::suite::{CaseReport, Failure, Got, Share};
use serde::Serialize;

use super::Judged;
use crate::explain::json::{Answer, verdict};

pub(super) fn show(judged: &Judged<'_>) -> serde_json::Result<String> {
    let report = judged.report;
    let results = Results {
        passed: report.failed() == 0 && judged.covers_enough(),
        cases: report.cases.iter().map(Case::of).collect(),
        coverage: judged.tells_coverage().then(|| Coverage::of(judged)),
    };
    Ok(serde_json::to_string_pretty(&results)? + "\n")
}

#[derive(Serialize)]
struct Results<'a> {
    /// Everything is as it should be: the exit code is 0.
    passed: bool,
    cases: Vec<Case<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<Coverage<'a>>,
}

#[derive(Serialize)]
struct Case<'a> {
    file: &'a str,
    line: u32,
    test: &'a str,
    name: &'a str,
    passed: bool,
    calls: usize,
    expected: Expected<'a>,
    failures: Vec<Call<'a>>,
}

#[derive(Serialize)]
struct Expected<'a> {
    verdict: &'static str,
    reason: Option<&'static str>,
    rule: Option<&'a str>,
    enforced: Option<bool>,
}

#[derive(Serialize)]
struct Call<'a> {
    from: &'a str,
    to: &'a str,
    request: String,
    line: u32,
    at: String,
    /// None if the case's forwarder is none.
    got: Option<Answer<'a>>,
    enforced: Option<bool>,
}

impl<'a> Case<'a> {
    fn of(report: &'a CaseReport<'a>) -> Self {
        let (test, case) = (report.test, report.case);
        let expect = &case.expect;
        Self {
            file: &test.file,
            line: case.line,
            test: &test.name,
            name: &case.name,
            passed: report.passed(),
            calls: report.calls,
            expected: Expected {
                verdict: verdict(expect.verdict),
                reason: expect.reason.map(callgate_policy::Reason::as_str),
                rule: expect.rule.as_deref(),
                enforced: expect.enforced,
            },
            failures: report
                .failures
                .iter()
                .map(|failure| Call::of(failure, case.to.as_str()))
                .collect(),
        }
    }
}

impl<'a> Call<'a> {
    fn of(failure: &'a Failure<'a>, to: &'a str) -> Self {
        let decision = match &failure.got {
            Got::Decided(decision) => Some(&**decision),
            Got::NoForwarder => None,
        };
        Self {
            from: failure.from.as_str(),
            to,
            request: failure.request.request.to_string(),
            line: failure.request.line,
            at: failure.now.to_string(),
            got: decision.map(Answer::of_decision),
            enforced: decision.map(|decision| decision.enforced),
        }
    }
}

#[derive(Serialize)]
struct Coverage<'a> {
    rules: Counts,
    lines: Counts,
    unmet: Vec<Unmet<'a>>,
}

#[derive(Serialize)]
struct Counts {
    met: usize,
    of: usize,
    percent: usize,
}

/// A line of `to` that no case has met.
#[derive(Serialize)]
struct Unmet<'a> {
    rule: &'a str,
    policy: String,
    to: &'a str,
}

impl<'a> Coverage<'a> {
    fn of(judged: &Judged<'a>) -> Self {
        let coverage = &judged.report.coverage;
        let unmet = coverage.unmet().flat_map(|unmet| {
            let placed = unmet.placed;
            unmet.lines.into_iter().map(move |line| Unmet {
                rule: &placed.rule.name,
                policy: format!("{}:{}", placed.file, line.line),
                to: &line.text,
            })
        });
        Self {
            rules: coverage.rules().into(),
            lines: coverage.lines().into(),
            unmet: unmet.collect(),
        }
    }
}

impl From<Share> for Counts {
    fn from(share: Share) -> Self {
        Self {
            met: share.met,
            of: share.of,
            percent: share.percent(),
        }
    }
}
