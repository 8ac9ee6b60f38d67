//! What is kept of a record: who called, and with which certificate.

use callgate_analysis::log;
use callgate_policy::{Timestamp, Verdict};

/// What is needed of a record.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) time: Timestamp,
    pub(super) refused: bool,
    pub(super) destination: String,
    pub(super) proxy: Option<String>,
    /// The caller, if it has a name.
    pub(super) source: Option<Seen>,
    /// Who passed the call on, if somebody did.
    pub(super) forwarder: Option<Seen>,
}

/// A caller in one record.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) id: String,
    pub(super) last_seen: Timestamp,
    pub(super) certificate_sha256: Option<String>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) not_after: Option<Timestamp>,
    pub(super) issuer: Option<String>,
}

impl From<log::Record<'_>> for Record {
    fn from(record: log::Record<'_>) -> Self {
        let seen = |source| Seen::of(source, record.time);
        Self {
            time: record.time,
            refused: record.verdict == Verdict::Deny,
            source: seen(record.source),
            forwarder: record.forwarder.and_then(seen),
            destination: record.destination.into_owned(),
            proxy: record.proxy.map(Into::into),
        }
    }
}

impl Seen {
    fn of(source: log::Source<'_>, time: Timestamp) -> Option<Self> {
        let (not_before, not_after) = (source.not_before(), source.not_after());
        Some(Self {
            id: source.id?.into_owned(),
            last_seen: time,
            certificate_sha256: source.certificate_sha256.map(Into::into),
            not_before,
            not_after,
            issuer: source.issuer.map(Into::into),
        })
    }
}
