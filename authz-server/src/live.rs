//! What decides at this moment: policies and bundles, swapped together.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use callgate_policy::{PolicySet, document::Counts};
use ring::digest::{Context, SHA256};

use crate::{
    bundle::TrustBundle,
    svid::{Verifier, hex},
};

/// Part of every revision: another compiler may read the same documents differently.
const COMPILER: &str = concat!("callgate ", env!("CARGO_PKG_VERSION"));
/// Bytes of a revision. It tells revisions apart; nobody gains by forging one.
const REVISION_BYTES: usize = 16;

/// A set of policies, and where it comes from.
#[derive(Debug)]
pub struct Policies {
    /// What decides.
    pub set: PolicySet,
    /// How much there is of it.
    pub counts: Counts,
    /// A hash of the documents and of all else that their meaning depends on.
    pub digest: String,
}

/// Everything that an answer depends on, but for the request and the time.
#[derive(Debug)]
pub struct Snapshot {
    policies: Option<Arc<Policies>>,
    verifier: Arc<Verifier>,
    revision: String,
}

/// The current [`Snapshot`]. Readers never wait; who reads twice during one request
/// may see two snapshots, so nobody does.
#[derive(Debug)]
pub struct Live {
    current: ArcSwap<Snapshot>,
    /// Taken by writers, so that policies and bundles that change at once both stay.
    writing: Mutex<()>,
}

impl Live {
    /// Without policies, until [`Self::set_policies`].
    #[must_use]
    pub fn new(verifier: Verifier) -> Self {
        Self {
            current: ArcSwap::from_pointee(Snapshot::new(None, Arc::new(verifier))),
            writing: Mutex::new(()),
        }
    }

    /// What is current now, and stays so for the holder.
    #[must_use]
    pub fn current(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// Decides by `policies` from now on.
    pub fn set_policies(&self, policies: Policies) {
        let policies = Some(Arc::new(policies));
        self.replace(|current| Snapshot::new(policies, Arc::clone(&current.verifier)));
    }

    /// Verifies by `bundles` from now on. What a changed one has verified is forgotten.
    pub fn set_bundles(&self, bundles: impl IntoIterator<Item = TrustBundle>) {
        self.replace(|current| {
            let verifier = current.verifier.with_bundles(bundles);
            Snapshot::new(current.policies.clone(), Arc::new(verifier))
        });
    }

    fn replace(&self, next: impl FnOnce(&Snapshot) -> Snapshot) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let next = next(&self.current.load());
        self.current.store(Arc::new(next));
    }
}

impl Snapshot {
    fn new(policies: Option<Arc<Policies>>, verifier: Arc<Verifier>) -> Self {
        let mut digest = Context::new(&SHA256);
        digest.update(COMPILER.as_bytes());
        if let Some(policies) = &policies {
            digest.update(policies.digest.as_bytes());
        }
        // Each is a hash of fixed length, so no two lists of them read the same.
        for bundle in verifier.bundles() {
            digest.update(bundle.digest().as_bytes());
        }
        let digest = digest.finish();
        let revision = digest.as_ref().get(..REVISION_BYTES).unwrap_or_default();
        Self {
            revision: hex(revision),
            policies,
            verifier,
        }
    }

    /// The policies, once there was a valid set.
    #[must_use]
    pub fn policies(&self) -> Option<&Policies> {
        self.policies.as_deref()
    }

    /// Who verifies callers.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// A hash of everything here that can change an answer.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }
}
