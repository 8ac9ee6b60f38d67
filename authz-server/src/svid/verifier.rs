//! Verifies leaves, and remembers those that were verified.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use callgate_policy::{Timestamp, TrustDomain};
use ring::digest::{Context, SHA256, digest};

use super::{
    Fingerprint, PeerCertificate, Svid, SvidError,
    authority::Intermediate,
    cache::Cache,
    fingerprint,
    path::{self, Window},
    profile::Leaf,
};
use crate::bundle::TrustBundle;

/// Verified leaves that are remembered. An entry is about 350 bytes with an ID of
/// usual length, so a full cache is 23 MB; with IDs of the longest length that the
/// standard allows, 2,048 bytes, it is 160 MB.
const VERIFIED: usize = 65_536;
/// Refusals that are remembered, for [`REFUSED_FOR_MILLIS`]: a caller that insists
/// costs a look-up, not a signature. 100 bytes each.
const REFUSED: usize = 4_096;
/// A refusal may end without anything changing here: a CA's validity begins.
const REFUSED_FOR_MILLIS: i64 = 1_000;
/// Verifies leaves against the bundles it was made with. Other bundles are another
/// verifier with an empty cache, so that nothing verified by an old bundle outlives
/// it.
#[derive(Debug)]
pub struct Verifier {
    bundles: BTreeMap<TrustDomain, TrustBundle>,
    verified: Cache<Fingerprint, Arc<Verified>>,
    refused: Cache<Fingerprint, Refused>,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Debug)]
struct Verified {
    svid: Arc<Svid>,
    /// When the CAs of the path that was found are valid.
    path: Window,
}

#[derive(Clone, Debug)]
struct Refused {
    error: SvidError,
    at: Timestamp,
}

/// How a verifier's cache is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheFigures {
    /// Leaves in it.
    pub entries: usize,
    /// Leaves that were found in it.
    pub hits: u64,
    /// Leaves that had to be verified.
    pub misses: u64,
}

impl Verifier {
    /// Trusts `bundles`, each for its own trust domain only.
    #[must_use]
    pub fn new(bundles: impl IntoIterator<Item = TrustBundle>) -> Self {
        Self {
            bundles: bundles
                .into_iter()
                .map(|bundle| (bundle.trust_domain().clone(), bundle))
                .collect(),
            verified: Cache::new(VERIFIED),
            refused: Cache::new(REFUSED),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Whom `leaf` identifies at `now`. `hints` is asked for DER certificates only
    /// if the leaf is not remembered; they may help to find a path and are otherwise
    /// not believed.
    ///
    /// # Errors
    /// If it identifies nobody.
    pub fn verify(
        &self,
        leaf: &PeerCertificate,
        hints: impl FnOnce() -> Vec<Vec<u8>>,
        now: Timestamp,
    ) -> Result<Arc<Svid>, SvidError> {
        if let Some(verified) = self.verified.get(&leaf.sha256) {
            let current = verified.svid.valid_at(now);
            // Expired, whoever vouched for it. But a leaf that outlives the path
            // found for it may have another one.
            if current.is_err() || verified.path.contains(now) {
                self.hits.fetch_add(1, Ordering::Relaxed);
                return current;
            }
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let hints = hints();
        let key = refusal_key(leaf, &hints);
        if let Some(refused) = self.refused.get(&key)
            && (0..REFUSED_FOR_MILLIS).contains(&(now.as_millis() - refused.at.as_millis()))
        {
            return Err(refused.error);
        }
        match self.search(leaf, &hints, now) {
            Ok(verified) => {
                let current = verified.svid.valid_at(now);
                self.verified.insert(leaf.sha256, Arc::new(verified));
                current
            }
            Err(error) => {
                self.refused.insert(
                    key,
                    Refused {
                        error: error.clone(),
                        at: now,
                    },
                );
                Err(error)
            }
        }
    }

    /// How the cache is doing.
    #[must_use]
    pub fn cache(&self) -> CacheFigures {
        CacheFigures {
            entries: self.verified.len(),
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }

    /// The bundles, by trust domain.
    pub fn bundles(&self) -> impl Iterator<Item = &TrustBundle> {
        self.bundles.values()
    }

    /// The whole way, without the caches: the leaf as it is at `now` or, outside its
    /// validity, as it was at the nearest moment within.
    fn search(
        &self,
        leaf: &PeerCertificate,
        hints: &[Vec<u8>],
        now: Timestamp,
    ) -> Result<Verified, SvidError> {
        let parsed = Leaf::parse(&leaf.der).map_err(SvidError::Invalid)?;
        let bundle = TrustDomain::parse(parsed.id.trust_domain())
            .ok()
            .and_then(|domain| self.bundles.get(&domain))
            .ok_or(SvidError::UnknownTrustDomain)?;
        let at = now.clamp(parsed.not_before, parsed.not_after);
        let hints = Intermediate::usable(hints);
        let path = path::verify(&leaf.der, parsed.id.as_str(), bundle.anchors(), &hints, at)
            .ok_or(SvidError::NoPath)?;
        Ok(Verified {
            svid: Arc::new(Svid {
                id: parsed.id,
                sha256: leaf.sha256(),
                not_before: parsed.not_before,
                not_after: parsed.not_after,
            }),
            path,
        })
    }
}

/// A refusal holds for a leaf with these hints only: with others it may verify.
fn refusal_key(leaf: &PeerCertificate, hints: &[Vec<u8>]) -> Fingerprint {
    let mut context = Context::new(&SHA256);
    context.update(&leaf.sha256);
    for hint in hints {
        context.update(digest(&SHA256, hint).as_ref());
    }
    fingerprint(context.finish().as_ref())
}
