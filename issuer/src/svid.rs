//! An X.509-SVID with its key.

use std::fmt;

use callgate_policy::SpiffeId;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::OffsetDateTime;

use crate::bundle::pem;

/// An X.509-SVID, what is presented with it, and its private key.
pub struct Svid {
    pub(crate) id: SpiffeId,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) issued: OffsetDateTime,
    pub(crate) not_after: OffsetDateTime,
}

impl Svid {
    /// Whom it identifies.
    #[must_use]
    pub const fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// The leaf first, then the intermediates that the holder presents.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// Its key, PKCS #8.
    #[must_use]
    pub const fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }

    /// When it stops being valid.
    #[must_use]
    pub const fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// The chain as PEM, the leaf first.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        self.chain
            .iter()
            .map(|der| pem("CERTIFICATE", der))
            .collect()
    }

    /// The key as PEM.
    #[must_use]
    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", self.key.secret_der())
    }

    /// Half of its life is over: the time to have another, as agents do.
    pub(crate) fn is_due(&self, now: OffsetDateTime) -> bool {
        now >= self.issued + (self.not_after - self.issued) / 2
    }
}

impl fmt::Debug for Svid {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Svid")
            .field("id", &self.id.as_str())
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}
