//! What can be written after `callgate`.

use std::path::PathBuf;

use callgate_policy::{
    Timestamp, TrustDomain,
    document::{Code, Header, RequestLine, TimeError, parse_duration, parse_time},
};
use clap::{Args, Parser, Subcommand};

use crate::{
    check::{CheckFormat, code},
    completions::CompletionsArgs,
    dev::Dev,
    diff::DiffArgs,
    explain::{Identity, header},
    fmt::FmtArgs,
    generate::GenerateArgs,
    identities::IdentitiesArgs,
    import::ImportArgs,
    init::InitArgs,
    output::Format,
    replay::ReplayArgs,
    revocation::{RevocationsArgs, RevokeArgs},
    serve::ServeArgs,
    test::TestArgs,
};

/// Callgate: checks who is calling on every request
#[derive(Debug, Parser)]
#[command(name = "callgate", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the authorization service
    Serve(Box<ServeArgs>),
    /// Say what is wrong with documents
    Check(CheckArgs),
    /// Say whether policies decide what their tests expect
    Test(Box<TestArgs>),
    /// Write documents in one form, comments and all
    Fmt(FmtArgs),
    /// Make a directory with a policy, a test of it, and something to try them on
    Init(InitArgs),
    /// Say how a call is decided, and by what
    Explain(Box<ExplainArgs>),
    /// Believe an identity or a certificate no longer
    Revoke(Box<RevokeArgs>),
    /// List who is believed no longer
    Revocations(RevocationsArgs),
    /// List who called, and how long their certificates last
    Identities(IdentitiesArgs),
    /// Write the least policy that allows what was recorded
    Generate(Box<GenerateArgs>),
    /// Say which accesses a change of documents widens or narrows
    Diff(Box<DiffArgs>),
    /// Decide recorded calls again, by other rules, and say what changes
    Replay(Box<ReplayArgs>),
    /// Translate the policies of another system, as far as both decide alike
    Import(Box<ImportArgs>),
    /// Print the JSON Schema of documents, for editors
    Schema,
    /// Print what a shell needs to complete commands
    Completions(CompletionsArgs),
    /// DEVELOPMENT ONLY: what stands in for a mesh that is not there
    Dev(DevArgs),
}

/// `callgate dev`.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    #[command(subcommand)]
    pub(crate) command: Dev,
}

/// `callgate check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 0: the documents load, perhaps with warnings; 1: they do not, \
or there are warnings and --deny-warnings; 2: there was nothing to check, or it could not \
be read."
)]
pub(crate) struct CheckArgs {
    /// Directories and files that make one set of documents
    #[arg(value_name = "PATH", default_value = "policies")]
    pub(crate) paths: Vec<PathBuf>,

    /// What relative identities belong to, if no MeshPolicy says so
    #[arg(long, value_name = "DOMAIN", value_parser = TrustDomain::parse)]
    pub(crate) trust_domain: Option<TrustDomain>,

    /// Exit with 1 on warnings too
    #[arg(long)]
    pub(crate) deny_warnings: bool,

    /// Warn of exceptions that end within this time: days, `14d`, or hours, `36h`; `0d` for
    /// those that have ended only
    #[arg(long, value_name = "TIME", default_value = "14d", value_parser = duration)]
    pub(crate) expiring_within: i64,

    /// Warn of identities that are not in this decision log; may be compressed, `-` is
    /// standard input, may be repeated
    #[arg(long = "log", value_name = "FILE")]
    pub(crate) logs: Vec<PathBuf>,

    /// Say what a code of a finding means, instead
    #[arg(long, value_name = "CODE", value_parser = code)]
    pub(crate) explain: Option<Code>,

    /// How findings are printed
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: CheckFormat,
}

/// `callgate explain`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 0: the call is allowed; 1: it is denied; 2: there is no \
valid set of documents to decide by."
)]
pub(crate) struct ExplainArgs {
    /// Who calls: a SPIFFE ID, or the path of one in the mesh's own trust domain
    #[arg(long, value_name = "ID", required_unless_present_any = ["decision", "who_can", "what_can"])]
    pub(crate) from: Option<Identity>,

    /// Who passes the call on for that caller, in the same form: a forwarder of the
    /// MeshPolicy
    #[arg(long, value_name = "ID")]
    pub(crate) forwarder: Option<Identity>,

    /// The service that is called, in the same form
    #[arg(long, value_name = "ID", required_unless_present_any = ["decision", "what_can"])]
    pub(crate) to: Option<Identity>,

    /// The call, as one argument: `GET /orders/7`, `GRPC shop.v1.Orders/Watch`,
    /// `WEBSOCKET /ui/live`
    #[arg(value_name = "CALL", required_unless_present_any = ["decision", "who_can", "what_can"])]
    pub(crate) call: Option<RequestLine>,

    /// Explain a call that was recorded instead, by the id that its answer carried
    /// (`x-callgate-decision`)
    #[arg(
        long,
        value_name = "ID",
        requires = "log",
        conflicts_with_all = ["from", "forwarder", "to", "call", "headers", "at"]
    )]
    pub(crate) decision: Option<String>,

    /// The decision log that it is recorded in; may be packed; `-` is standard input
    #[arg(long, value_name = "FILE", requires = "decision")]
    pub(crate) log: Option<PathBuf>,

    /// List who can make this call to the service
    #[arg(
        long,
        value_name = "CALL",
        conflicts_with_all = ["from", "forwarder", "call", "decision", "all_rules", "what_can"]
    )]
    pub(crate) who_can: Option<RequestLine>,

    /// List what this caller can do, at every service or at the one after --to
    #[arg(
        long,
        value_name = "ID",
        conflicts_with_all = ["from", "forwarder", "call", "decision", "all_rules", "headers"]
    )]
    pub(crate) what_can: Option<Identity>,

    /// Say how every rule about the service fared
    #[arg(long)]
    pub(crate) all_rules: bool,

    /// Directory of documents
    #[arg(long, value_name = "DIR", default_value = "policies")]
    pub(crate) policies: PathBuf,

    /// A header of the request; may be repeated
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    pub(crate) headers: Vec<Header>,

    /// When the call is made, in RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) at: Option<Timestamp>,

    /// What relative identities belong to, if no MeshPolicy says so
    #[arg(long, value_name = "DOMAIN", value_parser = TrustDomain::parse)]
    pub(crate) trust_domain: Option<TrustDomain>,

    /// How the answer is printed
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// A point in time.
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    parse_time(text).map_err(|error: TimeError| match error.suggestion(text) {
        Some(meant) => format!("{error}; did you mean `{meant}`?"),
        None => error.to_string(),
    })
}

/// A length of time, in milliseconds.
fn duration(text: &str) -> Result<i64, String> {
    if matches!(text, "0d" | "0h") {
        return Ok(0);
    }
    let read = parse_duration(text);
    read.ok_or_else(|| "write days or hours, such as `14d` or `36h`; ten years at most".to_owned())
}
