//! Patterns over SPIFFE IDs.

use super::PatternError;
use crate::{SpiffeId, TrustDomain};

/// A set of callers: one SPIFFE ID, or every one that fits.
///
/// ```text
/// spiffe://example.org/ns/shop/sa/web    this ID
/// /ns/shop/sa/web                        the same, in the mesh's own trust domain
/// /ns/shop/sa/*                          one whole segment
/// /ns/{tenant}/sa/api                    one whole segment, captured
/// /ns/batch/**                           zero or more segments
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerPattern {}

impl CallerPattern {
    /// Parses an absolute pattern, or a relative one in `trust_domain`.
    ///
    /// # Errors
    /// The first rule of the pattern language that `text` breaks.
    pub fn parse(text: &str, trust_domain: Option<&TrustDomain>) -> Result<Self, PatternError> {
        let _ = (text, trust_domain);
        Ok(Self {})
    }

    /// The names that the pattern captures, each once, in the order of the text.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        [].into_iter()
    }

    /// The one SPIFFE ID that fits, if the pattern has no wildcard.
    #[must_use]
    pub const fn exact(&self) -> Option<&SpiffeId> {
        None
    }
}
