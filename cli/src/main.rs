//! The `callgate` command.
//!
//! Exit 0: yes, fine. 1: the answer is no. 2: it could not be run.

mod args;
mod check;
mod completions;
mod dev;
mod diff;
mod explain;
mod fmt;
mod generate;
mod identities;
mod import;
mod init;
mod logs;
mod output;
mod progress;
mod reach;
mod replay;
mod revocation;
mod schema;
mod serve;
mod set;
mod sources;
mod test;

use std::process::ExitCode;

use args::{Cli, Command};
use clap::Parser as _;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(args) => serve::run(*args),
        Command::Check(args) => check::run(&args),
        Command::Fmt(args) => fmt::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Revoke(args) => revocation::revoke(&args),
        Command::Revocations(args) => revocation::list(&args),
        Command::Identities(args) => identities::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Schema => schema::run(),
        Command::Completions(args) => completions::run(&args),
        Command::Dev(args) => dev::run(args.command),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("callgate: {error:#}");
        ExitCode::from(2)
    })
}
