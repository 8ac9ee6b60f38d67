//! Decision records: one JSON line for every decision.
//!
//! ```text
//!  check ──serialize──► buffer (bounded) ──swap──► writer thread ──► file or stdout
//!                          └─ full: dropped and counted
//! ```
//!
//! `path` is as it was asked, without its query, and `inputs` holds exactly the
//! headers and query values that a `when` read, so that nothing else of a request
//! gets into a log and a record can still be decided again. What a `when` looked for and
//! did not find is null; what it could not read says why. `upgrade` is there only for a
//! request that had one: it decides which verb the request matches.

mod conditions;
mod queue;
mod sink;

use callgate_policy::{
    ConditionError, Decision, Inputs, NearestMiss, Reason, RuleRef, ShadowMatch, Timestamp, Verdict,
};
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::value::{RawValue, to_raw_value};

use self::conditions::{candidate, condition_errors, inputs, shadow};

pub use queue::{RecordFigures, Recorder};
pub use sink::Sink;

/// One decision, as it is written.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record<'a> {
    /// When it was made, by the clock of who made it.
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    /// Its ULID, as in the answer.
    pub id: &'a str,
    /// What the rules say.
    #[serde(serialize_with = "verdict")]
    pub verdict: Verdict,
    /// The cause.
    #[serde(serialize_with = "reason")]
    pub reason: Reason,
    /// The rule that decided, and as `policy` where it stands.
    #[serde(flatten, serialize_with = "rule")]
    pub rule: Option<RuleRef<'a>>,
    /// Of a `no-rule`: the rule that came closest.
    #[serde(serialize_with = "nearest_miss")]
    pub nearest_miss: Option<&'a NearestMiss<'a>>,
    /// False if a Shadow setting let pass what the verdict refuses.
    pub enforced: bool,
    /// Whether the proxy decided by a lease.
    pub leased: bool,
    /// Of a stream that was open: the id of the decision that had let it in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rechecks: Option<&'a str>,
    /// Who called: the original caller, if somebody passed the call on.
    pub source: Source<'a>,
    /// Who passed the call on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarder: Option<Source<'a>>,
    /// Of a caller who is revoked: the name of the document that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation: Option<&'a str>,
    /// The callee, as the proxy names it.
    pub destination: &'a str,
    /// The HTTP method.
    pub method: &'a str,
    /// The path, without its query.
    pub path: &'a str,
    /// The `upgrade` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<&'a str>,
    /// What a `when` read.
    #[serde(serialize_with = "inputs")]
    pub inputs: &'a Inputs,
    /// Each `when` that had no result, and why.
    #[serde(
        serialize_with = "condition_errors",
        skip_serializing_if = "<[_]>::is_empty"
    )]
    pub condition_errors: &'a [ConditionError<'a>],
    /// What a rule in Shadow would have decided.
    #[serde(serialize_with = "shadow", skip_serializing_if = "Option::is_none")]
    pub shadow: Option<&'a ShadowMatch<'a>>,
    /// What the candidate decides, where this record is a sample of how it differs.
    #[serde(serialize_with = "candidate", skip_serializing_if = "Option::is_none")]
    pub candidate: Option<&'a Decision<'a>>,
    /// The authority that was asked for.
    pub host: &'a str,
    /// Whether the call is gRPC to rules. The proxy, which answers it, is less strict.
    pub grpc: bool,
    /// The request's `traceparent`.
    pub traceparent: Option<&'a str>,
    /// The SPIFFE ID of the proxy that asked, verified; none without mutual TLS.
    pub proxy: Option<&'a str>,
    /// What was decided by: a hash of policies and bundles. Of what a proxy decided by
    /// something that this server does not have: the service revision, in hex.
    pub revision: &'a str,
}

/// Who called.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub enum Source<'a> {
    /// Whose certificate verified: now, or before it expired.
    Verified(&'a SourceNote),
    /// Whoever else it was.
    #[serde(rename_all = "camelCase")]
    Unverified {
        /// The SPIFFE ID, if a forwarder named it and was believed.
        id: Option<&'a str>,
        /// The leaf's SHA-256, in hex.
        certificate_sha256: Option<&'a str>,
    },
}

/// What records say of a verified leaf, written once: every record of a caller says
/// the same, and it is half of a record.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct SourceNote(Box<RawValue>);

/// What is noted of a verified leaf.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Leaf<'a> {
    /// The SPIFFE ID.
    pub id: &'a str,
    /// The leaf's SHA-256, in hex.
    pub certificate_sha256: &'a str,
    /// The leaf's first moment.
    #[serde(serialize_with = "rfc3339")]
    pub not_before: Timestamp,
    /// The leaf's last moment.
    #[serde(serialize_with = "rfc3339")]
    pub not_after: Timestamp,
    /// Who signed the leaf: a distinguished name.
    pub issuer: &'a str,
}

impl SourceNote {
    /// Writes what is noted of `leaf`.
    #[must_use]
    pub fn new(leaf: &Leaf<'_>) -> Self {
        // Strings only: there is nothing in it that JSON could not hold.
        Self(to_raw_value(leaf).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }

    /// The JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for SourceNote {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for SourceNote {}

impl Source<'_> {
    /// Nobody who is known by anything.
    pub const UNKNOWN: Self = Self::Unverified {
        id: None,
        certificate_sha256: None,
    };
}

fn rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    // Out of range only for a clock, or a certificate, that is ten thousand years off.
    let time = jiff::Timestamp::from_millisecond(time.as_millis()).unwrap_or_default();
    serializer.collect_str(&format_args!("{time:.3}"))
}

fn verdict<S: Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(verdict_of(*verdict))
}

const fn verdict_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "Allow",
        Verdict::Deny => "Deny",
    }
}

fn reason<S: Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason.as_str())
}

fn rule<S: Serializer>(rule: &Option<RuleRef<'_>>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(2))?;
    map.serialize_entry("rule", &rule.map(|rule| rule.name))?;
    map.serialize_entry("policy", &rule.map(|rule| Shown(rule.location)))?;
    map.end()
}

fn nearest_miss<S: Serializer>(
    miss: &Option<&NearestMiss<'_>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let Some(miss) = miss else {
        return serializer.serialize_none();
    };
    let mut map = serializer.serialize_map(Some(5))?;
    map.serialize_entry("rule", miss.rule.name)?;
    map.serialize_entry("policy", &Shown(miss.location))?;
    map.serialize_entry("clause", miss.clause.as_str())?;
    map.serialize_entry("expected", &miss.expected)?;
    map.serialize_entry("actual", &miss.actual)?;
    map.end()
}

/// A location as text.
struct Shown<'a>(callgate_policy::Location<'a>);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
