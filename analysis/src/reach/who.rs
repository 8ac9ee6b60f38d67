//! Who can make one call.

use callgate_policy::{
    Ambiguity, Caller, CallerPattern, CanonicalPath, PolicySet, Side, SpiffeId, Timestamp,
    document::OwnedRequest,
};

use super::{Grant, Scene, group_of, is_allowed};
use crate::{
    diff::{Version, scene::World, way::Way},
    language::{Language, Shape},
};

/// Everybody who can make one call to one service.
#[derive(Clone, Debug, Default)]
pub struct WhoCan {
    /// By the rules that allow it, in the order of the documents.
    pub callers: Vec<CanCall>,
    /// A Shadow setting lets everybody else pass.
    pub lets_pass: bool,
    /// Proxies that may call for some of them.
    pub forwarders: Vec<Forwarding>,
}

/// Callers who can make the call.
#[derive(Clone, Debug)]
pub struct CanCall {
    /// The identity or pattern in full. What the path captures is put in.
    pub pattern: String,
    /// The group that the rule names, and how many members it has; all of them can, if
    /// `pattern` is empty.
    pub group: Option<(String, usize)>,
    /// The pattern of the rule, if it is about another name of the caller.
    pub alias: Option<String>,
    /// By which rule.
    pub grant: Grant,
    /// One of them.
    pub example: SpiffeId,
}

/// A proxy that is believed about calls to the service.
#[derive(Clone, Debug)]
pub struct Forwarding {
    /// It.
    pub id: SpiffeId,
    /// Whom it may name.
    pub may_assert: Vec<String>,
}

/// Finds everybody who can make `request` to `service` at `now`.
///
/// # Errors
/// Why nobody can, whatever the rules say: the request has more than one reading.
pub fn who_can(
    version: &Version,
    service: &SpiffeId,
    request: &OwnedRequest,
    now: Timestamp,
) -> Result<WhoCan, Ambiguity> {
    let scene = Scene {
        world: World::of(version, service),
        service,
        now,
    };
    let target = request.by(nobody(), None).path;
    let path = CanonicalPath::parse(target, scene.world.options()).map_err(Ambiguity::Path)?;
    let called = |domain: &str| Shape::of_path(domain, path.segments(), path.has_trailing_slash());
    let search = Search {
        language: scene.language(&[called("any.example")]),
        called: &called,
        request,
        scene: &scene,
    };
    let found: Vec<(&Way<'_>, CanCall)> = scene
        .allowing()
        .flat_map(|way| search.callers(way).into_iter().map(move |one| (way, one)))
        .collect();
    Ok(WhoCan {
        callers: merge_groups(found),
        lets_pass: scene.lets_pass(),
        forwarders: forwarders(&scene),
    })
}

const fn nobody() -> Caller<'static> {
    Caller::Unverified(callgate_policy::IdentityFault::Missing)
}

struct Search<'s, 'v> {
    scene: &'s Scene<'v>,
    language: Language,
    /// The shape of the call, in a trust domain.
    called: &'s dyn Fn(&str) -> Shape,
    request: &'s OwnedRequest,
}

impl Search<'_, '_> {
    /// The callers whom this way into a rule lets make the call.
    fn callers(&self, way: &Way<'_>) -> Vec<CanCall> {
        let shapes = way.shapes();
        let Some(domain) = shapes.first().map(|shape| shape.trust_domain()) else {
            return Vec::new();
        };
        let called = (self.called)(domain);
        let mut callers = self.of(&shapes, &called);
        callers.retain(|caller| {
            let request = self.request.by(Caller::Verified(caller), None);
            way.access.to().takes(caller, &request, Side::Allow)
        });
        let policies = self.scene.policies(way);
        let Some(example) = callers
            .into_iter()
            .find(|caller| self.can(caller, policies.as_ref()))
        else {
            return Vec::new();
        };
        let except = self.refused(way, &called);
        let own = way.access.shape();
        let rule_domain = (self.called)(own.trust_domain());
        let patterns = own.callers_of_path(&rule_domain).into_iter();
        let group = group_of(way).map(|(name, members)| (name.to_owned(), members));
        patterns
            .map(|pattern| {
                let aliased = way.alias.as_ref();
                let shown = aliased
                    .map(|alias| pattern.replacen(own.trust_domain(), &alias.trust_domain, 1));
                CanCall {
                    alias: shown.is_some().then(|| pattern.clone()),
                    pattern: shown.unwrap_or(pattern),
                    group: group.clone(),
                    grant: self.scene.grant(way, except.clone()),
                    example: example.clone(),
                }
            })
            .collect()
    }

    /// One caller of each length who fits all `shapes` on this path.
    fn of(&self, shapes: &[&Shape], called: &Shape) -> Vec<SpiffeId> {
        let shapes: Vec<&Shape> = shapes.iter().copied().chain([called]).collect();
        let questions = self.language.questions(&shapes, &[], &[]);
        let mut callers: Vec<SpiffeId> = Vec::new();
        for (_, point) in questions {
            if callers.last() != Some(point.caller()) && !callers.contains(point.caller()) {
                callers.push(point.caller().clone());
            }
        }
        callers
    }

    fn can(&self, caller: &SpiffeId, policies: Option<&PolicySet>) -> bool {
        let version = self.scene.world.version;
        let request = self
            .request
            .by(Caller::Verified(caller), Some(self.scene.service));
        let policies = policies.unwrap_or_else(|| version.policies());
        is_allowed(&version.decide_by(policies, request, self.scene.now))
    }

    /// Callers whom this way would let in, but who are refused.
    fn refused(&self, way: &Way<'_>, called: &Shape) -> Vec<String> {
        let mut refused = Vec::new();
        for deny in self.scene.world.of_side(Side::Deny) {
            let shapes: Vec<&Shape> = way.shapes().into_iter().chain(deny.shapes()).collect();
            let callers = self.of(&shapes, called);
            let caught = callers.iter().any(|caller| {
                let request = self.request.by(Caller::Verified(caller), None);
                deny.access.to().takes(caller, &request, Side::Deny)
            });
            if caught {
                let when = deny.predicate.as_ref();
                let when = when.map_or_else(String::new, |when| format!(" when {}", when.text()));
                refused.push(format!("{} by {}{when}", deny.pattern, deny.rule.name));
            }
        }
        let version = self.scene.world.version;
        for (id, ends) in version.revoked() {
            let active = ends
                .iter()
                .any(|end| end.is_none_or(|end| self.scene.now < end));
            if active && way.pattern.exact().is_none() && self.is_about(way, called, id) {
                refused.push(format!("{id}, revoked"));
            }
        }
        refused.sort();
        refused.dedup();
        refused
    }

    /// Whether this way would let this caller make the call.
    fn is_about(&self, way: &Way<'_>, called: &Shape, caller: &SpiffeId) -> bool {
        let Ok(exact) = CallerPattern::parse(caller.as_str(), None) else {
            return false;
        };
        let exact = Shape::of_callers(&exact);
        let mut shapes = way.shapes();
        shapes.push(&exact);
        let alike = shapes
            .iter()
            .all(|shape| shape.trust_domain() == called.trust_domain());
        alike && !self.of(&shapes, called).is_empty()
    }
}

/// Where a rule names a group and all of its members can, it is the group.
fn merge_groups(found: Vec<(&Way<'_>, CanCall)>) -> Vec<CanCall> {
    let same = |one: &Way<'_>, other: &Way<'_>| {
        std::ptr::eq(one.from, other.from) && std::ptr::eq(one.to, other.to)
    };
    let whole = |way: &Way<'_>, one: &CanCall| {
        let members = one.group.as_ref().map(|(_, members)| *members);
        let alike = found.iter().filter(|(other, can)| {
            same(way, other) && can.alias.is_none() && can.grant == one.grant
        });
        one.alias.is_none() && Some(alike.count()) == members
    };
    let mut merged: Vec<(&Way<'_>, CanCall)> = Vec::new();
    for (way, one) in &found {
        if !whole(way, one) {
            merged.push((way, one.clone()));
        } else if !merged
            .iter()
            .any(|(other, can)| same(way, other) && can.pattern.is_empty())
        {
            let group = CanCall {
                pattern: String::new(),
                ..one.clone()
            };
            merged.push((way, group));
        }
    }
    merged.into_iter().map(|(_, one)| one).collect()
}

fn forwarders(scene: &Scene<'_>) -> Vec<Forwarding> {
    let mesh = scene.world.version.mesh();
    let listed = mesh.map_or(&[][..], |mesh| &mesh.trust.forwarders).iter();
    let heard = listed.filter(|one| scene.world.version.believes(&one.id, scene.service));
    heard
        .map(|one| Forwarding {
            id: one.id.clone(),
            may_assert: one.may_assert.iter().map(ToString::to_string).collect(),
        })
        .collect()
}
