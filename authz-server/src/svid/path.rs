//! From a leaf to the bundle of its trust domain: signatures, validity of every CA,
//! path lengths, usages and names. The verifying is rustls-webpki's; what it leaves
//! to its caller is here: URI name constraints, `keyCertSign`, the roots' validity,
//! and how much work one leaf may cause.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use callgate_policy::Timestamp;
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm,
    TrustAnchor, UnixTime,
};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, VerifiedPath};

use super::{
    Role,
    authority::{Anchor, Intermediate},
};

/// Signatures checked for one leaf. A path of four intermediates has five; a bundle
/// that keeps a dozen roots of one name, as SPIRE does while it rotates, has each of
/// them tried. webpki's own limit of 100 would be 10 ms of P-256.
const MAX_SIGNATURES: u32 = 32;

/// When every CA of a path is valid; both bounds belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

/// Looks for a path from `leaf`, whose only URI is `uri`, fit for `role`, to one of `anchors`, valid
/// at `at`, perhaps over some of `hints`, which nobody vouches for.
pub(super) fn verify(
    leaf: &[u8],
    uri: &str,
    role: Role,
    anchors: &[Anchor],
    hints: &[Intermediate],
    at: Timestamp,
) -> Option<Window> {
    let seconds = u64::try_from(at.as_millis()).ok()? / 1_000;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let leaf = CertificateDer::from(leaf);
    let leaf = EndEntityCert::try_from(&leaf).ok()?;
    // A root outside its own validity does not count; webpki would not look.
    let anchors: Vec<&Anchor> = anchors
        .iter()
        .filter(|anchor| anchor.validity.contains(at))
        .collect();
    let roots: Vec<TrustAnchor<'_>> = anchors.iter().map(|anchor| anchor.borrowed()).collect();
    let intermediates: Vec<CertificateDer<'_>> = hints.iter().map(Intermediate::as_shown).collect();

    let signatures = AtomicU32::new(MAX_SIGNATURES);
    let algorithms: Vec<Algorithm<'_>> = ALL_VERIFICATION_ALGS
        .iter()
        .map(|&inner| Algorithm {
            inner,
            hints,
            signatures: &signatures,
        })
        .collect();
    let algorithms: Vec<&dyn SignatureVerificationAlgorithm> = algorithms
        .iter()
        .map(|algorithm| algorithm as &dyn SignatureVerificationAlgorithm)
        .collect();

    let window = |path: &VerifiedPath<'_>| {
        let anchor = roots
            .iter()
            .zip(&anchors)
            .find_map(|(root, anchor)| std::ptr::eq(root, path.anchor()).then_some(*anchor))?;
        window(path, anchor, uri, hints, at)
    };
    let path = leaf
        .verify_for_usage(
            &algorithms,
            &roots,
            &intermediates,
            time,
            match role {
                Role::Client => KeyUsage::client_auth(),
                Role::Server => KeyUsage::server_auth(),
            },
            None,
            Some(&|path| match window(path) {
                Some(_) => Ok(()),
                None => Err(webpki::Error::NameConstraintViolation),
            }),
        )
        .ok()?;
    window(&path)
}

/// What webpki did not look at, of a path that it is content with: every CA's URI
/// constraints, against every URI below it, and its validity to the millisecond; and how
/// many CAs the root allows below itself.
fn window(
    path: &VerifiedPath<'_>,
    anchor: &Anchor,
    uri: &str,
    hints: &[Intermediate],
    at: Timestamp,
) -> Option<Window> {
    let mut names = vec![uri];
    let mut validity = anchor.validity;
    // From the leaf's issuer up to the root's own.
    for certificate in path.intermediate_certificates() {
        let der = certificate.der();
        let hint = hints.iter().find(|hint| hint.as_shown() == der)?;
        let admits = |name: &&str| hint.constraints.as_ref().is_none_or(|c| c.admit(name));
        if !names.iter().all(admits) {
            return None;
        }
        names.extend(hint.uris.iter().map(String::as_str));
        validity = validity.and(hint.validity);
    }
    let below = path.intermediate_certificates().count();
    let few = anchor.most_below.is_none_or(|most| below <= most as usize);
    let admits = |name: &&str| anchor.constraints.as_ref().is_none_or(|c| c.admit(name));
    (few && names.iter().all(admits) && validity.contains(at)).then_some(validity)
}

/// One of webpki's algorithms, over the bytes that were signed instead of those
/// that webpki was shown, and within the budget.
#[derive(Debug)]
struct Algorithm<'h> {
    inner: &'static dyn SignatureVerificationAlgorithm,
    hints: &'h [Intermediate],
    signatures: &'h AtomicU32,
}

impl SignatureVerificationAlgorithm for Algorithm<'_> {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        self.signatures
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .map_err(|_| InvalidSignature)?;
        // No two hints are shown as the same bytes, and a leaf has no name
        // constraints, so whatever is shown as `message` is that hint and carries
        // that hint's constraints.
        let signed = self
            .hints
            .iter()
            .find_map(|hint| hint.signed_as(message))
            .unwrap_or(message);
        self.inner.verify_signature(public_key, signed, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.inner.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.inner.signature_alg_id()
    }
}

impl Window {
    pub(super) fn contains(self, at: Timestamp) -> bool {
        self.from <= at && at <= self.until
    }

    fn and(self, other: Self) -> Self {
        Self {
            from: self.from.max(other.from),
            until: self.until.min(other.until),
        }
    }
}
