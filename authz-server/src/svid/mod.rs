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
//! of a forged certificate are not worth an answer. Pure but for what is remembered,
//! texts that were read and leaves that verified: no I/O, and the time is an argument.

mod authority;
mod constraints;
mod path;
mod pem;
mod profile;
mod shown;
mod twin;
mod verifier;

use std::{fmt, sync::Arc};

use callgate_policy::{IdentityFault, SpiffeId, Timestamp};
use ring::digest::{SHA256, digest};

pub(crate) use authority::Anchor;
pub use authority::AnchorError;
pub use pem::PemError;
pub(crate) use pem::certificates_of_file;
pub use profile::ProfileError;
pub use shown::{CallerLife, Shown, lives};
pub use verifier::{CacheFigures, Verifier};

use crate::record::SourceNote;

/// Certificates of a chain that are tried besides the leaf. SPIRE with an upstream
/// authority has one or two.
pub(crate) const MAX_HINTS: usize = 4;

/// A certificate's SHA-256.
pub type Fingerprint = [u8; 32];

/// At which end of a connection a certificate was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Client,
    Server,
}

/// The leaf certificate of a connection, as a proxy sends it. Not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    der: Vec<u8>,
    sha256: Fingerprint,
}

/// A leaf of our own, which keeps to the profile of a server's. Others verify it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnLeaf {
    pub(crate) id: SpiffeId,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
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
    /// The certificate's first moment.
    pub not_before: Timestamp,
    /// The last moment of the certificate, or of a CA between it and the bundle, whichever
    /// comes first: until then it will be verified, by the path that was found for it.
    pub valid_until: Timestamp,
    /// Who signed the certificate: the first 128 characters of a distinguished name.
    pub issuer: Box<str>,
    /// What records say of it; of its issuer's distinguished name the first 128
    /// characters.
    pub noted: SourceNote,
    fingerprints: Box<[Fingerprint]>,
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

impl PeerCertificate {
    /// From exactly one PEM block, plain or percent-encoded.
    ///
    /// # Errors
    /// If `text` is anything else, or over 32 KiB.
    pub fn from_pem(text: &str) -> Result<Self, PemError> {
        pem::one_certificate(text).map(Self::from_der)
    }

    /// From a chain (PEM, plain or percent-encoded): its first certificate, and up to four
    /// of the others, as hints for finding a path.
    ///
    /// # Errors
    /// If `text` is no list of certificates, or over 64 KiB.
    pub fn from_chain(text: &str) -> Result<(Self, Vec<Vec<u8>>), PemError> {
        let mut certificates = pem::certificates(text, 1 + MAX_HINTS)?.into_iter();
        let leaf = certificates.next().ok_or(PemError::NoBlock)?;
        Ok((Self::from_der(leaf), certificates.collect()))
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

    fn fingerprints(&self) -> Box<[Fingerprint]> {
        let twins = twin::twins(&self.der);
        let twins = twins.map(|der| fingerprint(digest(&SHA256, &der).as_ref()));
        std::iter::once(self.sha256).chain(twins).collect()
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

impl OwnLeaf {
    /// Reads `der` and holds it against the profile.
    ///
    /// # Errors
    /// The first clause that it breaks.
    pub(crate) fn parse(der: &[u8]) -> Result<Self, ProfileError> {
        let profile::Leaf {
            id,
            not_before,
            not_after,
            issuer: _,
        } = profile::Leaf::parse(der, Role::Server)?;
        Ok(Self {
            id,
            not_before,
            not_after,
        })
    }
}

impl Svid {
    /// The SHA-256 of the certificate, and of every other one that whoever has it could
    /// make of it: none of them is believed if one of them is not.
    pub fn fingerprints(&self) -> impl Iterator<Item = Fingerprint> {
        self.fingerprints.iter().copied()
    }

    fn valid_at(self: &Arc<Self>, now: Timestamp) -> Result<Arc<Self>, SvidError> {
        if self.not_before <= now && now <= self.not_after {
            Ok(Arc::clone(self))
        } else {
            Err(SvidError::Expired(Arc::clone(self)))
        }
    }
}

impl SvidError {
    /// Whose certificate it is, if it ever verified.
    #[must_use]
    pub fn into_known(self) -> Option<Arc<Svid>> {
        match self {
            Self::Expired(svid) => Some(svid),
            Self::Invalid(_) | Self::UnknownTrustDomain | Self::NoPath => None,
        }
    }

    /// A word for what is wrong, for metrics.
    #[must_use]
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Invalid(ProfileError::Unparsable) => "unparsable",
            Self::Invalid(ProfileError::NoUri | ProfileError::SeveralUris) => "not-one-uri",
            Self::Invalid(ProfileError::NotASpiffeId(_)) => "not-a-spiffe-id",
            Self::Invalid(_) => "profile",
            Self::UnknownTrustDomain => "unknown-trust-domain",
            Self::NoPath => "no-path",
            Self::Expired(_) => "expired",
        }
    }

    /// Every word that [`Self::cause`] has.
    pub(crate) const CAUSES: [&'static str; 7] = [
        "unparsable",
        "not-one-uri",
        "not-a-spiffe-id",
        "profile",
        "unknown-trust-domain",
        "no-path",
        "expired",
    ];

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

/// SHA-256 gives 32 bytes, always.
pub(crate) fn fingerprint(digest: &[u8]) -> Fingerprint {
    let mut fingerprint = [0; 32];
    for (to, from) in fingerprint.iter_mut().zip(digest) {
        *to = *from;
    }
    fingerprint
}

/// The fingerprint that 64 lower-case hex digits stand for.
pub(crate) fn fingerprint_of_hex(text: &str) -> Option<Fingerprint> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut fingerprint = [0; 32];
    if pairs.len() != fingerprint.len() || !rest.is_empty() {
        return None;
    }
    for (to, [high, low]) in fingerprint.iter_mut().zip(pairs) {
        *to = digit(*high)? << 4 | digit(*low)?;
    }
    Some(fingerprint)
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
