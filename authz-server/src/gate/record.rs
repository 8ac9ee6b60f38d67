//! What proxies decided by leases, into the decision log.
//!
//! A proxy says little of a decision: enough to make it again. If nothing has changed for
//! the service since, it is made again here, and the record tells all that a record of a
//! Check tells. The proxy acted on its own decision, so that is what the record says, even
//! where this server would have decided otherwise; such a case is a fault of one of them,
//! counted and logged.

use std::fmt;

use callgate_policy::{
    Caller, Decision, Header, Headers, Inputs, Reason, Request, RuleRef, SpiffeId, Timestamp,
    Unreadable, Verdict, is_grpc, without_query,
};
use callgate_wire::callgate::v1::RecordRequest;

use super::{
    Callee, Gate,
    batch::{Batch, InvalidBatch, Leased, shown},
};
use crate::{
    check::note,
    identity::{Asker, ProxyFault},
    live::Snapshot,
    record::{Record, Source, SourceNote},
};

/// Why a batch is not taken. Nothing of it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unrecorded {
    /// It is none.
    Invalid(InvalidBatch),
    /// The proxy may not ask about the service, so it has nothing to say of it either.
    Proxy(ProxyFault),
}

/// What a proxy says of a header: nothing. Decisions that read one are not leased.
#[derive(Debug)]
struct NotSaid;

/// What is known of one decision.
struct Known<'a> {
    leased: &'a Leased<'a>,
    caller: &'a SpiffeId,
    source: &'a SourceNote,
    callee: &'a Callee,
    proxy: Option<&'a str>,
}

impl Gate {
    /// Takes a batch of records at `now`, unless it was taken before.
    ///
    /// # Errors
    /// If `request` is no batch, or beyond the limits; if `asker` may not ask about its
    /// service.
    pub fn record(
        &self,
        asker: Asker<'_>,
        request: &RecordRequest,
        now: Timestamp,
    ) -> Result<(), Unrecorded> {
        let callee = Callee::named(&request.service);
        let callee = &callee.ok_or(Unrecorded::Invalid(InvalidBatch::Service))?;
        let snapshot = self.live.current();
        let proxy = asker
            .may_ask(callee.id(), callee.name(), &snapshot, now)
            .map_err(Unrecorded::Proxy)?;
        let batch = Batch::read(request).map_err(Unrecorded::Invalid)?;
        let Some(dropped) = self.taken.take(callee.name(), &batch) else {
            return Ok(());
        };
        let metrics = &self.metrics;
        metrics.count_dropped_leased(Verdict::Allow, dropped.allowed);
        metrics.count_dropped_leased(Verdict::Deny, dropped.denied);
        for (leased, (caller, source)) in batch.decisions() {
            metrics.count_leased(leased.reason);
            let known = Known {
                leased,
                caller,
                source,
                callee,
                proxy: proxy.as_deref().map(|proxy| proxy.id.as_str()),
            };
            self.write(&known, &snapshot);
        }
        Ok(())
    }

    fn write(&self, known: &Known<'_>, snapshot: &Snapshot) {
        let leased = known.leased;
        let policies = snapshot.policies().filter(|_| {
            let current = snapshot.service_revision(known.callee.id());
            current == leased.revision
        });
        let Some(policies) = policies else {
            // Whatever decided is gone.
            let revision = shown(&leased.revision);
            return self.recorder.append(&known.record(None, None, &revision));
        };
        let request = &known.request();
        let decision = policies.set.decide(request, leased.time);
        let revision = snapshot.revision();
        if !known.is(&decision) {
            self.disagree(known, &decision);
            return self.recorder.append(&known.record(None, None, revision));
        }
        let candidate = snapshot.candidate();
        let tried = candidate.map(|candidate| candidate.set.decide(request, leased.time));
        // One that reads what the proxy did not say is none.
        let tried = tried.filter(|tried| tried.undecided().is_none());
        let tried = tried.as_ref().filter(|tried| {
            let differences = self.metrics.differences();
            differences.note(Some(known.caller), &decision, tried, leased.time)
        });
        let record = known.record(Some(&decision), tried, revision);
        self.recorder.append(&record);
    }

    fn disagree(&self, known: &Known<'_>, decision: &Decision<'_>) {
        self.metrics.count_disagreement();
        if let Some(unsaid) = self.disagreements.may_say() {
            let rule = |rule: Option<RuleRef<'_>>| match rule {
                Some(rule) => rule.name.escape_debug().to_string(),
                None => String::new(),
            };
            tracing::error!(
                unsaid,
                decision = known.leased.id,
                service = %known.callee.name().escape_debug(),
                proxy = known.proxy,
                proxy_said = %known.leased.reason,
                proxy_rule = rule(known.leased.rule),
                server_says = %decision.reason,
                server_rule = rule(decision.rule),
                "a proxy decided otherwise than this server would have"
            );
        }
    }
}

impl<'a> Known<'a> {
    fn request(&self) -> Request<'a> {
        let call = self.leased.call;
        Request {
            caller: Caller::Verified(self.caller),
            service: self.callee.id(),
            method: &call.method,
            path: &call.path,
            upgrade: call.upgrade.as_deref(),
            content_type: call.content_type.as_deref(),
            host: Some(note(&call.host)),
            headers: &NotSaid,
        }
    }

    /// Whether `decision` is the one that the proxy made.
    fn is(&self, decision: &Decision<'_>) -> bool {
        let named = |rule: RuleRef<'a>| (rule.policy, rule.name);
        decision.reason == self.leased.reason
            && decision.enforced
            && decision.rule.map(|rule| (rule.policy, rule.name)) == self.leased.rule.map(named)
    }

    fn record<'d>(
        &'d self,
        decision: Option<&'d Decision<'d>>,
        candidate: Option<&'d Decision<'d>>,
        revision: &'d str,
    ) -> Record<'d> {
        let Leased { id, time, call, .. } = self.leased;
        Record {
            time: *time,
            id,
            verdict: match self.leased.reason {
                Reason::Allow => Verdict::Allow,
                _ => Verdict::Deny,
            },
            reason: self.leased.reason,
            rule: decision.map_or(self.leased.rule, |decision| decision.rule),
            nearest_miss: decision.and_then(|decision| decision.nearest_miss.as_deref()),
            enforced: true,
            leased: true,
            rechecks: call.rechecks.as_deref(),
            source: Source::Verified(self.source),
            forwarder: None,
            revocation: None,
            destination: self.callee.name(),
            method: &call.method,
            path: without_query(&call.path),
            upgrade: call.upgrade.as_deref(),
            inputs: decision.map_or(const { &Inputs::new() }, |decision| &decision.inputs),
            condition_errors: decision.map_or(&[], |decision| &decision.condition_errors),
            shadow: decision.and_then(|decision| decision.shadow.as_ref()),
            candidate,
            host: note(&call.host),
            grpc: call.content_type.as_deref().is_some_and(is_grpc),
            traceparent: call.traceparent.as_deref().map(note),
            proxy: self.proxy,
            revision,
        }
    }
}

impl Headers for NotSaid {
    fn header(&self, _: &str) -> Header<'_> {
        Header::Unreadable(Unreadable::Unknown)
    }
}

impl fmt::Display for Unrecorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => error.fmt(f),
            Self::Proxy(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for Unrecorded {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Invalid(error) => Some(error),
            Self::Proxy(fault) => Some(fault),
        }
    }
}
