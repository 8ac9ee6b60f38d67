//! The gate at work: `make demo`.
//!
//! Two services, each behind a real Envoy with the configuration that ships, one
//! `callgate serve`, identities that live for seconds from `callgate dev issuer`, and real calls that show who
//! gets in, who does not, and why. Every call's answer is checked: a demo that only
//! printed would one day lie.

mod stage;
mod story;
mod table;

use std::{env, process::ExitCode};

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

use stage::Stage;
use table::Table;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Tells the story; whether every step was answered as told.
async fn run() -> Result<bool> {
    println!(
        "Starting callgate dev issuer (DEVELOPMENT ONLY), callgate serve, and an Envoy in front of\neach of two services ...\n"
    );
    let mut stage = Stage::start().await?;
    let mut table = Table::default();
    if let Err(error) = story::tell(&mut stage, &mut table).await {
        println!("\n{error:#}\n\n{}", stage.logs());
        return Ok(false);
    }
    println!("\n{0} of {0} steps answered as told\n", table.steps());
    stage::explain()?;
    if env::var("KEEP").is_ok_and(|keep| !keep.is_empty() && keep != "0") {
        stay(&stage).await?;
    }
    Ok(true)
}

async fn stay(stage: &Stage) -> Result<()> {
    let (text, _kept) = stage.invitation().await?;
    println!("\n{text}");
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    println!();
    Ok(())
}
