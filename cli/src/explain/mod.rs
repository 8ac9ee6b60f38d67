//! `callgate explain`: how a call is decided, with the code that decides it.

mod explanation;
mod header;
pub(crate) mod human;
mod identity;
pub(crate) mod json;
mod recorded;

use std::process::ExitCode;

use anyhow::bail;
use callgate_policy::{Caller, IdentityFault, SpiffeId, Timestamp, Verdict, document::Revocation};
use callgate_server::{clock, revocation::Revocations};

pub(crate) use explanation::{Explainer, Explanation, Parties};
pub(crate) use header::header;
pub(crate) use identity::Identity;

use crate::{
    args::ExplainArgs,
    output::{Format, colour, print},
    reach, revocation,
    set::Documents,
};

pub(crate) fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    if let Some(call) = &args.who_can {
        return reach::who(args, call);
    }
    if let Some(caller) = &args.what_can {
        return reach::what(args, caller);
    }
    let documents = Documents::read(&args.policies, args.trust_domain.as_ref())?;
    match (&args.decision, &args.log) {
        (Some(id), Some(log)) => recorded::run(args, &documents, id, log),
        _ => asked(args, &documents),
    }
}

/// Explains the call that the arguments are about.
fn asked(args: &ExplainArgs, documents: &Documents) -> anyhow::Result<ExitCode> {
    let own = documents.trust_domain();
    let (Some(from), Some(to), Some(call)) = (&args.from, &args.to, &args.call) else {
        bail!("`--from`, `--to` and a call say what to explain");
    };
    let (from, to) = (from.resolve("--from", own)?, to.resolve("--to", own)?);
    let forwarder = forwarder(args, documents, &to)?;
    let now = args.at.unwrap_or_else(clock::now);
    let revocations = revocations(args)?;
    let mut called = std::iter::once(&from).chain(&forwarder);
    let revoked = called.find_map(|id| revocation_of(id, &revocations, documents, now));
    let parties = Parties {
        from: Some(&from),
        forwarder: forwarder.as_ref(),
        revoked,
    };
    let request = call.with(&args.headers);
    let caller = match (revoked, &forwarder) {
        (Some(_), _) => Caller::Unverified(IdentityFault::Revoked),
        (None, None) => Caller::Verified(&from),
        (None, Some(forwarder)) => Caller::Forwarded {
            original: &from,
            forwarder,
        },
    };
    let request = request.by(caller, Some(&to));
    let explainer = Explainer::new(documents, [&from, &to].into_iter().chain(&forwarder));
    let told = if args.all_rules {
        explainer.explain_all(parties, &request, call.to_string(), now)
    } else {
        explainer.explain(parties, &request, call.to_string(), now)
    };
    print(&match args.format {
        Format::Human => human::show(&explainer, &told, colour()) + &at(args),
        Format::Json => json::show(&told)?,
    })?;
    Ok(exit(&told))
}

/// When, where that was said.
fn at(args: &ExplainArgs) -> String {
    args.at.map_or_else(String::new, |at| format!("at {at}\n"))
}

fn exit(told: &Explanation<'_>) -> ExitCode {
    match told.decision.verdict {
        Verdict::Allow => ExitCode::SUCCESS,
        Verdict::Deny => ExitCode::FAILURE,
    }
}

/// Who passes the call on. To whom nobody listens calls on its own behalf.
fn forwarder(
    args: &ExplainArgs,
    documents: &Documents,
    service: &SpiffeId,
) -> anyhow::Result<Option<SpiffeId>> {
    let Some(forwarder) = &args.forwarder else {
        return Ok(None);
    };
    let forwarder = forwarder.resolve("--forwarder", documents.trust_domain())?;
    if !documents.policies.is_forwarder(&forwarder, service) {
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
    documents: &Documents,
    now: Timestamp,
) -> Option<&'r Revocation> {
    let own = documents.trust_domain();
    let mut names = std::iter::once(id.clone()).chain(documents.policies.aliases_of(id));
    names.find_map(|name| revocations.of_id(&name, own, now))
}
