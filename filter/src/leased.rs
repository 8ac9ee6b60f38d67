//! Decisions that are made here, by a lease.

use std::{rc::Rc, time::Duration};

use callgate_policy::{Decision, Reason, Timestamp, without_query};

use crate::{
    Host, Plugin, Reply, Revision,
    answer::{Clocks, Terms},
    id::DecisionId,
    lease::Lease,
    ledger::Noted,
    refusal,
    request::{Line, Seen},
};

/// A decision by a lease; it is recorded.
#[derive(Debug)]
pub(crate) enum Leased {
    /// The call goes on.
    Allowed {
        id: DecisionId,
        /// By whose.
        lease: Rc<Lease>,
        keep_overrides: bool,
        ground: Ground,
    },
    /// It does not.
    Refused { reply: Reply, reason: Reason },
}

/// What a call that goes on stands on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ground {
    /// The service revision that it was decided by. None: by a server that does not say, so
    /// that nobody can tell when it changes.
    pub(crate) revision: Option<Revision>,
    /// From this moment of the server's clock on it would not go on.
    ends: Option<(Clocks, Timestamp)>,
}

impl Ground {
    /// Of an answer, by what it says of itself.
    pub(crate) fn of(terms: Option<&Terms>, clocks: impl FnOnce(Timestamp) -> Clocks) -> Self {
        let ends = terms.and_then(|terms| Some((clocks(terms.decided_at), terms.ends_at?)));
        Self {
            revision: terms.map(|terms| terms.revision),
            ends,
        }
    }

    /// Of a call that goes on without a decision: no service stands at this revision, so
    /// that it is decided as soon as there is one.
    pub(crate) const NONE: Self = Self {
        revision: Some([0; 32]),
        ends: None,
    };

    /// Whether it is over, by either clock.
    pub(crate) fn has_ended(&self, now: Duration, wall: Duration) -> bool {
        self.ends
            .is_some_and(|(clocks, end)| clocks.now(now, wall) >= end)
    }
}

/// Decides a request by the lease for its certificate; None: ask. Of one that is
/// open, `rechecks` is the id of its first decision.
pub(crate) fn decide<H: Host>(
    host: &mut H,
    plugin: &Plugin,
    seen: &Seen,
    rechecks: Option<&str>,
) -> Option<Leased> {
    let callee = seen.callee();
    let now = host.monotonic_now();
    let announced = plugin.watches().standing(callee.name(), now);
    let lease = callee.lease(announced, seen.leaf()?, now)?;
    let (revision, line) = (announced?, seen.line()?);
    if seen.client_cert().is_forwarded() {
        return None;
    }
    let time = lease.clocks().now(now, host.wall_now());
    let decision = lease.decide(callee, &line, now, time)?;
    let allowed = match (decision.permit(), decision.reason) {
        (Some(_), Reason::Allow) => true,
        (None, reason) if reason != Reason::Allow => false,
        // Nothing else is ever leased.
        _ => return None,
    };
    let id = plugin.ids().mint(host, time);
    let noted = Noted {
        rechecks,
        ..noted(&id, time, &lease, &decision, &revision, &line)
    };
    callee.ledger().note(&noted, now);
    if !allowed {
        let reply = refusal::reply(
            decision.reason,
            Some(&decision),
            id.as_str(),
            seen.is_grpc(),
        );
        let reason = decision.reason;
        return Some(Leased::Refused { reply, reason });
    }
    let end = decision.expires.into_iter().chain([lease.valid_until()]);
    let (keep_overrides, clocks) = (decision.keep_override_headers, lease.clocks());
    let ends = end.min().map(|end| (clocks, end));
    Some(Leased::Allowed {
        id,
        lease,
        keep_overrides,
        ground: Ground {
            revision: Some(revision),
            ends,
        },
    })
}

fn noted<'a>(
    id: &'a DecisionId,
    time: Timestamp,
    lease: &'a Lease,
    decision: &Decision<'a>,
    revision: &'a Revision,
    line: &'a Line<'a>,
) -> Noted<'a> {
    Noted {
        id: id.as_str(),
        time,
        caller: lease.noted(),
        reason: decision.reason,
        rule: decision.rule,
        revision,
        method: line.method,
        path: without_query(line.path),
        upgrade: line.upgrade,
        content_type: line.content_type,
        host: line.host,
        traceparent: line.traceparent,
        rechecks: None,
    }
}
