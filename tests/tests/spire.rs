//! Identities over time, over a real SPIRE: `make test-spire`. It takes minutes, and
//! SPIRE does not come with the repository, so it runs only when it is asked to.

use std::{env, process::ExitCode};

use anyhow::Result;
use callgate_tests::{
    envoy::scratch,
    lifetimes::{Provider, Spire, tell},
};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

/// Set by `make test-spire`.
const ASKED: &str = "CALLGATE_TEST_SPIRE";
const NAME: &str = "an_identity_is_what_it_is_now_with_spire";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trial = if env::var_os(ASKED).is_none() {
        skipped("run `make test-spire`")
    } else if let Err(missing) = Spire::on_path() {
        skipped(&missing.to_string())
    } else {
        Trial::test(NAME, || {
            let told = Runtime::new()
                .map_err(anyhow::Error::from)
                .and_then(|runtime| runtime.block_on(story()));
            told.map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    libtest_mimic::run(&arguments, vec![trial]).exit_code()
}

/// Shown as ignored, and said aloud: a test that did not run has shown nothing.
fn skipped(why: &str) -> Trial {
    eprintln!("SKIPPED: identities over time with a real SPIRE: {why}");
    Trial::test(NAME, || Ok(())).with_ignored_flag(true)
}

async fn story() -> Result<()> {
    let directory = scratch()?;
    let spire = Spire::start(directory.path()).await?;
    tell(Provider::Spire(Box::new(spire)), directory.path()).await
}
