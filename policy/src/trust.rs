//! Whom the mesh believes, by what its operator says: which trust domains, which names
//! of a caller, and which proxies, about what.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use foldhash::fast::FixedState;
use smallvec::SmallVec;

use crate::{
    CallerPattern, PolicySet, SpiffeId, TrustDomain,
    identity::Key,
    spec::{AliasSpec, TrustSpec},
    table::allocated,
};

/// What a `MeshPolicy` says of identities.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    accepted: Option<Box<[TrustDomain]>>,
    aliases: Box<[AliasSpec]>,
    /// The services that each gateway asks about.
    gateways: HashMap<Key, Patterns, FixedState>,
    forwarders: HashMap<Key, Forwarder, FixedState>,
}

type Patterns = Box<[CallerPattern]>;

/// What one forwarder is believed.
#[derive(Debug)]
pub(crate) struct Forwarder {
    may_assert: Patterns,
    for_services: Patterns,
}

/// Who takes part in a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parties<'a> {
    /// For whom it is decided.
    pub(crate) caller: &'a SpiffeId,
    /// Who says so, if it is not the caller's own connection.
    pub(crate) forwarder: Option<&'a SpiffeId>,
}

/// Identities besides the caller's own that rules look at. Nearly always none.
#[derive(Debug, Default)]
pub(crate) struct Also {
    /// Other names of the caller, for allow and deny rules.
    pub(crate) names: Names,
    /// The forwarder, under all of its names, for deny rules.
    pub(crate) forwarders: Names,
}

/// Most callers have one other name at most.
type Names = SmallVec<[SpiffeId; 1]>;

impl Trust {
    pub(crate) fn build(spec: TrustSpec) -> Self {
        let gateways = spec.gateways.into_iter();
        let forwarders = spec.forwarders.into_iter();
        Self {
            accepted: spec.accepted.map(Into::into),
            aliases: spec.aliases.into(),
            gateways: gateways
                .map(|one| (one.id.to_key(), one.for_services.into()))
                .collect(),
            forwarders: forwarders
                .map(|one| {
                    let forwarder = Forwarder {
                        may_assert: one.may_assert.into(),
                        for_services: one.for_services.into(),
                    };
                    (one.id.to_key(), forwarder)
                })
                .collect(),
        }
    }

    /// Whether everyone is of an accepted trust domain, and the forwarder may say what
    /// it says to `service`.
    pub(crate) fn believes(&self, parties: Parties<'_>, service: Option<&SpiffeId>) -> bool {
        let Parties { caller, forwarder } = parties;
        self.accepts(caller)
            && forwarder.is_none_or(|forwarder| {
                let listed = self.forwarder(forwarder, service);
                self.accepts(forwarder)
                    && listed.is_some_and(|listed| fits(&listed.may_assert, caller))
            })
    }

    /// Which other identities the rules look at.
    pub(crate) fn also(&self, parties: Parties<'_>) -> Also {
        let mut also = Also::default();
        // Nearly always, and every decision passes here.
        if self.aliases.is_empty() && parties.forwarder.is_none() {
            return also;
        }
        also.names.extend(self.aliases_of(parties.caller));
        if let Some(forwarder) = parties.forwarder {
            also.forwarders.push(forwarder.clone());
            also.forwarders.extend(self.aliases_of(forwarder));
        }
        also
    }

    /// About how many bytes the names of callers take.
    pub(crate) fn footprint(&self) -> usize {
        let aliases = self.aliases.iter().map(|alias| {
            let callers = alias.callers.iter().map(CallerPattern::footprint);
            allocated(alias.other.as_str().len())
                + allocated(alias.callers.capacity() * size_of::<CallerPattern>())
                + callers.sum::<usize>()
        });
        allocated(size_of_val(&*self.aliases)) + aliases.sum::<usize>()
    }

    /// One step only: an alias of an alias is none of the caller's names.
    fn aliases_of(&self, id: &SpiffeId) -> impl Iterator<Item = SpiffeId> {
        let aliases = self.aliases.iter();
        let aliases = aliases.filter(move |alias| fits(&alias.callers, id));
        aliases.map(move |alias| id.in_domain(&alias.other))
    }

    fn accepts(&self, id: &SpiffeId) -> bool {
        let accepted = self.accepted.as_ref();
        accepted.is_none_or(|all| all.iter().any(|one| one.as_str() == id.trust_domain()))
    }

    pub(crate) fn forwarder(
        &self,
        id: &SpiffeId,
        service: Option<&SpiffeId>,
    ) -> Option<&Forwarder> {
        let forwarder = self.forwarders.get(id.as_str().as_bytes())?;
        fits(&forwarder.for_services, service?).then_some(forwarder)
    }
}

fn fits(patterns: &[CallerPattern], id: &SpiffeId) -> bool {
    patterns.iter().any(|pattern| pattern.matches(id))
}

impl PolicySet {
    /// Whether the proxy with the verified identity `proxy` may ask about calls to
    /// `service`: a sidecar about its own service, a gateway of the `MeshPolicy` about
    /// those that it is listed for.
    #[must_use]
    pub fn may_ask(&self, proxy: &SpiffeId, service: &SpiffeId) -> bool {
        let services = self.mesh.trust.gateways.get(proxy.as_str().as_bytes());
        proxy == service || services.is_some_and(|services| fits(services, service))
    }

    /// Whether `service` is to believe the caller `peer` when it says for whom it
    /// forwards a call. Whom it may name is for [`PolicySet::decide`] to say.
    #[must_use]
    pub fn is_forwarder(&self, peer: &SpiffeId, service: &SpiffeId) -> bool {
        self.mesh.trust.forwarder(peer, Some(service)).is_some()
    }

    /// The other names under which rules match `id`, by the aliases of the `MeshPolicy`:
    /// what is said against one of them is said against `id`.
    pub fn aliases_of(&self, id: &SpiffeId) -> impl Iterator<Item = SpiffeId> {
        self.mesh.trust.aliases_of(id)
    }
}
