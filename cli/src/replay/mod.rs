//! `callgate replay`: recorded decisions, decided again.

mod human;
mod json;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use callgate_analysis::replay::{Direction, Replay, Replayed, Window};
use callgate_policy::{PolicySet, Timestamp, TrustDomain};
use clap::{Args, ValueEnum};

use crate::{
    args::time,
    logs,
    output::{Format, colour, counted, print},
    progress::Progress,
    set::Documents,
};

/// `callgate replay`.
#[derive(Debug, Args)]
#[command(
    after_help = "Each record is decided again at its own time. Who called is what was \
recorded: a certificate that was refused, or revoked, stays so, and Revocation documents \
in DIR are passed over.\n\nExit code 0: every decision comes out as it was recorded; 1: \
some do not, or cannot be decided again; 2: there was nothing to replay, or it could not \
be read."
)]
pub(crate) struct ReplayArgs {
    /// Decision logs, plain, gzip or zstd; `-` is standard input
    #[arg(value_name = "LOG", required = true)]
    logs: Vec<PathBuf>,

    /// Directory of the documents to decide by
    #[arg(long, value_name = "DIR", default_value = "policies")]
    policies: PathBuf,

    /// Only records from then on, in RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,

    /// Only records before then, in RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,

    /// Tell only of calls that may do less, or more, and count only those as changed
    #[arg(long, value_enum)]
    only: Option<Only>,

    /// Exit with 0 even if some records cannot be decided again
    #[arg(long)]
    allow_undecided: bool,

    /// Tell every kind of change, not only the 20 with most calls
    #[arg(long)]
    all: bool,

    /// What relative identities belong to, if no MeshPolicy says so
    #[arg(long, value_name = "DOMAIN", value_parser = TrustDomain::parse)]
    trust_domain: Option<TrustDomain>,

    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Which changes matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Only {
    /// Calls that were allowed or let pass, and are not now.
    Narrowed,
    /// Calls that were refused or only let pass, and are allowed now.
    Widened,
}

pub(crate) fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let documents = Documents::read(&args.policies, args.trust_domain.as_ref())?;
    let replayed = replay(args, &documents.policies)?;
    if replayed.records == 0 {
        bail!("{}", nothing(args, &replayed));
    }
    let shown = Shown {
        logs: &args.logs,
        policies: &args.policies,
        only: args.only.map(Only::direction),
        all: args.all,
        replayed: &replayed,
    };
    print(&match args.format {
        Format::Human => human::show(&shown, colour()),
        Format::Json => json::show(&shown)?,
    })?;
    let undecided = replayed.undecided() > 0 && !args.allow_undecided;
    Ok(if shown.changed() > 0 || undecided {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn replay(args: &ReplayArgs, set: &PolicySet) -> anyhow::Result<Replayed> {
    let window = Window {
        since: args.since,
        until: args.until,
    };
    let mut replay = Replay::new(set, window);
    let progress = Progress::start(&args.logs);
    for path in &args.logs {
        let log = progress.reading(logs::open(path)?);
        replay.read(log).with_context(|| logs::unreadable(path))?;
    }
    progress.done();
    Ok(replay.finish())
}

/// Why there was nothing to replay.
fn nothing(args: &ReplayArgs, replayed: &Replayed) -> String {
    let logs = counted(args.logs.len(), "log");
    match replayed.outside {
        0 => format!("there is no decision record in {logs}"),
        _ => format!("no decision record in {logs} is of that time"),
    }
}

/// What is told.
struct Shown<'a> {
    logs: &'a [PathBuf],
    policies: &'a Path,
    only: Option<Direction>,
    all: bool,
    replayed: &'a Replayed,
}

impl Shown<'_> {
    /// Whether a change is one to tell of.
    fn tells(&self, direction: Direction) -> bool {
        self.only.is_none_or(|only| only == direction)
    }

    /// How many records changed that are told of.
    fn changed(&self) -> u64 {
        let counts = self.replayed.counts.iter();
        let told = counts.filter(|(change, _)| self.tells(change.direction()));
        told.map(|(_, count)| count).sum()
    }

    /// A log as it was named.
    fn log(&self, number: usize) -> String {
        let path = self.logs.get(number);
        path.map(|path| path.display().to_string())
            .unwrap_or_default()
    }
}

impl Only {
    const fn direction(self) -> Direction {
        match self {
            Self::Narrowed => Direction::Narrowed,
            Self::Widened => Direction::Widened,
        }
    }
}
