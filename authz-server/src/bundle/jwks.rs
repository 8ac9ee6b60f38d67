//! The SPIFFE bundle format: a JWK Set (SPIFFE Trust Domain and Bundle, section 4;
//! X509-SVID, section 6; RFC 7517).
//!
//! What the standards tell clients to ignore is ignored, element by element: unknown
//! key types and uses, and an X.509 element without a certificate. Whatever else is
//! wrong is an error, and the bundle before it stays: half of a bundle is none.

use std::fmt;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde::Deserialize;
use serde_json::Value;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _, public_key::PublicKey};

/// What a JWK Set says of X.509-SVIDs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Document {
    /// The DER of each root, in the document's order.
    pub(super) roots: Vec<Vec<u8>>,
    /// `spiffe_sequence`.
    pub(super) sequence: Option<u64>,
    /// `spiffe_refresh_hint`, in seconds.
    pub(super) refresh_hint: Option<u64>,
}

/// Why a text is not a SPIFFE bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JwksError {
    /// Not JSON, not an object, a member twice, no `keys`, or a member of another type
    /// than the standard says. What the parser said, with line and column.
    Document(String),
    /// One of its keys is not what it should be.
    Key {
        /// Which one, counted from 1.
        position: usize,
        /// Why not.
        error: KeyError,
    },
}

/// Why an element of a JWK Set is not a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// No `kty` (section 4.2.1: it must be set).
    NoKeyType,
    /// A member of another type than RFC 7517 says.
    Member(&'static str),
    /// The first value of `x5c` is not the base64 of DER (RFC 7517 section 4.7).
    Base64,
    /// The certificate holds another key than the element (RFC 7517 section 4.7).
    OtherKey,
}

/// The set. Members that are not known are allowed, known ones only once.
#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
    #[serde(default, deserialize_with = "present")]
    spiffe_sequence: Option<u64>,
    #[serde(default, deserialize_with = "present")]
    spiffe_refresh_hint: Option<u64>,
}

/// One element. Of one that is to be ignored nothing is known, so nothing is checked.
#[derive(Deserialize)]
struct Jwk {
    kty: Option<Value>,
    #[serde(rename = "use")]
    used_for: Option<Value>,
    x5c: Option<Value>,
    n: Option<Value>,
    e: Option<Value>,
    crv: Option<Value>,
    x: Option<Value>,
    y: Option<Value>,
}

/// Key types that an X.509-SVID authority may have.
#[derive(Clone, Copy)]
enum KeyType {
    Rsa,
    Ec,
    Okp,
}

/// Reads a SPIFFE bundle.
///
/// # Errors
/// The first rule that it breaks.
pub(super) fn parse(text: &str) -> Result<Document, JwksError> {
    let set: Set =
        serde_json::from_str(text).map_err(|error| JwksError::Document(error.to_string()))?;
    let mut roots = Vec::new();
    for (position, key) in (1..).zip(&set.keys) {
        let root = key
            .root()
            .map_err(|error| JwksError::Key { position, error })?;
        roots.extend(root);
    }
    Ok(Document {
        roots,
        sequence: set.spiffe_sequence,
        refresh_hint: set.spiffe_refresh_hint,
    })
}

/// `null` is not a number.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    u64::deserialize(deserializer).map(Some)
}

impl Jwk {
    /// The certificate; None if the element is to be ignored.
    fn root(&self) -> Result<Option<Vec<u8>>, KeyError> {
        let Some(Value::String(used_for)) = &self.used_for else {
            return Ok(None);
        };
        if used_for != "x509-svid" {
            return Ok(None);
        }
        let Some(key_type) = self.key_type()? else {
            return Ok(None);
        };
        // X509-SVID section 6.2: nothing or an empty list is ignored, and so is all
        // but the first.
        let certificates = match &self.x5c {
            None => return Ok(None),
            Some(Value::Array(certificates)) => certificates,
            Some(_) => return Err(KeyError::Member("x5c")),
        };
        let certificate = match certificates.first() {
            None => return Ok(None),
            Some(Value::String(certificate)) => certificate,
            Some(_) => return Err(KeyError::Member("x5c")),
        };
        let der = STANDARD.decode(certificate).map_err(|_| KeyError::Base64)?;
        self.agrees_with(key_type, &der)?;
        Ok(Some(der))
    }

    /// None if it is not known.
    fn key_type(&self) -> Result<Option<KeyType>, KeyError> {
        match &self.kty {
            None => Err(KeyError::NoKeyType),
            Some(Value::String(kty)) => Ok(match kty.as_str() {
                "RSA" => Some(KeyType::Rsa),
                "EC" => Some(KeyType::Ec),
                "OKP" => Some(KeyType::Okp),
                _ => None,
            }),
            Some(_) => Err(KeyError::Member("kty")),
        }
    }

    /// The element's own key must be the certificate's: two readers, one of either,
    /// must not trust two keys.
    fn agrees_with(&self, key_type: KeyType, der: &[u8]) -> Result<(), KeyError> {
        // A certificate that cannot be read is refused with its own words later.
        let Ok((_, certificate)) = X509Certificate::from_der(der) else {
            return Ok(());
        };
        let info = certificate.public_key();
        let agrees = match (key_type, info.parsed()) {
            (KeyType::Rsa, Ok(PublicKey::RSA(key))) => {
                let (n, e) = (member("n", &self.n)?, member("e", &self.e)?);
                unpadded(key.modulus) == unpadded(&n) && unpadded(key.exponent) == unpadded(&e)
            }
            (KeyType::Ec, Ok(PublicKey::EC(point))) => {
                let (x, y) = (member("x", &self.x)?, member("y", &self.y)?);
                is_curve(&self.crv, &["P-256", "P-384", "P-521"])?;
                point.data() == [&[4], x.as_slice(), y.as_slice()].concat()
            }
            (KeyType::Okp, _) => {
                let x = member("x", &self.x)?;
                is_curve(&self.crv, &["Ed25519", "Ed448"])?;
                *info.subject_public_key.data == *x
            }
            _ => false,
        };
        if agrees {
            Ok(())
        } else {
            Err(KeyError::OtherKey)
        }
    }
}

/// The bytes of a member (RFC 7518 section 6).
fn member(name: &'static str, value: &Option<Value>) -> Result<Vec<u8>, KeyError> {
    let Some(Value::String(text)) = value else {
        return Err(KeyError::Member(name));
    };
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| KeyError::Member(name))
}

fn is_curve(crv: &Option<Value>, known: &[&str]) -> Result<(), KeyError> {
    match crv {
        Some(Value::String(crv)) if known.contains(&crv.as_str()) => Ok(()),
        _ => Err(KeyError::Member("crv")),
    }
}

/// DER puts a zero before a number whose first bit is set; JWK does not.
fn unpadded(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

impl fmt::Display for JwksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document(error) => write!(f, "not a SPIFFE bundle: {error}"),
            Self::Key { position, error } => write!(f, "key {position}: {error}"),
        }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKeyType => f.write_str("no `kty`"),
            Self::Member(name) => write!(f, "`{name}` is not what RFC 7518 wants it to be"),
            Self::Base64 => f.write_str("its `x5c` is not base64"),
            Self::OtherKey => f.write_str("its `x5c` is the certificate of another key"),
        }
    }
}

impl std::error::Error for JwksError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Document(_) => None,
            Self::Key { error, .. } => Some(error),
        }
    }
}

impl std::error::Error for KeyError {}
