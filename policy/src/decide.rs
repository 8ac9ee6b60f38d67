//! The decision: deny rules first, then allow rules, else no.

#[cfg(test)]
mod tests;

use crate::{
    Ambiguity, CanonicalPath, IdentityFault, NearestMiss, PathOptions, PolicySet, Reason, Request,
    RuleRef, Timestamp,
    call::{self, Call},
    nearest::{self, Miss, Probe, Scene},
    pattern::TrailingSlash,
    policy_set::{Document, ServicePolicy},
    request::Caller,
    spec::Enforcement,
    table::{Matches, RuleTable, Side},
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
    pub nearest_miss: Option<NearestMiss<'p>>,
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
}

impl PolicySet {
    /// Decides `request` at `now`.
    ///
    /// Causes are looked for in this order: the identity, the path, deny rules of the
    /// mesh and of the service, allow rules of the service and of the mesh. A callee
    /// without a SPIFFE ID is a service without a policy.
    #[must_use]
    pub fn decide<'p>(&'p self, request: &Request<'_>, now: Timestamp) -> Decision<'p> {
        let policy = self.policy_for(request.service);
        let options = policy.map_or_else(PathOptions::default, |policy| policy.paths);
        let shadowed =
            |fault| self.mesh.identity == Enforcement::Shadow && fault != IdentityFault::Revoked;
        match request.caller {
            Caller::Unverified(fault) if !shadowed(fault) => {
                refusal(fault.reason(), Enforcement::Enforce).about(policy)
            }
            Caller::Unverified(fault) => match call::read(request, options) {
                Err(ambiguity) => ambiguous(ambiguity).about(policy),
                Ok(_) => self.anonymous(fault, policy).about(policy),
            },
            Caller::Verified(caller) => match call::read(request, options) {
                Err(ambiguity) => ambiguous(ambiguity).about(policy).told(policy),
                Ok((method, path)) => {
                    let call = Call::new(caller, request, method, path);
                    let case = Case {
                        set: self,
                        policy,
                        request,
                        call: &call,
                        now,
                    };
                    case.decide().about(policy).told(policy)
                }
            },
        }
    }

    /// A caller whose identity the operator lets pass unproven. No rule is about it.
    fn anonymous<'p>(&self, fault: IdentityFault, policy: Option<&ServicePolicy>) -> Decision<'p> {
        if policy.is_none() && self.mesh.unpolicied == Enforcement::Enforce {
            return refusal(Reason::NoPolicy, Enforcement::Enforce);
        }
        refusal(fault.reason(), Enforcement::Shadow)
    }
}

/// One verified caller's request, and everything that decides about it.
struct Case<'p, 'c> {
    set: &'p PolicySet,
    policy: Option<&'p ServicePolicy>,
    request: &'c Request<'c>,
    call: &'c Call<'c>,
    now: Timestamp,
}

impl<'p> Case<'p, '_> {
    fn decide(&self) -> Decision<'p> {
        let mesh = &self.set.mesh;
        if let Some(rule) = self.denied_by(&mesh.deny, &mesh.document) {
            return refusal(Reason::DenyRule, Enforcement::Enforce).by(rule);
        }
        if let Some(policy) = self.policy
            && let Some(rule) = self.denied_by(&policy.deny, &policy.document)
        {
            return refusal(Reason::DenyRule, policy.enforcement).by(rule);
        }
        let side = Side::Allow(self.slash());
        let find = |table: &RuleTable| table.find(self.call, &self.call.path, side, self.now);
        let of_service = self
            .policy
            .map_or_else(Matches::default, |policy| find(&policy.allow));
        if let Some(policy) = self.policy
            && let Some(rule) = rule_ref(&policy.allow, of_service.rule, &policy.document)
        {
            return allowance(rule);
        }
        let of_mesh = find(&mesh.allow);
        match rule_ref(&mesh.allow, of_mesh.rule, &mesh.document) {
            Some(rule) => allowance(rule),
            None => self.refused(of_service.expired, of_mesh.expired),
        }
    }

    fn slash(&self) -> TrailingSlash {
        self.policy
            .map_or(TrailingSlash::Keep, ServicePolicy::trailing_slash)
    }

    /// The deny rule that holds, in any reading of the path.
    fn denied_by(&self, table: &'p RuleTable, document: &'p Document) -> Option<RuleRef<'p>> {
        if table.is_empty() {
            return None;
        }
        let find = |path: &CanonicalPath<'_>| table.find(self.call, path, Side::Deny, self.now);
        let others = self.call.path.other_readings();
        let readings = std::iter::once(&self.call.path).chain(&others);
        let rule = readings.filter_map(|path| find(path).rule).min();
        rule_ref(table, rule, document)
    }

    /// No rule allows the call; the numbers are of rules that would, had they not
    /// expired.
    fn refused(&self, of_service: Option<u32>, of_mesh: Option<u32>) -> Decision<'p> {
        let mesh = &self.set.mesh;
        let Some(policy) = self.policy else {
            let mut decision = refusal(Reason::NoPolicy, mesh.unpolicied);
            decision.nearest_miss = self.expired(&mesh.allow, of_mesh, &mesh.document);
            return decision;
        };
        let expired = [
            (&policy.allow, of_service, &policy.document),
            (&mesh.allow, of_mesh, &mesh.document),
        ];
        for (table, rule, document) in expired {
            if let Some(expired) = rule_ref(table, rule, document) {
                let mut decision =
                    refusal(Reason::ExceptionExpired, policy.enforcement).by(expired);
                decision.nearest_miss = self.expired(table, rule, document);
                return decision;
            }
        }
        let mut decision = refusal(Reason::NoRule, policy.enforcement);
        decision.nearest_miss = self.nearest(policy);
        decision
    }

    fn expired(
        &self,
        table: &'p RuleTable,
        rule: Option<u32>,
        document: &'p Document,
    ) -> Option<NearestMiss<'p>> {
        let miss = nearest::of_rule(table, rule?, self.probe())?;
        self.describe(&miss, table, document)
    }

    /// The closest rule of the service, unless one of the mesh is closer.
    fn nearest(&self, policy: &'p ServicePolicy) -> Option<NearestMiss<'p>> {
        let mesh = &self.set.mesh;
        let of_service = nearest::find(&policy.allow, self.probe());
        let of_mesh = nearest::find(&mesh.allow, self.probe());
        match (of_service, of_mesh) {
            (Some(service), Some(mesh_miss)) if mesh_miss.closeness > service.closeness => {
                self.describe(&mesh_miss, &mesh.allow, &mesh.document)
            }
            (Some(miss), _) => self.describe(&miss, &policy.allow, &policy.document),
            (None, Some(miss)) => self.describe(&miss, &mesh.allow, &mesh.document),
            (None, None) => None,
        }
    }

    fn probe(&self) -> Probe<'_> {
        Probe {
            call: self.call,
            slash: self.slash(),
            now: self.now,
        }
    }

    fn describe(
        &self,
        miss: &Miss<'p>,
        table: &'p RuleTable,
        document: &'p Document,
    ) -> Option<NearestMiss<'p>> {
        let options = self
            .policy
            .map_or_else(PathOptions::default, |policy| policy.paths);
        let scene = Scene {
            table,
            document,
            options,
            request: self.request,
            probe: self.probe(),
        };
        nearest::describe(miss, &scene)
    }
}

fn rule_ref<'p>(
    table: &'p RuleTable,
    rule: Option<u32>,
    document: &'p Document,
) -> Option<RuleRef<'p>> {
    Some(document.rule_ref(table.rule(rule?)?))
}

fn allowance(rule: RuleRef<'_>) -> Decision<'_> {
    Decision {
        verdict: Verdict::Allow,
        enforced: true,
        permit: Some(Permit(())),
        ..refusal(Reason::Allow, Enforcement::Enforce)
    }
    .by(rule)
}

fn refusal<'p>(reason: Reason, enforcement: Enforcement) -> Decision<'p> {
    let enforced = enforcement == Enforcement::Enforce;
    Decision {
        verdict: Verdict::Deny,
        reason,
        enforced,
        rule: None,
        nearest_miss: None,
        ambiguity: None,
        policy: None,
        owner: None,
        help: None,
        keep_override_headers: false,
        permit: (!enforced).then_some(Permit(())),
    }
}

fn ambiguous<'p>(ambiguity: Ambiguity) -> Decision<'p> {
    Decision {
        ambiguity: Some(ambiguity),
        ..refusal(Reason::PathAmbiguous, Enforcement::Enforce)
    }
}

impl<'p> Decision<'p> {
    fn by(mut self, rule: RuleRef<'p>) -> Self {
        self.rule = Some(rule);
        self
    }

    fn about(mut self, policy: Option<&'p ServicePolicy>) -> Self {
        if let Some(policy) = policy {
            self.policy = Some(&policy.document.name);
            self.keep_override_headers = policy.keep_override_headers;
        }
        self
    }

    /// For verified callers: whom to ask.
    fn told(mut self, policy: Option<&'p ServicePolicy>) -> Self {
        if let Some(policy) = policy {
            self.owner = policy.owner.as_deref();
            self.help = policy.help.as_deref();
        }
        self
    }
}
