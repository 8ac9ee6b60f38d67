//! `callgate schema`: what documents may hold, for editors.

use std::process::ExitCode;

use crate::output::print;

/// The schema; readers of the repository find the same file.
pub(crate) const SCHEMA: &str = include_str!("../../docs/schema.json");

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    print(SCHEMA)?;
    Ok(ExitCode::SUCCESS)
}
