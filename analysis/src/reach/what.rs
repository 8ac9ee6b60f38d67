//! What one caller can do.

use std::collections::BTreeSet;

use callgate_policy::{Caller, CallerPattern, Side, SpiffeId, Timestamp};

use super::{Grant, Scene, is_allowed};
use crate::{
    diff::{Version, scene::World, way::Way},
    language::{Language, Point, Shape},
};

/// Everything that one caller can do.
#[derive(Clone, Debug, Default)]
pub struct Reachable {
    /// By service, in the order of their names.
    pub services: Vec<(SpiffeId, Vec<Can>)>,
    /// What it can do at every service that has no policy.
    pub elsewhere: Vec<Can>,
    /// Services that let everybody pass by a Shadow setting.
    pub let_pass: Vec<SpiffeId>,
}

/// Something that a caller can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Can {
    /// The operation, as a rule would say it. What the caller's identity captures is put
    /// in.
    pub what: String,
    /// By which rule.
    pub grant: Grant,
    /// One such call.
    pub example: Point,
}

/// Finds what `caller` can do at `now`: at one service, or at every one.
#[must_use]
pub fn what_can(
    version: &Version,
    caller: &SpiffeId,
    only: Option<&SpiffeId>,
    now: Timestamp,
) -> Reachable {
    let named: BTreeSet<&SpiffeId> = version
        .services()
        .iter()
        .flat_map(|policy| &policy.services)
        .filter(|service| only.is_none_or(|only| only == *service))
        .collect();
    let mut reachable = Reachable::default();
    for service in &named {
        let (cans, lets_pass) = at(version, caller, service, now);
        if lets_pass {
            reachable.let_pass.push((*service).clone());
        }
        if !cans.is_empty() {
            reachable.services.push(((*service).clone(), cans));
        }
    }
    match only {
        Some(service) if named.is_empty() => {
            let (cans, lets_pass) = at(version, caller, service, now);
            if lets_pass {
                reachable.let_pass.push(service.clone());
            }
            if !cans.is_empty() {
                reachable.services.push((service.clone(), cans));
            }
        }
        Some(_) => {}
        None => {
            if let Ok(other) = SpiffeId::parse("spiffe://any.example/any-service") {
                reachable.elsewhere = at(version, caller, &other, now).0;
            }
        }
    }
    reachable
}

/// What it can do at one service, and whether whatever else it does is let pass.
fn at(
    version: &Version,
    caller: &SpiffeId,
    service: &SpiffeId,
    now: Timestamp,
) -> (Vec<Can>, bool) {
    let scene = Scene {
        world: World::of(version, service),
        service,
        now,
    };
    let Ok(exact) = CallerPattern::parse(caller.as_str(), None) else {
        return (Vec::new(), false);
    };
    let search = Search {
        callers: Shape::of_callers(&exact),
        language: scene.language(&[Shape::of_callers(&exact)]),
        caller,
        scene: &scene,
    };
    let cans = scene.allowing().filter_map(|way| search.can(way));
    let mut distinct: Vec<Can> = Vec::new();
    for can in cans {
        if !distinct
            .iter()
            .any(|known| known.what == can.what && known.grant == can.grant)
        {
            distinct.push(can);
        }
    }
    (distinct, scene.lets_pass())
}

struct Search<'s, 'v> {
    scene: &'s Scene<'v>,
    language: Language,
    caller: &'s SpiffeId,
    /// The caller alone.
    callers: Shape,
}

impl Search<'_, '_> {
    fn can(&self, way: &Way<'_>) -> Option<Can> {
        let called = way.called_by(self.caller, self.caller.trust_domain())?;
        let options = [self.scene.world.options()];
        let shapes = [&called, &self.callers];
        let questions = self.language.questions(&shapes, &[&way.access], &options);
        let policies = self.scene.policies(way);
        let version = self.scene.world.version;
        let policies = policies.as_ref().unwrap_or_else(|| version.policies());
        let example = questions
            .into_iter()
            .map(|(_, point)| point)
            .find(|point| {
                let mut request = point.request(Some(self.scene.service));
                request.caller = Caller::Verified(self.caller);
                is_allowed(&version.decide_by(policies, request, self.scene.now))
            })?;
        let what = match way.pattern.captures().next() {
            None => way.to.text.clone(),
            Some(_) => format!("{} {}", way.access.to().verb(), called.path_text()),
        };
        Some(Can {
            what,
            grant: self.scene.grant(way, self.refused(way, &called)),
            example,
        })
    }

    /// What of it is refused all the same.
    fn refused(&self, way: &Way<'_>, called: &Shape) -> Vec<String> {
        let mut refused: Vec<String> = Vec::new();
        for deny in self.scene.world.of_side(Side::Deny) {
            let Some(denied) = deny.called_by(self.caller, self.caller.trust_domain()) else {
                continue;
            };
            let shapes = [called, &denied, &self.callers];
            let accesses = [&way.access, &deny.access];
            if self.language.questions(&shapes, &accesses, &[]).is_empty() {
                continue;
            }
            let when = deny.predicate.as_ref();
            let when = when.map_or_else(String::new, |when| format!(" when {}", when.text()));
            let text = format!("{} by {}{when}", deny.to.text, deny.rule.name);
            if !refused.contains(&text) {
                refused.push(text);
            }
        }
        refused
    }
}
