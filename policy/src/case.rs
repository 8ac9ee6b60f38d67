//! One verified caller's request against every rule that may be about it.

use crate::{
    NearestMiss, PathOptions, PolicySet, Reason, Request, RuleRef, Timestamp,
    call::Call,
    decide::Outcome,
    nearest::{self, Miss, Probe, Scene},
    pattern::TrailingSlash,
    policy_set::{Document, ServicePolicy},
    spec::Enforcement,
    table::{Matches, RuleTable, Side},
};

/// One verified caller's request, and everything that decides about it.
pub(crate) struct Case<'p, 'c> {
    pub(crate) set: &'p PolicySet,
    pub(crate) policy: Option<&'p ServicePolicy>,
    pub(crate) request: &'c Request<'c>,
    pub(crate) call: &'c Call<'c>,
    pub(crate) now: Timestamp,
}

impl<'p> Case<'p, '_> {
    pub(crate) fn outcome(&self) -> Outcome<'p> {
        let mesh = &self.set.mesh;
        if let Some(rule) = self.denied_by(&mesh.deny, &mesh.document) {
            return Outcome::refusal(Reason::DenyRule, Enforcement::Enforce).by(rule);
        }
        if let Some(policy) = self.policy
            && let Some(rule) = self.denied_by(&policy.deny, &policy.document)
        {
            return Outcome::refusal(Reason::DenyRule, policy.enforcement).by(rule);
        }
        let side = Side::Allow(self.slash());
        let find = |table: &RuleTable| table.find(self.call, side, self.now);
        let of_service = self
            .policy
            .map_or_else(Matches::default, |policy| find(&policy.allow));
        if let Some(policy) = self.policy
            && let Some(rule) = rule_ref(&policy.allow, of_service.rule, &policy.document)
        {
            return Outcome::allowance(rule);
        }
        let of_mesh = find(&mesh.allow);
        match rule_ref(&mesh.allow, of_mesh.rule, &mesh.document) {
            Some(rule) => Outcome::allowance(rule),
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
        let mut first = table.find(self.call, Side::Deny, self.now).rule;
        for reading in self.call.path.other_readings() {
            let call = self.call.reading(&reading);
            let rule = table.find(&call, Side::Deny, self.now).rule;
            first = first.into_iter().chain(rule).min();
        }
        rule_ref(table, first, document)
    }

    /// No rule allows the call; the numbers are of rules that would, had they not
    /// expired.
    fn refused(&self, of_service: Option<u32>, of_mesh: Option<u32>) -> Outcome<'p> {
        let mesh = &self.set.mesh;
        let Some(policy) = self.policy else {
            let mut outcome = Outcome::refusal(Reason::NoPolicy, mesh.unpolicied);
            outcome.nearest_miss = self.expired(&mesh.allow, of_mesh, &mesh.document);
            return outcome;
        };
        let expired = [
            (&policy.allow, of_service, &policy.document),
            (&mesh.allow, of_mesh, &mesh.document),
        ];
        for (table, rule, document) in expired {
            if let Some(expired) = rule_ref(table, rule, document) {
                let mut outcome =
                    Outcome::refusal(Reason::ExceptionExpired, policy.enforcement).by(expired);
                outcome.nearest_miss = self.expired(table, rule, document);
                return outcome;
            }
        }
        let mut outcome = Outcome::refusal(Reason::NoRule, policy.enforcement);
        outcome.nearest_miss = self.nearest(policy);
        outcome
    }

    fn expired(
        &self,
        table: &'p RuleTable,
        rule: Option<u32>,
        document: &'p Document,
    ) -> Option<Box<NearestMiss<'p>>> {
        let miss = nearest::of_rule(table, rule?, self.probe())?;
        self.describe(&miss, table, document)
    }

    /// The closest rule of the service, unless one of the mesh is closer.
    fn nearest(&self, policy: &'p ServicePolicy) -> Option<Box<NearestMiss<'p>>> {
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
    ) -> Option<Box<NearestMiss<'p>>> {
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
        nearest::describe(miss, &scene).map(Box::new)
    }
}

fn rule_ref<'p>(
    table: &'p RuleTable,
    rule: Option<u32>,
    document: &'p Document,
) -> Option<RuleRef<'p>> {
    Some(document.rule_ref(table.rule(rule?)?))
}
