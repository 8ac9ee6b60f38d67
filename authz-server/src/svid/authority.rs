//! Certificate authorities: the roots of a bundle, which are believed, and the
//! intermediates that came with a leaf, which are not.

use std::{fmt, ops::Range};

use callgate_policy::Timestamp;
use rustls_pki_types::{CertificateDer, Der, TrustAnchor};
use webpki::anchor_from_trusted_cert;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    oid_registry::OID_X509_EXT_NAME_CONSTRAINTS,
};

use super::{
    constraints::UriConstraints,
    path::Window,
    profile::{self, MAX_DER_BYTES},
};

/// A root of a trust bundle.
#[derive(Debug)]
pub(crate) struct Anchor {
    shown: TrustAnchor<'static>,
    pub(super) constraints: Option<UriConstraints>,
    pub(super) validity: Window,
    /// CAs that may stand between it and a leaf (`pathLenConstraint`).
    pub(super) most_below: Option<u32>,
}

/// Why a certificate cannot be a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnchorError {
    /// Not one DER certificate, or over 16 KiB.
    Unparsable,
    /// `basicConstraints` does not say CA, or `keyUsage` lacks `keyCertSign`.
    NotAnAuthority,
    /// `nameConstraints` that cannot be read.
    NameConstraints,
}

/// A CA certificate from a chain that a caller sent.
#[derive(Debug)]
pub(super) struct Intermediate {
    signed: Vec<u8>,
    /// As webpki sees it: without URI constraints.
    shown: Vec<u8>,
    /// Where `tbsCertificate`, which a signature is over, stands in both.
    tbs: Range<usize>,
    pub(super) constraints: Option<UriConstraints>,
    pub(super) validity: Window,
    pub(super) uris: Vec<String>,
}

impl Anchor {
    /// Takes the DER of a root.
    ///
    /// # Errors
    /// If it is no certificate authority's, or cannot be read.
    pub(crate) fn parse(der: &[u8]) -> Result<Self, AnchorError> {
        if der.len() > MAX_DER_BYTES {
            return Err(AnchorError::Unparsable);
        }
        let certificate = profile::parse(der).ok_or(AnchorError::Unparsable)?;
        if !certificate.is_ca() || !may_sign_certificates(&certificate) {
            return Err(AnchorError::NotAnAuthority);
        }
        let der = CertificateDer::from(der);
        let mut shown = anchor_from_trusted_cert(&der)
            .map_err(|_| AnchorError::Unparsable)?
            .to_owned();
        let mut constraints = None;
        if let Some(der) = &shown.name_constraints {
            let mut content = der.to_vec();
            constraints =
                UriConstraints::take(&mut content).map_err(|_| AnchorError::NameConstraints)?;
            shown.name_constraints = Some(Der::from(content));
        }
        Ok(Self {
            shown,
            constraints,
            validity: validity(&certificate),
            most_below: path_length(&certificate),
        })
    }

    /// The last moment of its validity.
    pub(crate) const fn not_after(&self) -> Timestamp {
        self.validity.until
    }

    /// How long it is valid from its first moment to its last, in milliseconds.
    pub(crate) const fn lifetime_millis(&self) -> i64 {
        self.validity.until.as_millis() - self.validity.from.as_millis()
    }

    /// As webpki takes it.
    pub(super) fn borrowed(&self) -> TrustAnchor<'_> {
        TrustAnchor {
            subject: Der::from_slice(&self.shown.subject),
            subject_public_key_info: Der::from_slice(&self.shown.subject_public_key_info),
            name_constraints: self.shown.name_constraints.as_deref().map(Der::from_slice),
        }
    }
}

impl Intermediate {
    /// Takes what can be used of `chain`: CA certificates that may sign others.
    /// Anything else in it is left out; it could only have helped.
    pub(super) fn usable(chain: &[Vec<u8>]) -> Vec<Self> {
        let mut usable: Vec<Self> = Vec::new();
        for hint in chain.iter().filter_map(|der| Self::parse(der)) {
            if usable.iter().any(|other| other.signed == hint.signed) {
                continue;
            }
            // What is shown must name one hint. Of a certificate and another that
            // only looks like it once its constraints are out, one is forged.
            if usable
                .iter()
                .any(|other| other.shown_tbs() == hint.shown_tbs())
            {
                return Vec::new();
            }
            usable.push(hint);
        }
        usable
    }

    /// As webpki takes it.
    pub(super) fn as_shown(&self) -> CertificateDer<'_> {
        CertificateDer::from(self.shown.as_slice())
    }

    /// What was signed, if `message` is what webpki was shown of this certificate.
    pub(super) fn signed_as(&self, message: &[u8]) -> Option<&[u8]> {
        if self.shown_tbs() == Some(message) {
            self.signed.get(self.tbs.clone())
        } else {
            None
        }
    }

    fn shown_tbs(&self) -> Option<&[u8]> {
        self.shown.get(self.tbs.clone())
    }

    fn parse(der: &[u8]) -> Option<Self> {
        if der.len() > MAX_DER_BYTES {
            return None;
        }
        let certificate = profile::parse(der)?;
        if !certificate.is_ca() || !may_sign_certificates(&certificate) {
            return None;
        }
        let mut shown = der.to_vec();
        let mut constraints = None;
        for extension in certificate.extensions() {
            if extension.oid == OID_X509_EXT_NAME_CONSTRAINTS {
                let value = shown.get_mut(range_of(der, extension.value)?)?;
                constraints = UriConstraints::take_from_extension(value).ok()?;
            }
        }
        Some(Self {
            signed: der.to_vec(),
            shown,
            tbs: range_of(der, certificate.tbs_certificate.as_ref())?,
            constraints,
            validity: validity(&certificate),
            uris: uris(&certificate)?,
        })
    }
}

/// webpki ignores `keyUsage`; RFC 5280 section 6.1.4 (n) does not.
fn may_sign_certificates(certificate: &X509Certificate<'_>) -> bool {
    certificate
        .extensions()
        .iter()
        .all(|extension| match extension.parsed_extension() {
            ParsedExtension::KeyUsage(usage) => usage.key_cert_sign(),
            ParsedExtension::ParseError { .. } => false,
            _ => true,
        })
}

fn path_length(certificate: &X509Certificate<'_>) -> Option<u32> {
    let mut extensions = certificate.extensions().iter();
    extensions.find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::BasicConstraints(basic) => basic.path_len_constraint,
        _ => None,
    })
}

fn validity(certificate: &X509Certificate<'_>) -> Window {
    let validity = certificate.validity();
    Window {
        from: Timestamp::from_secs(validity.not_before.timestamp()),
        until: Timestamp::from_secs(validity.not_after.timestamp()),
    }
}

/// The URI SANs of a CA, to which the constraints of those above it apply; None if
/// one cannot be read.
fn uris(certificate: &X509Certificate<'_>) -> Option<Vec<String>> {
    let mut uris = Vec::new();
    for name in profile::alternative_names(certificate) {
        match name {
            GeneralName::URI(uri) => uris.push((*uri).to_owned()),
            GeneralName::Invalid(..) => return None,
            _ => {}
        }
    }
    Some(uris)
}

/// Where `part`, a slice of `whole`, stands in it.
fn range_of(whole: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}

impl fmt::Display for AnchorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unparsable => "not a certificate that can be read",
            Self::NotAnAuthority => "not a certificate authority's",
            Self::NameConstraints => "its `nameConstraints` cannot be read",
        })
    }
}

impl std::error::Error for AnchorError {}
