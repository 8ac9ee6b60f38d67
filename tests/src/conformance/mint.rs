//! Certificates, each as a vector wants it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DistinguishedName,
    DnType, GeneralSubtree, IsCa, KeyPair, NameConstraints, SanType, SerialNumber,
};
use serde::Deserialize;
use time::{Duration, OffsetDateTime};

use super::{
    TRUST_DOMAIN,
    der::{extended_key_usage, extension, key_usage, san, tlv},
};

/// What to mint: a leaf, the authorities above it, and what is done with them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Mint {
    leaf: Spec,
    /// From the one below the root to the leaf's issuer.
    intermediates: Vec<Spec>,
    root: Spec,
    presented: Presented,
    /// Which roots each trust domain has; by default `example.org` has the root.
    bundles: Option<BTreeMap<String, Vec<Trusted>>>,
    spoil: Option<Spoil>,
}

/// What a validator is shown.
#[derive(Clone, Debug, Default)]
pub struct Minted {
    /// The leaf, and what its holder presents besides.
    pub chain: Vec<Vec<u8>>,
    /// The roots of each trust domain.
    pub bundles: BTreeMap<String, Vec<Vec<u8>>>,
}

/// How a certificate differs from a plain one.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Spec {
    uris: Option<Vec<String>>,
    dns: Vec<String>,
    emails: Vec<String>,
    subject: Subject,
    san_critical: Option<bool>,
    second_san: Option<String>,
    basic_constraints: Option<Constraints>,
    path_length: Option<u8>,
    key_usage: Option<Vec<KeyUsage>>,
    key_usage_critical: Option<bool>,
    extended_key_usage: Option<Vec<Purpose>>,
    extended_key_usage_critical: bool,
    permitted_uris: Vec<String>,
    excluded_uris: Vec<String>,
    permitted_dns: Vec<String>,
    unknown_extension: Option<Criticality>,
    /// Valid from and until, from now.
    minutes: Option<(i64, i64)>,
    key: Key,
    signed_by: Signer,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum Subject {
    #[default]
    Named,
    Empty,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Constraints {
    Absent,
    NotCa,
    Ca,
}

/// RFC 5280 section 4.2.1.3; the numbers are the bits.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) enum KeyUsage {
    DigitalSignature = 0,
    KeyEncipherment = 2,
    KeyAgreement = 4,
    KeyCertSign = 5,
    CrlSign = 6,
}

/// RFC 5280 section 4.2.1.12; the numbers are the last of `id-kp-…`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) enum Purpose {
    ServerAuth = 1,
    ClientAuth = 2,
    EmailProtection = 4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Criticality {
    Critical,
    NotCritical,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
enum Key {
    #[default]
    #[serde(rename = "P-256")]
    P256,
    #[serde(rename = "P-384")]
    P384,
    Ed25519,
}

/// Who signs a leaf.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
enum Signer {
    #[default]
    Issuer,
    Itself,
    /// By another authority of the issuer's name.
    Namesake,
}

/// What is presented with a leaf.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
enum Presented {
    /// Every intermediate, the leaf's issuer first.
    #[default]
    All,
    LeafOnly,
    WithIssuer,
    WithRoot,
    Reversed,
    /// Two other authorities first.
    WithStrangers,
}

/// A root in a bundle.
#[derive(Clone, Copy, Debug, Deserialize)]
enum Trusted {
    Root,
    /// Another one of its name.
    Namesake,
}

/// What happens to the leaf at last.
#[derive(Clone, Copy, Debug, Deserialize)]
enum Spoil {
    Signature,
    TrailingByte,
    CutShort,
}

type Authority = CertifiedIssuer<'static, KeyPair>;

impl Mint {
    /// Mints it all, as of now.
    ///
    /// # Errors
    /// If the vector cannot be expressed in certificates.
    pub fn mint(&self) -> Result<Minted> {
        let root = self.root.root()?;
        let namesake = Spec::default().root()?;
        let mut chain: Vec<Authority> = Vec::new();
        for (level, spec) in self.intermediates.iter().enumerate() {
            let params = spec.params(&format!("intermediate {level}"), Role::Authority)?;
            let above = chain.last().unwrap_or(&root);
            chain.push(CertifiedIssuer::signed_by(params, spec.key()?, above)?);
        }
        let leaf = self.leaf(chain.last().unwrap_or(&root), &namesake)?;
        let der = |authority: &Authority| authority.der().to_vec();
        let mut presented = vec![self.spoiled(leaf)?];
        let up: Vec<Vec<u8>> = chain.iter().rev().map(der).collect();
        match self.presented {
            Presented::All => presented.extend(up),
            Presented::LeafOnly => {}
            Presented::WithIssuer => presented.extend(up.into_iter().take(1)),
            Presented::WithRoot => presented.extend(up.into_iter().chain([der(&root)])),
            Presented::Reversed => presented.extend(up.into_iter().rev()),
            Presented::WithStrangers => {
                let stranger = Spec::default().root()?;
                presented.extend([der(&namesake), der(&stranger)]);
                presented.extend(up);
            }
        }
        let bundles = match &self.bundles {
            None => BTreeMap::from([(TRUST_DOMAIN.to_owned(), vec![der(&root)])]),
            Some(bundles) => bundles
                .iter()
                .map(|(domain, trusted)| {
                    let roots = trusted.iter().map(|trusted| match trusted {
                        Trusted::Root => der(&root),
                        Trusted::Namesake => der(&namesake),
                    });
                    (domain.clone(), roots.collect())
                })
                .collect(),
        };
        Ok(Minted {
            chain: presented,
            bundles,
        })
    }

    fn leaf(&self, issuer: &Authority, namesake: &Authority) -> Result<Vec<u8>> {
        let (params, key) = (self.leaf.params("leaf", Role::Leaf)?, self.leaf.key()?);
        let leaf = match self.leaf.signed_by {
            Signer::Issuer => params.signed_by(&key, issuer)?,
            Signer::Itself => params.self_signed(&key)?,
            Signer::Namesake => params.signed_by(&key, namesake)?,
        };
        Ok(leaf.der().to_vec())
    }

    fn spoiled(&self, mut leaf: Vec<u8>) -> Result<Vec<u8>> {
        match self.spoil {
            None => {}
            Some(Spoil::Signature) => *leaf.last_mut().context("no bytes")? ^= 1,
            Some(Spoil::TrailingByte) => leaf.push(0),
            Some(Spoil::CutShort) => leaf.truncate(leaf.len().saturating_sub(1)),
        }
        Ok(leaf)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Leaf,
    Authority,
}

impl Spec {
    fn root(&self) -> Result<Authority> {
        let params = self.params("root", Role::Authority)?;
        Ok(CertifiedIssuer::self_signed(params, self.key()?)?)
    }

    fn key(&self) -> Result<KeyPair> {
        Ok(KeyPair::generate_for(match self.key {
            Key::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Key::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Key::Ed25519 => &rcgen::PKCS_ED25519,
        })?)
    }

    fn params(&self, name: &str, role: Role) -> Result<CertificateParams> {
        let mut params = CertificateParams::default();
        let now = OffsetDateTime::now_utc();
        let (from, until) = self.minutes.unwrap_or((-60, 60));
        params.not_before = now + Duration::minutes(from);
        params.not_after = now + Duration::minutes(until);
        params.distinguished_name = DistinguishedName::new();
        if self.subject == Subject::Named {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.serial_number = Some(SerialNumber::from(serial()));
        let plain = match role {
            Role::Leaf => Constraints::NotCa,
            Role::Authority => Constraints::Ca,
        };
        params.is_ca = match (self.basic_constraints.unwrap_or(plain), self.path_length) {
            (Constraints::Absent, _) => IsCa::NoCa,
            (Constraints::NotCa, _) => IsCa::ExplicitNoCa,
            (Constraints::Ca, None) => IsCa::Ca(BasicConstraints::Unconstrained),
            (Constraints::Ca, Some(n)) => IsCa::Ca(BasicConstraints::Constrained(n)),
        };
        self.names(&mut params, role)?;
        self.usages(&mut params, role);
        self.constraints(&mut params);
        if let Some(criticality) = self.unknown_extension {
            let mut extension =
                CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
            extension.set_criticality(criticality == Criticality::Critical);
            params.custom_extensions.push(extension);
        }
        Ok(params)
    }

    fn names(&self, params: &mut CertificateParams, role: Role) -> Result<()> {
        let plain = match role {
            Role::Leaf => vec![format!("spiffe://{TRUST_DOMAIN}/ns/shop/sa/checkout")],
            Role::Authority => vec![format!("spiffe://{TRUST_DOMAIN}")],
        };
        let uris = self.uris.as_ref().unwrap_or(&plain);
        if let Some(critical) = self.san_critical {
            params.custom_extensions.push(san(uris, critical));
        } else {
            for uri in uris {
                let uri = uri.as_str().try_into()?;
                params.subject_alt_names.push(SanType::URI(uri));
            }
        }
        for name in &self.dns {
            let name = name.as_str().try_into()?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        for address in &self.emails {
            let address = address.as_str().try_into()?;
            params.subject_alt_names.push(SanType::Rfc822Name(address));
        }
        if let Some(uri) = &self.second_san {
            params
                .custom_extensions
                .push(san(std::slice::from_ref(uri), false));
        }
        Ok(())
    }

    fn usages(&self, params: &mut CertificateParams, role: Role) {
        let plain = match role {
            Role::Leaf => vec![KeyUsage::DigitalSignature],
            Role::Authority => vec![KeyUsage::KeyCertSign, KeyUsage::CrlSign],
        };
        let usages = self.key_usage.as_ref().unwrap_or(&plain);
        if !usages.is_empty() {
            let critical = self.key_usage_critical.unwrap_or(true);
            params.custom_extensions.push(key_usage(usages, critical));
        }
        let plain = match role {
            Role::Leaf => vec![Purpose::ServerAuth, Purpose::ClientAuth],
            Role::Authority => Vec::new(),
        };
        let purposes = self.extended_key_usage.as_ref().unwrap_or(&plain);
        if !purposes.is_empty() {
            let extension = extended_key_usage(purposes, self.extended_key_usage_critical);
            params.custom_extensions.push(extension);
        }
    }

    fn constraints(&self, params: &mut CertificateParams) {
        if !self.permitted_dns.is_empty() {
            let names = self.permitted_dns.iter().cloned();
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: names.map(GeneralSubtree::DnsName).collect(),
                excluded_subtrees: Vec::new(),
            });
        }
        let lists = [(0xa0, &self.permitted_uris), (0xa1, &self.excluded_uris)];
        let lists = lists.into_iter().filter(|(_, hosts)| !hosts.is_empty());
        let content: Vec<u8> = lists
            .flat_map(|(tag, hosts)| {
                let subtree = |host: &String| tlv(0x30, &tlv(0x86, host.as_bytes()));
                tlv(tag, &hosts.iter().flat_map(subtree).collect::<Vec<_>>())
            })
            .collect();
        if !content.is_empty() {
            let content = tlv(0x30, &content);
            params
                .custom_extensions
                .push(extension(&[2, 5, 29, 30], content, true));
        }
    }
}

/// Two certificates of one issuer must differ in it. Positive in DER.
fn serial() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0) >> 1
}
