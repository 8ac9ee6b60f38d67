//! Certificates for tests, minted when they run: no key is kept anywhere.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use callgate_policy::{Timestamp, TrustDomain};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
    SignatureAlgorithm,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::{bundle::TrustBundle, clock, identity::Credential, svid::PeerCertificate};

/// The moment at which tests take place: 2027-01-01T00:00:00Z.
pub(crate) const NOW: i64 = 1_798_761_600;

/// Who `leaf` identifies.
pub(crate) const CHECKOUT: &str = "spiffe://example.org/ns/shop/sa/checkout";

/// A certificate authority.
pub(crate) struct Authority {
    pub(crate) certificate: Certificate,
    /// The moment around which its certificates are valid.
    moment: i64,
    issuer: Issuer<'static, KeyPair>,
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_secs(NOW)
}

impl Authority {
    pub(crate) fn root(name: &str) -> Self {
        Self::root_with(name, |_| {})
    }

    /// An authority whose certificates are valid now, by the clock.
    pub(crate) fn root_of_today(name: &str) -> Self {
        Self::root_at(name, clock::now().as_millis() / 1_000, |_| {})
    }

    /// An authority with a key of that kind.
    pub(crate) fn root_signing_with(algorithm: &'static SignatureAlgorithm) -> Self {
        let params = authority("root", NOW, |_| {});
        let key = KeyPair::generate_for(algorithm).unwrap();
        Self {
            certificate: params.self_signed(&key).unwrap(),
            moment: NOW,
            issuer: Issuer::new(params, key),
        }
    }

    /// A self-signed authority, changed by `edit`.
    pub(crate) fn root_with(name: &str, edit: impl FnOnce(&mut CertificateParams)) -> Self {
        Self::root_at(name, NOW, edit)
    }

    fn root_at(name: &str, moment: i64, edit: impl FnOnce(&mut CertificateParams)) -> Self {
        let (params, key) = (authority(name, moment, edit), KeyPair::generate().unwrap());
        Self {
            certificate: params.self_signed(&key).unwrap(),
            moment,
            issuer: Issuer::new(params, key),
        }
    }

    /// An authority below this one, changed by `edit`.
    pub(crate) fn intermediate(
        &self,
        name: &str,
        edit: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let params = authority(name, self.moment, edit);
        let key = KeyPair::generate().unwrap();
        Self {
            certificate: params.signed_by(&key, &self.issuer).unwrap(),
            moment: self.moment,
            issuer: Issuer::new(params, key),
        }
    }

    /// An X.509-SVID of [`CHECKOUT`], changed by `edit`.
    pub(crate) fn leaf(&self, edit: impl FnOnce(&mut CertificateParams)) -> Certificate {
        self.leaf_and_key(edit).0
    }

    /// The same, for one who has to prove that it is his.
    pub(crate) fn leaf_and_key(
        &self,
        edit: impl FnOnce(&mut CertificateParams),
    ) -> (Certificate, KeyPair) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "leaf");
        params.not_before = moment(self.moment - 3_600);
        params.not_after = moment(self.moment + 3_600);
        params.subject_alt_names = vec![uri(CHECKOUT)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        edit(&mut params);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// What [`crate::identity::Credential`] is made of, for `id`, with this much of
    /// its life in the past and in the future, in seconds.
    pub(crate) fn credential(&self, id: &str, past: i64, future: i64) -> Credential {
        let (certificate, key) = self.leaf_and_key(|params| {
            params.subject_alt_names = vec![uri(id)];
            params.not_before = moment(self.moment - past);
            params.not_after = moment(self.moment + future);
        });
        let chain = vec![certificate.der().to_vec()];
        Credential::from_der(chain, key.serialize_der().try_into().unwrap()).unwrap()
    }

    /// The DER of an authority below this one that has `key`.
    pub(crate) fn cross_signed(&self, key: &impl PublicKeyData) -> Vec<u8> {
        let params = authority("other", self.moment, |_| {});
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        certificate.der().to_vec()
    }

    /// As an element of a SPIFFE bundle.
    pub(crate) fn jwk(&self) -> Value {
        let point = self.issuer.key().der_bytes();
        let (x, y) = point[1..].split_at(32);
        json!({
            "use": "x509-svid", "kty": "EC", "crv": "P-256",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
            "x5c": [STANDARD.encode(self.certificate.der())],
        })
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        self.certificate.der().to_vec()
    }

    /// The bundle of `trust_domain` with this authority as its only root.
    pub(crate) fn bundle(&self, trust_domain: &str) -> TrustBundle {
        TrustBundle::parse(
            TrustDomain::parse(trust_domain).unwrap(),
            &self.certificate.pem(),
        )
        .unwrap()
    }
}

/// The SPIFFE bundle of `roots`.
pub(crate) fn spiffe_bundle(roots: &[&Authority], sequence: u64, refresh_hint: u64) -> String {
    let keys: Vec<Value> = roots.iter().map(|root| root.jwk()).collect();
    json!({
        "keys": keys, "spiffe_sequence": sequence, "spiffe_refresh_hint": refresh_hint,
    })
    .to_string()
}

/// Seconds from [`NOW`].
pub(crate) fn at(seconds: i64) -> OffsetDateTime {
    moment(NOW + seconds)
}

fn moment(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

pub(crate) fn peer(certificate: &Certificate) -> PeerCertificate {
    PeerCertificate::from_der(certificate.der().to_vec())
}

/// A critical `nameConstraints` over URIs, which rcgen does not write by itself.
pub(crate) fn uri_constraints(permitted: &[&str], excluded: &[&str]) -> CustomExtension {
    let lists = [(0xa0, permitted), (0xa1, excluded)]
        .into_iter()
        .filter(|(_, hosts)| !hosts.is_empty())
        .flat_map(|(tag, hosts)| {
            let subtrees = hosts
                .iter()
                .flat_map(|host| tlv(0x30, &tlv(0x86, host.as_bytes())));
            tlv(tag, &subtrees.collect::<Vec<_>>())
        });
    let content = tlv(0x30, &lists.collect::<Vec<_>>());
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 30], content);
    extension.set_criticality(true);
    extension
}

fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut der = vec![tag, u8::try_from(value.len()).unwrap()];
    assert!(value.len() < 128, "one byte of length is enough for tests");
    der.extend_from_slice(value);
    der
}

fn authority(name: &str, now: i64, edit: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = moment(now - 86_400);
    params.not_after = moment(now + 30 * 86_400);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    edit(&mut params);
    params
}
