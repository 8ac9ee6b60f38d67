//! What can be wrong with a caller's certificate, one name each.

use std::{fmt, str::FromStr};

use anyhow::{Result, bail};
use rcgen::KeyUsagePurpose;
use time::Duration;

use super::{Authority, Identity, PARTNER_DOMAIN, Pki, Spec, TRUST_DOMAIN, authority::Unusual};

macro_rules! defects {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// A certificate's defect, or its harmless peculiarity.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Defect {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Defect {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name in tables of cases.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

defects! {
    /// A valid SVID.
    None = "valid",
    /// A valid SVID under one intermediate, which is presented.
    OneIntermediate = "one_intermediate",
    /// A valid SVID under two intermediates, both presented.
    TwoIntermediates = "two_intermediates",
    /// A valid SVID with a DNS name beside its SPIFFE ID.
    DnsNameToo = "dns_name_too",
    /// Valid, under an intermediate that may only name URIs of its own trust domain.
    NameConstraint = "name_constraint",
    /// A valid SVID of the partner's trust domain; the ID asked for gives the path.
    OtherTrustDomain = "other_trust_domain",
    /// Valid until an hour ago.
    Expired = "expired",
    /// Valid in an hour.
    NotYetValid = "not_yet_valid",
    /// No URI name at all.
    NoUriSan = "no_uri_san",
    /// Only a DNS name.
    DnsNameOnly = "dns_name_only",
    /// Two SPIFFE IDs.
    TwoUriSans = "two_uri_sans",
    /// A SPIFFE ID first and a web address second.
    SecondUriSan = "second_uri_san",
    /// A URI that is not a SPIFFE ID.
    NotSpiffe = "not_spiffe",
    /// `SPIFFE://` in upper case.
    UpperCaseScheme = "upper_case_scheme",
    /// A SPIFFE ID of a trust domain in upper case.
    UpperCaseDomain = "upper_case_domain",
    /// A SPIFFE ID with a query.
    IdWithQuery = "id_with_query",
    /// A SPIFFE ID that ends in a slash.
    IdWithTrailingSlash = "id_with_trailing_slash",
    /// A SPIFFE ID with no path: a trust domain, not a workload.
    IdWithoutPath = "id_without_path",
    /// A SPIFFE ID of more than 2,048 bytes.
    IdTooLong = "id_too_long",
    /// The leaf is an authority.
    LeafIsCa = "leaf_is_ca",
    /// The leaf may sign certificates.
    KeyCertSign = "key_cert_sign",
    /// The leaf may sign revocation lists.
    CrlSign = "crl_sign",
    /// The leaf may not sign a handshake.
    NoDigitalSignature = "no_digital_signature",
    /// Signed by an authority of the same name that is not in the bundle.
    ForeignCa = "foreign_ca",
    /// Signed by its own key.
    SelfSigned = "self_signed",
    /// The partner's ID, signed by this trust domain's authority.
    WrongDomainForCa = "wrong_domain_for_ca",
    /// This trust domain's ID, signed by the partner's authority.
    SignedByPartner = "signed_by_partner",
    /// A trust domain that no bundle is known for.
    UnknownTrustDomain = "unknown_trust_domain",
    /// Under an intermediate that is not presented.
    IntermediateMissing = "intermediate_missing",
    /// Under an intermediate that has expired.
    IntermediateExpired = "intermediate_expired",
    /// Under an intermediate that is no authority.
    IntermediateNotCa = "intermediate_not_ca",
    /// Under an intermediate that may only name URIs of another trust domain.
    NameConstraintViolated = "name_constraint_violated",
    /// More intermediates than a chain may have (four).
    FiveIntermediates = "five_intermediates",
}

impl Defect {
    pub(super) fn mint(self, pki: &Pki, id: &str) -> Result<Identity> {
        let spec = self.leaf(id);
        match self {
            Self::ForeignCa => pki.foreign.issue(&spec),
            Self::OtherTrustDomain | Self::SignedByPartner => pki.partner.issue(&spec),
            Self::FiveIntermediates => deep(&pki.root, 5)?.issue(&spec),
            Self::TwoIntermediates => deep(&pki.root, 2)?.issue(&spec),
            _ => match self.intermediate() {
                Some(unusual) => pki.root.intermediate("intermediate", unusual)?.issue(&spec),
                None => pki.root.issue(&spec),
            },
        }
    }

    fn intermediate(self) -> Option<Unusual<'static>> {
        let usual = Unusual::default();
        Some(match self {
            Self::OneIntermediate | Self::IntermediateMissing => usual,
            Self::NameConstraint => Unusual {
                permitted_uri_host: Some(TRUST_DOMAIN),
                ..usual
            },
            Self::NameConstraintViolated => Unusual {
                permitted_uri_host: Some(PARTNER_DOMAIN),
                ..usual
            },
            Self::IntermediateExpired => Unusual {
                expired: true,
                ..usual
            },
            Self::IntermediateNotCa => Unusual {
                not_a_ca: true,
                ..usual
            },
            _ => return None,
        })
    }

    /// The leaf with the parts that this defect spoils.
    fn leaf(self, id: &str) -> Spec {
        let mut spec = Spec::svid(id);
        let path = id
            .strip_prefix("spiffe://")
            .and_then(|rest| rest.find('/').map(|at| &rest[at..]));
        let path = path.unwrap_or("/");
        match self {
            Self::Expired => (spec.since, spec.until) = (Duration::hours(2), Duration::hours(-1)),
            Self::NotYetValid => {
                (spec.since, spec.until) = (Duration::hours(-1), Duration::hours(2));
            }
            Self::DnsNameToo => spec.dns = vec!["orders.example.org".into()],
            Self::DnsNameOnly => {
                (spec.uris, spec.dns) = (vec![], vec!["orders.example.org".into()]);
            }
            Self::NoUriSan => spec.uris.clear(),
            Self::TwoUriSans => spec
                .uris
                .push(format!("spiffe://{TRUST_DOMAIN}/ns/shop/sa/admin")),
            Self::SecondUriSan => spec.uris.push("https://example.org/".into()),
            Self::NotSpiffe => spec.uris = vec![format!("https://{TRUST_DOMAIN}{path}")],
            Self::UpperCaseScheme => spec.uris = vec![format!("SPIFFE://{TRUST_DOMAIN}{path}")],
            Self::UpperCaseDomain => spec.uris = vec![format!("spiffe://EXAMPLE.org{path}")],
            Self::IdWithQuery => spec.uris = vec![format!("{id}?admin=1")],
            Self::IdWithTrailingSlash => spec.uris = vec![format!("{id}/")],
            Self::IdWithoutPath => spec.uris = vec![format!("spiffe://{TRUST_DOMAIN}")],
            Self::IdTooLong => spec.uris = vec![format!("{id}/{}", "a".repeat(2_048))],
            Self::OtherTrustDomain | Self::WrongDomainForCa => {
                spec.uris = vec![format!("spiffe://{PARTNER_DOMAIN}{path}")];
            }
            Self::UnknownTrustDomain => spec.uris = vec![format!("spiffe://nowhere.example{path}")],
            Self::LeafIsCa => spec.ca = true,
            Self::KeyCertSign => spec.usages.push(KeyUsagePurpose::KeyCertSign),
            Self::CrlSign => spec.usages.push(KeyUsagePurpose::CrlSign),
            Self::NoDigitalSignature => spec.usages = vec![KeyUsagePurpose::KeyAgreement],
            Self::SelfSigned => spec.self_signed = true,
            Self::IntermediateMissing => spec.with_intermediates = false,
            _ => {}
        }
        spec
    }
}

fn deep(root: &Authority, levels: usize) -> Result<Authority> {
    let mut authority = root.intermediate("intermediate 1", Unusual::default())?;
    for level in 2..=levels {
        authority = authority.intermediate(&format!("intermediate {level}"), Unusual::default())?;
    }
    Ok(authority)
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Defect {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match Self::ALL.iter().find(|defect| defect.name() == name) {
            Some(defect) => Ok(*defect),
            None => bail!("no certificate is named `{name}`"),
        }
    }
}
