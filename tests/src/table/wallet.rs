//! The callers' certificates, minted once for a run.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use callgate_server::svid::PeerCertificate;

use super::{CallerSpec, Sent, Table};
use crate::pki::{Identity, Pki};

/// What every caller of the table has to show.
#[derive(Debug)]
pub struct Wallet(BTreeMap<String, Shown>);

/// What one caller has to show.
#[derive(Debug)]
pub struct Shown {
    /// Its certificate and key.
    pub identity: Identity,
    /// What a proxy tells of the leaf, PEM.
    pub leaf: String,
    /// What a proxy tells of the whole chain, PEM.
    pub chain: String,
    /// The leaf's SHA-256, in hex; zeros if it is none.
    pub sha256: String,
    /// The leaf that is told is not the one of the handshake.
    pub mistold: bool,
}

impl Wallet {
    /// Mints a certificate for every caller that a row names.
    ///
    /// # Errors
    /// When one cannot be signed.
    pub fn mint(table: &Table, pki: &Pki) -> Result<Self> {
        let mut shown = BTreeMap::new();
        for name in table.workloads.callers() {
            let caller = table
                .workloads
                .caller(name)?
                .context("a caller without a certificate")?;
            shown.insert(name.to_owned(), show(caller, pki)?);
        }
        Ok(Self(shown))
    }

    /// What the caller of that name shows; nothing if it is `none`.
    #[must_use]
    pub fn shown(&self, caller: &str) -> Option<&Shown> {
        self.0.get(caller)
    }
}

fn show(caller: &CallerSpec, pki: &Pki) -> Result<Shown> {
    let identity = caller.mint(pki)?;
    let chain = identity.chain_pem();
    let end = "-----END CERTIFICATE-----\n";
    let leaf = chain
        .split_inclusive(end)
        .next()
        .unwrap_or_default()
        .to_owned();
    let leaf = match caller.sent {
        Sent::Leaf => leaf,
        Sent::Garbage => format!("-----BEGIN CERTIFICATE-----\nAAAA\n{end}"),
        Sent::Twice => format!("{leaf}{leaf}"),
    };
    let peer = PeerCertificate::from_pem(&leaf);
    Ok(Shown {
        identity,
        sha256: peer.map_or_else(|_| "0".repeat(64), |peer| peer.sha256()),
        leaf,
        chain,
        mistold: caller.sent != Sent::Leaf,
    })
}

/// As Envoy writes PEM into headers and messages.
#[must_use]
pub fn url_encoded(pem: &str) -> String {
    let pairs = [
        ("\n", "%0A"),
        (" ", "%20"),
        ("+", "%2B"),
        ("/", "%2F"),
        ("=", "%3D"),
    ];
    pairs.iter().fold(pem.to_owned(), |text, (plain, encoded)| {
        text.replace(plain, encoded)
    })
}
