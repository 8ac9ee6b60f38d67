//! Tests of policies.

use anyhow::{Result, bail, ensure};
use callgate_analysis::{
    suite::{Report, Run},
    trial::Rules,
};
use callgate_policy::{
    PolicySet, Timestamp, TrustDomain, Verdict,
    document::{LoadError, LoadOptions, PolicyTest, Source, load_tests},
    spec::PolicySetSpec,
};

/// Where nothing is allowed, no test that expects something to be passes; every case is
/// run, and stands for calls. What does not load says so twice the same.
///
/// # Errors
/// When the reader or the runner is wrong.
pub fn policy_test(bytes: &[u8]) -> Result<()> {
    match loaded(bytes) {
        Ok(tests) => nothing_passes_by_itself(&tests),
        Err(LoadError::NoDocuments) => Ok(()),
        Err(LoadError::Findings(findings)) => {
            ensure!(
                loaded(bytes).err() == Some(LoadError::Findings(findings.clone())),
                "says something else"
            );
            ensure!(!findings.diagnostics().is_empty(), "says nothing");
            Ok(())
        }
    }
}

fn loaded(bytes: &[u8]) -> Result<Vec<PolicyTest>, LoadError> {
    let options = LoadOptions {
        trust_domain: TrustDomain::parse("example.org").ok(),
        ..LoadOptions::default()
    };
    load_tests(&[Source::new("fuzz_test.yaml", bytes)], &options)
}

fn nothing_passes_by_itself(tests: &[PolicyTest]) -> Result<()> {
    let spec = PolicySetSpec::default();
    let policies = PolicySet::default();
    let rules = Rules::of(&spec);
    let run = Run {
        policies: &policies,
        rules: &rules,
        now: Timestamp::default(),
        filter: None,
    };
    let report = Report::of(run, tests);
    let cases: usize = tests.iter().map(|test| test.cases.len()).sum();
    ensure!(
        report.cases.len() == cases && cases > 0,
        "{cases} cases, but {} were run",
        report.cases.len()
    );
    for case in &report.cases {
        let calls = case.case.from.len() * case.case.requests.len();
        ensure!(
            case.calls == calls && calls > 0,
            "{calls} calls, but {} were made",
            case.calls
        );
        if case.case.expect.verdict == Verdict::Allow && case.passed() {
            bail!("`{}` is allowed by nothing", case.case.name);
        }
    }
    Ok(())
}
