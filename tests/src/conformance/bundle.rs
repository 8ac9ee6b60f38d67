//! SPIFFE bundles, each as a vector wants it.

use anyhow::{Context as _, Result};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PublicKeyData as _,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A bundle's document.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleInput {
    /// Members besides `keys`, or instead of it.
    #[serde(default)]
    members: Map<String, Value>,
    /// None leaves `keys` out.
    keys: Option<Vec<Element>>,
}

/// An element of `keys`, and how it differs from that of a root.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Element {
    root: usize,
    /// Roots whose certificates it has.
    x5c: Option<Vec<usize>>,
    set: Map<String, Value>,
    unset: Option<String>,
}

/// An authority as a bundle shows it.
#[derive(Debug)]
pub(super) struct Root {
    certificate: String,
    jwk: Map<String, Value>,
}

/// Two authorities.
pub(super) fn roots() -> Result<Vec<Root>> {
    ["one", "two"].iter().map(|name| root(name)).collect()
}

fn root(name: &str) -> Result<Root> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate()?;
    // An uncompressed point: 4, then 32 bytes each.
    let point = key.der_bytes().get(1..65).context("not a P-256 key")?;
    let (x, y) = point.split_at(32);
    let jwk = json!({
        "use": "x509-svid", "kty": "EC", "crv": "P-256",
        "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
    });
    let issuer = CertifiedIssuer::self_signed(params, key)?;
    Ok(Root {
        certificate: STANDARD.encode(issuer.der()),
        jwk: jwk.as_object().cloned().unwrap_or_default(),
    })
}

impl BundleInput {
    /// The text.
    pub(super) fn document(&self, roots: &[Root]) -> Result<String> {
        let mut document = self.members.clone();
        if let Some(keys) = &self.keys {
            let keys: Vec<Value> = keys
                .iter()
                .map(|element| element.value(roots))
                .collect::<Result<_>>()?;
            document.insert("keys".to_owned(), Value::Array(keys));
        }
        Ok(Value::Object(document).to_string())
    }
}

impl Element {
    fn value(&self, roots: &[Root]) -> Result<Value> {
        let root = |n: &usize| roots.get(*n).with_context(|| format!("no root {n}"));
        let mut element = root(&self.root)?.jwk.clone();
        let own = vec![self.root];
        let certificates: Vec<Value> = self
            .x5c
            .as_ref()
            .unwrap_or(&own)
            .iter()
            .map(|n| Ok(json!(root(n)?.certificate)))
            .collect::<Result<_>>()?;
        element.insert("x5c".to_owned(), Value::Array(certificates));
        element.extend(self.set.clone());
        if let Some(name) = &self.unset {
            element.remove(name);
        }
        Ok(Value::Object(element))
    }
}
