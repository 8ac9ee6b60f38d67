//! What can be written after `callgate test`.

use std::path::PathBuf;

use callgate_policy::{Timestamp, TrustDomain};
use clap::{Args, ValueEnum};

use crate::args::time;

/// `callgate test`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 0: every call came out as expected; 1: one did not, too little \
was covered, or there are findings in a document; 2: there is no test, no case that matches, \
or it could not be read."
)]
pub(crate) struct TestArgs {
    /// Directories of policies and their tests, `*_test.yaml`; or files of tests
    #[arg(value_name = "PATH", default_value = "policies")]
    pub(crate) paths: Vec<PathBuf>,

    /// Directory of the policies, where it is none of the paths
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: Option<PathBuf>,

    /// Only cases whose name, document or file has this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,

    /// When calls are made of which no test says it, in RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) at: Option<Timestamp>,

    /// Say which rules, and which lines of them, no case has met
    #[arg(long)]
    pub(crate) coverage: bool,

    /// Exit with 1 if less than this part of all lines of `to` was met
    #[arg(
        long,
        value_name = "PERCENT",
        value_parser = clap::value_parser!(u8).range(0..=100)
    )]
    pub(crate) fail_under: Option<u8>,

    /// Run again whenever a document changes
    #[arg(long)]
    pub(crate) watch: bool,

    /// What relative identities belong to, if no MeshPolicy says so
    #[arg(long, value_name = "DOMAIN", value_parser = TrustDomain::parse)]
    pub(crate) trust_domain: Option<TrustDomain>,

    /// How results are printed
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: TestFormat,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TestFormat {
    /// For people.
    #[default]
    Human,
    /// For programs.
    Json,
    /// For CI, as XML.
    Junit,
}
