use std::sync::Arc;

use callgate_policy::{Timestamp, TrustDomain};

use super::*;
use crate::{health::Health, live::Live, mint::now, svid::Verifier};

mod files;
mod formats;
mod sources;

fn domain(name: &str) -> TrustDomain {
    TrustDomain::parse(name).unwrap()
}

fn none() -> (Arc<Bundles>, Arc<Live>, Arc<Health>) {
    let live = Arc::new(Live::new(Verifier::new([])));
    let health = Arc::new(Health::default());
    let bundles = Bundles::new(Arc::clone(&live), Arc::clone(&health));
    (bundles, live, health)
}

fn verifies(live: &Live, leaf: &crate::svid::PeerCertificate) -> bool {
    let snapshot = live.current();
    snapshot.verifier().verify(leaf, Vec::new, now()).is_ok()
}

/// What `/readyz` says of `trust_domain`.
fn told(health: &Health, trust_domain: &str) -> Vec<String> {
    health.change(|condition| condition.policies.taken(now()));
    let crate::health::Readiness::Degraded(told) = health.readiness() else {
        return Vec::new();
    };
    let name = format!("`{trust_domain}`");
    told.into_iter()
        .filter(|line| line.contains(&name))
        .collect()
}

fn seconds_later(seconds: i64) -> Timestamp {
    Timestamp::from_millis(now().as_millis() + seconds * 1_000)
}
