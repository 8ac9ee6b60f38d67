//! Prints the conformance vectors, minted now, as JSON: for other implementations.

use std::process::ExitCode;

use callgate_tests::conformance::Vectors;

fn main() -> anyhow::Result<ExitCode> {
    println!("{:#}", Vectors::mint()?.to_json());
    Ok(ExitCode::SUCCESS)
}
