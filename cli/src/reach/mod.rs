//! `callgate explain --who-can` and `--what-can`: access the other way around.

mod human;
mod json;

use std::process::ExitCode;

use anyhow::Context as _;
use callgate_analysis::{
    diff::Version,
    reach::{what_can, who_can},
};
use callgate_policy::document::RequestLine;
use callgate_server::clock;

use crate::{
    args::ExplainArgs,
    explain::Identity,
    output::{Format, print},
    revocation,
    set::Documents,
};

/// Who can make this call.
pub(crate) fn who(args: &ExplainArgs, call: &RequestLine) -> anyhow::Result<ExitCode> {
    let documents = Documents::read(&args.policies, args.trust_domain.as_ref())?;
    let to = args
        .to
        .as_ref()
        .context("`--to` says which service is called")?;
    let to = to.resolve("--to", documents.trust_domain())?;
    let now = args.at.unwrap_or_else(clock::now);
    let version = version(args, documents)?;
    let request = call.with(&args.headers);
    let found = who_can(&version, &to, &request, now)
        .with_context(|| format!("nobody can: `{call}` is refused before any rule"))?;
    print(&match args.format {
        Format::Human => human::who(&found, call, &to, now),
        Format::Json => json::who(&found, call, &to, now)?,
    })?;
    Ok(exit(!found.callers.is_empty() || found.lets_pass))
}

/// What this caller can do.
pub(crate) fn what(args: &ExplainArgs, caller: &Identity) -> anyhow::Result<ExitCode> {
    let documents = Documents::read(&args.policies, args.trust_domain.as_ref())?;
    let own = documents.trust_domain();
    let caller = caller.resolve("--what-can", own)?;
    let only = args.to.as_ref().map(|to| to.resolve("--to", own));
    let only = only.transpose()?;
    let now = args.at.unwrap_or_else(clock::now);
    let version = version(args, documents)?;
    let found = what_can(&version, &caller, only.as_ref(), now);
    print(&match args.format {
        Format::Human => human::what(&found, &caller, now),
        Format::Json => json::what(&found, &caller, now)?,
    })?;
    let nothing = found.services.is_empty() && found.elsewhere.is_empty();
    Ok(exit(!nothing || !found.let_pass.is_empty()))
}

/// The set with its revocations, as a server has them.
fn version(args: &ExplainArgs, documents: Documents) -> anyhow::Result<Version> {
    let files = revocation::read(&args.policies)?;
    for fault in files.faults() {
        eprintln!("{fault}");
    }
    let revocations = files.revocations().cloned().collect();
    Ok(Version::new(documents.specified, revocations)?)
}

const fn exit(yes: bool) -> ExitCode {
    if yes {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
