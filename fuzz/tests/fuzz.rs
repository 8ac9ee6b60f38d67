//! Every target on its corpus, on random input, and on what random input makes of the
//! corpus.
//!
//! `cargo test` runs a fixed number of inputs, in seconds. `fuzz/run` runs each target
//! for as long as it is told, guided by coverage where cargo-bolero is installed.

use anyhow::{Result, anyhow};
use callgate_fuzz::{self as targets, Corpus};

/// Each input as it is, and as instructions to change one of the corpus.
fn both(corpus: Corpus, target: fn(&[u8]) -> Result<()>) -> impl Fn(&[u8]) -> Result<()> {
    let run = move |input: &[u8]| {
        // Flat, since only an error's first line is shown.
        target(input).map_err(|error| anyhow!("on \"{}\": {error:#}", input.escape_ascii()))
    };
    move |bytes| {
        run(bytes)?;
        run(&corpus.mutant(bytes))
    }
}

macro_rules! fuzz {
    ($($target:ident: $inputs:literal inputs,)+) => {
        $(
            #[test]
            fn $target() {
                let corpus = Corpus::read(stringify!($target)).unwrap();
                let run = both(corpus, targets::$target);
                bolero::check!()
                    .with_iterations($inputs)
                    .with_max_len(1024)
                    .for_each(move |bytes: &[u8]| run(bytes));
            }
        )+
    };
}

// As many as a debug build does in about a second.
fuzz! {
    spiffe_id: 10_000 inputs,
    path: 5_000 inputs,
    client_cert_header: 10_000 inputs,
    filter_configuration: 10_000 inputs,
    certificate: 500 inputs,
    check_response: 5_000 inputs,
    rule: 5_000 inputs,
    condition: 10_000 inputs,
    document: 1_000 inputs,
    policy_test: 1_000 inputs,
    imported: 400 inputs,
    check_request: 1_000 inputs,
    trust_bundle: 1_000 inputs,
    decision_log: 2_000 inputs,
    slice: 2_000 inputs,
    record_request: 1_000 inputs,
}
