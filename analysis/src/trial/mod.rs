//! Rules tried one by one on one request: which match, by which of their lines, and what
//! the others lack.
//!
//! A rule is taken out of its document and decided alone, with the path options of the
//! called service and the trust of the mesh, by the code that decides everything. So a
//! trial cannot tell another story than the decision.
//!
//! ```text
//!  RuleSpec ──alone──► PolicySet of one rule ──decide──► matches | expired | misses, and why
//! ```

mod alone;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use callgate_policy::{
    Clause, MissStory, Request, RuleRef, SpiffeId, Timestamp,
    spec::{Enforcement, MeshSpec, PolicySetSpec, RuleSpec, ServiceSpec},
};

pub use alone::OneLine;

/// The rules of a set, to be tried.
#[derive(Debug)]
pub struct Rules<'s> {
    spec: &'s PolicySetSpec,
    /// The mesh's document without its rules.
    mesh: Option<MeshSpec>,
    policies: HashMap<&'s SpiffeId, &'s ServiceSpec>,
    /// Rules by file, line and name, as decisions name them.
    by_place: HashMap<(&'s str, u32, &'s str), Placed<'s>>,
}

/// A rule and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'s> {
    /// The rule.
    pub rule: &'s RuleSpec,
    /// `metadata.name` of its document.
    pub policy: &'s str,
    /// Its file, as it was named to the loader.
    pub file: &'s str,
    /// What it does.
    pub side: Side,
    /// Whose it is.
    pub level: Level,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It allows.
    Allow,
    /// It denies.
    Deny,
}

/// Whose a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The mesh operator's, for every service.
    Mesh,
    /// The called service's.
    Service,
}

/// How one rule fared.
#[derive(Clone, Debug)]
pub struct Trial<'s> {
    /// The rule.
    pub placed: Placed<'s>,
    /// Whether it matches.
    pub outcome: Outcome,
    /// What can be told of it.
    pub told: Option<Told>,
}

/// Whether a rule matches a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It does.
    Matches,
    /// It would, had its exception not ended.
    Expired,
    /// It does not.
    Misses,
}

/// What there is to tell of a rule: of one that matches the entries by which it does, of
/// one that misses those that came closest.
#[derive(Clone, Debug)]
pub struct Told {
    /// The line of the entry of `from`, counted from 1, and its text.
    pub from: (u32, String),
    /// The line of `to`, and its text.
    pub to: (u32, String),
    /// The first clause that failed, and its line.
    pub failed: Option<(Clause, u32)>,
    /// How every clause fared, what is captured, what would help.
    pub story: MissStory,
}

impl<'s> Rules<'s> {
    /// The rules of `spec`.
    #[must_use]
    pub fn of(spec: &'s PolicySetSpec) -> Self {
        let policies = spec.services.iter();
        let policies =
            policies.flat_map(|policy| policy.services.iter().map(move |id| (id, policy)));
        let of_services = spec.services.iter().flat_map(of_service);
        let all = spec.mesh.iter().flat_map(of_mesh).chain(of_services);
        let by_place =
            all.map(|placed| ((placed.file, placed.rule.line, &*placed.rule.name), placed));
        Self {
            spec,
            mesh: spec.mesh.as_ref().map(without_rules),
            policies: policies.collect(),
            by_place: by_place.collect(),
        }
    }

    /// Every rule of the set, document after document.
    pub fn all(&self) -> impl Iterator<Item = Placed<'s>> + use<'s> {
        let of_services = self.spec.services.iter().flat_map(of_service);
        self.spec.mesh.iter().flat_map(of_mesh).chain(of_services)
    }

    /// Every rule about calls to `service`, in the order in which they are looked at.
    #[must_use]
    pub fn about(&self, service: &SpiffeId) -> Vec<Placed<'s>> {
        let of_service = self.policy_of(service).into_iter().flat_map(of_service);
        let of_mesh = self.spec.mesh.iter().flat_map(of_mesh);
        let mut rules: Vec<_> = of_mesh.chain(of_service).collect();
        rules.sort_by_key(|placed| match (placed.side, placed.level) {
            (Side::Deny, Level::Mesh) => 0,
            (Side::Deny, Level::Service) => 1,
            (Side::Allow, Level::Service) => 2,
            (Side::Allow, Level::Mesh) => 3,
        });
        rules
    }

    /// The rule that a decision names.
    #[must_use]
    pub fn find(&self, rule: &RuleRef<'_>) -> Option<Placed<'s>> {
        let key = (rule.location.file, rule.location.line, rule.name);
        self.by_place.get(&key).copied()
    }

    /// The policy of `service`.
    #[must_use]
    pub fn policy_of(&self, service: &SpiffeId) -> Option<&'s ServiceSpec> {
        self.policies.get(service).copied()
    }

    /// Tries every rule about the service that `request` calls, in the order in which
    /// they are looked at. None for a request that is refused before that.
    #[must_use]
    pub fn try_all(&self, request: &Request<'_>, now: Timestamp) -> Option<Vec<Trial<'s>>> {
        let rules = self.about(request.service?);
        rules
            .into_iter()
            .map(|placed| self.try_one(placed, request, now))
            .collect()
    }

    /// Tries one rule. None for a request that is refused before any rule is looked at.
    #[must_use]
    pub fn try_one(
        &self,
        placed: Placed<'s>,
        request: &Request<'_>,
        now: Timestamp,
    ) -> Option<Trial<'s>> {
        let outcome = self.outcome(placed, placed.rule.clone(), request, now)?;
        Some(Trial {
            placed,
            outcome,
            told: self.told(placed, outcome, request, now),
        })
    }
}

fn without_rules(mesh: &MeshSpec) -> MeshSpec {
    MeshSpec {
        name: mesh.name.clone(),
        file: mesh.file.clone(),
        unpolicied: Enforcement::Enforce,
        identity: Enforcement::Enforce,
        trust: mesh.trust.clone(),
        allow: Vec::new(),
        deny: Vec::new(),
    }
}

fn of_mesh(mesh: &MeshSpec) -> impl Iterator<Item = Placed<'_>> {
    let place = |side| place(&mesh.name, &mesh.file, Level::Mesh, side);
    let deny = mesh.deny.iter().map(place(Side::Deny));
    deny.chain(mesh.allow.iter().map(place(Side::Allow)))
}

fn of_service(policy: &ServiceSpec) -> impl Iterator<Item = Placed<'_>> {
    let place = |side| place(&policy.name, &policy.file, Level::Service, side);
    let deny = policy.deny.iter().map(place(Side::Deny));
    deny.chain(policy.allow.iter().map(place(Side::Allow)))
}

fn place<'s>(
    policy: &'s str,
    file: &'s str,
    level: Level,
    side: Side,
) -> impl Fn(&'s RuleSpec) -> Placed<'s> {
    move |rule| Placed {
        rule,
        policy,
        file,
        side,
        level,
    }
}
