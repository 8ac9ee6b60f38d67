//! Leases: what a proxy may decide itself, for one caller and one service.
//!
//! ```text
//!  PolicySet ──slice(caller, service)──► bytes ──┄ an answer ┄──► Slice ──decide──► Decision
//!                  │                                                       └──► None: ask
//!     the rules that are about this caller, whole
//! ```
//!
//! A slice is a small [`PolicySet`], decided by the same code. What it cannot know, it does
//! not guess: conditions are for the server, and so is what only Shadow lets pass.

#[cfg(test)]
#[cfg(feature = "documents")]
mod agreement;
mod cut;
mod encoded;
mod read;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::{
    BuildError, Caller, Decision, PatternError, PolicySet, Request, SpiffeIdError, Timestamp,
    time::Moment,
};

/// What a proxy may decide itself about calls by one caller to one service. Made of bytes
/// that [`PolicySet::slice`] wrote.
#[derive(Debug)]
pub struct Slice {
    /// One policy, or none where the service has none; it names no service, because who
    /// holds the slice knows whose it is.
    set: PolicySet,
    footprint: usize,
}

/// Bytes that are no slice.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SliceError {
    /// More than [`Slice::MAX_BYTES`].
    TooLarge,
    /// Not the message that slices are, or not as this version writes it.
    Encoding,
    /// More ways to match than [`Slice::MAX_WAYS`].
    TooManyWays,
    /// An entry of `from` or a line of `to` that does not parse.
    Pattern(PatternError),
    /// The name of no trust domain.
    TrustDomain(SpiffeIdError),
    /// Rules that do not make a set.
    Rules(BuildError),
}

impl Slice {
    /// The most bytes of an encoded slice: a hundred rules of usual length. Callers about
    /// whom more is said ask each time.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// The most ways to match, pairs of an entry of `from` with a line of `to` of one
    /// rule: what memory and time to build grow with, more than with the bytes.
    pub const MAX_WAYS: usize = 4_096;

    /// Reads what [`PolicySet::slice`] wrote.
    ///
    /// # Errors
    /// Whatever keeps `bytes` from being a slice as this version writes it.
    pub fn decode(bytes: &[u8]) -> Result<Self, SliceError> {
        let set = read::read(bytes)?;
        let footprint = size_of::<Self>().saturating_add(set.footprint());
        Ok(Self { set, footprint })
    }

    /// About how many bytes of memory it takes, not less than it does.
    #[must_use]
    pub const fn footprint(&self) -> usize {
        self.footprint
    }

    /// Decides `request`, as the set that the slice was cut from would. `None`: ask, this
    /// depends on what is not known here.
    ///
    /// `decided_at` is the server's clock when the slice was cut, `now` the later of what
    /// the server's clock and the proxy's own may be by now. The request has to be of the
    /// caller and for the service that the slice is of.
    #[must_use]
    pub fn decide<'s>(
        &'s self,
        request: &Request<'_>,
        decided_at: Timestamp,
        now: Timestamp,
    ) -> Option<Decision<'s>> {
        if !matches!(request.caller, Caller::Verified(_)) {
            return None;
        }
        let policy = self.set.policies.first();
        let moment = Moment {
            earliest: decided_at,
            latest: now.max(decided_at),
        };
        let decision = self.set.decide_by(policy, request, moment, |_, _| None);
        let whole = !decision.open && decision.enforced && decision.shadow.is_none();
        (whole && decision.recognized).then_some(decision)
    }
}

impl fmt::Display for SliceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "more than {} bytes", Slice::MAX_BYTES),
            Self::Encoding => f.write_str("not a slice as this version writes it"),
            Self::TooManyWays => write!(f, "more than {} ways to match", Slice::MAX_WAYS),
            Self::Pattern(error) => error.fmt(f),
            Self::TrustDomain(error) => error.fmt(f),
            Self::Rules(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SliceError {}
