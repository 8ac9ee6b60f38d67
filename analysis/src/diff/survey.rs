//! One service in both versions, and when they differ about a request.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    rc::Rc,
};

use callgate_policy::{CallerPattern, PolicySet, SpiffeId, Timestamp};

use super::{
    Level,
    asking::{Asking, Budget, Found},
    condition::{Predicate, assuming},
    forwarded::{Forwarder, forwarders},
    scene::{World, trust},
    way::Way,
    world::{Asked, Party, Version},
};
use crate::language::{Language, Point, Shape};

/// Moments that are looked at besides now. Exceptions come to an end one by one.
const MAX_MOMENTS: usize = 64;

/// Combinations of conditions for which rules are kept.
const MAX_ASSUMED: usize = 1_000;

/// One service in both versions.
pub(super) struct Survey<'v> {
    pub(super) service: &'v SpiffeId,
    pub(super) old: World<'v>,
    pub(super) new: World<'v>,
    pub(super) language: Language,
    /// Now, and when exceptions and revocations end.
    moments: Vec<Timestamp>,
    /// Trust domains of callers, with one that nobody names.
    pub(super) domains: Vec<String>,
    /// Revoked in one version, or until another time.
    pub(super) revoked: Vec<Shape>,
    /// Whose word about others is heard; none if nothing about that differs.
    pub(super) forwarders: Vec<Forwarder<'v>>,
    /// Whatever is in both versions means the same.
    pub(super) is_alike: bool,
    /// The rules of both versions where some conditions hold, if there are any.
    assumed: Option<RefCell<Assumed>>,
}

/// The rules of both versions, by the conditions that are taken to hold.
type Assumed = HashMap<BTreeSet<Predicate>, Rc<(PolicySet, PolicySet)>>;

/// A time during which both versions differ in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Run {
    pub(super) levels: (Level, Level),
    /// Now, if there is none.
    pub(super) from: Option<Timestamp>,
    /// For good, if there is none.
    pub(super) until: Option<Timestamp>,
}

impl<'v> Survey<'v> {
    /// What has to be looked at; nothing, if both versions are the same.
    pub(super) fn of(
        service: &'v SpiffeId,
        old: &'v Version,
        new: &'v Version,
        now: Timestamp,
    ) -> Option<Self> {
        let (old, new) = (World::of(old, service), World::of(new, service));
        let is_alike = old.is_alike(&new);
        let same_revoked = old.version.revoked() == new.version.revoked();
        if is_alike && same_revoked && old.keys() == new.keys() {
            return None;
        }
        let same_denied = is_alike && same_revoked && old.denied() == new.denied();
        let forwarders = match same_denied {
            // What is forwarded differs as what is not.
            true => Vec::new(),
            false => forwarders(&old, &new, service),
        };
        let mut ways = old.ways.iter().chain(&new.ways);
        let has_conditions = ways.any(|way| way.predicate.is_some());
        let domains = domains(&old, &new);
        let revoked = revoked(&old, &new);
        let mut moments = moments(&old, &new, now);
        moments.insert(0, now);
        let asserted = forwarders.iter().flat_map(|one| &one.may_assert);
        let mut others: Vec<Shape> = asserted.map(|one| Shape::of_callers(one)).collect();
        others.extend(domains.iter().map(|one| Shape::everything(one)));
        others.extend(revoked.iter().cloned());
        let language = language(&old, &new, &others);
        Some(Self {
            service,
            old,
            new,
            language,
            moments,
            domains,
            revoked,
            forwarders,
            is_alike,
            assumed: has_conditions.then(RefCell::default),
        })
    }

    /// Everything that differs.
    pub(super) fn findings(&self, budget: &mut Budget) -> Vec<Found<'_>> {
        let mut asked = Asking {
            survey: self,
            budget,
            found: Vec::new(),
        };
        asked.allowed();
        asked.denied();
        asked.revoked();
        if self.old.lets_pass() || self.new.lets_pass() {
            asked.let_pass();
        }
        asked.unverified();
        asked.forwarded();
        asked.found
    }

    /// Whether whatever was asked stands for everything else.
    pub(super) fn is_complete(&self) -> bool {
        self.language.is_exact() && self.moments.len() <= MAX_MOMENTS
    }

    /// Whether a version keeps what can be read in several ways.
    pub(super) fn keeps(&self) -> bool {
        let options = [self.old.options(), self.new.options()];
        let mut kept = options.iter();
        kept.any(|options| options.keep_encoded_slash || options.keep_parameters)
    }

    pub(super) fn world(&self, is_new: bool) -> &World<'v> {
        if is_new { &self.new } else { &self.old }
    }

    /// When both versions differ about a request, where these conditions hold and no
    /// others.
    pub(super) fn runs(
        &self,
        point: &Point,
        party: Party<'_>,
        assumed: &BTreeSet<Predicate>,
    ) -> Vec<Run> {
        let assumed = self.assuming(assumed);
        let mut runs: Vec<Run> = Vec::new();
        for (number, moment) in self.moments.iter().enumerate() {
            let asked = Asked {
                point,
                party,
                service: self.service,
                at: *moment,
                extras: None,
            };
            let (old, new) = (self.old.version, self.new.version);
            let levels = match &assumed {
                None => (old.answer(&asked).level, new.answer(&asked).level),
                Some(sets) => (
                    old.answer_by(&sets.0, &asked).level,
                    new.answer_by(&sets.1, &asked).level,
                ),
            };
            match runs.last_mut() {
                Some(last) if last.until.is_none() && last.levels == levels => {}
                last => {
                    if let Some(last) = last
                        && last.until.is_none()
                    {
                        last.until = Some(*moment);
                    }
                    if levels.0 != levels.1 {
                        runs.push(Run {
                            levels,
                            from: (number > 0).then_some(*moment),
                            until: None,
                        });
                    }
                }
            }
        }
        runs
    }
}

impl Survey<'_> {
    /// The rules of both versions where these conditions hold; none if there are no
    /// conditions at all, so that nothing is to be assumed.
    fn assuming(&self, assumed: &BTreeSet<Predicate>) -> Option<Rc<(PolicySet, PolicySet)>> {
        let known = self.assumed.as_ref()?;
        if let Some(sets) = known.borrow().get(assumed) {
            return Some(Rc::clone(sets));
        }
        let build = |world: &World<'_>| assuming(world, self.service, assumed).unwrap_or_default();
        let sets = Rc::new((build(&self.old), build(&self.new)));
        let mut all = known.borrow_mut();
        if all.len() >= MAX_ASSUMED {
            all.clear();
        }
        all.insert(assumed.clone(), Rc::clone(&sets));
        Some(sets)
    }
}

/// The trust domains that anything is said about, and one that nobody names.
fn domains(old: &World<'_>, new: &World<'_>) -> Vec<String> {
    let mut domains = BTreeSet::new();
    for world in [old, new] {
        for way in &world.ways {
            domains.extend(
                way.shapes()
                    .iter()
                    .map(|shape| shape.trust_domain().to_owned()),
            );
        }
        let accepted = trust(world.version).accepted.unwrap_or_default();
        let own = world.version.trust_domain();
        domains.extend(own.map(|domain| domain.as_str().to_owned()));
        domains.extend(accepted.iter().map(|domain| domain.as_str().to_owned()));
    }
    let mut others = (0..).map(|number| match number {
        0 => "any.example".to_owned(),
        _ => format!("any{number}.example"),
    });
    let other = others.find(|name| !domains.contains(name));
    domains.into_iter().chain(other).collect()
}

/// The identities that one version revokes and the other does not, or until another time:
/// under each of their names.
fn revoked(old: &World<'_>, new: &World<'_>) -> Vec<Shape> {
    let (old_ids, new_ids) = (old.version.revoked(), new.version.revoked());
    let ids: BTreeSet<&SpiffeId> = old_ids.keys().chain(new_ids.keys()).collect();
    let mut shapes = Vec::new();
    for id in ids {
        if old_ids.get(id) == new_ids.get(id) {
            continue;
        }
        let Ok(pattern) = CallerPattern::parse(id.as_str(), None) else {
            continue;
        };
        shapes.push(Shape::of_callers(&pattern));
        for world in [old, new] {
            let aliases = trust(world.version).aliases;
            let aliases = aliases
                .iter()
                .filter(|one| one.other.as_str() == id.trust_domain());
            let callers = aliases.flat_map(|alias| &alias.callers);
            shapes.extend(
                callers
                    .map(|callers| Shape::of_callers(&pattern).in_domain(callers.trust_domain())),
            );
        }
    }
    shapes
}

/// When something ends in one of the versions.
fn moments(old: &World<'_>, new: &World<'_>, now: Timestamp) -> Vec<Timestamp> {
    let mut moments = BTreeSet::new();
    for world in [old, new] {
        moments.extend(world.ways.iter().filter_map(Way::expires));
        moments.extend(world.version.revoked().values().flatten().flatten());
    }
    let moments = moments.into_iter().filter(|moment| *moment > now);
    moments.take(MAX_MOMENTS).collect()
}

fn language(old: &World<'_>, new: &World<'_>, others: &[Shape]) -> Language {
    let ways = || old.ways.iter().chain(&new.ways);
    let shapes: Vec<&Shape> = ways().flat_map(Way::shapes).collect();
    let shapes = shapes.into_iter().chain(others);
    Language::with(ways().map(|way| &way.access), shapes)
}
