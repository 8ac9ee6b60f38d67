//! Verifies leaves, and remembers those that were verified.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use callgate_policy::{SpiffeId, Timestamp};
use ring::digest::{Context, SHA256, digest};

use super::{
    Fingerprint, MAX_HINTS, PeerCertificate, PemError, Role, Shown, Svid, SvidError,
    authority::Intermediate,
    fingerprint,
    path::{self, Window},
    profile::Leaf,
};
use crate::{
    bundle::TrustBundle,
    cache::Cache,
    record::{self, SourceNote},
};

/// Verified leaves that are remembered. An entry is about 900 bytes with an ID of
/// usual length, so a full cache is 59 MB; with IDs of the longest length that the
/// standard allows, 2,048 bytes, it is 180 MB.
const VERIFIED: usize = 65_536;
/// Callers of which it is known when their latest leaf ends: 2.5 MB with IDs of usual
/// length.
const CALLERS: usize = 16_384;
/// Refusals that are remembered, for [`REFUSED_FOR_MILLIS`]: a caller that insists
/// costs a look-up, not a signature. 100 bytes each.
const REFUSED: usize = 4_096;
/// A refusal may end without anything changing here: a CA's validity begins.
const REFUSED_FOR_MILLIS: i64 = 1_000;

/// Texts of leaves that are remembered, so that a caller's next request costs no
/// decoding. With those of native ext_authz, 3 KB each, and the leaf, this is 32 MB.
const READ: usize = 8_192;
/// Bytes of a text that is remembered; few are longer, and a full cache of them has to
/// have a bound.
const READ_BYTES: usize = 4 * 1_024;

/// Verifies leaves against the bundles it was made with.
#[derive(Debug)]
pub struct Verifier {
    /// By the trust domain's name.
    bundles: BTreeMap<Box<str>, TrustBundle>,
    verified: Arc<Remembered>,
    refused: Cache<Fingerprint, Refused>,
}

/// The leaves that were read and verified; verifiers with other bundles share them, since most
/// bundles do not change when one does.
#[derive(Debug)]
struct Remembered {
    /// By their text, whether they verify or not.
    texts: Cache<Box<str>, Arc<PeerCertificate>>,
    leaves: Cache<Fingerprint, Arc<Verified>>,
    /// When the latest leaf of each caller ends.
    latest: Cache<SpiffeId, Timestamp>,
    hits: AtomicU64,
    misses: AtomicU64,
    rotations: AtomicU64,
}

#[derive(Debug)]
struct Verified {
    svid: Arc<Svid>,
    /// When the CAs of the path that was found are valid.
    path: Window,
    /// The bundle that the path leads to. By another one nothing is verified.
    bundle: Fingerprint,
    /// When it was shown last, in milliseconds.
    shown: AtomicI64,
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
    /// Leaves that end later than any other of their caller before.
    pub rotations: u64,
}

impl Verifier {
    /// Trusts `bundles`, each for its own trust domain only.
    #[must_use]
    pub fn new(bundles: impl IntoIterator<Item = TrustBundle>) -> Self {
        let remembered = Remembered {
            texts: Cache::new(READ),
            leaves: Cache::new(VERIFIED),
            latest: Cache::new(CALLERS),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            rotations: AtomicU64::new(0),
        };
        Self::remembering(Arc::new(remembered), bundles)
    }

    /// Trusts `bundles` instead. Leaves stay verified whose bundle has not changed.
    #[must_use]
    pub fn with_bundles(&self, bundles: impl IntoIterator<Item = TrustBundle>) -> Self {
        Self::remembering(Arc::clone(&self.verified), bundles)
    }

    fn remembering(
        verified: Arc<Remembered>,
        bundles: impl IntoIterator<Item = TrustBundle>,
    ) -> Self {
        let named = |bundle: TrustBundle| (bundle.trust_domain().as_str().into(), bundle);
        Self {
            bundles: bundles.into_iter().map(named).collect(),
            verified,
            refused: Cache::new(REFUSED),
        }
    }

    /// [`PeerCertificate::from_pem`], remembered by the text.
    ///
    /// # Errors
    /// If `text` is anything else, or over 32 KiB.
    pub fn read(&self, text: &str) -> Result<Arc<PeerCertificate>, PemError> {
        if let Some(leaf) = self.verified.texts.get(text) {
            return Ok(leaf);
        }
        let leaf = Arc::new(PeerCertificate::from_pem(text)?);
        if text.len() <= READ_BYTES {
            self.verified.texts.insert(text.into(), Arc::clone(&leaf));
        }
        Ok(leaf)
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
        if let Some(verified) = self.remembered(leaf) {
            let current = verified.svid.valid_at(now);
            // Expired, whoever vouched for it. But a leaf that outlives the path
            // found for it may have another one.
            if current.is_err() || verified.path.contains(now) {
                verified.shown.store(now.as_millis(), Ordering::Relaxed);
                self.verified.hits.fetch_add(1, Ordering::Relaxed);
                return current;
            }
        }
        self.verified.misses.fetch_add(1, Ordering::Relaxed);
        let hints = hints();
        let key = refusal_key(leaf, &hints);
        if let Some(refused) = self.refused.get(&key)
            && (0..REFUSED_FOR_MILLIS).contains(&(now.as_millis() - refused.at.as_millis()))
        {
            return Err(refused.error);
        }
        match self.search(leaf, &hints, Role::Client, now) {
            Ok(verified) => {
                let current = verified.svid.valid_at(now);
                self.verified.note(&verified.svid);
                self.verified.leaves.insert(leaf.sha256, Arc::new(verified));
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

    /// `leaf`, if it was verified by the bundle that its trust domain has now. One that
    /// another verifier remembers a moment later is caught here as well.
    fn remembered(&self, leaf: &PeerCertificate) -> Option<Arc<Verified>> {
        let verified = self.verified.leaves.get(&leaf.sha256)?;
        let bundle = self.bundles.get(verified.svid.id.trust_domain())?;
        (*bundle.hash() == verified.bundle).then_some(verified)
    }

    /// Whom `leaf` identifies at `now`, shown by a server: it must be fit for that. Not
    /// remembered; servers are asked seldom.
    ///
    /// # Errors
    /// If it identifies nobody.
    pub fn verify_server(
        &self,
        leaf: &PeerCertificate,
        hints: &[Vec<u8>],
        now: Timestamp,
    ) -> Result<Arc<Svid>, SvidError> {
        let hints = hints.get(..MAX_HINTS).unwrap_or(hints);
        let verified = self.search(leaf, hints, Role::Server, now)?;
        verified.svid.valid_at(now)
    }

    /// The leaves that were shown at `since` or later.
    #[must_use]
    pub fn shown(&self, since: Timestamp) -> Vec<Shown> {
        let leaves = self.verified.leaves.values().into_iter();
        let shown = leaves.map(|leaf| Shown {
            svid: Arc::clone(&leaf.svid),
            last: Timestamp::from_millis(leaf.shown.load(Ordering::Relaxed)),
        });
        shown.filter(|one| since <= one.last).collect()
    }

    /// How the cache is doing.
    #[must_use]
    pub fn cache(&self) -> CacheFigures {
        CacheFigures {
            entries: self.verified.leaves.len(),
            hits: self.verified.hits.load(Ordering::Relaxed),
            misses: self.verified.misses.load(Ordering::Relaxed),
            rotations: self.verified.rotations.load(Ordering::Relaxed),
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
        role: Role,
        now: Timestamp,
    ) -> Result<Verified, SvidError> {
        let parsed = Leaf::parse(&leaf.der, role).map_err(SvidError::Invalid)?;
        let bundle = self
            .bundles
            .get(parsed.id.trust_domain())
            .ok_or(SvidError::UnknownTrustDomain)?;
        let at = now.clamp(parsed.not_before, parsed.not_after);
        let hints = Intermediate::usable(hints);
        let uri = parsed.id.as_str();
        let path = path::verify(&leaf.der, uri, role, bundle.anchors(), &hints, at)
            .ok_or(SvidError::NoPath)?;
        let sha256 = leaf.sha256();
        let noted = SourceNote::new(&record::Leaf {
            id: parsed.id.as_str(),
            certificate_sha256: &sha256,
            not_before: parsed.not_before,
            not_after: parsed.not_after,
            issuer: &parsed.issuer,
        });
        Ok(Verified {
            svid: Arc::new(Svid {
                id: parsed.id,
                sha256,
                fingerprints: leaf.fingerprints(),
                not_before: parsed.not_before,
                not_after: parsed.not_after,
                valid_until: parsed.not_after.min(path.until),
                issuer: parsed.issuer.into(),
                noted,
            }),
            path,
            bundle: *bundle.hash(),
            shown: AtomicI64::new(now.as_millis()),
        })
    }
}

impl Remembered {
    /// Counts a leaf that replaces another one of its caller.
    fn note(&self, svid: &Svid) {
        let latest = self.latest.get(&svid.id);
        if latest.is_none_or(|latest| latest < svid.not_after) {
            self.latest.insert(svid.id.clone(), svid.not_after);
            let replaces = u64::from(latest.is_some());
            self.rotations.fetch_add(replaces, Ordering::Relaxed);
        }
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
