//! `callgate explain`: how a call is decided, with the code that decides it.

mod call;
mod human;
mod identity;
mod json;

use std::process::ExitCode;

use anyhow::bail;
use callgate_policy::{
    Caller, Decision, Request, SpiffeId, Verdict,
    document::{Limits, LoadError, LoadOptions, Loaded, load},
};
use callgate_server::{clock, store::read_sources};

pub(crate) use call::{Call, Header};
pub(crate) use identity::Identity;

use crate::{
    args::ExplainArgs,
    output::{Format, colour, print},
};

pub(crate) fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let loaded = policies(args)?;
    let from = args.from.resolve("--from", loaded.trust_domain.as_ref())?;
    let to = args.to.resolve("--to", loaded.trust_domain.as_ref())?;
    let parts = args.call.parts(&args.headers);
    let request = Request {
        caller: Caller::Verified(&from),
        service: Some(&to),
        method: &parts.method,
        path: &parts.target,
        upgrade: parts.upgrade.as_deref(),
        content_type: parts.content_type.as_deref(),
    };
    let now = args.at.unwrap_or_else(clock::now);
    let decision = loaded.policies.decide(&request, now);
    let miss = decision.nearest_miss.as_ref();
    let story = miss.and_then(|miss| miss.story(&request, now));
    let asked = Asked {
        from: &from,
        to: &to,
        call: &args.call,
    };
    print(&match args.format {
        Format::Human => human::show(&asked, &decision, story.as_ref(), colour()),
        Format::Json => json::show(&decision)?,
    })?;
    Ok(match decision.verdict {
        Verdict::Allow => ExitCode::SUCCESS,
        Verdict::Deny => ExitCode::FAILURE,
    })
}

/// What was asked.
struct Asked<'a> {
    from: &'a SpiffeId,
    to: &'a SpiffeId,
    call: &'a Call,
}

/// The set that the server would decide by. One with findings decides nothing, so
/// there is no answer to explain.
fn policies(args: &ExplainArgs) -> anyhow::Result<Loaded> {
    let sources = read_sources(&args.policies)?;
    let options = LoadOptions {
        now: clock::now(),
        trust_domain: args.trust_domain.clone(),
        without_revocations: true,
        limits: Limits::default(),
    };
    match load(&sources, &options) {
        Ok(loaded) => Ok(loaded),
        Err(LoadError::NoDocuments) => {
            bail!("there is no document in `{}`", args.policies.display())
        }
        Err(LoadError::Findings(findings)) => {
            eprint!("{}", findings.render(&sources, false));
            bail!(
                "`{}` does not load, so nothing can be decided",
                args.policies.display()
            )
        }
    }
}

/// Whether somebody was let in that the rules refuse.
fn is_let_pass(decision: &Decision<'_>) -> bool {
    decision.verdict == Verdict::Deny && !decision.enforced
}
