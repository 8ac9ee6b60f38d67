//! Trust bundles: the roots of each trust domain.

mod store;

use std::{fmt, sync::Arc};

use callgate_policy::{Timestamp, TrustDomain};
use ring::digest::{Context, SHA256};

pub use store::{BundleFileError, BundleStore};

use crate::svid::{Anchor, AnchorError, PemError, certificates_of_file, hex};

/// Bytes of a bundle's file. A root is 1 to 2 KB of PEM.
const MAX_BYTES: usize = 1_048_576;
/// Roots of one bundle. SPIRE keeps a handful while it rotates.
const MAX_ANCHORS: usize = 256;

/// The roots that one trust domain is verified against, and nobody else's.
#[derive(Clone, Debug)]
pub struct TrustBundle {
    trust_domain: TrustDomain,
    anchors: Arc<[Anchor]>,
    digest: String,
}

/// Why a text is not a trust bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BundleError {
    /// Over 1 MiB.
    TooLarge,
    /// Not a single certificate.
    Empty,
    /// More than 256 certificates.
    TooMany,
    /// Something in it is not a whole `CERTIFICATE` block.
    Pem(PemError),
    /// One of its certificates cannot be a root.
    Anchor {
        /// Which one, counted from 1.
        position: usize,
        /// Why not.
        error: AnchorError,
    },
}

impl TrustBundle {
    /// Reads the roots of `trust_domain` from a PEM file's text.
    ///
    /// # Errors
    /// Unless every block in it is the certificate of a CA.
    pub fn parse(trust_domain: TrustDomain, pem: &str) -> Result<Self, BundleError> {
        if pem.len() > MAX_BYTES {
            return Err(BundleError::TooLarge);
        }
        let certificates = certificates_of_file(pem).map_err(BundleError::Pem)?;
        match certificates.len() {
            0 => return Err(BundleError::Empty),
            1..=MAX_ANCHORS => {}
            _ => return Err(BundleError::TooMany),
        }
        let mut digest = Context::new(&SHA256);
        digest.update(trust_domain.as_str().as_bytes());
        let mut anchors = Vec::with_capacity(certificates.len());
        for (position, der) in (1..).zip(&certificates) {
            digest.update(ring::digest::digest(&SHA256, der).as_ref());
            anchors
                .push(Anchor::parse(der).map_err(|error| BundleError::Anchor { position, error })?);
        }
        Ok(Self {
            trust_domain,
            anchors: anchors.into(),
            digest: hex(digest.finish().as_ref()),
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

    /// How many roots there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Never: a bundle has at least one root.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// The last moment at which any of the roots is valid.
    #[must_use]
    pub fn not_after(&self) -> Option<Timestamp> {
        self.anchors.iter().map(Anchor::not_after).max()
    }

    pub(crate) fn anchors(&self) -> &[Anchor] {
        &self.anchors
    }
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "more than {MAX_BYTES} bytes"),
            Self::Empty => f.write_str("no `CERTIFICATE` block"),
            Self::TooMany => write!(f, "more than {MAX_ANCHORS} certificates"),
            Self::Pem(error) => write!(f, "{error}"),
            Self::Anchor { position, error } => write!(f, "certificate {position}: {error}"),
        }
    }
}

impl std::error::Error for BundleError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Pem(error) => Some(error),
            Self::Anchor { error, .. } => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
