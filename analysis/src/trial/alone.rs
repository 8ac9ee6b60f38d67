//! One rule, decided alone.

use callgate_policy::{
    Clause, Decision, NearestMiss, PathOptions, PolicySet, Reason, Request, SpiffeId, Timestamp,
    spec::{Enforcement, ExceptionSpec, PolicySetSpec, RuleSpec, ServiceSpec},
};

use super::{Outcome, Placed, Rules, Side, Told};

/// A rule with one of its lines, compiled: for who asks about many calls.
#[derive(Debug)]
pub struct OneLine {
    set: PolicySet,
    service: SpiffeId,
}

impl<'s> Rules<'s> {
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

    pub(super) fn outcome(
        &self,
        placed: Placed<'s>,
        rule: RuleSpec,
        request: &Request<'_>,
        now: Timestamp,
    ) -> Option<Outcome> {
        let set = self.alone(placed, placed.side, rule, request.service?)?;
        Outcome::of(&set, request, now)
    }

    /// What there is to tell of a rule: the core tells what allow rules lack, and nothing
    /// of one that matches. So the rule is taken for one that allows, and one that matches
    /// for one that has just ended.
    pub(super) fn told(
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
        let miss: &NearestMiss<'_> = decision.nearest_miss.as_deref()?;
        Some(Self {
            from: (miss.from.location.line, miss.from.text.to_owned()),
            to: (miss.to.location.line, miss.to.text.to_owned()),
            failed: Some((miss.clause, miss.location.line)),
            story: miss.story(request, now)?,
        })
    }
}
