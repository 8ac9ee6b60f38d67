//! A certificate chain and its key, held against what they are for.

use std::{fmt, sync::Arc};

use callgate_policy::{SpiffeId, Timestamp};
use rustls::{crypto::ring::sign::any_supported_type, sign::CertifiedKey};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject as _},
};

use crate::svid::{OwnLeaf, PemError, ProfileError, certificates_of_file};

/// Certificates of a chain: a leaf and what stands between it and a root. SPIRE with
/// an upstream authority sends two or three.
const MAX_CHAIN: usize = 8;

/// An X.509-SVID with its key: what a handshake shows.
#[derive(Debug)]
pub struct Credential {
    key: Arc<CertifiedKey>,
    leaf: OwnLeaf,
}

/// Why a chain and a key are no credential.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialError {
    /// Something in the chain is not a whole `CERTIFICATE` block.
    Chain(PemError),
    /// Not a single certificate.
    Empty,
    /// More than eight certificates.
    TooMany,
    /// The leaf breaks the X.509-SVID profile.
    Profile(ProfileError),
    /// No PEM block of a private key, or one that is not whole.
    KeyPem,
    /// A key of a kind that cannot sign handshakes.
    Key,
    /// The key is another certificate's.
    Mismatch,
}

impl Credential {
    /// Takes a chain, leaf first, and its key, as PEM texts.
    ///
    /// # Errors
    /// If they are anything else, or do not belong together.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, CredentialError> {
        let chain = certificates_of_file(chain).map_err(CredentialError::Chain)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|_: pem::Error| CredentialError::KeyPem)?;
        Self::from_der(chain, key)
    }

    /// Takes the DER of a chain, leaf first, and its key.
    ///
    /// # Errors
    /// If they cannot be used, or do not belong together.
    pub fn from_der(
        chain: Vec<Vec<u8>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CredentialError> {
        if chain.len() > MAX_CHAIN {
            return Err(CredentialError::TooMany);
        }
        let leaf = chain.first().ok_or(CredentialError::Empty)?;
        let leaf = OwnLeaf::parse(leaf).map_err(CredentialError::Profile)?;
        let key = any_supported_type(&key).map_err(|_| CredentialError::Key)?;
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        let key = CertifiedKey::new(chain, key);
        key.keys_match().map_err(|_| CredentialError::Mismatch)?;
        Ok(Self {
            key: Arc::new(key),
            leaf,
        })
    }

    /// Whose it is.
    #[must_use]
    pub const fn id(&self) -> &SpiffeId {
        &self.leaf.id
    }

    /// The leaf's first moment.
    #[must_use]
    pub const fn not_before(&self) -> Timestamp {
        self.leaf.not_before
    }

    /// The leaf's last moment.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.leaf.not_after
    }

    /// Whether a handshake would show the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.key.cert == other.key.cert
    }

    /// As handshakes take it.
    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain(error) => write!(f, "{error}"),
            Self::Empty => f.write_str("no `CERTIFICATE` block"),
            Self::TooMany => write!(f, "more than {MAX_CHAIN} certificates"),
            Self::Profile(error) => write!(f, "the leaf is not an X.509-SVID: {error}"),
            Self::KeyPem => f.write_str("no PEM block of a private key"),
            Self::Key => f.write_str("a private key of a kind that TLS here does not know"),
            Self::Mismatch => f.write_str("the key does not belong to the certificate"),
        }
    }
}

impl std::error::Error for CredentialError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Chain(error) => Some(error),
            Self::Profile(error) => Some(error),
            _ => None,
        }
    }
}
