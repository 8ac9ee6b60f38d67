//! Digests of documents, as far as answers depend on them.

use std::hash::{Hash, Hasher};

use ring::digest::{Context, SHA256};

use crate::{
    PolicySet, SpiffeId,
    spec::{MeshSpec, ServiceSpec},
};

/// What the answers for one service depend on, of a set: as long as these are the same, so
/// are the answers and what they tell, but for the request and the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PolicyDigest {
    /// What all services share: the `MeshPolicy`.
    pub shared: [u8; 16],
    /// The service's own document, with the members of the groups that it names; zeros of
    /// a service without one.
    pub service: [u8; 16],
}

impl PolicySet {
    /// The digest for `service`. Nothing is computed here.
    #[must_use]
    pub fn digest_of(&self, service: Option<&SpiffeId>) -> PolicyDigest {
        let policy = self.policy_for(service);
        PolicyDigest {
            shared: self.mesh.digest,
            service: policy.map_or([0; 16], |policy| policy.digest),
        }
    }
}

pub(crate) fn of_mesh(spec: &MeshSpec) -> [u8; 16] {
    digest(spec)
}

/// Which other services a document is for changes nothing for the one.
pub(crate) fn of_service(spec: &ServiceSpec) -> [u8; 16] {
    digest(spec)
}

fn digest(spec: &impl Hash) -> [u8; 16] {
    let mut sha256 = Sha256(Context::new(&SHA256));
    spec.hash(&mut sha256);
    let digest = sha256.0.finish();
    let first = digest.as_ref().first_chunk();
    first.copied().unwrap_or_default()
}

/// What types write to be told apart, into a hash that nobody can make collide: teams
/// write documents, and one that looked unchanged would keep its old answers.
struct Sha256(Context);

impl Hasher for Sha256 {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Not asked for.
    fn finish(&self) -> u64 {
        0
    }
}
