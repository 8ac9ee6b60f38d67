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

use std::sync::Arc;

use callgate_policy::{
    Caller, Decision, IdentityFault, Reason, Request, SpiffeId, Timestamp, Verdict,
    document::Revocation,
};
use callgate_wire::{
    envoy::service::auth::v3::{CheckRequest, CheckResponse},
    xfcc::Xfcc,
};

use self::{
    answer::Passage,
    call::Call,
    forwarded::{ClientCert, Original},
    id::{DecisionId, DecisionIds},
};
use crate::{
    identity::Asker,
    live::{Live, Snapshot},
    metrics::{Metrics, NOT_PEM},
    record::{Inputs, Record, Recorder, Source},
    svid::{self, PeerCertificate, Svid, SvidError},
};

pub use asker::Unanswered;
pub use call::InvalidCheck;

/// Decides Checks by what is live. One for the whole server; also usable without it.
#[derive(Debug)]
pub struct Authorizer {
    live: Arc<Live>,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    ids: DecisionIds,
}

/// What came of the caller's certificate.
struct Identity<'s> {
    svid: Result<Arc<Svid>, IdentityFault>,
    /// Whose certificate it is, if it ever verified.
    known: Option<Arc<Svid>>,
    /// Of a certificate that did not.
    unknown_sha256: Option<String>,
    /// Of a caller who is revoked: by what.
    revocation: Option<&'s Revocation>,
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
        }
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
            .may_ask(&call, &snapshot, now)
            .map_err(Unanswered::Proxy)?;
        call.proxy = proxy.as_deref().map(|proxy| proxy.id.as_str());
        let id = self.ids.mint(now);
        let Some(policies) = snapshot.policies() else {
            return Ok(self.unavailable(&call, &snapshot, &id, now));
        };
        let identity = self.identify(&call, &snapshot, now).revoked(&snapshot, now);
        let peer = identity.svid.as_ref().ok();
        let original = peer.and_then(|peer| Original::of(&call, peer, &snapshot, now));
        let request = request(&call, &identity, original.as_ref());
        let decision = policies.set.decide(&request, now);
        self.metrics.count(decision.reason, decision.enforced);
        self.recorder.append(&Record {
            forwarder: original.is_some().then(|| identity.source()),
            source: match &original {
                Some(original) => original.source(&decision),
                None => identity.source(),
            },
            revocation: revocation(&identity, original.as_ref()),
            ..record(&call, &decision, &snapshot, &id, now)
        });
        Ok(respond(&call, &request, &decision, &id))
    }

    /// Who calls, by the certificate of the connection.
    fn identify<'s>(
        &self,
        call: &Call<'_>,
        snapshot: &'s Snapshot,
        now: Timestamp,
    ) -> Identity<'s> {
        let Some(certificate) = call.certificate else {
            return Identity::faulty(IdentityFault::Missing, None);
        };
        let leaf = match snapshot.verifier().read(certificate) {
            Ok(leaf) => leaf,
            Err(error) => {
                tracing::debug!(%error, "client certificate is not PEM");
                self.metrics.count_svid_failure(NOT_PEM);
                return Identity::faulty(IdentityFault::Invalid, None);
            }
        };
        match snapshot
            .verifier()
            .verify(&leaf, || hints(call, &leaf), now)
        {
            Ok(svid) => Identity {
                known: Some(Arc::clone(&svid)),
                svid: Ok(svid),
                unknown_sha256: None,
                revocation: None,
            },
            Err(error) => {
                tracing::debug!(%error, sha256 = leaf.sha256(), "client certificate is refused");
                self.metrics.count_svid_failure(error.cause());
                let fault = error.fault();
                match error {
                    SvidError::Expired(svid) => Identity {
                        svid: Err(fault),
                        known: Some(svid),
                        unknown_sha256: None,
                        revocation: None,
                    },
                    _ => Identity::faulty(fault, Some(leaf.sha256())),
                }
            }
        }
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
            source: Source::default(),
            ..noted(call, snapshot, id, now)
        });
        answer::deny(call, reason, None, id.as_str())
    }
}

/// The chain that our own proxy saw, if it sends one; unreadable, it is none.
fn hints(call: &Call<'_>, leaf: &PeerCertificate) -> Vec<Vec<u8>> {
    let chain = call
        .client_cert
        .and_then(|header| Xfcc::parse(header).ok())
        .and_then(|xfcc| xfcc.chain().map(|chain| svid::chain_hints(&chain, leaf)));
    chain.unwrap_or_default()
}

fn request<'a>(
    call: &'a Call<'_>,
    identity: &'a Identity<'_>,
    original: Option<&'a Original<'_>>,
) -> Request<'a> {
    let original = original.map(|original| original.id.as_ref());
    Request {
        caller: match (&identity.svid, original) {
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
    }
}

/// What revokes the caller, or else its forwarder.
fn revocation<'a>(identity: &Identity<'a>, original: Option<&Original<'a>>) -> Option<&'a str> {
    let revocation = original.and_then(|original| original.revocation);
    let revocation = revocation.or(identity.revocation);
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
        nearest_miss: decision.nearest_miss.as_ref(),
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
        source: Source::default(),
        revocation: None,
        forwarder: None,
        destination: call.destination,
        method: call.method,
        path: call.path_only(),
        upgrade: call.upgrade,
        inputs: Inputs {},
        host: call.host,
        grpc: call.is_grpc(),
        traceparent: call.traceparent,
        proxy: call.proxy,
        revision: snapshot.revision(),
    }
}

impl<'s> Identity<'s> {
    fn source(&self) -> Source<'_> {
        let known = self.known.as_deref();
        Source {
            id: known.map(|svid| svid.id.as_str()),
            certificate_sha256: known
                .map(|svid| svid.sha256.as_str())
                .or(self.unknown_sha256.as_deref()),
            not_before: known.map(|svid| svid.not_before),
            not_after: known.map(|svid| svid.not_after),
            issuer: known.map(|svid| &*svid.issuer),
        }
    }

    const fn faulty(fault: IdentityFault, unknown_sha256: Option<String>) -> Self {
        Self {
            svid: Err(fault),
            known: None,
            unknown_sha256,
            revocation: None,
        }
    }

    /// The same, unless it is revoked. Of one that verified only: whoever shows a forged
    /// certificate learns nothing of revocations. One that has expired as well is
    /// revoked, because only that never passes, whatever Shadow setting there is.
    fn revoked(self, snapshot: &'s Snapshot, now: Timestamp) -> Self {
        let known = self.known.as_deref();
        match known.and_then(|svid| snapshot.revocation_of(svid, now)) {
            None => self,
            Some(revocation) => Self {
                svid: Err(IdentityFault::Revoked),
                revocation: Some(revocation),
                ..self
            },
        }
    }
}

#[cfg(test)]
mod tests;
