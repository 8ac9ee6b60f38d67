//! What signs: a root, or an intermediate that carries its way up.

use anyhow::Result;
use callgate_issuer::SigningRoot;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, IsCa, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};

use super::{Identity, Spec};

/// `id-ce-nameConstraints` (RFC 5280 section 4.2.1.10).
const NAME_CONSTRAINTS: &[u64] = &[2, 5, 29, 30];

/// A certificate authority of a trust domain.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    trust_domain: String,
    /// Intermediates between this authority and the root, itself first; empty for a root.
    chain: Vec<CertificateDer<'static>>,
}

/// What is unusual about an intermediate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unusual<'a> {
    /// The only host that URI names below may have (RFC 5280 section 4.2.1.10).
    pub permitted_uri_host: Option<&'a str>,
    /// No longer valid.
    pub expired: bool,
    /// Not marked as an authority at all.
    pub not_a_ca: bool,
}

impl Authority {
    /// A self-signed root.
    ///
    /// # Errors
    /// When a key cannot be made.
    pub fn root(trust_domain: &str) -> Result<Self> {
        let params = ca_params(trust_domain, "root", Unusual::default())?;
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self {
            issuer,
            trust_domain: trust_domain.to_owned(),
            chain: Vec::new(),
        })
    }

    /// An intermediate under this authority.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn intermediate(&self, name: &str, unusual: Unusual<'_>) -> Result<Self> {
        let params = ca_params(&self.trust_domain, name, unusual)?;
        let issuer = CertifiedIssuer::signed_by(params, KeyPair::generate()?, &self.issuer)?;
        let mut chain = vec![issuer.der().clone()];
        chain.extend(self.chain.iter().cloned());
        Ok(Self {
            issuer,
            trust_domain: self.trust_domain.clone(),
            chain,
        })
    }

    /// This authority's certificate, as PEM: a root's is the trust bundle.
    #[must_use]
    pub fn bundle_pem(&self) -> String {
        super::pem("CERTIFICATE", self.issuer.der())
    }

    /// The same, as DER.
    #[must_use]
    pub fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// The same and its key, for an issuer that is to sign as this authority.
    #[must_use]
    pub fn signing_root(&self) -> SigningRoot {
        let key = self.issuer.key().serialize_der();
        SigningRoot::new(self.der(), PrivatePkcs8KeyDer::from(key).into())
    }

    /// Signs a leaf.
    ///
    /// # Errors
    /// When the specification cannot be expressed in a certificate.
    pub fn issue(&self, spec: &Spec) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let params = spec.params()?;
        let leaf = if spec.self_signed {
            params.self_signed(&key)?
        } else {
            params.signed_by(&key, &self.issuer)?
        };
        let mut chain = vec![leaf.der().clone()];
        if spec.with_intermediates {
            chain.extend(self.chain.iter().cloned());
        }
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(Identity {
            chain,
            key,
            not_after: params.not_after,
        })
    }
}

fn ca_params(trust_domain: &str, name: &str, unusual: Unusual<'_>) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::hours(2);
    params.not_after = if unusual.expired {
        now - Duration::hours(1)
    } else {
        now + Duration::hours(2)
    };
    params
        .distinguished_name
        .push(DnType::CommonName, format!("{trust_domain} {name}"));
    // A signing certificate may carry its trust domain's ID (X509-SVID section 2).
    params
        .subject_alt_names
        .push(SanType::URI(format!("spiffe://{trust_domain}").try_into()?));
    params.is_ca = if unusual.not_a_ca {
        IsCa::ExplicitNoCa
    } else {
        IsCa::Ca(BasicConstraints::Unconstrained)
    };
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(SerialNumber::from(rand_serial()));
    if let Some(host) = unusual.permitted_uri_host {
        params.custom_extensions.push(permitted_uri_host(host));
    }
    Ok(params)
}

/// `NameConstraints { permittedSubtrees [0] { { base [6] host } } }`, which rcgen
/// has no type for.
fn permitted_uri_host(host: &str) -> CustomExtension {
    let uri = tlv(0x86, host.as_bytes());
    let subtrees = tlv(0xa0, &tlv(0x30, &uri));
    let mut extension = CustomExtension::from_oid_content(NAME_CONSTRAINTS, tlv(0x30, &subtrees));
    extension.set_criticality(true);
    extension
}

/// One DER element; these are far below the 128 bytes of the short length form.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
    [&[tag, length], content].concat()
}

/// Two authorities of one name must still differ in serial number.
fn rand_serial() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    // Positive in DER, so that it is not one byte longer at random.
    RandomState::new().hash_one(0) >> 1
}
