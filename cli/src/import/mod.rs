//! `callgate import`: documents of other systems, translated.

mod args;

use std::{
    io::{self, IsTerminal as _, Read as _},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use callgate_analysis::import::{
    Finding, ImportError, Imported, Options, Severity, System, import, render,
};
use callgate_policy::{
    TrustDomain,
    document::{Limits, Source},
};
use serde::Serialize;

pub(crate) use args::ImportArgs;
use args::{ClusterArgs, CommonArgs, SystemArgs};

use crate::output::{Format, counted, print};

pub(crate) fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let (system, options, common) = asked(&args.system);
    let sources = sources(common)?;
    let imported = match import(&system, &sources, &options) {
        Ok(imported) => imported,
        Err(ImportError::Nothing) => bail!("there is nothing to import in {}", named(common)),
        Err(error) => return Err(error.into()),
    };
    match common.format {
        Format::Human => {
            print(&imported.documents)?;
            eprint!("{}", report(&imported, &sources));
        }
        Format::Json => print(&json(&imported, &sources)?)?,
    }
    let whole = imported
        .findings
        .iter()
        .all(|found| found.kind.severity() == Severity::Note);
    Ok(if whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn asked(system: &SystemArgs) -> (System, Options, &CommonArgs) {
    match system {
        SystemArgs::EnvoyRbac(args) => {
            let services = args.services.clone();
            let options = options(&args.common, args.trust_domain.as_ref(), &[]);
            (System::EnvoyRbac { services }, options, &args.common)
        }
        SystemArgs::Istio(args) => {
            let system = System::Istio {
                root_namespace: args.root_namespace.clone(),
                namespace: args.cluster.namespace.clone(),
            };
            (system, args.cluster.options(&args.common), &args.common)
        }
        SystemArgs::Linkerd(args) => {
            let namespace = args.cluster.namespace.clone();
            let options = args.cluster.options(&args.common);
            (System::Linkerd { namespace }, options, &args.common)
        }
        SystemArgs::Consul(args) => {
            let datacenters = args.datacenters.clone();
            let options = options(&args.common, Some(&args.trust_domain), &[]);
            (System::Consul { datacenters }, options, &args.common)
        }
    }
}

impl ClusterArgs {
    fn options(&self, common: &CommonArgs) -> Options {
        options(common, Some(&self.trust_domain), &self.accept)
    }
}

fn options(common: &CommonArgs, own: Option<&TrustDomain>, accepted: &[TrustDomain]) -> Options {
    Options {
        trust_domain: own.cloned(),
        accepted: accepted.to_vec(),
        websocket: common.websocket,
        shadow: common.shadow,
    }
}

fn named(common: &CommonArgs) -> String {
    let names: Vec<String> = common
        .files
        .iter()
        .map(|path| format!("`{}`", path.display()))
        .collect();
    names.join(", ")
}

fn sources(common: &CommonArgs) -> anyhow::Result<Vec<Source>> {
    common.files.iter().map(|path| source(path)).collect()
}

fn source(path: &Path) -> anyhow::Result<Source> {
    // One byte more than the limit, so that the import sees that it was passed.
    let limit = Limits::FILE_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        io::stdin()
            .take(limit)
            .read_to_end(&mut bytes)
            .context("cannot read standard input")?;
        return Ok(Source::new("<stdin>", bytes));
    }
    std::fs::File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(Source::new(path.display().to_string(), bytes))
}

/// The report for people, which goes beside the documents.
fn report(imported: &Imported, sources: &[Source]) -> String {
    let colour = crate::output::may_colour() && io::stderr().is_terminal();
    let count = |severity| {
        let found = imported.findings.iter();
        found
            .filter(|found| found.kind.severity() == severity)
            .count()
    };
    let text = render(&imported.findings, sources, colour);
    let (errors, gaps, notes) = (
        count(Severity::Error),
        count(Severity::Gap),
        count(Severity::Note),
    );
    let summary = if errors > 0 {
        format!("nothing is written: {}", counted(errors, "error"))
    } else {
        format!(
            "{} and {} written; {} and {} reported",
            counted(imported.services, "service"),
            counted(imported.rules, "rule"),
            counted(gaps, "gap"),
            counted(notes, "note"),
        )
    };
    format!("{text}{summary}\n")
}

fn json(imported: &Imported, sources: &[Source]) -> anyhow::Result<String> {
    let findings = imported
        .findings
        .iter()
        .map(|found| Found::of(found, sources));
    let answer = Answer {
        documents: &imported.documents,
        services: imported.services,
        rules: imported.rules,
        findings: findings.collect(),
    };
    Ok(serde_json::to_string_pretty(&answer)? + "\n")
}

/// What an import came to, for a program.
#[derive(Serialize)]
struct Answer<'a> {
    documents: &'a str,
    services: usize,
    rules: usize,
    findings: Vec<Found<'a>>,
}

/// A finding for a program. Lines and columns are counted from 1, columns in characters.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    severity: &'static str,
    kind: &'static str,
    file: Option<&'a str>,
    line: u32,
    column: u32,
    end_line: u32,
    end_column: u32,
    message: &'a str,
    effect: &'a str,
    instead: &'a str,
}

impl<'a> Found<'a> {
    fn of(found: &'a Finding, sources: &'a [Source]) -> Self {
        let place = found.place(sources);
        let (start, end) = place.as_ref().map(|place| (place.start, place.end)).unzip();
        Self {
            severity: found.kind.severity().as_str(),
            kind: found.kind.as_str(),
            file: place.map(|place| place.file),
            line: start.map_or(0, |at| at.line),
            column: start.map_or(0, |at| at.column),
            end_line: end.map_or(0, |at| at.line),
            end_column: end.map_or(0, |at| at.column),
            message: &found.message,
            effect: &found.effect,
            instead: &found.instead,
        }
    }
}
