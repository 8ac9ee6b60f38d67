//! Deciding a recorded call again, by other rules, at its own time.
//!
//! | recorded | decided again as |
//! |---|---|
//! | `identity-missing`, `-invalid`, `-expired`, `-revoked` | the same fault: who called is a fact of that moment, not of the rules |
//! | `identity-untrusted` with a `source.id` | that caller: its certificate verified, and rules did not accept it |
//! | `identity-untrusted` without | the same fault |
//! | another reason, and the certificate was outside its validity | `identity-expired`, which a Shadow setting let pass |
//! | another reason, and no `source.id` | no identity; which fault is not known, and makes no difference |
//! | a `forwarder` that the rules do not list | the forwarder's own call, as the server would take it |
//! | a `forwarder` that they list, and nobody it names | not |
//! | a caller that the rules list as a forwarder, and no `forwarder` | not: whether it named somebody is not recorded |
//! | `path-ambiguous`, and nothing in method and path is | not: the query is not recorded |
//! | a condition that looks at a header or a query value that is not recorded | not |
//! | `policy-unavailable`, and what a proxy says of its own | not: nobody was asked who called |

use std::fmt;

use callgate_policy::{
    Caller, CanonicalPath, Decision, IdentityFault, InputPart, Inputs, PathOptions, PolicySet,
    Reason, Request, SpiffeId,
};

use super::{Record, Source};

/// What every content type that is gRPC means to rules.
const GRPC: &str = "application/grpc";

/// A recorded call, with all that is known of it.
#[derive(Debug)]
pub struct Recorded<'r> {
    record: &'r Record<'r>,
    service: Option<SpiffeId>,
    source: Result<Option<SpiffeId>, IdentityFault>,
    forwarder: Option<SpiffeId>,
    /// All that is known of its headers and of its query.
    inputs: Inputs,
}

/// Why a recorded call cannot be decided again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Undecidable {
    /// It was answered without asking who called.
    NobodyAsked,
    /// `source.id` or `forwarder.id` is no SPIFFE ID.
    NotAnIdentity,
    /// It was passed on, for somebody who is not recorded.
    ForwardedForUnknown,
    /// The rules hear the caller when it says for whom it passes calls on, and those
    /// that were in effect may not have listened.
    MayHaveForwarded,
    /// It was ambiguous by its query.
    Query,
    /// A condition looks at what was not recorded.
    NotRecorded {
        /// Where.
        part: InputPart,
        /// The name of the header or of the parameter.
        name: String,
    },
}

impl<'r> Recorded<'r> {
    /// What `record` says was asked.
    ///
    /// # Errors
    /// If no rules could decide it.
    pub fn of(record: &'r Record<'r>) -> Result<Self, Undecidable> {
        Ok(Self {
            record,
            service: SpiffeId::parse(&record.destination).ok(),
            source: match fault(record)? {
                Some(fault) => Err(fault),
                None => Ok(id(&record.source)?),
            },
            forwarder: match &record.forwarder {
                Some(forwarder) => id(forwarder)?,
                None => None,
            },
            inputs: record.inputs.read(),
        })
    }

    /// The record.
    #[must_use]
    pub const fn record(&self) -> &'r Record<'r> {
        self.record
    }

    /// The caller, if it was identified: the original one, if somebody passed the call on.
    #[must_use]
    pub fn source(&self) -> Option<&SpiffeId> {
        self.source.as_ref().ok().and_then(Option::as_ref)
    }

    /// The call, as a server with the rules of `set` would have read it.
    ///
    /// # Errors
    /// If what these rules look at is not recorded.
    pub fn request(&self, set: &PolicySet) -> Result<Request<'_>, Undecidable> {
        let record = self.record;
        Ok(Request {
            caller: self.caller(set)?,
            service: self.service.as_ref(),
            method: &record.method,
            path: &record.path,
            upgrade: record.upgrade.as_deref(),
            content_type: record.grpc.then_some(GRPC),
            host: Some(&record.host),
            headers: &self.inputs,
        })
    }

    /// Decides the call by `set`, at its own time.
    ///
    /// # Errors
    /// If what these rules look at is not recorded.
    pub fn decide<'p>(&self, set: &'p PolicySet) -> Result<Decision<'p>, Undecidable> {
        let record = self.record;
        let decision = set.decide(&self.request(set)?, record.time);
        if let Some((part, name)) = decision.undecided() {
            return Err(Undecidable::NotRecorded {
                part,
                name: name.to_owned(),
            });
        }
        let was_ambiguous = record.reason == Reason::PathAmbiguous;
        if was_ambiguous
            && decision.reason != Reason::PathAmbiguous
            && CanonicalPath::parse(&record.path, PathOptions::default()).is_ok()
        {
            return Err(Undecidable::Query);
        }
        Ok(decision)
    }

    fn caller(&self, set: &PolicySet) -> Result<Caller<'_>, Undecidable> {
        let listens = |id: &SpiffeId| {
            let service = self.service.as_ref();
            service.is_some_and(|service| set.is_forwarder(id, service))
        };
        match (&self.forwarder, &self.source) {
            (Some(forwarder), _) if !listens(forwarder) => Ok(Caller::Verified(forwarder)),
            (_, Err(fault)) => Ok(Caller::Unverified(*fault)),
            (Some(forwarder), Ok(Some(original))) => Ok(Caller::Forwarded {
                original,
                forwarder,
            }),
            (Some(_), Ok(None)) => Err(Undecidable::ForwardedForUnknown),
            (None, Ok(Some(source))) if listens(source) => Err(Undecidable::MayHaveForwarded),
            (None, Ok(Some(source))) => Ok(Caller::Verified(source)),
            (None, Ok(None)) => Ok(Caller::Unverified(unnamed(&self.record.source))),
        }
    }
}

/// What was wrong with the caller's identity, whatever the rules are.
fn fault(record: &Record<'_>) -> Result<Option<IdentityFault>, Undecidable> {
    let named = record.source.id.is_some() || record.forwarder.is_some();
    Ok(match record.reason {
        Reason::IdentityMissing => Some(IdentityFault::Missing),
        Reason::IdentityInvalid => Some(IdentityFault::Invalid),
        Reason::IdentityExpired => Some(IdentityFault::Expired),
        Reason::IdentityRevoked => Some(IdentityFault::Revoked),
        Reason::IdentityUntrusted => (!named).then_some(IdentityFault::Untrusted),
        Reason::PolicyUnavailable
        | Reason::AuthzUnreachable
        | Reason::AuthzTimeout
        | Reason::AuthzProtocol
        | Reason::FilterMisconfigured => return Err(Undecidable::NobodyAsked),
        Reason::Allow => None,
        Reason::PathAmbiguous
        | Reason::NoPolicy
        | Reason::NoRule
        | Reason::DenyRule
        | Reason::ExceptionExpired => was_expired(record).then_some(IdentityFault::Expired),
    })
}

/// Whether the certificate was outside its validity: under `identity: Shadow`, the reason
/// may be another one.
fn was_expired(record: &Record<'_>) -> bool {
    let source = &record.source;
    let begun = source.not_before().is_none_or(|from| from <= record.time);
    let lasts = source.not_after().is_none_or(|until| record.time <= until);
    !(begun && lasts)
}

/// Of a caller without a name: any fault but a revocation, which Shadow never lets pass.
/// They differ in the reason, never in what follows.
const fn unnamed(source: &Source<'_>) -> IdentityFault {
    match source.certificate_sha256 {
        Some(_) => IdentityFault::Untrusted,
        None => IdentityFault::Missing,
    }
}

fn id(source: &Source<'_>) -> Result<Option<SpiffeId>, Undecidable> {
    let id = source.id.as_deref().map(SpiffeId::parse).transpose();
    id.map_err(|_| Undecidable::NotAnIdentity)
}

impl fmt::Display for Undecidable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = match self {
            Self::NobodyAsked => "the server had no policies and asked nobody who called",
            Self::NotAnIdentity => "the recorded caller is no SPIFFE ID",
            Self::ForwardedForUnknown => "for whom it was forwarded is not recorded",
            Self::MayHaveForwarded => {
                "the caller is a forwarder now, and for whom it called is not recorded"
            }
            Self::NotRecorded { part, name } => {
                return write!(f, "{part} {name} is not recorded");
            }
            Self::Query => "the path was ambiguous by its query, which is not recorded",
        };
        f.write_str(told)
    }
}
