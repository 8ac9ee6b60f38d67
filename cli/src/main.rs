//! The `callgate` command.

mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Callgate: checks who is calling on every request
#[derive(Debug, Parser)]
#[command(name = "callgate", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the authorization service
    Serve(Box<serve::ServeArgs>),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(args) => serve::run(*args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("callgate: {error:#}");
        ExitCode::from(2)
    })
}
