//! Identities over time, over the development issuer: renewed under load, deleted, not
//! renewed at all, federated. `spire.rs` tells the same story over a real SPIRE.

use std::process::ExitCode;

use anyhow::Result;
use callgate_tests::{
    envoy::scratch,
    lifetimes::{Embedded, Provider, tell},
};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let told = Trial::test("an_identity_is_what_it_is_now", || {
        let told = Runtime::new()
            .map_err(anyhow::Error::from)
            .and_then(|runtime| runtime.block_on(story()));
        told.map_err(|error| Failed::from(format!("{error:#}")))
    });
    libtest_mimic::run(&Arguments::from_args(), vec![told]).exit_code()
}

async fn story() -> Result<()> {
    let directory = scratch()?;
    let embedded = Embedded::start(directory.path()).await?;
    tell(Provider::Embedded(Box::new(embedded)), directory.path()).await
}
