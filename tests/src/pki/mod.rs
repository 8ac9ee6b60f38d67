//! Certificates, minted when a test starts and gone when it ends.
//!
//! An [`Authority`] signs; a [`Spec`] says what a leaf looks like, right or wrong;
//! [`Pki`] holds the authorities of one mesh and mints each [`Defect`] by its name.

mod authority;
mod defect;
mod spec;

use std::{fs, io::Write as _, path::Path};

use anyhow::{Context as _, Result};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

pub use authority::Authority;
pub use defect::Defect;
pub use spec::Spec;

/// The trust domain whose callers the gates of these tests believe.
pub const TRUST_DOMAIN: &str = "example.org";
/// Who `callgate serve` is.
pub const CALLGATE: &str = "/ns/callgate/sa/callgate";
/// A second one, with a bundle of its own.
pub const PARTNER_DOMAIN: &str = "partner.example";

/// A certificate, what comes with it on the wire, and its key.
#[derive(Debug)]
pub struct Identity {
    /// The leaf first, then the intermediates that the holder presents.
    pub chain: Vec<CertificateDer<'static>>,
    /// PKCS #8.
    pub key: PrivateKeyDer<'static>,
    /// When the leaf stops being valid.
    pub not_after: time::OffsetDateTime,
}

impl Identity {
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

    /// Writes `chain.pem` and `key.pem` into `directory`, each by a rename, so that
    /// whoever watches the directory never reads half a file.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn write_to(&self, directory: &Path) -> Result<()> {
        replace(&directory.join("key.pem"), &self.key_pem())?;
        replace(&directory.join("chain.pem"), &self.chain_pem())
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
            not_after: self.not_after,
        }
    }
}

/// The authorities of one mesh.
#[derive(Debug)]
pub struct Pki {
    /// Signs for [`TRUST_DOMAIN`].
    pub root: Authority,
    /// Signs for [`PARTNER_DOMAIN`].
    pub partner: Authority,
    /// Signs for nobody who is believed, under the same names as `root`.
    pub foreign: Authority,
}

impl Pki {
    /// New authorities with new keys.
    ///
    /// # Errors
    /// When a key cannot be made.
    pub fn new() -> Result<Self> {
        Ok(Self {
            root: Authority::root(TRUST_DOMAIN)?,
            partner: Authority::root(PARTNER_DOMAIN)?,
            foreign: Authority::root(TRUST_DOMAIN)?,
        })
    }

    /// A valid SVID for `id`: a full SPIFFE ID, or a path in [`TRUST_DOMAIN`].
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn svid(&self, id: &str) -> Result<Identity> {
        self.mint(Defect::None, id)
    }

    /// A leaf for `id` with the defect.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn mint(&self, defect: Defect, id: &str) -> Result<Identity> {
        defect.mint(self, &spiffe_id(id))
    }
}

/// The full SPIFFE ID of a path in [`TRUST_DOMAIN`]; full IDs stay as they are.
#[must_use]
pub fn spiffe_id(id: &str) -> String {
    if id.starts_with('/') {
        format!("spiffe://{TRUST_DOMAIN}{id}")
    } else {
        id.to_owned()
    }
}

fn replace(path: &Path, text: &str) -> Result<()> {
    let aside = path.with_extension("new");
    let mut file =
        fs::File::create(&aside).with_context(|| format!("create `{}`", aside.display()))?;
    file.write_all(text.as_bytes())?;
    fs::rename(&aside, path)?;
    Ok(())
}

/// PEM (RFC 7468) of one block.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}
