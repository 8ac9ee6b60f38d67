//! From names to secrets, as SPIRE's agent reads them.
//!
//! | name | secret |
//! |---|---|
//! | `default`, the workload's SPIFFE ID | its SVID and key |
//! | `ROOTCA`, `spiffe://own-domain` | the bundle of its own trust domain |
//! | `spiffe://other-domain` | the bundle of that one |
//! | `ALL` | every bundle, each for its own trust domain's callers |

use std::sync::Arc;

use prost::Message as _;
use prost_types::Any;
use tonic::Status;

use crate::{
    bundle::Bundle,
    proto::tls::{
        CertificateValidationContext, DataSource, Secret, SpiffeCertValidatorConfig,
        TlsCertificate, TypedExtensionConfig, data_source::Specifier, secret,
        spiffe_cert_validator_config::TrustDomain,
    },
    registry::Snapshot,
    svid::Svid,
};

/// The type of everything that is served here.
pub(super) const SECRET: &str =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const VALIDATOR: &str = "envoy.tls.cert_validator.spiffe";
const VALIDATOR_CONFIG: &str =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig";

/// How a bundle is to be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Validation {
    /// By the SPIFFE validator, which keeps trust domains apart.
    #[default]
    Spiffe,
    /// As a plain list of roots. `ALL` is never plain: it would let each domain sign
    /// for every other.
    Plain,
}

/// The secrets of those names, or all under their own names where there is none.
pub(super) fn secrets(
    names: &[String],
    validation: Validation,
    told: Option<&Snapshot>,
) -> Result<Vec<Any>, Status> {
    let told = told.ok_or_else(|| unknown(names))?;
    if names.is_empty() {
        let svid = certificate(told.svid.id().as_str(), &told.svid);
        let bundles = bundles(told).map(|bundle| roots(&bundle.id(), &[bundle], validation));
        return Ok(std::iter::once(svid).chain(bundles).collect());
    }
    names
        .iter()
        .map(|name| secret(name, validation, told).ok_or_else(|| unknown(names)))
        .collect()
}

fn secret(name: &str, validation: Validation, told: &Snapshot) -> Option<Any> {
    if name == "default" || name == told.svid.id().as_str() {
        return Some(certificate(name, &told.svid));
    }
    if name == "ALL" {
        let all: Vec<_> = bundles(told).collect();
        return Some(roots(name, &all, Validation::Spiffe));
    }
    let own = (name == "ROOTCA").then_some(&told.bundle);
    let bundle = own.or_else(|| bundles(told).find(|bundle| bundle.id() == name))?;
    Some(roots(name, &[bundle], validation))
}

fn bundles(told: &Snapshot) -> impl Iterator<Item = &Arc<Bundle>> {
    std::iter::once(&told.bundle).chain(&told.federated)
}

fn certificate(name: &str, svid: &Svid) -> Any {
    let certificate = TlsCertificate {
        certificate_chain: inline(svid.chain_pem()),
        private_key: inline(svid.key_pem()),
    };
    pack(name, secret::Type::TlsCertificate(certificate))
}

fn roots(name: &str, bundles: &[&Arc<Bundle>], validation: Validation) -> Any {
    let context = match validation {
        Validation::Plain => CertificateValidationContext {
            trusted_ca: inline(bundles.iter().map(|bundle| bundle.pem()).collect()),
            custom_validator_config: None,
        },
        Validation::Spiffe => CertificateValidationContext {
            trusted_ca: None,
            custom_validator_config: Some(validator(bundles)),
        },
    };
    pack(name, secret::Type::ValidationContext(context))
}

fn validator(bundles: &[&Arc<Bundle>]) -> TypedExtensionConfig {
    let trust_domains = bundles.iter().map(|bundle| TrustDomain {
        name: bundle.trust_domain().as_str().to_owned(),
        trust_bundle: inline(bundle.pem()),
    });
    let config = SpiffeCertValidatorConfig {
        trust_domains: trust_domains.collect(),
    };
    TypedExtensionConfig {
        name: VALIDATOR.to_owned(),
        typed_config: Some(Any {
            type_url: VALIDATOR_CONFIG.to_owned(),
            value: config.encode_to_vec(),
        }),
    }
}

fn pack(name: &str, content: secret::Type) -> Any {
    let secret = Secret {
        name: name.to_owned(),
        r#type: Some(content),
    };
    Any {
        type_url: SECRET.to_owned(),
        value: secret.encode_to_vec(),
    }
}

fn inline(text: String) -> Option<DataSource> {
    Some(DataSource {
        specifier: Some(Specifier::InlineBytes(text.into_bytes())),
    })
}

/// SPIRE's answer, to a proxy whose entry is gone as well.
fn unknown(names: &[String]) -> Status {
    Status::invalid_argument(format!(
        "workload is not authorized for the requested identities {names:?}"
    ))
}
