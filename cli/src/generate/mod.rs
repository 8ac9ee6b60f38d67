//! `callgate generate`: the least policy that allows what was recorded.

mod json;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use callgate_analysis::{
    figure::counted,
    generate::{Documents, GenerateOptions, Generated, Generator, LeftOut},
    log::{self, OddLines},
    replay::Window,
};
use callgate_policy::{PolicySet, SpiffeId, Timestamp, TrustDomain, spec::PolicySetSpec};
use clap::Args;

use crate::{
    args::time,
    explain::Identity,
    logs,
    output::{Format, print, printable},
    progress::Progress,
    set,
};

/// `callgate generate`.
#[derive(Debug, Args)]
#[command(
    after_help = "What passed is what counts: calls that were allowed, and calls that only a \
Shadow setting let pass. The document is in Shadow itself, and its owner is TODO: read it \
before it is enforced.\n\nExit code 0: written; 2: nothing passed, or a log could not be read."
)]
pub(crate) struct GenerateArgs {
    /// A decision log, plain, gzip or zstd; `-` is standard input; may be repeated
    #[arg(long = "log", value_name = "LOG", required = true)]
    logs: Vec<PathBuf>,

    /// The service to write a policy for; may be repeated [default: every one that was
    /// called]
    #[arg(long = "service", value_name = "ID")]
    services: Vec<Identity>,

    /// Directory of documents with a MeshPolicy: what its rules allow is left to them
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,

    /// Only records from then on, in RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,

    /// Only records before then, in RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,

    /// So many words in one place, with the same below each of them, become a capture
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = words)]
    words: usize,

    /// What relative identities belong to, if no MeshPolicy says so
    #[arg(long, value_name = "DOMAIN", value_parser = TrustDomain::parse)]
    trust_domain: Option<TrustDomain>,

    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A number of words: one is no crowd.
fn words(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(words @ 2..=1_000) => Ok(words),
        _ => Err("a number from 2 to 1000".to_owned()),
    }
}

pub(crate) fn run(args: &GenerateArgs) -> anyhow::Result<ExitCode> {
    let mesh = args.policies.as_ref().map(|_| mesh(args)).transpose()?;
    let (mesh, domain) = mesh.unzip();
    let domain = domain.flatten().or_else(|| args.trust_domain.clone());
    let services: Vec<SpiffeId> = args
        .services
        .iter()
        .map(|one| one.resolve("--service", domain.as_ref()))
        .collect::<anyhow::Result<_>>()?;
    let (generator, odd) = read(
        args,
        Generator::new(GenerateOptions {
            services,
            words: args.words,
            mesh,
        }),
    )?;
    let documents = generator.finish(&source(args));
    let notes = notes(&documents, &odd);
    if documents.documents.is_empty() {
        notes.iter().for_each(|note| eprintln!("note: {note}"));
        bail!("nothing passed that a policy could be written for");
    }
    print(&match args.format {
        Format::Human => texts(&documents.documents),
        Format::Json => json::show(&documents, &odd)?,
    })?;
    notes.iter().for_each(|note| eprintln!("note: {note}"));
    Ok(ExitCode::SUCCESS)
}

/// The rules of the mesh alone, and what relative identities belong to.
fn mesh(args: &GenerateArgs) -> anyhow::Result<(PolicySet, Option<TrustDomain>)> {
    let dir = args.policies.as_ref().context("no directory")?;
    let documents = set::Documents::read(dir, args.trust_domain.as_ref())?;
    let specified = documents.specified;
    let mesh = PolicySet::build(PolicySetSpec {
        mesh: specified.spec.mesh,
        services: Vec::new(),
    });
    let mesh = mesh.context("the MeshPolicy does not make a set")?;
    Ok((mesh, specified.trust_domain))
}

fn read(args: &GenerateArgs, mut generator: Generator) -> anyhow::Result<(Generator, OddLines)> {
    let window = Window {
        since: args.since,
        until: args.until,
    };
    let mut odd = OddLines::default();
    let progress = Progress::start(&args.logs);
    for path in &args.logs {
        let log = progress.reading(logs::open(path)?);
        log::read(log, |line| match line.content {
            Ok(record) if window.holds(record.time) => generator.add(&record),
            Ok(_) => {}
            Err(why) => odd.note(line.number, why),
        })
        .with_context(|| logs::unreadable(path))?;
    }
    progress.done();
    Ok((generator, odd))
}

/// What was read, for the head of a document.
fn source(args: &GenerateArgs) -> String {
    match &*args.logs {
        [one] if one.as_os_str() == "-" => "standard input".to_owned(),
        [one] => printable(&one.display().to_string()),
        many => format!("{} logs", many.len()),
    }
}

fn texts(documents: &[Generated]) -> String {
    let texts: Vec<&str> = documents.iter().map(|one| &*one.text).collect();
    texts.join("---\n")
}

/// What is not in the documents, and is not of one of them.
fn notes(documents: &Documents, odd: &OddLines) -> Vec<String> {
    let mut notes = Vec::new();
    for (service, left_out) in &documents.empty {
        let why: Vec<String> = left_out
            .iter()
            .map(|(why, count): (&LeftOut, &u64)| why.counted(*count))
            .collect();
        notes.push(match why.is_empty() {
            true => format!("no record is about {service}"),
            false => format!("nothing passed to {service}: {}", why.join(", ")),
        });
    }
    let left_out = |document: &Generated| -> u64 { document.left_out.values().sum() };
    for document in &documents.documents {
        if left_out(document) > 0 {
            let calls = counted(left_out(document), "call");
            let told = "left out, as its head says";
            notes.push(format!("{}: {calls} {told}", document.service));
        }
    }
    let mut note = |n: u64, what: &str| {
        if n > 0 {
            notes.push(format!("{} {what}", counted(n, "record")));
        }
    };
    note(documents.elsewhere, "about other services");
    note(
        documents.beyond,
        "about services without a SPIFFE ID, or beyond the first 1,000",
    );
    if odd.count() > 0 {
        notes.push(format!(
            "passed over {} no decision record",
            match odd.count() {
                1 => "1 line that is".to_owned(),
                n => format!("{} that are", counted(n, "line")),
            }
        ));
    }
    notes
}
