//! Who gives the proxies and the server of a gate their identities: the development
//! issuer, over the Workload API and SDS, with SVIDs that do not outlive a test.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use callgate_issuer::{Config, Domain, Issuer, Workload};
use callgate_policy::{SpiffeId, TrustDomain};
use rustls_pki_types::CertificateDer;

use crate::pki::{Authority, PARTNER_DOMAIN, Pki, TRUST_DOMAIN};

/// Renewed every ten seconds, and so while the tests of one file run; the rest is for a
/// machine that is busy, and for a test that has renewals wait.
const SVID_TTL: Duration = Duration::from_secs(20);
/// `CONNECTION_AGE` of client sidecars: below half of an SVID's life.
pub const CONNECTION_AGE: &str = "8s";
/// Its root is the tests' own and outlives them.
const CA_TTL: Duration = Duration::from_secs(2 * 3_600);

/// A running issuer, which signs with the tests' own roots.
#[derive(Debug)]
pub struct Mesh {
    issuer: Mutex<Issuer>,
    turn: tokio::sync::Mutex<()>,
}

/// While it is there, no identity is renewed.
#[derive(Debug)]
pub struct Still<'a> {
    mesh: &'a Mesh,
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

impl Drop for Still<'_> {
    fn drop(&mut self) {
        self.mesh.issuer().hold(false);
    }
}

impl Mesh {
    /// Starts it for nobody yet; its sockets are going to be in `directory`.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(pki: &Pki, directory: &Path) -> Result<Self> {
        let mut config = Config::new(directory.join("mesh"));
        config.domains = vec![
            domain(TRUST_DOMAIN, &pki.root)?,
            domain(PARTNER_DOMAIN, &pki.partner)?,
        ];
        config.svid_ttl = SVID_TTL;
        config.ca_ttl = CA_TTL;
        Ok(Self {
            issuer: Mutex::new(Issuer::start(config).await?),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// The socket with the Workload API and SDS of that SPIFFE ID, which is given an
    /// identity if it has none yet.
    ///
    /// # Errors
    /// When it cannot be given one.
    pub fn socket(&self, id: &str) -> Result<PathBuf> {
        let (mut issuer, name) = (self.issuer(), name(id));
        if issuer.socket(&name).is_none() {
            let id = SpiffeId::parse(id)?;
            issuer.add(Workload {
                name: name.clone(),
                id,
            })?;
        }
        let socket = issuer.socket(&name).context("no socket")?;
        Ok(socket.to_owned())
    }

    /// Renews every identity and then none for as long as the value is there, which
    /// must be well below the life of one. One test at a time has that.
    ///
    /// # Errors
    /// When nothing can be signed.
    pub async fn still(&self) -> Result<Still<'_>> {
        let turn = self.turn.lock().await;
        let issuer = self.issuer();
        issuer.hold(true);
        issuer.renew()?;
        Ok(Still {
            mesh: self,
            _turn: turn,
        })
    }

    /// The leaf that a workload shows once it has heard of it.
    ///
    /// # Errors
    /// When it has none.
    pub fn leaf(&self, id: &str) -> Result<CertificateDer<'static>> {
        let told = self.issuer().snapshot(&name(id));
        let leaf = told.and_then(|told| told.svid.chain().first().cloned());
        leaf.with_context(|| format!("`{id}` has no identity here"))
    }

    /// What it is now, for what a test does to it.
    pub fn issuer(&self) -> MutexGuard<'_, Issuer> {
        self.issuer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ID's own words, as a file can be called.
#[must_use]
pub fn name(id: &str) -> String {
    id.trim_start_matches("spiffe://").replace('/', "-")
}

fn domain(name: &str, root: &Authority) -> Result<Domain> {
    let mut domain = Domain::new(TrustDomain::parse(name)?);
    domain.root = Some(root.signing_root());
    Ok(domain)
}
