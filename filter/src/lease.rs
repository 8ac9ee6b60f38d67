//! Leases: leave to decide here, for one caller's certificate and one service.
//!
//! ```text
//!  answer with terms ──Lease::read──► Leases of the callee ──find──► decide ──► Decision
//!                     (revision is that                │                  └──► None: ask
//!                      announced on the Watch)         └─ dropped: another revision,
//!                                                         nothing heard for maxStale
//! ```
//!
//! A lease stands while all of this holds: the revision that it was given under is the one
//! announced; its time, counted from the Check's dispatch on the monotonic clock, is not
//! up; and the caller's certificate is valid by the later of both clocks.

mod cache;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::{cell::Cell, fmt, rc::Rc, time::Duration};

use callgate_policy::{
    Caller, Decision, NoHeaders, Request, Slice, SliceError, SpiffeId, SpiffeIdError, Timestamp,
};
use callgate_wire::callgate::v1;

pub(crate) use self::cache::{Leases, ROOM, make_room};
use crate::{
    Callee, Revision,
    answer::{Clocks, Terms},
    ledger::NotedCaller,
    request::Line,
};

/// The longest time that a lease is kept for, whatever it says.
const MAX_TTL: Duration = Duration::from_secs(3_600);

/// The SHA-256 of a leaf.
pub(crate) type Fingerprint = [u8; 32];

/// One lease.
#[derive(Debug)]
pub(crate) struct Lease {
    clocks: Clocks,
    /// By the monotonic clock.
    until: Duration,
    /// The certificate's end, by the server's clock.
    valid_until: Timestamp,
    caller: SpiffeId,
    noted: NotedCaller,
    /// Shared by callers with the same rules, as are its bytes.
    slice: Rc<Slice>,
    encoded: Rc<[u8]>,
    /// When it was last used, as [`Leases`] count.
    used: Cell<u64>,
}

/// Why a lease is not taken. Its caller is asked about each time.
#[derive(Debug)]
pub(crate) enum LeaseError {
    /// It is of another certificate.
    Certificate,
    /// It does not say whose it is.
    Caller(SpiffeIdError),
    /// Its slice is none of this version.
    Slice(SliceError),
}

impl Lease {
    /// Takes a lease that an answer brought, for the certificate that it was asked about.
    fn read(
        lease: &v1::Lease,
        leaf: &Fingerprint,
        clocks: Clocks,
        shared: impl FnOnce(&[u8]) -> Result<(Rc<[u8]>, Rc<Slice>), SliceError>,
    ) -> Result<Self, LeaseError> {
        let v1::Lease {
            ttl_ms,
            valid_until_ms,
            caller,
            slice,
        } = lease;
        let caller = caller.as_ref().ok_or(LeaseError::Certificate)?;
        if fingerprint(caller.certificate_sha256.as_bytes()) != Some(*leaf) {
            return Err(LeaseError::Certificate);
        }
        let id = SpiffeId::parse(&caller.id).map_err(LeaseError::Caller)?;
        let (encoded, slice) = shared(slice).map_err(LeaseError::Slice)?;
        let ttl = Duration::from_millis(*ttl_ms).min(MAX_TTL);
        Ok(Self {
            clocks,
            until: clocks.dispatched.saturating_add(ttl),
            valid_until: Timestamp::from_millis(*valid_until_ms),
            caller: id,
            noted: caller.into(),
            slice,
            encoded,
            used: Cell::new(0),
        })
    }

    /// Whether its time is not up; `now` is the monotonic clock.
    pub(crate) fn is_current(&self, now: Duration) -> bool {
        now < self.until
    }

    /// Decides a request by its caller. `None`: ask, as this depends on what is not known
    /// here. `now` is the monotonic clock, `time` the later of the server's and the proxy's.
    pub(crate) fn decide(
        &self,
        callee: &Callee,
        line: &Line<'_>,
        now: Duration,
        time: Timestamp,
    ) -> Option<Decision<'_>> {
        if !self.is_current(now) || time >= self.valid_until {
            return None;
        }
        let request = Request {
            caller: Caller::Verified(&self.caller),
            service: callee.id(),
            method: line.method,
            path: line.path,
            upgrade: line.upgrade,
            content_type: line.content_type,
            host: Some(line.host),
            headers: &NoHeaders,
        };
        self.slice.decide(&request, self.clocks.decided_at, time)
    }

    /// Who calls.
    pub(crate) fn caller(&self) -> &SpiffeId {
        &self.caller
    }

    /// Who calls, for records.
    pub(crate) fn noted(&self) -> &NotedCaller {
        &self.noted
    }

    /// Where its clocks stood.
    pub(crate) fn clocks(&self) -> Clocks {
        self.clocks
    }

    /// When the caller's certificate ends, by the server's clock.
    pub(crate) fn valid_until(&self) -> Timestamp {
        self.valid_until
    }
}

impl Callee {
    /// The lease for this certificate, if there is one under `announced`, the revision
    /// that the service stands at. Without such a revision, all are dropped.
    pub(crate) fn lease(
        &self,
        announced: Option<Revision>,
        leaf: &Fingerprint,
        now: Duration,
    ) -> Option<Rc<Lease>> {
        self.leases().find(announced, leaf, now)
    }

    /// Takes what `terms` lease for this certificate.
    ///
    /// # Errors
    /// Why it is not taken.
    pub(crate) fn take_lease(
        &self,
        terms: &Terms,
        leaf: &Fingerprint,
        dispatched: Duration,
    ) -> Result<bool, LeaseError> {
        let Some(lease) = terms.lease.as_ref().filter(|lease| lease.ttl_ms > 0) else {
            return Ok(false);
        };
        let clocks = Clocks {
            dispatched,
            decided_at: terms.decided_at,
        };
        let mut leases = self.leases();
        leases.begin(terms.revision);
        let lease = Lease::read(lease, leaf, clocks, |encoded| leases.shared(encoded))?;
        leases.insert(*leaf, lease);
        Ok(true)
    }
}

/// Reads a SHA-256 in hex, in either case.
pub(crate) fn fingerprint(hex: &[u8]) -> Option<Fingerprint> {
    let (pairs, []) = hex.as_chunks::<2>() else {
        return None;
    };
    let mut bytes = [0; 32];
    if pairs.len() != bytes.len() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

fn digit(hex: u8) -> Option<u8> {
    let digit = char::from(hex).to_digit(16)?;
    u8::try_from(digit).ok()
}

impl fmt::Display for LeaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a lease is not taken: ")?;
        match self {
            Self::Certificate => f.write_str("it is of another certificate"),
            Self::Caller(error) => write!(f, "its caller: {error}"),
            Self::Slice(error) => write!(f, "its slice: {error}"),
        }
    }
}

impl std::error::Error for LeaseError {}
