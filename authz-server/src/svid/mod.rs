//! Who calls: the leaf certificate of the connection, verified at every request.
//!
//! ```text
//!  PEM ──► DER ──► cached by SHA-256? ──yes──► valid now? ──► Svid
//!                        │ no
//!                        ▼
//!            profile ──► path to the bundle of its own ──► valid now? ──► Svid
//!            (X.509-SVID)  trust domain (webpki)
//!           Invalid        Untrusted                       Expired
//! ```
//!
//! A leaf is expired only if it verifies at a moment within its validity: the dates
//! of a forged certificate are not worth an answer. Pure but for the cache: no I/O,
//! and the time is an argument.

mod authority;
mod cache;
mod constraints;
mod path;
mod pem;
mod profile;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use callgate_policy::{IdentityFault, SpiffeId, Timestamp, TrustDomain};
use ring::digest::{Context, SHA256, digest};

use self::{authority::Intermediate, cache::Cache, path::Window, profile::Leaf};
use crate::bundle::TrustBundle;

pub(crate) use authority::Anchor;
pub use authority::AnchorError;
pub use pem::PemError;
pub(crate) use pem::certificates_of_file;
pub use profile::ProfileError;

/// Verified leaves that are remembered. An entry is about 350 bytes with an ID of
/// usual length, so a full cache is 23 MB; with IDs of the longest length that the
/// standard allows, 2,048 bytes, it is 160 MB.
const VERIFIED: usize = 65_536;
/// Refusals that are remembered, for [`REFUSED_FOR_MILLIS`]: a caller that insists
/// costs a look-up, not a signature. 100 bytes each.
const REFUSED: usize = 4_096;
/// A refusal may end without anything changing here: a CA's validity begins.
const REFUSED_FOR_MILLIS: i64 = 1_000;
/// Certificates of a chain that are tried besides the leaf. SPIRE with an upstream
/// authority has one or two.
const MAX_HINTS: usize = 4;

/// A certificate's SHA-256.
pub type Fingerprint = [u8; 32];

/// The leaf certificate of a connection, as a proxy sends it. Not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    der: Vec<u8>,
    sha256: Fingerprint,
}

/// A verified identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Svid {
    /// The workload.
    pub id: SpiffeId,
    /// The certificate's SHA-256, in hex.
    pub sha256: String,
    /// The certificate's last moment.
    pub not_after: Timestamp,
    not_before: Timestamp,
}

/// Why a certificate identifies nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SvidError {
    /// It breaks the X.509-SVID profile.
    Invalid(ProfileError),
    /// There is no bundle for the trust domain that it names.
    UnknownTrustDomain,
    /// No path leads from it to the bundle of its trust domain.
    NoPath,
    /// It verifies, but is outside its validity now. Who it was is told.
    Expired(Arc<Svid>),
}

/// Verifies leaves against the bundles it was made with. Other bundles are another
/// verifier with an empty cache, so that nothing verified by an old bundle outlives
/// it.
#[derive(Debug)]
pub struct Verifier {
    bundles: BTreeMap<TrustDomain, TrustBundle>,
    verified: Cache<Fingerprint, Arc<Verified>>,
    refused: Cache<Fingerprint, Refused>,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Debug)]
struct Verified {
    svid: Arc<Svid>,
    /// When the CAs of the path that was found are valid.
    path: Window,
}

#[derive(Clone, Debug)]
struct Refused {
    error: SvidError,
    at: Timestamp,
}

/// How a verifier's cache is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheFigures {
    /// Leaves in it.
    pub entries: usize,
    /// Leaves that were found in it.
    pub hits: u64,
    /// Leaves that had to be verified.
    pub misses: u64,
}

impl PeerCertificate {
    /// From exactly one PEM block, plain or percent-encoded.
    ///
    /// # Errors
    /// If `text` is anything else, or over 32 KiB.
    pub fn from_pem(text: &str) -> Result<Self, PemError> {
        pem::one_certificate(text).map(Self::from_der)
    }

    /// From DER, which is not looked at yet.
    #[must_use]
    pub fn from_der(der: Vec<u8>) -> Self {
        let sha256 = fingerprint(digest(&SHA256, &der).as_ref());
        Self { der, sha256 }
    }

    /// The SHA-256 of the DER, in hex.
    #[must_use]
    pub fn sha256(&self) -> String {
        hex(&self.sha256)
    }
}

/// The certificates of a chain as a proxy sends it (PEM, plain or percent-encoded),
/// without `leaf`: the first four, as hints for finding a path. A chain that cannot
/// be read gives none: it could only have helped.
#[must_use]
pub fn chain_hints(chain: &str, leaf: &PeerCertificate) -> Vec<Vec<u8>> {
    let mut hints = pem::certificates(chain, 1 + MAX_HINTS).unwrap_or_default();
    hints.retain(|der| *der != leaf.der);
    hints.truncate(MAX_HINTS);
    hints
}

impl Verifier {
    /// Trusts `bundles`, each for its own trust domain only.
    #[must_use]
    pub fn new(bundles: impl IntoIterator<Item = TrustBundle>) -> Self {
        Self {
            bundles: bundles
                .into_iter()
                .map(|bundle| (bundle.trust_domain().clone(), bundle))
                .collect(),
            verified: Cache::new(VERIFIED),
            refused: Cache::new(REFUSED),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Whom `leaf` identifies at `now`. `hints` is asked for DER certificates only
    /// if the leaf is not remembered; they may help to find a path and are otherwise
    /// not believed.
    ///
    /// # Errors
    /// If it identifies nobody.
    pub fn verify(
        &self,
        leaf: &PeerCertificate,
        hints: impl FnOnce() -> Vec<Vec<u8>>,
        now: Timestamp,
    ) -> Result<Arc<Svid>, SvidError> {
        if let Some(verified) = self.verified.get(&leaf.sha256) {
            let current = verified.svid.valid_at(now);
            // Expired, whoever vouched for it. But a leaf that outlives the path
            // found for it may have another one.
            if current.is_err() || verified.path.contains(now) {
                self.hits.fetch_add(1, Ordering::Relaxed);
                return current;
            }
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let hints = hints();
        let key = refusal_key(leaf, &hints);
        if let Some(refused) = self.refused.get(&key)
            && (0..REFUSED_FOR_MILLIS).contains(&(now.as_millis() - refused.at.as_millis()))
        {
            return Err(refused.error);
        }
        match self.search(leaf, &hints, now) {
            Ok(verified) => {
                let current = verified.svid.valid_at(now);
                self.verified.insert(leaf.sha256, Arc::new(verified));
                current
            }
            Err(error) => {
                self.refused.insert(
                    key,
                    Refused {
                        error: error.clone(),
                        at: now,
                    },
                );
                Err(error)
            }
        }
    }

    /// How the cache is doing.
    #[must_use]
    pub fn cache(&self) -> CacheFigures {
        CacheFigures {
            entries: self.verified.len(),
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }

    /// The bundles, by trust domain.
    pub fn bundles(&self) -> impl Iterator<Item = &TrustBundle> {
        self.bundles.values()
    }

    /// The whole way, without the caches: the leaf as it is at `now` or, outside its
    /// validity, as it was at the nearest moment within.
    fn search(
        &self,
        leaf: &PeerCertificate,
        hints: &[Vec<u8>],
        now: Timestamp,
    ) -> Result<Verified, SvidError> {
        let parsed = Leaf::parse(&leaf.der).map_err(SvidError::Invalid)?;
        let bundle = TrustDomain::parse(parsed.id.trust_domain())
            .ok()
            .and_then(|domain| self.bundles.get(&domain))
            .ok_or(SvidError::UnknownTrustDomain)?;
        let at = now.clamp(parsed.not_before, parsed.not_after);
        let hints = Intermediate::usable(hints);
        let path = path::verify(&leaf.der, parsed.id.as_str(), bundle.anchors(), &hints, at)
            .ok_or(SvidError::NoPath)?;
        Ok(Verified {
            svid: Arc::new(Svid {
                id: parsed.id,
                sha256: leaf.sha256(),
                not_before: parsed.not_before,
                not_after: parsed.not_after,
            }),
            path,
        })
    }
}

impl Svid {
    fn valid_at(self: &Arc<Self>, now: Timestamp) -> Result<Arc<Self>, SvidError> {
        if self.not_before <= now && now <= self.not_after {
            Ok(Arc::clone(self))
        } else {
            Err(SvidError::Expired(Arc::clone(self)))
        }
    }
}

impl SvidError {
    /// The fault as the decision core knows it.
    #[must_use]
    pub const fn fault(&self) -> IdentityFault {
        match self {
            Self::Invalid(_) => IdentityFault::Invalid,
            Self::UnknownTrustDomain | Self::NoPath => IdentityFault::Untrusted,
            Self::Expired(_) => IdentityFault::Expired,
        }
    }
}

/// A refusal holds for a leaf with these hints only: with others it may verify.
fn refusal_key(leaf: &PeerCertificate, hints: &[Vec<u8>]) -> Fingerprint {
    let mut context = Context::new(&SHA256);
    context.update(&leaf.sha256);
    for hint in hints {
        context.update(digest(&SHA256, hint).as_ref());
    }
    fingerprint(context.finish().as_ref())
}

/// SHA-256 gives 32 bytes, always.
fn fingerprint(digest: &[u8]) -> Fingerprint {
    let mut fingerprint = [0; 32];
    for (to, from) in fingerprint.iter_mut().zip(digest) {
        *to = *from;
    }
    fingerprint
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| DIGITS.get(usize::from(digit)))
        .collect()
}

impl fmt::Display for SvidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => write!(f, "not an X.509-SVID: {error}"),
            Self::UnknownTrustDomain => f.write_str("no bundle for its trust domain"),
            Self::NoPath => f.write_str("no path to the bundle of its trust domain"),
            Self::Expired(svid) => write!(f, "`{}` is outside its validity", svid.id),
        }
    }
}

impl std::error::Error for SvidError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Invalid(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
