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

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use callgate_policy::{
    Caller, Clause, Decision, MissStory, NearestMiss, PathOptions, PolicySet, Reason, Request,
    RuleRef, SpiffeId, Timestamp,
    spec::{Enforcement, ExceptionSpec, MeshSpec, PolicySetSpec, RuleSpec, ServiceSpec},
};

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

/// A rule with one of its lines, compiled: for who asks about many calls.
#[derive(Debug)]
pub struct OneLine {
    set: PolicySet,
    service: SpiffeId,
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

    /// A rule with one line of its `to`, the one at `index`, for calls to `service`.
    #[must_use]
    pub fn one_line(
        &self,
        placed: Placed<'s>,
        index: usize,
        service: &SpiffeId,
    ) -> Option<OneLine> {
        let rule = RuleSpec {
            to: vec![placed.rule.to.get(index)?.clone()],
            ..placed.rule.clone()
        };
        Some(OneLine {
            set: self.alone(placed, placed.side, rule, service)?,
            service: service.clone(),
        })
    }

    fn outcome(
        &self,
        placed: Placed<'s>,
        rule: RuleSpec,
        request: &Request<'_>,
        now: Timestamp,
    ) -> Option<Outcome> {
        let set = self.alone(placed, placed.side, rule, request.service?)?;
        Outcome::of(&set, request, now)
    }

    /// What a rule lacks is told of allow rules, and of a rule that matches nothing is
    /// told. So the rule is taken for one that allows, and one that matches for one that
    /// has just ended.
    fn told(
        &self,
        placed: Placed<'s>,
        outcome: Outcome,
        request: &Request<'_>,
        now: Timestamp,
    ) -> Option<Told> {
        let mut rule = placed.rule.clone();
        if outcome == Outcome::Matches {
            rule.exception = Some(ExceptionSpec {
                line: rule.line,
                expires: now,
            });
        }
        let request = match placed.side {
            Side::Allow => *request,
            Side::Deny => as_allowed(placed.rule, request),
        };
        let set = self.alone(placed, Side::Allow, rule, request.service?)?;
        let decision = set.decide(&request, now);
        let mut told = Told::of(&decision, &request, now)?;
        if outcome == Outcome::Matches {
            told.failed = None;
            let checks = &mut told.story.checks;
            if placed.rule.exception.is_none() {
                checks.retain(|check| check.clause != Clause::Exception);
            } else {
                for check in checks {
                    check.passed = true;
                }
            }
        }
        (outcome != Outcome::Matches || told.story.checks.iter().all(|check| check.passed))
            .then_some(told)
    }

    /// A set in which one rule decides about `service`, and nothing else.
    fn alone(
        &self,
        placed: Placed<'s>,
        side: Side,
        mut rule: RuleSpec,
        service: &SpiffeId,
    ) -> Option<PolicySet> {
        // Whether it would match is asked of a rule in Shadow too.
        rule.enforcement = Enforcement::Enforce;
        let (allow, deny) = match side {
            Side::Allow => (vec![rule], Vec::new()),
            Side::Deny => (Vec::new(), vec![rule]),
        };
        let policy = self.policy_of(service);
        let mut paths = policy.map_or_else(PathOptions::default, |policy| policy.paths);
        // A deny rule ignores a trailing slash, also where it is told as if it allowed.
        paths.ignore_trailing_slash |= placed.side == Side::Deny;
        let policy = ServiceSpec {
            name: placed.policy.to_owned(),
            file: placed.file.to_owned(),
            services: vec![service.clone()],
            owner: None,
            help: None,
            enforcement: Enforcement::Enforce,
            paths,
            keep_override_headers: false,
            allow,
            deny,
        };
        let spec = PolicySetSpec {
            mesh: self.mesh.clone(),
            services: vec![policy],
        };
        PolicySet::build(spec).ok()
    }
}

impl Outcome {
    /// What a set of one rule says. None if the request is refused before the rule is
    /// looked at.
    fn of(set: &PolicySet, request: &Request<'_>, now: Timestamp) -> Option<Self> {
        match set.decide(request, now).reason {
            Reason::Allow | Reason::DenyRule => Some(Self::Matches),
            Reason::ExceptionExpired => Some(Self::Expired),
            Reason::NoRule => Some(Self::Misses),
            _ => None,
        }
    }
}

impl OneLine {
    /// Whether the rule is about `request`, a call to the same service, by this line.
    /// Whether its exception has ended does not matter.
    #[must_use]
    pub fn is_about(&self, request: &Request<'_>, now: Timestamp) -> bool {
        let outcome = Outcome::of(&self.set, request, now);
        request.service == Some(&self.service)
            && matches!(outcome, Some(Outcome::Matches | Outcome::Expired))
    }

    /// The service that it is for.
    #[must_use]
    pub const fn service(&self) -> &SpiffeId {
        &self.service
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

/// `request` without what takes it out of an allow rule's reach, but not out of a deny
/// rule's: an upgrade, and any form of a gRPC method but gRPC's own.
fn as_allowed<'r>(rule: &RuleSpec, request: &Request<'r>) -> Request<'r> {
    let verb_is = |verb: &str| {
        let mut lines = rule.to.iter();
        lines.any(|line| line.text.split(' ').next() == Some(verb))
    };
    let mut told = *request;
    if !verb_is("WEBSOCKET") {
        told.upgrade = None;
    }
    if verb_is("GRPC") {
        told.method = "POST";
        told.content_type = Some("application/grpc");
    }
    told
}

impl Told {
    fn of(decision: &Decision<'_>, request: &Request<'_>, now: Timestamp) -> Option<Self> {
        let miss: &NearestMiss<'_> = decision.nearest_miss.as_ref()?;
        Some(Self {
            from: (miss.from.location.line, miss.from.text.to_owned()),
            to: (miss.to.location.line, miss.to.text.to_owned()),
            failed: Some((miss.clause, miss.location.line)),
            story: miss.story(request, now)?,
        })
    }
}

/// Whether rules are about a caller at all: one that is not verified is refused before.
#[must_use]
pub const fn has_rules(caller: &Caller<'_>) -> bool {
    !matches!(caller, Caller::Unverified(_))
}
