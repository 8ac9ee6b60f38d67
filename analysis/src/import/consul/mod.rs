//! Consul's service intentions.
//!
//! The most specific intention of a source and a destination decides, so an exact source may
//! be let in where everybody else is kept out, and the other way round. Here deny rules come
//! first: what a wider intention lets in, and a more specific one keeps out, becomes a deny rule, and
//! a wider one that keeps out is what happens anyway.

mod effective;
mod intentions;
mod permissions;
mod read;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Options,
    document::{Node, Span},
    draft::{Action, Call, Draft, Rule, Target},
    report::{Finding, Kind, Report},
    shape::Shape,
};
use effective::Order;
use intentions::{Effect, Intention};

/// What the documents do not say themselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mesh<'a> {
    pub(super) options: &'a Options,
    /// Where the services run.
    pub(super) datacenters: &'a [String],
}

/// Reads every intention of `documents`; false if there is none.
pub(super) fn read(
    documents: &[Node],
    mesh: Mesh<'_>,
    draft: &mut Draft,
    report: &mut Report,
) -> bool {
    let (intentions, found) = read::read(documents, mesh.options, report);
    let mut import = Import {
        mesh,
        draft,
        report,
        several: intentions.iter().any(Intention::names_a_place),
        everywhere: BTreeSet::new(),
    };
    let mut destinations: BTreeMap<&intentions::Service, Vec<&Intention<'_>>> = BTreeMap::new();
    for intention in intentions.iter().filter(|one| !one.destination.is_wild()) {
        destinations.entry(&intention.destination).or_default();
    }
    for (destination, list) in &mut destinations {
        list.extend(
            intentions
                .iter()
                .filter(|one| one.destination.covers(destination)),
        );
    }
    let wide: Vec<&Intention<'_>> = intentions
        .iter()
        .filter(|one| one.destination.is_wild())
        .collect();
    import.everywhere(&wide);
    for (destination, list) in destinations {
        import.destination(destination, list);
    }
    found
}

struct Import<'a, 'd> {
    mesh: Mesh<'a>,
    draft: &'d mut Draft,
    report: &'d mut Report,
    /// There are namespaces or partitions beside the default ones.
    several: bool,
    /// Where the intentions stand that rules of the mesh say.
    everywhere: BTreeSet<Span>,
}

impl Import<'_, '_> {
    /// Intentions for every destination.
    fn everywhere(&mut self, wide: &[&Intention<'_>]) {
        for intention in Order::new(wide.to_vec()).all() {
            let one = intention.one;
            if one.effect == Effect::Deny || intention.hidden_by.is_some() {
                continue;
            }
            let some = self.several && one.destination.namespace != "*";
            let excepted = intention
                .inner
                .iter()
                .any(|inner| inner.effect != Effect::Allow);
            if some || excepted {
                let message = "an intention for many destinations, that is not for all or not for all callers alike";
                let finding = Finding::new(Kind::Precedence, one.at, message);
                let finding =
                    finding.effect("written only for the destinations that other intentions name");
                self.report
                    .push(finding.instead("write it for each destination"));
                continue;
            }
            if one.effect == Effect::Allow {
                self.everywhere.insert(one.at);
            }
            self.let_in(&intention, &Target::Mesh);
        }
    }

    /// Intentions for one destination, those for every destination among them.
    fn destination(&mut self, destination: &intentions::Service, list: Vec<&Intention<'_>>) {
        let target = Target::Services(self.ids(destination));
        self.draft.declare(&target);
        for intention in Order::new(list).all() {
            let one = intention.one;
            match (&one.effect, intention.hidden_by) {
                (Effect::Deny, _) => {}
                (_, Some(hiding)) if self.mesh_says(one) && hiding.effect != Effect::Allow => {
                    self.take_back(one, hiding, &intention.inner, &target);
                }
                (_, Some(_)) if !self.mesh_says(one) => {}
                _ => self.among_others(&intention, &target),
            }
        }
    }

    /// An intention that lets in, with more specific ones for some of its sources.
    fn among_others(&mut self, intention: &effective::Effective<'_, '_>, target: &Target) {
        let one = intention.one;
        // What a rule for every service lets in can only be taken back by denying.
        let action = if self.mesh_says(one) {
            Action::Deny
        } else {
            Action::Allow
        };
        if let Some(finding) = intention.conflict() {
            self.draft.gap(finding, action, target, self.report);
            return;
        }
        if intention.hidden_by.is_none() && !self.everywhere.contains(&one.at) {
            self.let_in(intention, target);
        }
        self.keep_out(intention, target);
    }

    /// Whether some rule of the mesh lets in by it, all or in part.
    fn mesh_says(&self, one: &Intention<'_>) -> bool {
        self.everywhere.contains(&one.at)
            || one.destination.is_wild() && matches!(one.effect, Effect::Permissions(_))
    }

    /// Keeps out here whom an intention for every destination lets in.
    fn take_back(
        &mut self,
        wide: &Intention<'_>,
        hiding: &Intention<'_>,
        inner: &[&Intention<'_>],
        target: &Target,
    ) {
        let simple = inner.iter().all(|inner| inner.effect == Effect::Deny);
        if hiding.effect == Effect::Deny && simple {
            self.deny(hiding, &wide.source, target);
            return;
        }
        let message = "this is for callers that an intention for every destination lets in";
        let finding = Finding::new(Kind::Precedence, hiding.at, message);
        let instead = "write the wider intention for each destination that it is for";
        self.draft
            .gap(finding.instead(instead), Action::Deny, target, self.report);
    }

    fn let_in(&mut self, intention: &effective::Effective<'_, '_>, target: &Target) {
        let one = intention.one;
        match &one.effect {
            Effect::Deny => {}
            Effect::Allow => {
                let rule = Rule {
                    name: one.name.clone(),
                    at: one.at,
                    from: Some(vec![one.source.clone()]),
                    to: vec![Call::any()],
                    when: None,
                };
                self.draft.add(target, Action::Allow, vec![rule]);
            }
            Effect::Permissions(list) => {
                let lone = intention.inner.is_empty() && *target_is_one(target);
                permissions::add(one, list, lone, target, self.draft, self.report);
            }
        }
    }

    /// Deny rules for whom more specific intentions keep out.
    fn keep_out(&mut self, intention: &effective::Effective<'_, '_>, target: &Target) {
        for inner in &intention.inner {
            if inner.effect == Effect::Deny {
                self.deny(inner, &inner.source, target);
            }
        }
    }

    fn deny(&mut self, because: &Intention<'_>, from: &Shape, target: &Target) {
        let rule = Rule {
            name: because.name.clone(),
            at: because.at,
            from: Some(vec![from.clone()]),
            to: vec![Call::any()],
            when: None,
        };
        self.draft.add(target, Action::Deny, vec![rule]);
    }

    /// The SPIFFE IDs that Consul gives to a service, one in each datacenter.
    fn ids(&self, service: &intentions::Service) -> Vec<String> {
        let domain = intentions::domain(self.mesh.options);
        let partition = match service.partition.as_str() {
            intentions::DEFAULT => String::new(),
            other => format!("/ap/{other}"),
        };
        let id = |datacenter: &String| {
            let (namespace, name) = (&service.namespace, &service.name);
            format!("spiffe://{domain}{partition}/ns/{namespace}/dc/{datacenter}/svc/{name}")
        };
        self.mesh.datacenters.iter().map(id).collect()
    }
}

/// Whether deny rules for `target` are for one destination alone.
const fn target_is_one(target: &Target) -> &bool {
    match target {
        Target::Mesh => &false,
        Target::Services(_) => &true,
    }
}
