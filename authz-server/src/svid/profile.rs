//! What a leaf must be before anybody asks who signed it: the X.509-SVID profile.

use std::fmt;

use callgate_policy::{SpiffeId, SpiffeIdError, Timestamp};
use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer as _,
};

use super::Role;

/// Bytes of one certificate. An SVID is 500 to 1,500 bytes of DER.
pub(super) const MAX_DER_BYTES: usize = 16 * 1024;

/// A leaf that keeps to the profile. Who signed it is another question.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) id: SpiffeId,
    /// Both bounds belong to the validity (RFC 5280 section 4.1.2.5).
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    /// Who signed it, by its own word: a distinguished name (RFC 5280 section 4.1.2.4).
    pub(super) issuer: String,
}

/// Characters of an issuer's name that are kept. SPIRE's have some 20.
const MAX_ISSUER_CHARACTERS: usize = 128;

/// The clause of the X.509-SVID standard or of RFC 5280 that a leaf breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProfileError {
    /// Not one DER certificate of version 3, or over 16 KiB, or one with an
    /// extension that is malformed, repeated, or critical and not known here.
    Unparsable,
    /// `notBefore` is after `notAfter`, or before 1970.
    Validity,
    /// `basicConstraints` says CA (X.509-SVID section 4.1).
    Authority,
    /// No `keyUsage`, or one without `digitalSignature` (section 4.3).
    NoDigitalSignature,
    /// `keyCertSign` (section 4.3).
    KeyCertSign,
    /// `cRLSign` (section 4.3).
    CrlSign,
    /// A caller's `extendedKeyUsage` without `clientAuth` (section 4.4).
    NotForClients,
    /// A server's `extendedKeyUsage` without `serverAuth` (section 4.4).
    NotForServers,
    /// `nameConstraints`, which belong into CA certificates only (RFC 5280
    /// section 4.2.1.10).
    NameConstraints,
    /// No URI SAN (section 2).
    NoUri,
    /// More than one URI SAN (section 2).
    SeveralUris,
    /// The URI SAN is not a workload's SPIFFE ID (SPIFFE-ID section 2).
    NotASpiffeId(SpiffeIdError),
}

impl Leaf {
    /// Reads `der`, shown by one in `role`, and holds it against the profile.
    ///
    /// # Errors
    /// The first clause that it breaks.
    pub(super) fn parse(der: &[u8], role: Role) -> Result<Self, ProfileError> {
        let certificate = certificate(der)?;
        let (not_before, not_after) = validity(&certificate)?;
        usage(&certificate, role)?;
        Ok(Self {
            id: identity(&certificate)?,
            issuer: issuer(&certificate),
            not_before,
            not_after,
        })
    }
}

fn issuer(certificate: &X509Certificate<'_>) -> String {
    let name = certificate.issuer().to_string();
    name.chars().take(MAX_ISSUER_CHARACTERS).collect()
}

/// Two parsers must agree that this is a certificate: x509-parser, which shows what
/// the profile is about, and webpki, which will verify it and which refuses unknown
/// critical extensions.
fn certificate(der: &[u8]) -> Result<X509Certificate<'_>, ProfileError> {
    if der.len() > MAX_DER_BYTES {
        return Err(ProfileError::Unparsable);
    }
    EndEntityCert::try_from(&CertificateDer::from(der)).map_err(|_| ProfileError::Unparsable)?;
    let certificate = parse(der).ok_or(ProfileError::Unparsable)?;
    let malformed = certificate.extensions().iter().any(|extension| {
        matches!(
            extension.parsed_extension(),
            ParsedExtension::ParseError { .. }
        )
    });
    if malformed || certificate.tbs_certificate.extensions_map().is_err() {
        return Err(ProfileError::Unparsable);
    }
    Ok(certificate)
}

/// A certificate with nothing behind it.
pub(super) fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Some(certificate),
        _ => None,
    }
}

fn validity(certificate: &X509Certificate<'_>) -> Result<(Timestamp, Timestamp), ProfileError> {
    let validity = certificate.validity();
    let (not_before, not_after) = (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    );
    if not_before < 0 || not_before > not_after {
        return Err(ProfileError::Validity);
    }
    Ok((
        Timestamp::from_secs(not_before),
        Timestamp::from_secs(not_after),
    ))
}

fn usage(certificate: &X509Certificate<'_>, role: Role) -> Result<(), ProfileError> {
    let mut signs = false;
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(basic) if basic.ca => {
                return Err(ProfileError::Authority);
            }
            ParsedExtension::KeyUsage(usage) if usage.key_cert_sign() => {
                return Err(ProfileError::KeyCertSign);
            }
            ParsedExtension::KeyUsage(usage) if usage.crl_sign() => {
                return Err(ProfileError::CrlSign);
            }
            ParsedExtension::KeyUsage(usage) => signs = usage.digital_signature(),
            ParsedExtension::ExtendedKeyUsage(usage) => match role {
                Role::Client if !usage.client_auth => return Err(ProfileError::NotForClients),
                Role::Server if !usage.server_auth => return Err(ProfileError::NotForServers),
                Role::Client | Role::Server => {}
            },
            ParsedExtension::NameConstraints(_) => return Err(ProfileError::NameConstraints),
            _ => {}
        }
    }
    if signs {
        Ok(())
    } else {
        Err(ProfileError::NoDigitalSignature)
    }
}

/// The one URI SAN. Names of other kinds may stand beside it; they mean nothing here.
fn identity(certificate: &X509Certificate<'_>) -> Result<SpiffeId, ProfileError> {
    let mut found = None;
    for name in alternative_names(certificate) {
        match name {
            GeneralName::URI(uri) if found.is_none() => found = Some(*uri),
            GeneralName::URI(_) => return Err(ProfileError::SeveralUris),
            GeneralName::Invalid(..) => return Err(ProfileError::Unparsable),
            _ => {}
        }
    }
    SpiffeId::parse(found.ok_or(ProfileError::NoUri)?).map_err(ProfileError::NotASpiffeId)
}

/// Every subject alternative name.
pub(super) fn alternative_names<'c>(
    certificate: &'c X509Certificate<'_>,
) -> impl Iterator<Item = &'c GeneralName<'c>> {
    certificate
        .extensions()
        .iter()
        .filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        })
        .flatten()
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unparsable => f.write_str("not a certificate that can be read"),
            Self::Validity => f.write_str("its validity ends before it begins"),
            Self::Authority => f.write_str("a certificate authority's"),
            Self::NoDigitalSignature => f.write_str("`keyUsage` without `digitalSignature`"),
            Self::KeyCertSign => f.write_str("`keyUsage` with `keyCertSign`"),
            Self::CrlSign => f.write_str("`keyUsage` with `cRLSign`"),
            Self::NotForClients => f.write_str("`extendedKeyUsage` without `clientAuth`"),
            Self::NotForServers => f.write_str("`extendedKeyUsage` without `serverAuth`"),
            Self::NameConstraints => f.write_str("`nameConstraints` in a leaf"),
            Self::NoUri => f.write_str("no URI SAN"),
            Self::SeveralUris => f.write_str("more than one URI SAN"),
            Self::NotASpiffeId(error) => write!(f, "the URI SAN is not a SPIFFE ID: {error}"),
        }
    }
}

impl std::error::Error for ProfileError {}
