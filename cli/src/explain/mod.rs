//! `callgate explain`: how a call is decided, with the code that decides it.

mod header;
mod human;
mod identity;
mod json;

use std::process::ExitCode;

use anyhow::bail;
use callgate_policy::{
    Caller, Decision, IdentityFault, SpiffeId, Timestamp, Verdict,
    document::{Limits, LoadError, LoadOptions, Loaded, RequestLine, Revocation, load},
};
use callgate_server::{clock, revocation::Revocations, store::read_sources};

pub(crate) use header::header;
pub(crate) use identity::Identity;

use crate::{
    args::ExplainArgs,
    output::{Format, colour, print},
    revocation,
};

pub(crate) fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let loaded = policies(args)?;
    let from = args.from.resolve("--from", loaded.trust_domain.as_ref())?;
    let to = args.to.resolve("--to", loaded.trust_domain.as_ref())?;
    let forwarder = forwarder(args, &loaded, &to)?;
    let now = args.at.unwrap_or_else(clock::now);
    let revocations = revocations(args)?;
    let mut parties = std::iter::once(&from).chain(&forwarder);
    let revoked = parties.find_map(|id| revocation_of(id, &revocations, &loaded, now));
    let request = args.call.with(&args.headers);
    let caller = match (revoked, &forwarder) {
        (Some(_), _) => Caller::Unverified(IdentityFault::Revoked),
        (None, None) => Caller::Verified(&from),
        (None, Some(forwarder)) => Caller::Forwarded {
            original: &from,
            forwarder,
        },
    };
    let request = request.by(caller, Some(&to));
    let decision = loaded.policies.decide(&request, now);
    let miss = decision.nearest_miss.as_ref();
    let story = miss.and_then(|miss| miss.story(&request, now));
    let asked = Asked {
        from: &from,
        forwarder: forwarder.as_ref(),
        to: &to,
        call: &args.call,
        revoked,
    };
    print(&match args.format {
        Format::Human => human::show(&asked, &decision, story.as_ref(), colour()),
        Format::Json => json::show(&decision, revoked)?,
    })?;
    Ok(match decision.verdict {
        Verdict::Allow => ExitCode::SUCCESS,
        Verdict::Deny => ExitCode::FAILURE,
    })
}

/// What was asked.
struct Asked<'a> {
    from: &'a SpiffeId,
    /// Who passes the call on.
    forwarder: Option<&'a SpiffeId>,
    to: &'a SpiffeId,
    call: &'a RequestLine,
    /// Why the caller is believed no longer.
    revoked: Option<&'a Revocation>,
}

/// Who passes the call on. To whom nobody listens calls on its own behalf.
fn forwarder(
    args: &ExplainArgs,
    loaded: &Loaded,
    service: &SpiffeId,
) -> anyhow::Result<Option<SpiffeId>> {
    let Some(forwarder) = &args.forwarder else {
        return Ok(None);
    };
    let forwarder = forwarder.resolve("--forwarder", loaded.trust_domain.as_ref())?;
    if !loaded.policies.is_forwarder(&forwarder, service) {
        bail!(
            "`{forwarder}` is no forwarder for `{service}`: what it says of others is not heard, \
             and it calls on its own behalf (`--from {forwarder}`)"
        );
    }
    Ok(Some(forwarder))
}

/// As the server reads them: whatever is wrong with one, the others have effect.
fn revocations(args: &ExplainArgs) -> anyhow::Result<Revocations> {
    let files = revocation::read(&args.policies)?;
    for fault in files.faults() {
        eprintln!("{fault}");
    }
    Ok(Revocations::new(files.revocations().cloned()))
}

/// What revokes `id`, under any of its names.
fn revocation_of<'r>(
    id: &SpiffeId,
    revocations: &'r Revocations,
    loaded: &Loaded,
    now: Timestamp,
) -> Option<&'r Revocation> {
    let own = loaded.trust_domain.as_ref();
    let mut names = std::iter::once(id.clone()).chain(loaded.policies.aliases_of(id));
    names.find_map(|name| revocations.of_id(&name, own, now))
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
