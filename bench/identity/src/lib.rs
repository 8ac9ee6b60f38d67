//! Leaves to verify: as many as are wanted, each of another workload and with another
//! key, all of one authority.

use anyhow::Result;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use callgate_policy::TrustDomain;
use callgate_server::{bundle::TrustBundle, svid::Verifier};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use time::{Duration, OffsetDateTime};

/// The trust domain of all leaves.
const TRUST_DOMAIN: &str = "example.org";
/// SVIDs of an hour, as SPIRE makes them.
const LIFETIME: Duration = Duration::hours(1);

/// An authority, and what is above it.
#[derive(Debug)]
pub struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    intermediate: Option<CertifiedIssuer<'static, KeyPair>>,
}

/// A leaf as it comes from a proxy.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Its text.
    pub pem: String,
    /// Its bytes.
    pub der: Vec<u8>,
}

impl Authority {
    /// A root, and an intermediate below it if `deep`.
    ///
    /// # Errors
    /// When nothing can be signed.
    pub fn new(deep: bool) -> Result<Self> {
        let root = CertifiedIssuer::self_signed(ca("root"), KeyPair::generate()?)?;
        let intermediate = if deep {
            let key = KeyPair::generate()?;
            Some(CertifiedIssuer::signed_by(ca("intermediate"), key, &root)?)
        } else {
            None
        };
        Ok(Self { root, intermediate })
    }

    /// The leaf of the workload with this number.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn leaf(&self, number: usize) -> Result<Leaf> {
        let mut params = CertificateParams::default();
        let id = format!(
            "spiffe://{TRUST_DOMAIN}/ns/shop-{}/sa/app-{number}",
            number % 100
        );
        params.subject_alt_names = vec![SanType::URI(id.try_into()?)];
        params
            .distinguished_name
            .push(DnType::OrganizationName, "SPIRE");
        params.not_before = OffsetDateTime::now_utc() - Duration::MINUTE;
        params.not_after = params.not_before + LIFETIME;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyAgreement,
        ];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.serial_number = Some(SerialNumber::from(u64::try_from(number)? + 1));
        let key = KeyPair::generate()?;
        let issuer = self.intermediate.as_ref().unwrap_or(&self.root);
        let der = params.signed_by(&key, issuer)?.der().to_vec();
        Ok(Leaf {
            pem: pem(&der),
            der,
        })
    }

    /// What comes with a leaf: the intermediate, if there is one.
    #[must_use]
    pub fn hints(&self) -> Vec<Vec<u8>> {
        let intermediate = self.intermediate.iter();
        intermediate.map(|issuer| issuer.der().to_vec()).collect()
    }

    /// The root's bytes.
    #[must_use]
    pub fn root(&self) -> &[u8] {
        self.root.der()
    }

    /// A verifier that trusts the root, and remembers nobody yet.
    ///
    /// # Errors
    /// Never: the root is one.
    pub fn verifier(&self) -> Result<Verifier> {
        let domain = TrustDomain::parse(TRUST_DOMAIN)?;
        let bundle = TrustBundle::from_der(domain, &[self.root()])?;
        Ok(Verifier::new([bundle]))
    }
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// In lines of 64, as everybody writes it.
fn pem(der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in base64.as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}
