//! A decision that a server recorded, told again.
//!
//! A record says what was decided, and by which rule; why the others did not match is
//! found out by deciding it again, at its own time, by the policies as they are now. Where
//! these decide otherwise, both are told.

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, anyhow, bail};
use callgate_analysis::log::{LogReader, Record, Recorded, Undecidable};
use callgate_policy::{Caller, Reason, Request, SpiffeId, Verdict};

use super::{Explainer, Explanation, Parties, exit, human, json};
use crate::{
    args::ExplainArgs,
    logs,
    output::{Format, colour, print},
    set::Documents,
};

pub(super) fn run(
    args: &ExplainArgs,
    documents: &Documents,
    id: &str,
    log: &Path,
) -> anyhow::Result<ExitCode> {
    let unreadable = || logs::unreadable(log);
    let mut reader = LogReader::new(logs::open(log)?).with_context(unreadable)?;
    while let Some(block) = reader.next_block().with_context(unreadable)? {
        let mut records = block.lines().filter_map(|line| line.content.ok());
        // Ids are compared without case: they are copied from headers and tickets.
        if let Some(record) = records.find(|record| record.id.eq_ignore_ascii_case(id)) {
            return told(args, documents, &record);
        }
    }
    bail!("`{}` has no decision `{id}`", log.display())
}

fn told(
    args: &ExplainArgs,
    documents: &Documents,
    record: &Record<'_>,
) -> anyhow::Result<ExitCode> {
    let cannot = |why: Undecidable| anyhow!("this decision cannot be told again: {why}");
    let recorded = Recorded::of(record).map_err(cannot)?;
    let request = recorded.request(&documents.policies).map_err(cannot)?;
    // Of a caller that was refused for its identity, the record may still say who it was.
    let named = record.source.id.as_deref();
    let named = named.and_then(|id| SpiffeId::parse(id).ok());
    let parties = Parties {
        from: parties(&request).from.or(named.as_ref()),
        ..parties(&request)
    };
    let called = parties.from.into_iter().chain(parties.forwarder);
    let explainer = Explainer::new(documents, called.chain(request.service));
    let call = format!("{} {}", record.method, record.path)
        .escape_debug()
        .to_string();
    let told = if args.all_rules {
        explainer.explain_all(parties, &request, call, record.time)
    } else {
        explainer.explain(parties, &request, call, record.time)
    };
    print(&match args.format {
        Format::Human => heading(args, record, &told) + &human::show(&explainer, &told, colour()),
        Format::Json => json::show(&told)?,
    })?;
    Ok(exit(&told))
}

/// Who takes part, as far as that is recorded.
const fn parties<'a>(request: &Request<'a>) -> Parties<'a> {
    let (from, forwarder) = match request.caller {
        Caller::Verified(from) => (Some(from), None),
        Caller::Forwarded {
            original,
            forwarder,
        } => (Some(original), Some(forwarder)),
        Caller::Unverified(_) => (None, None),
    };
    Parties {
        from,
        forwarder,
        revoked: None,
    }
}

/// What was recorded, and whether the policies still say so.
fn heading(args: &ExplainArgs, record: &Record<'_>, told: &Explanation<'_>) -> String {
    // A log is a file like any other: nothing in it may move a terminal's cursor.
    let (time, id, revision) = (
        record.time,
        record.id.escape_debug(),
        record.revision.escape_debug(),
    );
    let by = record.rule.as_deref().or(record.revocation.as_deref());
    let outcome = outcome(record.verdict, record.reason, by);
    let let_pass = if record.verdict == Verdict::Deny && !record.enforced {
        ", but let pass (shadow)"
    } else {
        ""
    };
    let leased = if record.leased { "   by a lease" } else { "" };
    let mut text = format!(
        "recorded: {outcome}{let_pass}   {time}   decision {id}   revision {revision}{leased}\n"
    );
    if let Some(first) = &record.rechecks {
        let first = first.escape_debug();
        text.push_str(&format!(
            "of a stream that was open, let in by decision {first}\n"
        ));
    }
    let now = &told.decision;
    let same = now.verdict == record.verdict
        && now.reason == record.reason
        && now.rule.map(|rule| rule.name) == record.rule.as_deref();
    let policies = args.policies.display();
    text.push_str(&if same {
        format!("The policies in `{policies}` say the same of it:\n\n")
    } else {
        format!("The policies in `{policies}` now say otherwise:\n\n")
    });
    text
}

/// `DENIED deny-rule` and by what: the rule, or the revocation.
fn outcome(verdict: Verdict, reason: Reason, by: Option<&str>) -> String {
    let by = by.map_or_else(String::new, |name| format!(" by `{}`", name.escape_debug()));
    match verdict {
        Verdict::Allow => format!("ALLOWED{by}"),
        Verdict::Deny => format!("DENIED {reason}{by}"),
    }
}
