//! What decides at this moment: policies, bundles and revocations, swapped together.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use callgate_policy::{
    PolicySet, SpiffeId, Timestamp, TrustDomain,
    document::{Counts, Revocation},
};
use ring::digest::{Context, SHA256};
use tokio::sync::watch;

use crate::{
    bundle::TrustBundle,
    cache::Cache,
    revocation::Revocations,
    svid::{Svid, Verifier, hex},
};

/// Part of every revision: another compiler may read the same documents differently.
const COMPILER: &str = concat!("callgate ", env!("CARGO_PKG_VERSION"));
/// Bytes of a revision. It tells revisions apart; nobody gains by forging one.
const REVISION_BYTES: usize = 16;

/// Pairs of a caller and a service that are remembered to have no slice; 250 bytes each with
/// IDs of usual length.
const UNSLICED: usize = 8_192;

/// A [`Snapshot::service_revision`].
pub type ServiceRevision = [u8; 2 * REVISION_BYTES];

/// A set of policies, and where it comes from.
#[derive(Debug)]
pub struct Policies {
    /// What decides.
    pub set: PolicySet,
    /// How much there is of it.
    pub counts: Counts,
    /// What relative identities belong to.
    pub trust_domain: Option<TrustDomain>,
    /// A hash of the documents and of all else that their meaning depends on.
    pub digest: String,
}

/// Everything that an answer depends on, but for the request and the time.
#[derive(Debug)]
pub struct Snapshot {
    policies: Option<Arc<Policies>>,
    /// Tried beside them; no answer depends on it.
    candidate: Option<Arc<Policies>>,
    verifier: Arc<Verifier>,
    revocations: Arc<Revocations>,
    revision: String,
    /// Of what all services share.
    shared: [u8; REVISION_BYTES],
    /// Pairs of a caller and a service without a slice.
    unsliced: Cache<(SpiffeId, Option<SpiffeId>), ()>,
}

/// The current [`Snapshot`]. Readers never wait; who reads twice during one request
/// may see two snapshots, so nobody does.
#[derive(Debug)]
pub struct Live {
    current: ArcSwap<Snapshot>,
    /// Taken by writers, so that policies and bundles that change at once both stay.
    writing: Mutex<()>,
    changes: watch::Sender<()>,
}

impl Live {
    /// Without policies, until [`Self::set_policies`].
    #[must_use]
    pub fn new(verifier: Verifier) -> Self {
        Self {
            current: ArcSwap::from_pointee(Snapshot::new(
                None,
                None,
                Arc::new(verifier),
                Arc::default(),
            )),
            writing: Mutex::new(()),
            changes: watch::Sender::new(()),
        }
    }

    /// Tells of every change, once [`Self::current`] shows it.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// What is current now, and stays so for the holder.
    #[must_use]
    pub fn current(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// Decides by `policies` from now on.
    pub fn set_policies(&self, policies: Policies) {
        let policies = Some(Arc::new(policies));
        self.replace(|current| {
            let verifier = Arc::clone(&current.verifier);
            let revocations = Arc::clone(&current.revocations);
            Snapshot::new(policies, current.candidate.clone(), verifier, revocations)
        });
    }

    /// Tries `candidate` beside the policies that decide, from now on.
    pub fn set_candidate(&self, candidate: Policies) {
        let candidate = Some(Arc::new(candidate));
        self.replace(|current| {
            let verifier = Arc::clone(&current.verifier);
            let revocations = Arc::clone(&current.revocations);
            Snapshot::new(current.policies.clone(), candidate, verifier, revocations)
        });
    }

    /// Verifies by `bundles` from now on. What a changed one has verified is forgotten.
    pub fn set_bundles(&self, bundles: impl IntoIterator<Item = TrustBundle>) {
        self.replace(|current| {
            let verifier = Arc::new(current.verifier.with_bundles(bundles));
            let revocations = Arc::clone(&current.revocations);
            let candidate = current.candidate.clone();
            Snapshot::new(current.policies.clone(), candidate, verifier, revocations)
        });
    }

    /// Believes nobody from now on whom `revocations` name.
    pub fn set_revocations(&self, revocations: Revocations) {
        let revocations = Arc::new(revocations);
        self.replace(|current| {
            let verifier = Arc::clone(&current.verifier);
            let candidate = current.candidate.clone();
            Snapshot::new(current.policies.clone(), candidate, verifier, revocations)
        });
    }

    fn replace(&self, next: impl FnOnce(&Snapshot) -> Snapshot) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let next = next(&self.current.load());
        self.current.store(Arc::new(next));
        self.changes.send_replace(());
    }
}

impl Snapshot {
    fn new(
        policies: Option<Arc<Policies>>,
        candidate: Option<Arc<Policies>>,
        verifier: Arc<Verifier>,
        revocations: Arc<Revocations>,
    ) -> Self {
        // Hashes of fixed length each, so no two lists of them read the same.
        let bundles = verifier.bundles().map(|bundle| bundle.digest().as_bytes());
        let revocations_digest = revocations.digest().as_bytes();
        let others: Vec<&[u8]> = bundles.chain([revocations_digest]).collect();
        let others = || others.iter().copied();
        let policies_digest = policies.as_ref().map(|policies| policies.digest.as_bytes());
        let mesh = policies.as_ref().map(|policies| policies.shared());
        let shared = mesh.as_ref().map(<[u8; _]>::as_slice);
        Self {
            revision: hex(&hash(policies_digest.into_iter().chain(others()))),
            shared: hash(shared.into_iter().chain(others())),
            unsliced: Cache::new(UNSLICED),
            policies,
            candidate,
            verifier,
            revocations,
        }
    }

    /// What a proxy may decide itself about `caller` at `service`:
    /// [`PolicySet::slice`]. That there is none is remembered: such callers are asked
    /// about each time, and what is too large is dear to cut.
    #[must_use]
    pub fn slice(&self, caller: &SpiffeId, service: Option<&SpiffeId>) -> Option<Vec<u8>> {
        let key = (caller.clone(), service.cloned());
        if self.unsliced.get(&key).is_some() {
            return None;
        }
        let slice = self.policies()?.set.slice(caller, service);
        if slice.is_none() {
            self.unsliced.insert(key, ());
        }
        slice
    }

    /// The policies, once there was a valid set.
    #[must_use]
    pub fn policies(&self) -> Option<&Policies> {
        self.policies.as_deref()
    }

    /// The policies that are tried beside them.
    #[must_use]
    pub fn candidate(&self) -> Option<&Policies> {
        self.candidate.as_deref()
    }

    /// Who verifies callers.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Who is believed no longer.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// What revokes `svid` at `now`: its certificate, or its identity under any of its
    /// names.
    #[must_use]
    pub fn revocation_of(&self, svid: &Svid, now: Timestamp) -> Option<&Revocation> {
        self.revocations
            .of_certificate(svid, now)
            .or_else(|| self.revocation_of_id(&svid.id, now))
    }

    /// What revokes `id` at `now`, under any of its names: for an identity that somebody
    /// else vouches for.
    #[must_use]
    pub fn revocation_of_id(&self, id: &SpiffeId, now: Timestamp) -> Option<&Revocation> {
        // Most meshes revoke nobody; then there is nothing to compare.
        if self.revocations.all().is_empty() {
            return None;
        }
        let by_name = |name: &SpiffeId| self.revocations.of_id(name, self.trust_domain(), now);
        let policies = self.policies.iter();
        let mut aliases = policies.flat_map(|policies| policies.set.aliases_of(id));
        by_name(id).or_else(|| aliases.find_map(|name| by_name(&name)))
    }

    /// What relative identities belong to.
    #[must_use]
    pub fn trust_domain(&self) -> Option<&TrustDomain> {
        self.policies.as_deref()?.trust_domain.as_ref()
    }

    /// A hash of everything here that can change an answer.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// What is the same exactly as long as nothing changes that an answer about `service`
    /// could depend on, but for the request and the time: what all services share, then
    /// the service's own policy, if it has one.
    #[must_use]
    pub fn service_revision(&self, service: Option<&SpiffeId>) -> ServiceRevision {
        let policies = self.policies();
        let digest = policies.map(|policies| policies.set.digest_of(service).service);
        let parts = [self.shared, digest.unwrap_or_default()];
        let mut revision = [0; 2 * REVISION_BYTES];
        for (to, from) in revision.iter_mut().zip(parts.as_flattened()) {
            *to = *from;
        }
        revision
    }
}

impl Policies {
    /// A hash of what all services share: what relative identities belong to, which
    /// revocations depend on as well, and the `MeshPolicy`.
    fn shared(&self) -> [u8; REVISION_BYTES] {
        let trust_domain = self.trust_domain.as_ref();
        let trust_domain = trust_domain.map_or("", |domain| domain.as_str());
        let mesh = self.set.digest_of(None).shared;
        hash([mesh.as_slice(), trust_domain.as_bytes()])
    }
}

fn hash<'t>(parts: impl IntoIterator<Item = &'t [u8]>) -> [u8; REVISION_BYTES] {
    let mut digest = Context::new(&SHA256);
    for part in [COMPILER.as_bytes()].into_iter().chain(parts) {
        digest.update(part);
    }
    let digest = digest.finish();
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}
