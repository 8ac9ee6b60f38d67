//! `callgate test`: whether policies decide what their tests expect.
//!
//! ```text
//!  PATH ──*_test.yaml──► tests ─┐
//!       └─*.yaml──► policies ───┴─suite──► Report ──► human | json | junit
//! ```

mod args;
mod gather;
mod human;
mod json;
mod junit;
mod watch;

use std::process::ExitCode;

use callgate_analysis::{
    suite::{Report, Run},
    trial::Rules,
};
use callgate_policy::document::{LoadError, PolicyTest, Source, load_tests, specify};
use callgate_server::clock;

pub(crate) use args::TestArgs;
use args::TestFormat;
use gather::Gathered;

use crate::{
    output::{colour, print},
    set::{self, Documents},
};

pub(crate) fn run(args: &TestArgs) -> anyhow::Result<ExitCode> {
    if args.watch {
        watch::run(args)
    } else {
        once(args, Gathered::read(args)?)
    }
}

/// Runs the tests and prints what became of them.
fn once(args: &TestArgs, gathered: Gathered) -> anyhow::Result<ExitCode> {
    match load(args, gathered)? {
        Some((documents, tests)) => judge(args, &documents, &tests),
        None => Ok(ExitCode::FAILURE),
    }
}

/// The policies and their tests. None if there are findings, which are told: what cannot
/// be read passes no test.
fn load(
    args: &TestArgs,
    gathered: Gathered,
) -> anyhow::Result<Option<(Documents, Vec<PolicyTest>)>> {
    let options = set::options(args.trust_domain.as_ref());
    let specified = match specify(&gathered.policies, &options) {
        Ok(specified) => specified,
        Err(error) => return told(args, &error, &gathered.policies),
    };
    let options = set::options(specified.trust_domain.as_ref());
    let tests = match load_tests(&gathered.tests, &options) {
        Ok(tests) => tests,
        Err(error) => return told(args, &error, &gathered.tests),
    };
    let documents = Documents::of(gathered.policies, specified)?;
    Ok(Some((documents, tests)))
}

/// Says what is wrong with documents, where a program does not wait for something else.
fn told<T>(args: &TestArgs, error: &LoadError, sources: &[Source]) -> anyhow::Result<Option<T>> {
    match error {
        LoadError::NoDocuments => {
            anyhow::bail!("there is no document in {}", gather::named(sources))
        }
        LoadError::Findings(findings) if args.format == TestFormat::Human => {
            print(&findings.render(sources, colour()))?;
        }
        LoadError::Findings(findings) => eprint!("{}", findings.render(sources, false)),
    }
    Ok(None)
}

fn judge(args: &TestArgs, documents: &Documents, tests: &[PolicyTest]) -> anyhow::Result<ExitCode> {
    let rules = Rules::of(&documents.specified.spec);
    let run = Run {
        policies: &documents.policies,
        rules: &rules,
        now: args.at.unwrap_or_else(clock::now),
        filter: args.filter.as_deref(),
    };
    let report = Report::of(run, tests);
    if report.cases.is_empty() {
        anyhow::bail!(
            "no case matches `{}`",
            args.filter.as_deref().unwrap_or_default()
        );
    }
    let judged = Judged {
        args,
        documents,
        tests,
        report: &report,
    };
    print(&match args.format {
        TestFormat::Human => human::show(&judged, colour()),
        TestFormat::Json => json::show(&judged)?,
        TestFormat::Junit => junit::show(&judged),
    })?;
    Ok(if report.failed() == 0 && judged.covers_enough() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What became of the tests, and with what they were run.
struct Judged<'a> {
    args: &'a TestArgs,
    documents: &'a Documents,
    tests: &'a [PolicyTest],
    report: &'a Report<'a>,
}

impl Judged<'_> {
    /// Whether enough lines of rules were met.
    fn covers_enough(&self) -> bool {
        let wanted = self.args.fail_under;
        wanted.is_none_or(|percent| self.report.coverage.lines().reaches(percent))
    }

    /// Whether coverage is told.
    const fn tells_coverage(&self) -> bool {
        self.args.coverage || self.args.fail_under.is_some()
    }
}
