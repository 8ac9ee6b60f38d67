//! `callgate identities`: who called, by what the decision log says.

mod seen;
mod show;

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use callgate_analysis::log::OddLines;
use callgate_policy::{
    PolicySet, SpiffeId, Timestamp, TrustDomain,
    document::{LoadError, LoadOptions, load},
};
use callgate_server::{clock, store::read_sources};
use clap::Args;

use crate::{
    args::time,
    logs,
    output::{Format, counted, print},
};

use self::seen::{Record, Seen};

/// Callers that are told apart, some 500 bytes each.
const MAX_CALLERS: usize = 100_000;
/// Certificates of one caller that are counted; a caller with more has as many at least.
const MAX_CERTIFICATES: usize = 1_000;

/// `callgate identities`.
#[derive(Debug, Args)]
#[command(
    after_help = "A record counts if the proxy that asked proved to be the called service's \
own (the record's `proxy` is its `destination`), or is a gateway that the MeshPolicy lists \
for it. Who else can write into a decision log could make up callers.\n\nExit code 0: told; \
2: a log could not be read, or is none."
)]
pub(crate) struct IdentitiesArgs {
    /// Decision logs, plain, gzip or zstd; `-` is standard input
    #[arg(value_name = "LOG", required = true)]
    logs: Vec<PathBuf>,

    /// Directory of documents, for the gateways of the MeshPolicy
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,

    /// Only callers seen since then, in RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,

    /// The moment to tell of, in RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,

    /// What relative identities belong to, if no MeshPolicy says so
    #[arg(long, value_name = "DOMAIN", value_parser = TrustDomain::parse)]
    trust_domain: Option<TrustDomain>,

    /// Count records of proxies that proved nothing, too: of a server without mutual TLS
    #[arg(long)]
    danger_any_proxy: bool,

    /// How they are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Everyone who was seen, and what was left out.
#[derive(Debug, Default)]
struct Tally {
    callers: BTreeMap<String, Caller>,
    /// Records whose proxy may not speak for that destination.
    unproven: u64,
    /// Lines that are no decision record.
    odd: OddLines,
    /// Records of callers beyond [`MAX_CALLERS`].
    beyond: u64,
}

/// What is known of one caller.
#[derive(Debug)]
struct Caller {
    /// The certificate that was seen last.
    latest: Seen,
    /// By their SHA-256.
    certificates: std::collections::BTreeSet<String>,
    calls: u64,
    refused: u64,
}

pub(crate) fn run(args: &IdentitiesArgs) -> anyhow::Result<ExitCode> {
    let gateways = args.policies.as_ref().map(|_| policies(args)).transpose()?;
    let mut tally = Tally::default();
    for path in &args.logs {
        logs::read(path, |line| match line.content {
            Err(odd) => tally.odd.note(line.number, odd),
            Ok(record) => tally.add(record.into(), args, gateways.as_ref()),
        })?;
    }
    if tally.callers.is_empty() && tally.unproven == 0 && tally.odd.count() > 0 {
        anyhow::bail!("there is no decision record in {}", counted_logs(args));
    }
    let at = args.at.unwrap_or_else(clock::now);
    print(&match args.format {
        Format::Human => show::table(&tally.callers, at),
        Format::Json => show::json(&tally.callers)?,
    })?;
    for note in tally.notes() {
        eprintln!("note: {note}");
    }
    Ok(ExitCode::SUCCESS)
}

fn counted_logs(args: &IdentitiesArgs) -> String {
    counted(args.logs.len(), "log")
}

/// The set whose gateways count.
fn policies(args: &IdentitiesArgs) -> anyhow::Result<PolicySet> {
    let directory = args.policies.as_ref().context("no directory")?;
    let sources = read_sources(directory)?;
    let options = LoadOptions {
        trust_domain: args.trust_domain.clone(),
        without_revocations: true,
        ..LoadOptions::default()
    };
    match load(&sources, &options) {
        Ok(loaded) => Ok(loaded.policies),
        Err(LoadError::NoDocuments) => Ok(PolicySet::default()),
        Err(LoadError::Findings(findings)) => {
            eprint!("{}", findings.render(&sources, false));
            anyhow::bail!(
                "`{}` does not load, so nobody knows its gateways",
                directory.display()
            )
        }
    }
}

impl Tally {
    fn add(&mut self, record: Record, args: &IdentitiesArgs, gateways: Option<&PolicySet>) {
        if args.since.is_some_and(|since| record.time < since) {
            return;
        }
        if !args.danger_any_proxy && !is_proven(&record, gateways) {
            self.unproven += 1;
            return;
        }
        for seen in [record.source, record.forwarder].into_iter().flatten() {
            self.see(seen, record.refused);
        }
    }

    fn see(&mut self, seen: Seen, refused: bool) {
        if self.callers.len() >= MAX_CALLERS && !self.callers.contains_key(&seen.id) {
            self.beyond += 1;
            return;
        }
        let caller = self
            .callers
            .entry(seen.id.clone())
            .or_insert_with(|| Caller {
                latest: seen.clone(),
                certificates: std::collections::BTreeSet::new(),
                calls: 0,
                refused: 0,
            });
        caller.calls += 1;
        caller.refused += u64::from(refused);
        if let Some(sha256) = &seen.certificate_sha256
            && caller.certificates.len() < MAX_CERTIFICATES
        {
            caller.certificates.insert(sha256.clone());
        }
        if caller.latest.last_seen <= seen.last_seen {
            caller.latest = seen;
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let mut note = |n: u64, what: &str| {
            if n > 0 {
                notes.push(format!("{n} {what}"));
            }
        };
        note(
            self.unproven,
            "records do not count: their proxy proved nothing, or may not speak for the destination",
        );
        note(self.odd.foreign, "lines are no decision record");
        note(self.odd.torn, "lines at the end of a log are torn");
        note(
            self.beyond,
            "records of callers beyond the first 100,000 do not count",
        );
        notes
    }
}

/// Whether the proxy that asked may speak for the destination.
fn is_proven(record: &Record, gateways: Option<&PolicySet>) -> bool {
    let (Some(proxy), destination) = (&record.proxy, &record.destination) else {
        return false;
    };
    let Ok(proxy) = SpiffeId::parse(proxy) else {
        return false;
    };
    let Ok(destination) = SpiffeId::parse(destination) else {
        return false;
    };
    proxy == destination || gateways.is_some_and(|set| set.may_ask(&proxy, &destination))
}
