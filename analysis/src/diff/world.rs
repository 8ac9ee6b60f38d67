//! One version of a set, and what it answers.

use std::collections::HashMap;

use callgate_policy::{
    BuildError, Caller, CallerPattern, IdentityFault, PolicySet, Request, SpiffeId, Timestamp,
    TrustDomain, Verdict,
    document::{Revocation, Specified},
    spec::{Enforcement, MeshSpec, PolicySetSpec, ServiceSpec},
};

use super::{Answer, Level, condition::Extras};
use crate::language::Point;

/// A set of documents that is whole and in order.
#[derive(Debug)]
pub struct Version {
    spec: PolicySetSpec,
    policies: PolicySet,
    trust_domain: Option<TrustDomain>,
    revocations: Vec<Revocation>,
    /// The identities among them, and until when they are revoked.
    revoked: HashMap<SpiffeId, Vec<Option<Timestamp>>>,
}

/// Who calls in a request: those that a [`Point`] names, or others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Party<'a> {
    /// The caller itself.
    Direct,
    /// A proxy that forwards its calls.
    Via {
        by: &'a SpiffeId,
        /// The callers that it may name, of whom this is one.
        may: &'a CallerPattern,
    },
    /// Nobody that is known.
    Unverified,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) point: &'a Point,
    pub(crate) party: Party<'a>,
    pub(crate) service: &'a SpiffeId,
    pub(crate) at: Timestamp,
    pub(crate) extras: Option<&'a Extras>,
}

impl Version {
    /// A set with the revocations that load beside it.
    ///
    /// # Errors
    /// What does not make a set, as the loader would find.
    pub fn new(specified: Specified, revocations: Vec<Revocation>) -> Result<Self, BuildError> {
        let own = specified.trust_domain.as_ref();
        let mut revoked: HashMap<SpiffeId, Vec<Option<Timestamp>>> = HashMap::new();
        for one in &revocations {
            if let Some(id) = one.identity(own) {
                revoked.entry(id).or_default().push(one.expires);
            }
        }
        Ok(Self {
            policies: PolicySet::build(specified.spec.clone())?,
            spec: specified.spec,
            trust_domain: specified.trust_domain,
            revocations,
            revoked,
        })
    }

    /// A set without a document: it refuses everything.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            spec: PolicySetSpec::default(),
            policies: PolicySet::default(),
            trust_domain: None,
            revocations: Vec::new(),
            revoked: HashMap::new(),
        }
    }

    pub(crate) const fn trust_domain(&self) -> Option<&TrustDomain> {
        self.trust_domain.as_ref()
    }

    /// What decides.
    pub(crate) const fn policies(&self) -> &PolicySet {
        &self.policies
    }

    pub(crate) const fn mesh(&self) -> Option<&MeshSpec> {
        self.spec.mesh.as_ref()
    }

    pub(crate) fn services(&self) -> &[ServiceSpec] {
        &self.spec.services
    }

    pub(crate) fn revocations(&self) -> &[Revocation] {
        &self.revocations
    }

    /// The identities that are revoked, and until when.
    pub(crate) const fn revoked(&self) -> &HashMap<SpiffeId, Vec<Option<Timestamp>>> {
        &self.revoked
    }

    /// What becomes of calls that nobody but Shadow lets pass.
    pub(crate) fn fallback(&self, policy: Option<&ServiceSpec>) -> Enforcement {
        match (policy, self.mesh()) {
            (Some(policy), _) => policy.enforcement,
            (None, Some(mesh)) => mesh.unpolicied,
            (None, None) => Enforcement::Enforce,
        }
    }

    /// Whether `service` hears what this proxy says of others.
    pub(crate) fn believes(&self, proxy: &SpiffeId, service: &SpiffeId) -> bool {
        self.policies.is_forwarder(proxy, service)
    }

    /// What this version says to a request.
    pub(crate) fn answer(&self, asked: &Asked<'_>) -> Answer {
        self.answer_by(&self.policies, asked)
    }

    /// What it would say if `policies` were its rules.
    pub(crate) fn answer_by(&self, policies: &PolicySet, asked: &Asked<'_>) -> Answer {
        let Asked {
            point,
            party,
            service,
            at,
            extras,
        } = *asked;
        let mut request = point.request(Some(service));
        let target;
        if let Some(extras) = extras {
            target = format!("{}{}", point.path(), extras.query);
            request.path = &target;
            request.headers = &extras.headers;
        }
        request.caller = match party {
            Party::Direct => Caller::Verified(point.caller()),
            // Whom nobody hears calls on its own behalf.
            Party::Via { by, .. } if !self.believes(by, service) => Caller::Verified(by),
            Party::Via { by, .. } => Caller::Forwarded {
                original: point.caller(),
                forwarder: by,
            },
            Party::Unverified => Caller::Unverified(IdentityFault::Missing),
        };
        self.decide_by(policies, request, at)
    }

    /// The same of any request.
    pub(crate) fn decide_by(
        &self,
        policies: &PolicySet,
        mut request: Request<'_>,
        at: Timestamp,
    ) -> Answer {
        if self.is_revoked(&request.caller, at) {
            request.caller = Caller::Unverified(IdentityFault::Revoked);
        }
        let decision = policies.decide(&request, at);
        Answer {
            level: match (decision.verdict, decision.permit()) {
                (Verdict::Allow, _) => Level::Allowed,
                (Verdict::Deny, Some(_)) => Level::LetPass,
                (Verdict::Deny, None) => Level::Refused,
            },
            reason: decision.reason,
            rule: decision.rule.map(|rule| rule.name.to_owned()),
        }
    }

    fn is_revoked(&self, caller: &Caller<'_>, at: Timestamp) -> bool {
        if self.revoked.is_empty() {
            return false;
        }
        let (one, other) = match caller {
            Caller::Verified(caller) => (Some(*caller), None),
            Caller::Forwarded {
                original,
                forwarder,
            } => (Some(*original), Some(*forwarder)),
            Caller::Unverified(_) => (None, None),
        };
        let mut parties = one.into_iter().chain(other);
        parties.any(|id| {
            let mut names = std::iter::once(id.clone()).chain(self.policies.aliases_of(id));
            names.any(|name| self.name_is_revoked(&name, at))
        })
    }

    fn name_is_revoked(&self, name: &SpiffeId, at: Timestamp) -> bool {
        let found = self.revoked.get(name);
        found.is_some_and(|all| all.iter().any(|end| end.is_none_or(|end| at < end)))
    }
}
