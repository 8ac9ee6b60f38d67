//! The decision: deny rules first, then allow rules, else no.

#[cfg(test)]
pub(crate) mod agreement;
#[cfg(test)]
pub(crate) mod reference;
#[cfg(test)]
#[cfg(feature = "documents")]
mod shadow;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};

use crate::{
    Ambiguity, ConditionError, ConditionFault, IdentityFault, InputPart, Inputs, NearestMiss,
    PathOptions, PolicySet, Reason, Request, RuleRef, Timestamp,
    call::{self, Call},
    case::{Case, Near},
    condition::Notes,
    policy_set::ServicePolicy,
    request::Caller,
    spec::Enforcement,
    time::Moment,
    trust::Parties,
};

/// The answer to one request.
#[derive(Debug)]
pub struct Decision<'p> {
    /// What the rules say.
    pub verdict: Verdict,
    /// The cause.
    pub reason: Reason,
    /// False if a Shadow setting lets pass what the verdict refuses.
    pub enforced: bool,
    /// The rule that decided: the allow or deny rule that matched, or the one
    /// whose exception has expired.
    pub rule: Option<RuleRef<'p>>,
    /// The allow rule that came closest: of a `no-rule`, of an `exception-expired`
    /// the rule that expired, and of a `no-policy` an expired rule of the mesh.
    ///
    /// Boxed, as is whatever few answers have: an allowed call shall not pay for moving it.
    pub nearest_miss: Option<Box<NearestMiss<'p>>>,
    /// Of a `path-ambiguous`: what has more than one reading.
    pub ambiguity: Option<Ambiguity>,
    /// `metadata.name` of the called service's policy.
    pub policy: Option<&'p str>,
    /// `spec.owner` of the called service's policy; only verified callers learn it.
    pub owner: Option<&'p str>,
    /// `spec.help` of the called service's policy; only verified callers learn it.
    pub help: Option<&'p str>,
    /// `spec.overrideHeaders: Keep`: the service wants headers such as
    /// `x-http-method-override`.
    pub keep_override_headers: bool,
    /// The headers and the query values that conditions read.
    pub inputs: Inputs,
    /// Conditions that had no result.
    pub condition_errors: Vec<ConditionError<'p>>,
    /// What a rule in Shadow would have decided.
    pub shadow: Option<ShadowMatch<'p>>,
    /// Whether the caller counts as who it says. Only then may an answer name it, or
    /// tell it whom to ask.
    pub recognized: bool,
    /// Of a call that an exception allows: from this moment on it does not.
    pub expires: Option<Timestamp>,
    /// Whether a rule might decide otherwise that cannot be decided here.
    pub(crate) open: bool,
    permit: Option<Permit>,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The call is allowed.
    Allow,
    /// The call is not allowed.
    Deny,
}

/// A rule in Shadow that matches: were it live, it would decide, unless another rule that
/// allows stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShadowMatch<'p> {
    /// What it would decide.
    pub verdict: Verdict,
    /// The rule.
    pub rule: RuleRef<'p>,
}

/// Proof that a call may go on. Only [`PolicySet::decide`] makes one, for a call
/// that is allowed or that only a Shadow setting lets pass, so no answer that
/// opens the gate can be built without a decision.
#[derive(Debug)]
pub struct Permit(());

impl Decision<'_> {
    /// The proof that this call may go on, if it may.
    #[must_use]
    pub const fn permit(&self) -> Option<&Permit> {
        self.permit.as_ref()
    }

    /// What nobody had looked for, and might have let the call in. A refusal that has this
    /// is none yet.
    #[must_use]
    pub fn undecided(&self) -> Option<(InputPart, &str)> {
        let failed = |rule| self.condition_errors.iter().any(|error| error.rule == rule);
        let certain = match self.reason {
            Reason::Allow => true,
            Reason::DenyRule => !self.rule.is_some_and(failed),
            _ => false,
        };
        if certain {
            return None;
        }
        let mut faults = self.condition_errors.iter().map(|error| &error.fault);
        faults.find_map(ConditionFault::unknown)
    }
}

/// What decides an answer; the rest of it follows.
pub(crate) struct Outcome<'p> {
    pub(crate) reason: Reason,
    pub(crate) enforcement: Enforcement,
    pub(crate) rule: Option<RuleRef<'p>>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) near: Option<Near>,
    pub(crate) open: bool,
    pub(crate) ambiguity: Option<Ambiguity>,
    pub(crate) shadow: Option<ShadowMatch<'p>>,
    pub(crate) nearest_miss: Option<Box<NearestMiss<'p>>>,
}

impl PolicySet {
    /// Decides `request` at `now`.
    ///
    /// Causes are looked for in this order: the identity, the path, deny rules of the
    /// mesh and of the service, allow rules of the service and of the mesh. A callee
    /// without a SPIFFE ID is a service without a policy.
    ///
    /// Allow rules are held against the caller, under each of its names; deny rules
    /// against its forwarder as well.
    #[must_use]
    pub fn decide<'p>(&'p self, request: &Request<'_>, now: Timestamp) -> Decision<'p> {
        let policy = self.policy_for(request.service);
        self.decide_by(policy, request, now.into(), |case, near| {
            case.nearest_miss(near)
        })
    }

    /// The same for a service with this policy; `explain` looks for the nearest miss, which
    /// is for those to tell who know every rule.
    pub(crate) fn decide_by<'p>(
        &'p self,
        policy: Option<&'p ServicePolicy>,
        request: &Request<'_>,
        now: Moment,
        explain: impl Fn(&Case<'p, '_>, Near) -> Option<Box<NearestMiss<'p>>>,
    ) -> Decision<'p> {
        let parties = self.parties(request);
        let (notes, errors) = (Notes::default(), RefCell::default());
        let outcome = self.outcome(policy, parties, request, now, (&notes, &errors), explain);
        let enforced = outcome.enforcement == Enforcement::Enforce;
        let allowed = outcome.reason == Reason::Allow;
        let recognized = parties.is_ok();
        let told = policy.filter(|_| recognized);
        Decision {
            verdict: if allowed {
                Verdict::Allow
            } else {
                Verdict::Deny
            },
            reason: outcome.reason,
            enforced,
            rule: outcome.rule,
            nearest_miss: outcome.nearest_miss,
            ambiguity: outcome.ambiguity,
            policy: policy.map(|policy| &*policy.document.name),
            owner: told.and_then(|policy| policy.owner.as_deref()),
            help: told.and_then(|policy| policy.help.as_deref()),
            keep_override_headers: policy.is_some_and(|policy| policy.keep_override_headers),
            inputs: notes.inputs.into_inner(),
            condition_errors: errors.into_inner(),
            shadow: outcome.shadow,
            recognized,
            expires: outcome.expires,
            open: outcome.open,
            permit: (allowed || !enforced).then_some(Permit(())),
        }
    }

    fn outcome<'p>(
        &'p self,
        policy: Option<&'p ServicePolicy>,
        parties: Result<Parties<'_>, IdentityFault>,
        request: &Request<'_>,
        now: Moment,
        (notes, errors): (&Notes, &RefCell<Vec<ConditionError<'p>>>),
        explain: impl Fn(&Case<'p, '_>, Near) -> Option<Box<NearestMiss<'p>>>,
    ) -> Outcome<'p> {
        let options = policy.map_or_else(PathOptions::default, |policy| policy.paths);
        if let Err(fault) = parties
            && !self.passes_unproven(fault)
        {
            return Outcome::refusal(fault.reason(), Enforcement::Enforce);
        }
        match (call::read(request, options), parties) {
            (Err(ambiguity), _) => Outcome::ambiguous(ambiguity),
            (Ok((method, path)), Ok(parties)) => {
                let call = &Call::new(parties.caller, request, method, &path, notes);
                let case = Case {
                    set: self,
                    policy,
                    request,
                    call,
                    also: &self.mesh.trust.also(parties),
                    now,
                    errors,
                    open: Cell::default(),
                };
                let mut outcome = case.outcome();
                outcome.nearest_miss = outcome.near.and_then(|near| explain(&case, near));
                outcome
            }
            // No rule is about a caller that is not verified.
            (Ok(_), Err(fault)) => match policy {
                None if self.mesh.unpolicied == Enforcement::Enforce => {
                    Outcome::refusal(Reason::NoPolicy, Enforcement::Enforce)
                }
                _ => Outcome::refusal(fault.reason(), Enforcement::Shadow),
            },
        }
    }

    /// Who takes part in the call, as far as the mesh accepts and believes them.
    fn parties<'c>(&self, request: &Request<'c>) -> Result<Parties<'c>, IdentityFault> {
        let (caller, forwarder) = match request.caller {
            Caller::Verified(caller) => (caller, None),
            Caller::Forwarded {
                original,
                forwarder,
            } => (original, Some(forwarder)),
            Caller::Unverified(fault) => return Err(fault),
        };
        let parties = Parties { caller, forwarder };
        if self.mesh.trust.believes(parties, request.service) {
            Ok(parties)
        } else {
            Err(IdentityFault::Untrusted)
        }
    }

    /// Whether the operator lets callers with this fault pass.
    fn passes_unproven(&self, fault: IdentityFault) -> bool {
        self.mesh.identity == Enforcement::Shadow && fault != IdentityFault::Revoked
    }
}

impl<'p> Outcome<'p> {
    pub(crate) fn allowance(rule: RuleRef<'p>, expires: Option<Timestamp>) -> Self {
        Self {
            rule: Some(rule),
            expires,
            ..Self::refusal(Reason::Allow, Enforcement::Enforce)
        }
    }

    pub(crate) const fn refusal(reason: Reason, enforcement: Enforcement) -> Self {
        Self {
            reason,
            enforcement,
            rule: None,
            expires: None,
            near: None,
            open: false,
            ambiguity: None,
            shadow: None,
            nearest_miss: None,
        }
    }

    fn ambiguous(ambiguity: Ambiguity) -> Self {
        Self {
            ambiguity: Some(ambiguity),
            ..Self::refusal(Reason::PathAmbiguous, Enforcement::Enforce)
        }
    }

    pub(crate) fn by(self, rule: RuleRef<'p>) -> Self {
        Self {
            rule: Some(rule),
            ..self
        }
    }
}
