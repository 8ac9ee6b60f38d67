//! `callgate diff`: which accesses a change of documents widens or narrows.

mod git;
mod human;
mod json;
mod markdown;
mod words;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::bail;
use callgate_analysis::diff::{Diff, Direction, Version, compare};
use callgate_policy::{
    Timestamp, TrustDomain,
    document::{Limits, LoadError, LoadOptions, Source, load_revocations, specify},
};
use callgate_server::clock;
use clap::{Args, ValueEnum};

use crate::{
    args::time,
    output::{colour, print},
    sources::gather,
};

/// `callgate diff`.
#[derive(Debug, Args)]
#[command(
    after_help = "What is compared is what documents mean: names, order and rules that add \
nothing show nothing. Every change comes with a request that both versions really decide \
differently.\n\nExit code 0: no access changes; 1: some do, or may; 2: there is nothing to \
compare, or it does not load."
)]
pub(crate) struct DiffArgs {
    /// OLD and NEW, directories or files; with --git, only the directory
    #[arg(value_name = "PATH", num_args = 0..=2)]
    paths: Vec<PathBuf>,

    /// Compare the directory, as it is now, with a revision in git
    #[arg(long, value_name = "REV")]
    git: Option<String>,

    /// Tell only of what widens, or narrows, and count only that
    #[arg(long, value_enum)]
    only: Option<Only>,

    /// Compare as of this time, in RFC 3339, and of all later ones [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,

    /// What relative identities belong to, if no MeshPolicy says so
    #[arg(long, value_name = "DOMAIN", value_parser = TrustDomain::parse)]
    trust_domain: Option<TrustDomain>,

    /// How it is printed; markdown is for pull requests
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How changes are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Human,
    /// For programs.
    Json,
    /// For pull requests.
    Markdown,
}

/// Which changes matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Only {
    /// What more is allowed.
    Widened,
    /// What less is.
    Narrowed,
}

/// What is told.
struct Shown<'a> {
    old: String,
    new: String,
    at: Timestamp,
    diff: &'a Diff,
}

pub(crate) fn run(args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let ((old, old_sources), (new, new_sources)) = sources(args)?;
    let at = args.at.unwrap_or_else(clock::now);
    let old_version = version(&old, &old_sources, args, at)?;
    let new_version = version(&new, &new_sources, args, at)?;
    let mut diff = compare(&old_version, &new_version, at);
    if let Some(only) = args.only {
        diff = diff.only(only.direction());
    }
    let shown = Shown {
        old,
        new,
        at,
        diff: &diff,
    };
    print(&match args.format {
        Format::Human => human::show(&shown, colour()),
        Format::Json => json::show(&shown)?,
        Format::Markdown => markdown::show(&shown),
    })?;
    Ok(if diff.is_empty() && diff.complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A version by its name.
type Named = (String, Vec<Source>);

/// The two versions that are asked for.
fn sources(args: &DiffArgs) -> anyhow::Result<(Named, Named)> {
    let read = |path: &PathBuf| -> anyhow::Result<Named> {
        let sources = gather(std::slice::from_ref(path))?;
        Ok((path.display().to_string(), sources))
    };
    match (&args.git, &*args.paths) {
        (None, [old, new]) => Ok((read(old)?, read(new)?)),
        (Some(revision), paths @ ([] | [_])) => {
            let default = PathBuf::from("policies");
            let directory = paths.first().unwrap_or(&default);
            let old = git::read(directory, revision)?;
            Ok((
                (format!("{revision}:{}", directory.display()), old),
                read(directory)?,
            ))
        }
        (None, _) => bail!("name what to compare: OLD and NEW, or --git REV and a directory"),
        (Some(_), _) => bail!("with --git, name only the directory that is compared"),
    }
}

/// One version, whole. A revision from before there were policies refuses everything.
fn version(
    name: &str,
    sources: &[Source],
    args: &DiffArgs,
    now: Timestamp,
) -> anyhow::Result<Version> {
    if sources.is_empty() {
        return Ok(Version::empty());
    }
    let options = LoadOptions {
        now,
        trust_domain: args.trust_domain.clone(),
        without_revocations: true,
        limits: Limits::default(),
    };
    let mut revocations = Vec::new();
    for source in sources {
        let loaded = load_revocations(source, &options);
        for finding in &loaded.findings {
            eprintln!("{finding}");
        }
        revocations.extend(loaded.revocations);
    }
    match specify(sources, &options) {
        Ok(specified) => Ok(Version::new(specified, revocations)?),
        Err(LoadError::NoDocuments) => bail!("there is no document in `{name}`"),
        Err(LoadError::Findings(findings)) => {
            eprint!("{}", findings.render(sources, false));
            bail!("`{name}` does not load, so nothing can be compared")
        }
    }
}

/// A place in a directory, as a source there is named.
fn joined(directory: &Path, name: &str) -> String {
    directory.join(name).display().to_string()
}

impl Only {
    const fn direction(self) -> Direction {
        match self {
            Self::Widened => Direction::Widened,
            Self::Narrowed => Direction::Narrowed,
        }
    }
}
