//! One signing key, the intermediates above it, and the root above those.

use std::time::Duration;

use callgate_policy::{SpiffeId, TrustDomain};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use crate::{DEVELOPMENT_ONLY, clock::whole_seconds, config::SigningRoot, svid::Svid};

/// Clocks of one machine agree; those of containers and test hosts nearly do.
const BACKDATED: Duration = Duration::from_secs(10);

/// What signs SVIDs for a while.
pub(crate) struct Ca {
    signer: Issuer<'static, KeyPair>,
    /// From the signer up to, and without, the root; empty when the root signs.
    intermediates: Vec<CertificateDer<'static>>,
    pub(crate) root: Root,
    pub(crate) issued: OffsetDateTime,
}

/// What the bundle holds of it.
#[derive(Clone)]
pub(crate) struct Root {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) not_after: OffsetDateTime,
}

impl Ca {
    /// New keys: a root, and that many intermediates below it.
    pub(crate) fn mint(
        domain: &TrustDomain,
        generation: u64,
        intermediates: u8,
        ttl: Duration,
        now: OffsetDateTime,
    ) -> Result<Self, rcgen::Error> {
        let not_after = whole_seconds(now + ttl);
        let name = format!("{DEVELOPMENT_ONLY} root {generation}");
        let params = authority(domain, &name, now, not_after)?;
        let key = KeyPair::generate()?;
        let root = Root {
            der: params.self_signed(&key)?.der().clone(),
            not_after,
        };
        Self::below(root, Issuer::new(params, key), domain, intermediates, now)
    }

    /// The same with a root that somebody else made.
    pub(crate) fn given(
        given: &SigningRoot,
        domain: &TrustDomain,
        intermediates: u8,
        now: OffsetDateTime,
    ) -> Result<Self, rcgen::Error> {
        let (_, parsed) = X509Certificate::from_der(&given.certificate)
            .map_err(|_| rcgen::Error::CouldNotParseCertificate)?;
        let root = Root {
            der: given.certificate.clone(),
            not_after: parsed.validity().not_after.to_datetime(),
        };
        let signer = Issuer::from_ca_cert_der(&root.der, KeyPair::try_from(&given.key)?)?;
        Self::below(root, signer, domain, intermediates, now)
    }

    fn below(
        root: Root,
        mut signer: Issuer<'static, KeyPair>,
        domain: &TrustDomain,
        intermediates: u8,
        now: OffsetDateTime,
    ) -> Result<Self, rcgen::Error> {
        let mut chain = Vec::new();
        for level in 1..=intermediates {
            let name = format!("{DEVELOPMENT_ONLY} intermediate {level}");
            let params = authority(domain, &name, now, root.not_after)?;
            let key = KeyPair::generate()?;
            chain.insert(0, params.signed_by(&key, &signer)?.der().clone());
            signer = Issuer::new(params, key);
        }
        Ok(Self {
            signer,
            intermediates: chain,
            root,
            issued: now,
        })
    }

    /// An X.509-SVID with a new key. It ends with its authority at the latest.
    pub(crate) fn sign(
        &self,
        id: &SpiffeId,
        ttl: Duration,
        now: OffsetDateTime,
    ) -> Result<Svid, rcgen::Error> {
        let not_after = whole_seconds(now + ttl).min(self.root.not_after);
        let key = KeyPair::generate()?;
        let leaf = leaf(id, now, not_after)?.signed_by(&key, &self.signer)?;
        let mut chain = vec![leaf.der().clone()];
        chain.extend(self.intermediates.iter().cloned());
        Ok(Svid {
            id: id.clone(),
            chain,
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            issued: now,
            not_after,
        })
    }
}

/// A signing certificate (X509-SVID standard, sections 2 and 4.1).
fn authority(
    domain: &TrustDomain,
    name: &str,
    now: OffsetDateTime,
    not_after: OffsetDateTime,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = named(name, now, not_after);
    let uri = format!("spiffe://{}", domain.as_str());
    params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// A leaf (X509-SVID standard, sections 2 to 4).
fn leaf(
    id: &SpiffeId,
    now: OffsetDateTime,
    not_after: OffsetDateTime,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = named(DEVELOPMENT_ONLY, now, not_after);
    params.subject_alt_names = vec![SanType::URI(id.as_str().try_into()?)];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyAgreement,
    ];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    Ok(params)
}

fn named(name: &str, now: OffsetDateTime, not_after: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = now - BACKDATED;
    params.not_after = not_after;
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Callgate development issuer");
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params
}
