//! One Check: who calls, whether they may, and what is answered and recorded.
//!
//! ```text
//!  CheckRequest ──Call──► svid::Verifier ──► policy::decide ──► answer
//!                                                         └───► record, metrics
//! ```
//!
//! Synchronous and without I/O: what takes time, writing records, happens elsewhere.

mod answer;
mod asker;
mod call;
mod forwarded;
mod id;
mod lease;
mod peer;

use std::sync::Arc;

use callgate_policy::{
    Caller, Decision, PolicySet, Reason, Request, SpiffeId, Timestamp, Verdict, is_grpc,
    without_query,
};
use callgate_wire::{
    envoy::service::auth::v3::{CheckRequest, CheckResponse},
    terms,
};

use self::{
    answer::Passage,
    call::Call,
    forwarded::{ClientCert, Original},
    id::{DecisionId, DecisionIds},
    lease::Decided,
    peer::Peer,
};
use crate::{
    identity::Asker,
    live::{Live, Snapshot},
    metrics::Metrics,
    record::{Record, Recorder, Source},
};

pub use asker::Unanswered;
pub use call::InvalidCheck;
pub(crate) use call::note;
pub use lease::{LeaseTtl, LeaseTtlError};

/// Decides Checks by what is live. One for the whole server; also usable without it.
#[derive(Debug)]
pub struct Authorizer {
    live: Arc<Live>,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    ids: DecisionIds,
    lease_ttl: LeaseTtl,
}

impl Authorizer {
    /// Decides by `live`, notes every decision with `recorder` and counts it.
    #[must_use]
    pub fn new(live: Arc<Live>, recorder: Recorder, metrics: Arc<Metrics>) -> Self {
        Self {
            live,
            recorder,
            metrics,
            ids: DecisionIds::new(),
            lease_ttl: LeaseTtl::default(),
        }
    }

    /// The same, with leases that last that long.
    #[must_use]
    pub fn with_lease_ttl(self, lease_ttl: LeaseTtl) -> Self {
        Self { lease_ttl, ..self }
    }

    /// Answers one Check at `now`. Never waits.
    ///
    /// # Errors
    /// If `check` is not about an HTTP request, or beyond the limits; if `asker` may
    /// not ask it.
    pub fn check(
        &self,
        asker: Asker<'_>,
        check: &CheckRequest,
        now: Timestamp,
    ) -> Result<CheckResponse, Unanswered> {
        let mut call = Call::try_from(check).map_err(Unanswered::Invalid)?;
        let snapshot = self.live.current();
        let proxy = asker
            .may_ask(call.service.as_ref(), call.destination, &snapshot, now)
            .map_err(Unanswered::Proxy)?;
        call.proxy = proxy.as_deref().map(|proxy| proxy.id.as_str());
        let id = self.ids.mint(now);
        let Some(policies) = snapshot.policies() else {
            return Ok(self.unavailable(&call, &snapshot, &id, now));
        };
        let peer = Peer::of(&call, &snapshot, &self.metrics, now);
        let svid = peer.svid.as_ref().ok();
        let original =
            svid.and_then(|svid| Original::of(&call, svid, &snapshot, &self.metrics, now));
        let request = request(&call, &peer, original.as_ref());
        let decision = policies.set.decide(&request, now);
        let candidate = snapshot.candidate();
        let tried = candidate.map(|candidate| candidate.set.decide(&request, now));
        let sets: &[&PolicySet] = match candidate {
            Some(candidate) => &[&policies.set, &candidate.set],
            None => &[&policies.set],
        };
        let read = [Some(&decision), tried.as_ref()];
        if let Some(response) = answer::incomplete(read, sets, call.service.as_ref()) {
            self.metrics.count_incomplete();
            return Ok(response);
        }
        let decided = Decided {
            call: &call,
            snapshot: &snapshot,
            decision: &decision,
            peer: &peer,
            original: original.as_ref(),
            now,
        };
        self.note(&decided, &request, tried.as_ref(), &id);
        Ok(self.respond(&decided, &request, &id))
    }

    /// Counts and records it.
    fn note(
        &self,
        decided: &Decided<'_>,
        request: &Request<'_>,
        tried: Option<&Decision<'_>>,
        id: &DecisionId,
    ) {
        let Decided {
            call,
            snapshot,
            decision,
            peer,
            original,
            now,
        } = *decided;
        self.metrics.count(decision.reason, decision.enforced);
        let tried = tried.filter(|tried| {
            let differences = self.metrics.differences();
            differences.note(caller(request), decision, tried, now)
        });
        self.recorder.append(&Record {
            forwarder: original.is_some().then(|| peer.source()),
            source: match original {
                Some(original) => original.source(decision),
                None => peer.source(),
            },
            revocation: revocation(peer, original),
            candidate: tried,
            ..record(call, decision, snapshot, id, now)
        });
    }

    /// The answer, with its terms for a proxy that understands them.
    fn respond(
        &self,
        decided: &Decided<'_>,
        request: &Request<'_>,
        id: &DecisionId,
    ) -> CheckResponse {
        let mut response = respond(decided.call, request, decided.decision, id);
        if let Some(terms) = decided.terms(self.lease_ttl) {
            if terms.lease.is_some() {
                self.metrics.count_lease();
            }
            terms::add(&mut response.dynamic_metadata, &terms);
        }
        response
    }

    /// Before the first valid set of policies: nobody is asked who they are.
    fn unavailable(
        &self,
        call: &Call<'_>,
        snapshot: &Snapshot,
        id: &DecisionId,
        now: Timestamp,
    ) -> CheckResponse {
        let reason = Reason::PolicyUnavailable;
        self.metrics.count(reason, true);
        self.recorder.append(&Record {
            verdict: Verdict::Deny,
            reason,
            enforced: true,
            rule: None,
            nearest_miss: None,
            source: Source::UNKNOWN,
            ..noted(call, snapshot, id, now)
        });
        answer::deny(call, reason, None, id.as_str())
    }
}

fn request<'a>(
    call: &'a Call<'_>,
    peer: &'a Peer<'_>,
    original: Option<&'a Original<'_>>,
) -> Request<'a> {
    let original = original.map(|original| original.id.as_ref());
    Request {
        caller: match (&peer.svid, original) {
            (Ok(svid), None) => Caller::Verified(&svid.id),
            (Ok(svid), Some(Ok(original))) => Caller::Forwarded {
                original,
                forwarder: &svid.id,
            },
            (Err(fault), _) | (_, Some(Err(fault))) => Caller::Unverified(*fault),
        },
        service: call.service.as_ref(),
        method: call.method,
        path: call.path,
        upgrade: call.upgrade,
        content_type: call.content_type,
        host: Some(call.host),
        headers: call,
    }
}

/// Who calls, as far as that is known.
const fn caller<'a>(request: &Request<'a>) -> Option<&'a SpiffeId> {
    match request.caller {
        Caller::Verified(caller)
        | Caller::Forwarded {
            original: caller, ..
        } => Some(caller),
        Caller::Unverified(_) => None,
    }
}

/// What revokes the caller, or else its forwarder.
fn revocation<'a>(peer: &Peer<'a>, original: Option<&Original<'a>>) -> Option<&'a str> {
    let revocation = original.and_then(|original| original.revocation);
    let revocation = revocation.or(peer.revocation);
    revocation.map(|one| one.name.as_str())
}

fn respond(
    call: &Call<'_>,
    request: &Request<'_>,
    decision: &Decision<'_>,
    id: &DecisionId,
) -> CheckResponse {
    let (caller, forwarder) = match request.caller {
        Caller::Verified(caller) if decision.recognized => (Some(caller), None),
        Caller::Forwarded {
            original,
            forwarder,
        } if decision.recognized => (Some(original), Some(forwarder)),
        _ => (None, None),
    };
    match decision.permit() {
        Some(permit) => answer::allow(
            permit,
            call,
            &Passage {
                caller: caller.map(SpiffeId::as_str),
                forwarder: forwarder.map(SpiffeId::as_str),
                client_cert: ClientCert::of(call.client_cert, forwarder.is_some()),
                keep_override_headers: decision.keep_override_headers,
            },
            id.as_str(),
        ),
        None => {
            let told = caller.map(|_| decision);
            answer::deny(call, decision.reason, told, id.as_str())
        }
    }
}

fn record<'a>(
    call: &'a Call<'_>,
    decision: &'a Decision<'_>,
    snapshot: &'a Snapshot,
    id: &'a DecisionId,
    now: Timestamp,
) -> Record<'a> {
    Record {
        verdict: decision.verdict,
        reason: decision.reason,
        enforced: decision.enforced,
        rule: decision.rule,
        nearest_miss: decision.nearest_miss.as_deref(),
        inputs: &decision.inputs,
        condition_errors: &decision.condition_errors,
        shadow: decision.shadow.as_ref(),
        ..noted(call, snapshot, id, now)
    }
}

/// What a record says whatever was decided.
fn noted<'a>(
    call: &'a Call<'_>,
    snapshot: &'a Snapshot,
    id: &'a DecisionId,
    now: Timestamp,
) -> Record<'a> {
    Record {
        time: now,
        id: id.as_str(),
        verdict: Verdict::Deny,
        reason: Reason::PolicyUnavailable,
        rule: None,
        nearest_miss: None,
        enforced: true,
        leased: false,
        rechecks: call.rechecks,
        source: Source::UNKNOWN,
        revocation: None,
        forwarder: None,
        destination: call.destination,
        method: call.method,
        path: without_query(call.path),
        upgrade: call.upgrade,
        inputs: const { &callgate_policy::Inputs::new() },
        condition_errors: &[],
        shadow: None,
        candidate: None,
        host: call.host,
        grpc: call.content_type.is_some_and(is_grpc),
        traceparent: call.traceparent,
        proxy: call.proxy,
        revision: snapshot.revision(),
    }
}

#[cfg(test)]
mod tests;
