//! Trust bundles: the roots of each trust domain.
//!
//! ```text
//!   files ──────────┐ one trust domain each: Feed
//!   endpoints ──────┤
//!   Workload API ───┘ several at once: FeedOfSeveral
//!        └──► Bundles ──► Live::set_bundles, one swap
//!             (last good, age, faults) ──► Health, metrics
//! ```
//!
//! Whoever feeds a bundle, it stays until a better one comes; and no bundle ever
//! vouches for another trust domain than its own.

mod bundles;
pub(crate) mod endpoint;
mod feed;
mod files;
mod jwks;
mod outlook;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use callgate_policy::{Timestamp, TrustDomain};
use ring::digest::{Context, SHA256, digest};

pub use bundles::{BundleState, Bundles, Taken};
pub use endpoint::{AddressError, BundleEndpoint, Endpoints, EndpointsError, TlsError};
pub use feed::{Feed, FeedOfSeveral};
pub use files::{BundleFileError, BundleFiles};
pub use jwks::{JwksError, KeyError};

use crate::svid::{
    Anchor, AnchorError, Fingerprint, PemError, certificates_of_file, fingerprint, hex,
};

/// Bytes of a bundle as text. A root is 1 to 2 KB of PEM.
const MAX_BYTES: usize = 1_048_576;
/// Roots of one bundle. SPIRE keeps a handful while it rotates.
const MAX_ANCHORS: usize = 256;

/// The roots that one trust domain is verified against, and nobody else's.
#[derive(Clone, Debug)]
pub struct TrustBundle {
    trust_domain: TrustDomain,
    anchors: Arc<[Anchor]>,
    hash: Fingerprint,
    digest: String,
    sequence: Option<u64>,
    refresh_hint: Option<Duration>,
}

/// Why something is not a trust bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BundleError {
    /// Over 1 MiB.
    TooLarge,
    /// A PEM file without a single certificate.
    Empty,
    /// More than 256 certificates.
    TooMany,
    /// Something in it is not a whole `CERTIFICATE` block.
    Pem(PemError),
    /// It begins as a SPIFFE bundle, but is none.
    Jwks(JwksError),
    /// One of its certificates cannot be a root.
    Anchor {
        /// Which one, counted from 1.
        position: usize,
        /// Why not.
        error: AnchorError,
    },
}

impl TrustBundle {
    /// Reads the roots of `trust_domain` from a file's text: PEM, or the SPIFFE bundle
    /// format, which begins with `{`.
    ///
    /// # Errors
    /// Unless every certificate in it is that of a CA; in PEM there must be one.
    pub fn parse(trust_domain: TrustDomain, text: &str) -> Result<Self, BundleError> {
        if text.trim_ascii_start().starts_with('{') {
            return Self::parse_jwks(trust_domain, text);
        }
        if text.len() > MAX_BYTES {
            return Err(BundleError::TooLarge);
        }
        let certificates = certificates_of_file(text).map_err(BundleError::Pem)?;
        if certificates.is_empty() {
            return Err(BundleError::Empty);
        }
        Self::from_der(trust_domain, &certificates)
    }

    /// Reads the roots of `trust_domain` from the SPIFFE bundle format (SPIFFE Trust
    /// Domain and Bundle, section 4).
    ///
    /// # Errors
    /// If the document is not of that format, or a root in it not the certificate of a
    /// CA.
    pub fn parse_jwks(trust_domain: TrustDomain, text: &str) -> Result<Self, BundleError> {
        if text.len() > MAX_BYTES {
            return Err(BundleError::TooLarge);
        }
        let document = jwks::parse(text).map_err(BundleError::Jwks)?;
        Ok(Self {
            sequence: document.sequence,
            refresh_hint: document.refresh_hint.map(Duration::from_secs),
            ..Self::from_der(trust_domain, &document.roots)?
        })
    }

    /// Takes the roots of `trust_domain`, a DER certificate each, in whatever order.
    /// Without one the trust domain trusts nobody: that is what it says when it has
    /// revoked all its keys (SPIFFE Trust Domain and Bundle, section 4.1.3).
    ///
    /// # Errors
    /// Unless every one is the certificate of a CA, and there are at most 256.
    pub fn from_der(
        trust_domain: TrustDomain,
        certificates: &[impl AsRef<[u8]>],
    ) -> Result<Self, BundleError> {
        if certificates.len() > MAX_ANCHORS {
            return Err(BundleError::TooMany);
        }
        let mut roots = BTreeMap::new();
        for (position, der) in (1..).zip(certificates) {
            let der = der.as_ref();
            let root =
                Anchor::parse(der).map_err(|error| BundleError::Anchor { position, error })?;
            let sha256 = fingerprint(digest(&SHA256, der).as_ref());
            roots.entry(sha256).or_insert((position, root));
        }
        // A bundle is a set: the same roots in another order are the same bundle. But
        // they are tried in the order in which they came.
        let mut hash = Context::new(&SHA256);
        hash.update(trust_domain.as_str().as_bytes());
        for sha256 in roots.keys() {
            hash.update(sha256);
        }
        let hash = fingerprint(hash.finish().as_ref());
        let mut roots: Vec<(usize, Anchor)> = roots.into_values().collect();
        roots.sort_by_key(|(position, _)| *position);
        Ok(Self {
            trust_domain,
            anchors: roots.into_iter().map(|(_, root)| root).collect(),
            hash,
            digest: hex(&hash),
            sequence: None,
            refresh_hint: None,
        })
    }

    /// Whose roots these are.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// A hash of the trust domain and of every root.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Its number (`spiffe_sequence`): a higher one supersedes.
    #[must_use]
    pub const fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// How often to look for another one (`spiffe_refresh_hint`).
    #[must_use]
    pub const fn refresh_hint(&self) -> Option<Duration> {
        self.refresh_hint
    }

    /// How many roots there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Whether the trust domain has no root, so that nobody in it can be verified.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// The last moment at which any of the roots is valid; None without a root.
    #[must_use]
    pub fn not_after(&self) -> Option<Timestamp> {
        self.anchors.iter().map(Anchor::not_after).max()
    }

    pub(crate) fn anchors(&self) -> &[Anchor] {
        &self.anchors
    }

    /// [`Self::digest`], in bytes.
    pub(crate) const fn hash(&self) -> &Fingerprint {
        &self.hash
    }
}

impl PartialEq for TrustBundle {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for TrustBundle {}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "more than {MAX_BYTES} bytes"),
            Self::Empty => f.write_str("no `CERTIFICATE` block"),
            Self::TooMany => write!(f, "more than {MAX_ANCHORS} certificates"),
            Self::Pem(error) => write!(f, "{error}"),
            Self::Jwks(error) => write!(f, "{error}"),
            Self::Anchor { position, error } => write!(f, "certificate {position}: {error}"),
        }
    }
}

impl std::error::Error for BundleError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Pem(error) => Some(error),
            Self::Jwks(error) => Some(error),
            Self::Anchor { error, .. } => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
