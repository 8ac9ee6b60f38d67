//! Revocations: who is believed no longer, whatever certificate says otherwise.
//!
//! ```text
//!  directory ──each file by itself──► in order? ──► Revocations ──swap──► Live
//!                                          └─ findings: logged; what that file
//!                                             said before stays
//! ```
//!
//! Apart from policies, by a reader and a thread of their own: a set of policies is
//! taken whole or not at all, and nobody's slip may keep a leaked key alive.

mod files;
mod store;

use std::{collections::HashMap, sync::Arc};

use callgate_policy::{
    SpiffeId, Timestamp, TrustDomain,
    document::{Revocation, Revoked},
};
use ring::digest::{Context, SHA256};

pub use files::{Look, RevocationFiles};
pub use store::{RevocationStore, RevocationWatch};

use crate::svid::{Fingerprint, Svid, hex};

/// Revocations, ready to be asked at every request. Those that have lapsed are in it
/// and have no effect: time passes without a reload.
#[derive(Debug, Default)]
pub struct Revocations {
    all: Vec<Arc<Revocation>>,
    by_id: HashMap<Box<str>, Vec<Arc<Revocation>>>,
    /// By path, in the mesh's own trust domain, which is the policies' to name.
    by_own_path: HashMap<Box<str>, Vec<Arc<Revocation>>>,
    by_certificate: HashMap<Fingerprint, Vec<Arc<Revocation>>>,
    digest: String,
}

impl Revocations {
    /// From documents, in any order.
    #[must_use]
    pub fn new(documents: impl IntoIterator<Item = Revocation>) -> Self {
        let mut all: Vec<Arc<Revocation>> = documents.into_iter().map(Arc::new).collect();
        all.sort_by(|a, b| (&a.file, a.line, &a.name).cmp(&(&b.file, b.line, &b.name)));
        let mut revocations = Self {
            digest: digest(&all),
            ..Self::default()
        };
        for one in &all {
            let same = match &one.revoked {
                Revoked::Identity(id) => revocations.by_id.entry(id.as_str().into()).or_default(),
                Revoked::OwnIdentity(path) => revocations
                    .by_own_path
                    .entry(path.as_str().into())
                    .or_default(),
                Revoked::Certificate(sha256) => {
                    revocations.by_certificate.entry(*sha256).or_default()
                }
            };
            same.push(Arc::clone(one));
        }
        revocations.all = all;
        revocations
    }

    /// What revokes the certificate of `svid` at `now`.
    #[must_use]
    pub fn of_certificate(&self, svid: &Svid, now: Timestamp) -> Option<&Revocation> {
        if self.by_certificate.is_empty() {
            return None;
        }
        let mut same = svid
            .fingerprints()
            .filter_map(|sha256| self.by_certificate.get(&sha256));
        same.find_map(|found| active(found, now))
    }

    /// What revokes the certificate with that SHA-256 at `now`: one that nobody here has
    /// seen, so nothing is known of its twins.
    #[must_use]
    pub fn of_sha256(&self, sha256: &Fingerprint, now: Timestamp) -> Option<&Revocation> {
        let found = self.by_certificate.get(sha256);
        found.and_then(|found| active(found, now))
    }

    /// What revokes the identity of that name at `now`. `own` is the trust domain that
    /// relative identities belong to.
    #[must_use]
    pub fn of_id(
        &self,
        id: &SpiffeId,
        own: Option<&TrustDomain>,
        now: Timestamp,
    ) -> Option<&Revocation> {
        let is_own = own.is_some_and(|own| own.as_str() == id.trust_domain());
        let relative = is_own.then(|| self.by_own_path.get(id.path())).flatten();
        [self.by_id.get(id.as_str()), relative]
            .into_iter()
            .flatten()
            .find_map(|found| active(found, now))
    }

    /// All of them, by file and line, those that have lapsed too.
    #[must_use]
    pub fn all(&self) -> &[Arc<Revocation>] {
        &self.all
    }

    /// A hash of all that they say.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

fn active(found: &[Arc<Revocation>], now: Timestamp) -> Option<&Revocation> {
    found.iter().map(Arc::as_ref).find(|one| one.is_active(now))
}

/// Empty without any: a mesh that revokes nobody decides by its policies and bundles.
fn digest(all: &[Arc<Revocation>]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut digest = Context::new(&SHA256);
    let mut add = |text: &str| {
        // Lengths, so that no two lists of texts read the same.
        digest.update(&(text.len() as u64).to_be_bytes());
        digest.update(text.as_bytes());
    };
    for one in all {
        add(&one.name);
        add(&one.revoked.to_string());
        add(&one.expires.map_or_else(String::new, |at| at.to_string()));
    }
    hex(digest.finish().as_ref())
}

#[cfg(test)]
mod tests;
