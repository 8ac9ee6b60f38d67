//! What a leaf looks like.

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    SanType,
};
use time::{Duration, OffsetDateTime};

/// A leaf to be signed. [`Spec::svid`] is right in every respect; a test changes
/// the one thing it is about.
#[derive(Clone, Debug)]
pub struct Spec {
    /// URI names, verbatim.
    pub uris: Vec<String>,
    /// DNS names.
    pub dns: Vec<String>,
    /// Valid from this long before now.
    pub since: Duration,
    /// Valid until this long after now; negative is expired.
    pub until: Duration,
    /// Basic constraints say CA.
    pub ca: bool,
    /// Key usages (RFC 5280 section 4.2.1.3).
    pub usages: Vec<KeyUsagePurpose>,
    /// Signed by its own key.
    pub self_signed: bool,
    /// The holder presents the intermediates too.
    pub with_intermediates: bool,
}

impl Spec {
    /// A valid X.509-SVID for `id`, for an hour.
    #[must_use]
    pub fn svid(id: &str) -> Self {
        Self {
            uris: vec![id.to_owned()],
            dns: Vec::new(),
            since: Duration::minutes(10),
            until: Duration::hours(1),
            ca: false,
            usages: vec![
                KeyUsagePurpose::DigitalSignature,
                KeyUsagePurpose::KeyAgreement,
            ],
            self_signed: false,
            with_intermediates: true,
        }
    }

    /// The same, valid until `until` from now.
    #[must_use]
    pub fn lasting(mut self, until: Duration) -> Self {
        self.until = until;
        self
    }

    pub(super) fn params(&self) -> Result<CertificateParams> {
        let mut params = CertificateParams::default();
        let now = OffsetDateTime::now_utc();
        params.not_before = now - self.since;
        params.not_after = now + self.until;
        params
            .distinguished_name
            .push(DnType::OrganizationName, "SPIFFE");
        for uri in &self.uris {
            params
                .subject_alt_names
                .push(SanType::URI(uri.as_str().try_into()?));
        }
        for name in &self.dns {
            params
                .subject_alt_names
                .push(SanType::DnsName(name.as_str().try_into()?));
        }
        params.is_ca = if self.ca {
            IsCa::Ca(BasicConstraints::Unconstrained)
        } else {
            IsCa::ExplicitNoCa
        };
        params.key_usages.clone_from(&self.usages);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        Ok(params)
    }
}
