//! Trust bundles, in the three forms that others read.

use std::time::Duration;

use base64::{
    Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD,
};
use callgate_policy::TrustDomain;
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _, public_key::PublicKey};

/// More roots than a domain has while it rotates and federates.
const MAX_ROOTS: usize = 32;
/// `MAX_ROOTS` certificates of 4 KiB with room for what JSON adds.
pub(crate) const MAX_BUNDLE_BYTES: usize = 256 * 1024;

/// The roots of one trust domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    domain: TrustDomain,
    roots: Vec<CertificateDer<'static>>,
    sequence: u64,
    refresh_hint: Duration,
    json: String,
}

/// Why a bundle cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleError {
    /// More than 256 KiB.
    TooLarge,
    /// Not a JSON object with a list `keys`, or an element is not what it must be.
    Malformed {
        /// What is wrong, and where.
        what: String,
    },
    /// No root, or more than 32.
    Roots {
        /// How many there are.
        count: usize,
    },
    /// A root is not a certificate with a P-256 or P-384 key.
    Certificate,
}

impl Bundle {
    pub(crate) fn new(
        domain: TrustDomain,
        roots: Vec<CertificateDer<'static>>,
        sequence: u64,
        refresh_hint: Duration,
    ) -> Result<Self, BundleError> {
        if roots.is_empty() || roots.len() > MAX_ROOTS {
            return Err(BundleError::Roots { count: roots.len() });
        }
        let keys: Vec<Value> = roots.iter().map(jwk).collect::<Result<_, _>>()?;
        let json = json!({
            "keys": keys,
            "spiffe_sequence": sequence,
            "spiffe_refresh_hint": refresh_hint.as_secs(),
        });
        Ok(Self {
            domain,
            roots,
            sequence,
            refresh_hint,
            json: format!("{json:#}\n"),
        })
    }

    /// Reads a SPIFFE bundle (SPIFFE_Trust_Domain_and_Bundle.md, section 4). Keys of
    /// another use are passed over, as section 4.2.2 demands.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(domain: TrustDomain, text: &[u8]) -> Result<Self, BundleError> {
        if text.len() > MAX_BUNDLE_BYTES {
            return Err(BundleError::TooLarge);
        }
        let malformed = |what: String| BundleError::Malformed { what };
        let document: Value =
            serde_json::from_slice(text).map_err(|error| malformed(error.to_string()))?;
        let keys = document.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or_else(|| malformed("no list `keys`".to_owned()))?;
        let mut roots = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            if key.get("use").and_then(Value::as_str) == Some("x509-svid") {
                let root = certificate(key)
                    .ok_or_else(|| malformed(format!("`keys[{at}].x5c` is not one certificate")))?;
                roots.push(root);
            }
        }
        let number = |name: &str| document.get(name).and_then(Value::as_u64).unwrap_or(0);
        let hint = Duration::from_secs(number("spiffe_refresh_hint"));
        Self::new(domain, roots, number("spiffe_sequence"), hint)
    }

    /// Whose roots they are.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// The domain's ID, `spiffe://example.org`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("spiffe://{}", self.domain.as_str())
    }

    /// The roots.
    #[must_use]
    pub fn roots(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }

    /// Grows with every change.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// DER, one after the other, as the Workload API has it.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        concatenated(&self.roots)
    }

    /// PEM, one block for each root.
    #[must_use]
    pub fn pem(&self) -> String {
        self.roots
            .iter()
            .map(|der| pem("CERTIFICATE", der))
            .collect()
    }

    /// The SPIFFE bundle (SPIFFE_Trust_Domain_and_Bundle.md, section 4).
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }
}

fn certificate(key: &Value) -> Option<CertificateDer<'static>> {
    match key.get("x5c")?.as_array()?.as_slice() {
        [only] => STANDARD.decode(only.as_str()?).ok().map(Into::into),
        _ => None,
    }
}

/// A root as a JSON Web Key (RFC 7517; X509-SVID standard, section 6.2).
fn jwk(root: &CertificateDer<'static>) -> Result<Value, BundleError> {
    let (rest, parsed) = X509Certificate::from_der(root).map_err(|_| BundleError::Certificate)?;
    let Ok(PublicKey::EC(point)) = parsed.public_key().parsed() else {
        return Err(BundleError::Certificate);
    };
    // Uncompressed: 4, then both coordinates in full (RFC 5480 section 2.2).
    let coordinates = point.data().strip_prefix(&[4]).filter(|_| rest.is_empty());
    let coordinates = coordinates.ok_or(BundleError::Certificate)?;
    let curve = match coordinates.len() {
        64 => "P-256",
        96 => "P-384",
        _ => return Err(BundleError::Certificate),
    };
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    Ok(json!({
        "use": "x509-svid",
        "kty": "EC",
        "crv": curve,
        "x": URL_SAFE_NO_PAD.encode(x),
        "y": URL_SAFE_NO_PAD.encode(y),
        "x5c": [STANDARD.encode(root)],
    }))
}

/// One certificate after the other, as the Workload API carries them.
pub(crate) fn concatenated(certificates: &[CertificateDer<'static>]) -> Vec<u8> {
    certificates
        .iter()
        .flat_map(|der| der.iter().copied())
        .collect()
}

/// One block of PEM (RFC 7468).
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut block = format!("-----BEGIN {label}-----\n");
    for (at, character) in text.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            block.push('\n');
        }
        block.push(character);
    }
    block.push_str(&format!("\n-----END {label}-----\n"));
    block
}

impl std::fmt::Display for BundleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge => write!(f, "a bundle of more than {MAX_BUNDLE_BYTES} bytes"),
            Self::Malformed { what } => write!(f, "not a SPIFFE bundle: {what}"),
            Self::Roots { count } => write!(f, "{count} roots; 1 to {MAX_ROOTS} make a bundle"),
            Self::Certificate => f.write_str("a root is no certificate with a P-256 or P-384 key"),
        }
    }
}

impl std::error::Error for BundleError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{authority::Authority, config::Domain};

    fn domain() -> TrustDomain {
        TrustDomain::parse("example.org").unwrap()
    }

    fn bundle() -> Bundle {
        let now = crate::clock::now();
        let (ttl, hint) = (Duration::from_secs(600), Duration::from_secs(5));
        let mut authority = Authority::new(&Domain::new(domain()), ttl, hint, now).unwrap();
        authority.rotate(now).unwrap();
        Bundle::clone(authority.bundle())
    }

    #[test]
    fn what_is_written_is_read() {
        let bundle = bundle();
        assert_eq!(bundle.roots().len(), 2);
        let read = Bundle::parse(domain(), bundle.json().as_bytes()).unwrap();
        assert_eq!(read, bundle);
    }

    #[test]
    fn keys_of_another_use_are_passed_over() {
        let mut document: Value = serde_json::from_str(bundle().json()).unwrap();
        let keys = document["keys"].as_array_mut().unwrap();
        keys.push(json!({"use": "jwt-svid", "kty": "EC", "kid": "a"}));
        let read = Bundle::parse(domain(), document.to_string().as_bytes()).unwrap();
        assert_eq!(read.roots(), bundle_roots(&document));
    }

    fn bundle_roots(document: &Value) -> Vec<CertificateDer<'static>> {
        let keys = document["keys"].as_array().unwrap();
        keys.iter().filter_map(certificate).collect()
    }

    #[test]
    fn what_is_no_bundle_is_refused() {
        let cases: [(&str, &[u8]); 6] = [
            ("empty", b""),
            ("not an object", b"[]"),
            ("no keys", b"{}"),
            ("no roots", br#"{"keys": []}"#),
            ("no certificate", br#"{"keys": [{"use": "x509-svid"}]}"#),
            (
                "not base64",
                br#"{"keys": [{"use": "x509-svid", "x5c": ["!"]}]}"#,
            ),
        ];
        for (name, text) in cases {
            assert!(Bundle::parse(domain(), text).is_err(), "{name}");
        }
        let large = vec![b' '; MAX_BUNDLE_BYTES + 1];
        assert_eq!(Bundle::parse(domain(), &large), Err(BundleError::TooLarge));
    }

    #[test]
    fn two_certificates_in_one_key_are_refused() {
        let mut document: Value = serde_json::from_str(bundle().json()).unwrap();
        let x5c = document["keys"][0]["x5c"].as_array_mut().unwrap();
        x5c.push(x5c[0].clone());
        let read = Bundle::parse(domain(), document.to_string().as_bytes());
        assert!(
            matches!(read, Err(BundleError::Malformed { .. })),
            "{read:?}"
        );
    }
}
