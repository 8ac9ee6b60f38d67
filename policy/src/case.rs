//! One verified caller's request against every rule that may be about it.

use std::cell::{Cell, RefCell};

use crate::{
    ConditionError, NearestMiss, PolicySet, Reason, Request, RuleRef, ShadowMatch, SpiffeId,
    Verdict,
    call::Call,
    decide::Outcome,
    nearest::{self, Miss, Origin, Probe},
    pattern::TrailingSlash,
    policy_set::{Document, ServicePolicy},
    spec::Enforcement,
    table::{Inquiry, Matches, RuleTable, Side},
    time::Moment,
    trust::Also,
};

/// One verified caller's request, and everything that decides about it.
pub(crate) struct Case<'p, 'c> {
    pub(crate) set: &'p PolicySet,
    pub(crate) policy: Option<&'p ServicePolicy>,
    pub(crate) request: &'c Request<'c>,
    pub(crate) call: &'c Call<'c>,
    pub(crate) also: &'c Also,
    pub(crate) now: Moment,
    /// Conditions that had no result so far.
    pub(crate) errors: &'c RefCell<Vec<ConditionError<'p>>>,
    /// Whether there is a rule that would decide if it held, and nobody here can say
    /// whether it does.
    pub(crate) open: Cell<bool>,
}

/// Where to look for the nearest miss of a refusal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Near {
    Anywhere,
    /// The rule of this number, which has expired.
    OfService(u32),
    OfMesh(u32),
}

impl<'p> Case<'p, '_> {
    pub(crate) fn outcome(&self) -> Outcome<'p> {
        let mut outcome = self.decided();
        outcome.shadow = self.shadow(&outcome);
        outcome.open = self.open.get();
        outcome
    }

    fn decided(&self) -> Outcome<'p> {
        let mesh = &self.set.mesh;
        if let Some(rule) = self.denied_by(&mesh.deny, &mesh.document) {
            return Outcome::refusal(Reason::DenyRule, Enforcement::Enforce).by(rule);
        }
        if let Some(policy) = self.policy
            && let Some(rule) = self.denied_by(&policy.deny, &policy.document)
        {
            return Outcome::refusal(Reason::DenyRule, policy.enforcement).by(rule);
        }
        let of_service = self.policy.map_or_else(Matches::default, |policy| {
            self.allowed_by(&policy.allow, &policy.document)
        });
        if let Some(policy) = self.policy
            && let Some(rule) = rule_ref(&policy.allow, of_service.rule, &policy.document)
        {
            return Outcome::allowance(rule, policy.allow.expiry(of_service.rule));
        }
        let of_mesh = self.allowed_by(&mesh.allow, &mesh.document);
        match rule_ref(&mesh.allow, of_mesh.rule, &mesh.document) {
            Some(rule) => Outcome::allowance(rule, mesh.allow.expiry(of_mesh.rule)),
            None => self.refused(of_service, of_mesh),
        }
    }

    fn slash(&self) -> TrailingSlash {
        self.policy
            .map_or(TrailingSlash::Keep, |policy| policy.paths.trailing_slash())
    }

    /// The rules that are about the caller under any of its names.
    fn allowed_by(&self, table: &'p RuleTable, document: &'p Document) -> Matches {
        let inquiry = &self.inquiry(Side::Allow(self.slash()), document);
        let mut matches = table.find(self.call, inquiry);
        for name in &self.also.names {
            matches = matches.or(table.find(&self.call.by(name), inquiry));
        }
        self.note_open(matches.is_open());
        matches
    }

    /// The deny rule that holds, for anyone who takes part.
    fn denied_by(&self, table: &'p RuleTable, document: &'p Document) -> Option<RuleRef<'p>> {
        if table.is_empty() {
            return None;
        }
        let inquiry = &self.inquiry(Side::Deny, document);
        let mut matches = denials(table, self.call, inquiry);
        for name in self.also.names.iter().chain(&self.also.forwarders) {
            matches = matches.or(denials(table, &self.call.by(name), inquiry));
        }
        self.note_open(matches.is_open());
        rule_ref(table, matches.rule, document)
    }

    fn note_open(&self, open: bool) {
        if open {
            self.open.set(true);
        }
    }

    const fn inquiry(&self, side: Side, document: &'p Document) -> Inquiry<'p, '_> {
        Inquiry {
            side,
            now: self.now,
            document,
            errors: self.errors,
        }
    }

    /// The rule in Shadow that would decide if it were live. What a live rule denies, none
    /// of them would change.
    fn shadow(&self, outcome: &Outcome<'p>) -> Option<ShadowMatch<'p>> {
        let of_mesh = self.set.mesh.shadow.as_deref();
        let of_mesh = of_mesh.map(|rules| (rules, &self.set.mesh.document));
        let of_service = self
            .policy
            .and_then(|policy| Some((policy.shadow.as_deref()?, &policy.document)));
        if (of_mesh.is_none() && of_service.is_none()) || outcome.reason == Reason::DenyRule {
            return None;
        }
        let mut denied = [of_mesh, of_service].into_iter().flatten();
        let denied = denied.find_map(|(rules, document)| {
            let verdict = Verdict::Deny;
            let rule = self.denied_by(&rules.deny, document)?;
            Some(ShadowMatch { verdict, rule })
        });
        denied.or_else(|| {
            let mut allowed = [of_service, of_mesh].into_iter().flatten();
            allowed.find_map(|(rules, document)| {
                let verdict = Verdict::Allow;
                let rule = self.allowed_by(&rules.allow, document).rule;
                let rule = rule_ref(&rules.allow, rule, document)?;
                Some(ShadowMatch { verdict, rule })
            })
        })
    }

    /// No rule allows the call, but some might have, had they not expired.
    fn refused(&self, of_service: Matches, of_mesh: Matches) -> Outcome<'p> {
        let mesh = &self.set.mesh;
        let Some(policy) = self.policy else {
            let mut outcome = Outcome::refusal(Reason::NoPolicy, mesh.unpolicied);
            outcome.near = of_mesh.expired.map(Near::OfMesh);
            return outcome;
        };
        let expired = [
            (
                &policy.allow,
                of_service,
                &policy.document,
                Near::OfService as fn(u32) -> Near,
            ),
            (&mesh.allow, of_mesh, &mesh.document, Near::OfMesh),
        ];
        for (table, matches, document, near) in expired {
            self.note_open(matches.is_open_when_refused());
            if let Some(expired) = rule_ref(table, matches.expired, document) {
                let mut outcome =
                    Outcome::refusal(Reason::ExceptionExpired, policy.enforcement).by(expired);
                outcome.near = matches.expired.map(near);
                return outcome;
            }
        }
        let mut outcome = Outcome::refusal(Reason::NoRule, policy.enforcement);
        outcome.near = Some(Near::Anywhere);
        outcome
    }

    /// The rule that came closest, where one is looked for.
    pub(crate) fn nearest_miss(&self, near: Near) -> Option<Box<NearestMiss<'p>>> {
        let mesh = &self.set.mesh;
        let policy = self.policy;
        match near {
            Near::Anywhere => self.nearest(policy?),
            Near::OfService(rule) => self.expired(&policy?.allow, rule, &policy?.document),
            Near::OfMesh(rule) => self.expired(&mesh.allow, rule, &mesh.document),
        }
    }

    fn expired(
        &self,
        table: &'p RuleTable,
        rule: u32,
        document: &'p Document,
    ) -> Option<Box<NearestMiss<'p>>> {
        let near = self.closest(|probe| nearest::of_rule(table, rule, probe))?;
        self.describe(near, table, document)
    }

    /// The closest rule of the service, unless one of the mesh is closer.
    fn nearest(&self, policy: &'p ServicePolicy) -> Option<Box<NearestMiss<'p>>> {
        let mesh = &self.set.mesh;
        let of_service = self.closest(|probe| nearest::find(&policy.allow, probe));
        let of_mesh = self.closest(|probe| nearest::find(&mesh.allow, probe));
        match (of_service, of_mesh) {
            (Some((service, _)), Some(near)) if near.0.closeness > service.closeness => {
                self.describe(near, &mesh.allow, &mesh.document)
            }
            (Some(near), _) => self.describe(near, &policy.allow, &policy.document),
            (None, Some(near)) => self.describe(near, &mesh.allow, &mesh.document),
            (None, None) => None,
        }
    }

    /// What comes closest under any of the caller's names, and under which.
    fn closest(
        &self,
        miss: impl Fn(Probe<'_>) -> Option<Miss<'p>>,
    ) -> Option<(Miss<'p>, &SpiffeId)> {
        let mut closest: Option<(Miss<'p>, &SpiffeId)> = None;
        for name in std::iter::once(self.call.caller).chain(&self.also.names) {
            let Some(miss) = miss(self.probe(&self.call.by(name))) else {
                continue;
            };
            // Of those alike, the caller's own name.
            if closest
                .as_ref()
                .is_none_or(|(best, _)| miss.closeness > best.closeness)
            {
                closest = Some((miss, name));
            }
        }
        closest
    }

    fn probe<'r>(&self, call: &'r Call<'r>) -> Probe<'r> {
        Probe {
            call,
            slash: self.slash(),
            now: self.now.latest,
        }
    }

    fn describe(
        &self,
        (miss, name): (Miss<'p>, &SpiffeId),
        table: &'p RuleTable,
        document: &'p Document,
    ) -> Option<Box<NearestMiss<'p>>> {
        let options = self.policy.map(|policy| policy.paths);
        let origin = Origin {
            miss,
            table,
            options: options.unwrap_or_default(),
            alias: (name != self.call.caller).then(|| name.clone()),
        };
        let call = self.call.by(name);
        nearest::describe(origin, document, self.request, self.probe(&call)).map(Box::new)
    }
}

/// The deny rules that hold, in any reading of the path.
fn denials<'p>(table: &'p RuleTable, call: &Call<'_>, inquiry: &Inquiry<'p, '_>) -> Matches {
    let mut matches = table.find(call, inquiry);
    for reading in call.path.other_readings() {
        matches = matches.or(table.find(&call.reading(&reading), inquiry));
    }
    matches
}

fn rule_ref<'p>(
    table: &'p RuleTable,
    rule: Option<u32>,
    document: &'p Document,
) -> Option<RuleRef<'p>> {
    Some(document.rule_ref(table.rule(rule?)?))
}
