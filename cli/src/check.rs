//! `callgate check`: what is wrong with documents.

use std::process::ExitCode;

use anyhow::bail;
use callgate_policy::document::{
    Counts, Diagnostic, Findings, Limits, LoadError, LoadOptions, Source, load,
};
use callgate_server::clock;
use serde::Serialize;

use crate::{
    args::CheckArgs,
    output::{Format, colour, counted, print},
    sources::gather,
};

/// Findings that a program is given; it does not tire.
const FINDINGS_FOR_PROGRAMS: usize = 10_000;

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let sources = gather(&args.paths)?;
    let mut options = LoadOptions {
        now: clock::now(),
        trust_domain: args.trust_domain.clone(),
        without_revocations: false,
        limits: Limits::default(),
    };
    if args.format == Format::Json {
        options.limits.findings = FINDINGS_FOR_PROGRAMS;
    }
    match load(&sources, &options) {
        Ok(loaded) => {
            print(&success(&loaded.counts, args.format))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(LoadError::Findings(findings)) => {
            print(&report(&findings, &sources, args.format)?)?;
            Ok(ExitCode::FAILURE)
        }
        Err(LoadError::NoDocuments) => {
            let paths: Vec<String> = args
                .paths
                .iter()
                .map(|path| format!("`{}`", path.display()))
                .collect();
            bail!("there is no document in {}", paths.join(", "))
        }
    }
}

fn success(counts: &Counts, format: Format) -> String {
    match format {
        Format::Json => "[]\n".to_owned(),
        Format::Human => format!(
            "{}, {}, {}: no findings\n",
            counted(counts.documents, "document"),
            counted(counts.services, "service"),
            counted(counts.rules, "rule"),
        ),
    }
}

fn report(findings: &Findings, sources: &[Source], format: Format) -> anyhow::Result<String> {
    let shown = findings.diagnostics();
    match format {
        Format::Json => {
            let found: Vec<Finding<'_>> = shown.iter().map(Finding::from).collect();
            Ok(serde_json::to_string_pretty(&found)? + "\n")
        }
        Format::Human => {
            let total = counted(shown.len() + findings.omitted(), "finding");
            Ok(format!("{}{total}\n", findings.render(sources, colour())))
        }
    }
}

/// A finding for a program. Lines and columns are counted from 1, columns in
/// characters; the end is after the last character.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding<'a> {
    code: &'static str,
    severity: &'static str,
    file: &'a str,
    line: u32,
    column: u32,
    end_line: u32,
    end_column: u32,
    message: &'a str,
    help: Option<&'a str>,
}

impl<'a> From<&'a Diagnostic> for Finding<'a> {
    fn from(found: &'a Diagnostic) -> Self {
        Self {
            code: found.code.as_str(),
            severity: "error",
            file: &found.place.file,
            line: found.place.start.line,
            column: found.place.start.column,
            end_line: found.place.end.line,
            end_column: found.place.end.column,
            message: &found.message,
            help: found.help.as_deref(),
        }
    }
}
