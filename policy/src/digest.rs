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

#[cfg(test)]
mod tests {
    use crate::{
        PolicyDigest, PolicySet, Timestamp,
        spec::{Callers, Enforcement, MeshSpec, ServiceSpec},
        testing::{caller, id, mesh, orders, rule, set},
    };

    fn documents() -> (MeshSpec, ServiceSpec) {
        let rules = vec![rule("web", 1, &["/ns/shop/sa/web"], &["GET /orders"])];
        let metrics = vec![rule("metrics", 1, &["/ns/**"], &["GET /metrics"])];
        (mesh(metrics, vec![]), orders(rules, vec![]))
    }

    fn digest(set: &PolicySet, service: &str) -> PolicyDigest {
        set.digest_of(Some(&id(service)))
    }

    const ORDERS: &str = "/ns/shop/sa/orders";

    #[test]
    fn what_an_answer_depends_on_is_in_the_digest() {
        let (whole, service) = documents();
        let before = digest(&set(Some(whole), vec![service]), ORDERS);
        type Change = fn(&mut ServiceSpec);
        let changes: [Change; 12] = [
            |one| one.name.push('2'),
            |one| one.file.push('2'),
            |one| one.owner = None,
            |one| one.help = Some("#help".to_owned()),
            |one| one.enforcement = Enforcement::Shadow,
            |one| one.paths.keep_parameters = true,
            |one| one.keep_override_headers = true,
            |one| one.allow[0].line = 2,
            |one| one.allow[0].from[0].callers = Callers::Group(vec![caller("/ns/a")]),
            |one| one.allow[0].to[0].operation.clone_from(&metrics_line()),
            |one| one.allow[0] = one.allow[0].clone().expires(Timestamp::from_secs(1)),
            |one| one.allow[0].enforcement = Enforcement::Shadow,
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let (mesh, mut service) = documents();
            change(&mut service);
            let after = digest(&set(Some(mesh), vec![service]), ORDERS);
            assert_ne!(after.service, before.service, "{number}");
            assert_eq!(after.shared, before.shared, "{number}");
        }
    }

    fn metrics_line() -> crate::Operation {
        rule("", 1, &[], &["GET /metrics"]).to[0].operation.clone()
    }

    #[test]
    fn other_documents_change_nothing() {
        let (mesh, service) = documents();
        let before = digest(&set(Some(mesh), vec![service]), ORDERS);
        let (mesh, mut service) = documents();
        service.services.push(id("/ns/shop/sa/canary"));
        let other = ServiceSpec {
            services: vec![id("/ns/shop/sa/stock")],
            ..documents().1
        };
        let set = set(Some(mesh), vec![other, service]);
        assert_eq!(digest(&set, ORDERS), before);
        assert_eq!(digest(&set, "/ns/shop/sa/canary"), before);
        let none = PolicyDigest {
            service: [0; 16],
            ..before
        };
        assert_eq!(digest(&set, "/ns/shop/sa/unknown"), none);
        assert_eq!(set.digest_of(None), none);
    }

    #[test]
    fn what_the_operator_says_is_shared() {
        let (mesh, service) = documents();
        let before = digest(&set(Some(mesh), vec![service]), ORDERS);
        let (mut mesh, service) = documents();
        mesh.trust.accepted = Some(Vec::new());
        let after = digest(&set(Some(mesh), vec![service]), ORDERS);
        assert_ne!(after.shared, before.shared);
        assert_eq!(after.service, before.service);
        let without = set(None, vec![documents().1]);
        assert_eq!(digest(&without, ORDERS).service, before.service);
        assert_eq!(digest(&without, ORDERS).shared, [0; 16]);
    }
}
