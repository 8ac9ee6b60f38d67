//! What an answer says of its own future: until when it holds, by which revision, and what
//! the proxy may decide itself from now on.

use std::{fmt, str::FromStr, time::Duration};

use callgate_policy::{Decision, Timestamp};
use callgate_wire::callgate::v1::{self, Lease, Terms};

use super::{call::Call, forwarded::Original, peer::Peer};
use crate::{live::Snapshot, metrics::is_leased, svid::Svid};

/// How long a proxy may decide by a lease before it asks again: from 1 s to 1 h, or not at
/// all. Nothing that takes an authorization away waits for it; it bounds how long a caller
/// is kept in mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTtl(Duration);

/// A text that is no [`LeaseTtl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTtlError;

/// A decision, and all that it came of.
#[derive(Clone, Copy)]
pub(super) struct Decided<'a> {
    pub(super) call: &'a Call<'a>,
    pub(super) snapshot: &'a Snapshot,
    pub(super) decision: &'a Decision<'a>,
    pub(super) peer: &'a Peer<'a>,
    pub(super) original: Option<&'a Original<'a>>,
    pub(super) now: Timestamp,
}

impl LeaseTtl {
    /// No leases.
    pub const OFF: Self = Self(Duration::ZERO);

    const LEAST: Duration = Duration::from_secs(1);
    const MOST: Duration = Duration::from_secs(3_600);

    /// From 1 s to 1 h.
    #[must_use]
    pub fn new(ttl: Duration) -> Option<Self> {
        (Self::LEAST..=Self::MOST)
            .contains(&ttl)
            .then_some(Self(ttl))
    }

    fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Decided<'_> {
    /// The terms, for a proxy that understands them: of every call that goes on, and of
    /// what rules refuse. Nothing is said of a caller who proves nothing.
    pub(super) fn terms(&self, ttl: LeaseTtl) -> Option<Terms> {
        let goes_on = self.decision.permit().is_some();
        if !self.call.wants_terms || !goes_on && !is_leased(self.decision.reason) {
            return None;
        }
        let service = self.call.service.as_ref();
        let ends_at = self.ends_at().filter(|_| goes_on);
        Some(Terms {
            revision: self.snapshot.service_revision(service).to_vec(),
            decided_at_ms: self.now.as_millis(),
            ends_at_ms: ends_at.map_or(0, Timestamp::as_millis),
            lease: self.lease(ttl),
        })
    }

    /// From when on the call would not go on, as far as that is known.
    fn ends_at(&self) -> Option<Timestamp> {
        let svid = self.peer.svid.as_ref().ok();
        let original = self.original.and_then(|original| original.known.as_ref());
        let svids = svid.into_iter().chain(original);
        let ends = svids.map(|svid| end(svid)).chain(self.decision.expires);
        ends.min()
    }

    /// What else of this caller's the proxy may decide itself. Nothing that depends on what
    /// it does not see: on whom a call is passed on for, or what only a setting lets pass.
    fn lease(&self, ttl: LeaseTtl) -> Option<Lease> {
        let (decision, svid) = (self.decision, self.peer.svid.as_ref().ok()?);
        let is_whole = decision.recognized
            && decision.enforced
            && decision.shadow.is_none()
            && is_leased(decision.reason)
            && self.original.is_none();
        let is_kept = ttl != LeaseTtl::OFF && self.call.keeps_leases;
        if !is_kept || !is_whole || self.candidate_reads_headers() {
            return None;
        }
        let service = self.call.service.as_ref();
        let slice = self.snapshot.slice(&svid.id, service)?;
        Some(Lease {
            ttl_ms: ttl.millis(),
            valid_until_ms: end(svid).as_millis(),
            caller: Some(v1::Caller {
                id: svid.id.to_string(),
                certificate_sha256: svid.sha256.clone(),
                not_before_ms: svid.not_before.as_millis(),
                not_after_ms: svid.not_after.as_millis(),
                issuer: svid.issuer.to_string(),
            }),
            slice,
        })
    }

    /// Of what proxies decide no headers are told, so a candidate that reads them could not
    /// be tried.
    fn candidate_reads_headers(&self) -> bool {
        let service = self.call.service.as_ref();
        let candidate = self.snapshot.candidate();
        candidate.is_some_and(|candidate| candidate.set.headers_for(service).next().is_some())
    }
}

/// The first moment at which `svid` is not valid. Times are whole milliseconds here.
fn end(svid: &Svid) -> Timestamp {
    Timestamp::from_millis(svid.valid_until.as_millis().saturating_add(1))
}

impl Default for LeaseTtl {
    /// A minute.
    fn default() -> Self {
        Self(Duration::from_secs(60))
    }
}

impl FromStr for LeaseTtl {
    type Err = LeaseTtlError;

    /// `30s`, `5m`, `1h`, or `0`.
    fn from_str(text: &str) -> Result<Self, LeaseTtlError> {
        if text == "0" {
            return Ok(Self::OFF);
        }
        let units = [("s", 1), ("m", 60), ("h", 3_600)];
        let ttl = units.into_iter().find_map(|(unit, seconds)| {
            let number = text.strip_suffix(unit)?;
            let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
            let number: u64 = number.parse().ok().filter(|_| is_number)?;
            Self::new(Duration::from_secs(number.checked_mul(seconds)?))
        });
        ttl.ok_or(LeaseTtlError)
    }
}

impl fmt::Display for LeaseTtl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            0 => f.write_str("0"),
            seconds => write!(f, "{seconds}s"),
        }
    }
}

impl fmt::Display for LeaseTtlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a time such as `60s`, `5m` or `1h`, from 1 s to 1 h, nor `0` for none")
    }
}

impl std::error::Error for LeaseTtlError {}
