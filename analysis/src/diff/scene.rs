//! One service in one version.

use std::collections::HashSet;

use callgate_policy::{
    PathOptions, Side, SpiffeId,
    spec::{Enforcement, ServiceSpec, TrustSpec},
};

use super::{
    way::{Key, Way},
    world::Version,
};

/// One service in one version.
pub(crate) struct World<'v> {
    pub(crate) version: &'v Version,
    pub(crate) policy: Option<&'v ServiceSpec>,
    pub(crate) ways: Vec<Way<'v>>,
}

impl<'v> World<'v> {
    pub(crate) fn of(version: &'v Version, service: &SpiffeId) -> Self {
        let mut services = version.services().iter();
        let policy = services.find(|policy| policy.services.contains(service));
        Self {
            version,
            policy,
            ways: Way::all(version.mesh(), policy),
        }
    }

    pub(crate) fn options(&self) -> PathOptions {
        self.policy
            .map_or_else(PathOptions::default, |policy| policy.paths)
    }

    pub(super) fn keys(&self) -> HashSet<Key<'_>> {
        self.ways.iter().map(Way::key).collect()
    }

    pub(super) fn denied(&self) -> HashSet<Key<'_>> {
        self.of_side(Side::Deny).map(Way::key).collect()
    }

    pub(crate) fn of_side(&self, side: Side) -> impl Iterator<Item = &Way<'v>> {
        self.ways.iter().filter(move |way| way.side() == side)
    }

    pub(crate) fn lets_pass(&self) -> bool {
        let identity = self.version.mesh().map(|mesh| mesh.identity);
        self.version.fallback(self.policy) == Enforcement::Shadow
            || identity == Some(Enforcement::Shadow)
    }

    /// Whether what is written alike means the same as in `other`.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        let mesh = |world: &Self| world.version.mesh().map(|mesh| mesh.identity);
        self.options() == other.options()
            && self.policy.is_some() == other.policy.is_some()
            && self.version.fallback(self.policy) == other.version.fallback(other.policy)
            && mesh(self).unwrap_or_default() == mesh(other).unwrap_or_default()
            && trust(self.version) == trust(other.version)
    }
}

/// Whom the mesh believes.
pub(super) fn trust(version: &Version) -> TrustSpec {
    version
        .mesh()
        .map_or_else(TrustSpec::default, |mesh| mesh.trust.clone())
}
