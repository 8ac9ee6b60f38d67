//! `callgate check`: what is wrong with documents, and what is probably not meant.

mod github;
mod json;
mod page;
mod sarif;

use std::{fs::File, io, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use callgate_analysis::lint::{LintOptions, Seen, SeenError, lint};
use callgate_policy::document::{
    Counts, Diagnostic, Findings, Limits, LoadError, LoadOptions, Severity, Source, specify,
};
use callgate_server::clock;
use clap::ValueEnum;

pub(crate) use page::code;

use crate::{
    args::CheckArgs,
    output::{colour, counted, print},
    sources::gather,
};

/// Findings that a program is given; it does not tire.
const FINDINGS_FOR_PROGRAMS: usize = 10_000;

/// How findings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// For people: with excerpts, and what to do.
    #[default]
    Human,
    /// For programs: an array.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Annotations of GitHub Actions.
    Github,
}

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    if let Some(code) = args.explain {
        print(&page::show(code, args.format)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let sources = gather(&args.paths)?;
    let checked = check(&sources, args)?;
    print(&report(&checked, &sources, args)?)?;
    let findings = checked.findings.as_ref();
    let is_refused = |worst| worst == Severity::Error || args.deny_warnings;
    Ok(match findings.and_then(worst) {
        Some(worst) if is_refused(worst) => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}

/// What came of a check.
struct Checked {
    /// How much there is, if it loads.
    counts: Option<Counts>,
    /// Errors if it does not, else warnings.
    findings: Option<Findings>,
}

fn check(sources: &[Source], args: &CheckArgs) -> anyhow::Result<Checked> {
    let mut limits = Limits::default();
    if args.format != CheckFormat::Human {
        limits.findings = FINDINGS_FOR_PROGRAMS;
    }
    let now = clock::now();
    let options = LoadOptions {
        now,
        trust_domain: args.trust_domain.clone(),
        without_revocations: false,
        limits,
    };
    let options_of_lints = LintOptions {
        now,
        expiring_within: args.expiring_within,
        seen: seen(&args.logs)?,
        limits,
    };
    let checked = specify(sources, &options).and_then(|specified| {
        let warnings = lint(sources, &specified, &options_of_lints).map_err(LoadError::Findings)?;
        let loaded = specified.build(sources)?;
        Ok(Checked {
            counts: Some(loaded.counts),
            findings: warnings,
        })
    });
    match checked {
        Ok(checked) => Ok(checked),
        Err(LoadError::Findings(findings)) => Ok(Checked {
            counts: None,
            findings: Some(findings),
        }),
        Err(LoadError::NoDocuments) => {
            let paths = args.paths.iter();
            let paths: Vec<String> = paths.map(|path| format!("`{}`", path.display())).collect();
            bail!("there is no document in {}", paths.join(", "))
        }
    }
}

/// Who was seen by the logs, where some are given.
fn seen(logs: &[PathBuf]) -> anyhow::Result<Option<Seen>> {
    if logs.is_empty() {
        return Ok(None);
    }
    let mut seen = Seen::default();
    for path in logs {
        let read = if path.as_os_str() == "-" {
            seen.read(io::stdin())
        } else {
            let log = File::open(path);
            log.map_err(SeenError::Io).and_then(|log| seen.read(log))
        };
        read.with_context(|| format!("cannot read `{}`", path.display()))?;
    }
    // Everybody would be unseen.
    if seen.records() == 0 {
        bail!("there is no decision record in what --log names");
    }
    if seen.odd().count() > 0 {
        eprintln!(
            "callgate: --log: {} passed over",
            counted_lines(seen.odd().count())
        );
    }
    Ok(Some(seen))
}

fn counted_lines(n: u64) -> String {
    let are = if n == 1 {
        "line that is no decision record was"
    } else {
        "lines that are no decision records were"
    };
    format!("{n} {are}")
}

fn worst(findings: &Findings) -> Option<Severity> {
    findings
        .diagnostics()
        .iter()
        .map(Diagnostic::severity)
        .max()
}

fn report(checked: &Checked, sources: &[Source], args: &CheckArgs) -> anyhow::Result<String> {
    let shown = checked
        .findings
        .as_ref()
        .map_or(&[][..], Findings::diagnostics);
    match args.format {
        CheckFormat::Json => json::print(shown),
        CheckFormat::Sarif => sarif::print(shown),
        CheckFormat::Github => Ok(github::print(shown) + &summary(checked, args)),
        CheckFormat::Human => {
            let findings = checked.findings.as_ref();
            let shown = findings.map(|findings| findings.render(sources, colour()));
            Ok(shown.unwrap_or_default() + &summary(checked, args))
        }
    }
}

/// The last line: how much there is, and how much of it is wrong.
fn summary(checked: &Checked, args: &CheckArgs) -> String {
    let found = match &checked.findings {
        None => "no findings".to_owned(),
        Some(findings) => {
            let total = findings.diagnostics().len() + findings.omitted();
            let what = worst(findings).map_or("finding", Severity::as_str);
            counted(total, what)
        }
    };
    let denied = if checked.findings.is_some() && checked.counts.is_some() && args.deny_warnings {
        ", denied by --deny-warnings"
    } else {
        ""
    };
    match &checked.counts {
        None => format!("{found}\n"),
        Some(counts) => format!(
            "{}, {}, {}: {found}{denied}\n",
            counted(counts.documents, "document"),
            counted(counts.services, "service"),
            counted(counts.rules, "rule"),
        ),
    }
}
