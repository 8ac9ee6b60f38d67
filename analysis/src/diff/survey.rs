//! One service in both versions: which requests have to be asked about, and what differs.
//!
//! A request is decided by the first rule that is about it: revocations, deny rules,
//! allow rules, in this order, else by what holds for all that no rule allows. If two
//! versions differ on a request, they do on a new one (see [`crate::language`]) that is
//! about the rule which decides in the old version and the rule which decides in the new
//! one. So it is enough to ask about each rule, and about each two of them whose answers
//! differ.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    rc::Rc,
};

use callgate_policy::{
    CallerPattern, PathOptions, PolicySet, Side, SpiffeId, Timestamp,
    spec::{Enforcement, ServiceSpec, TrustSpec},
};

use super::{
    Level,
    condition::{Predicate, assuming},
    forwarded::{Forwarder, forwarders},
    way::{Key, Way},
    world::{Asked, Party, Version},
};
use crate::language::{Access, Language, Point, Shape};

/// Moments that are looked at besides now. Exceptions come to an end one by one.
const MAX_MOMENTS: usize = 64;

/// Combinations of conditions for which rules are kept.
const MAX_ASSUMED: usize = 1_000;

/// One service in both versions.
pub(crate) struct Survey<'v> {
    pub(crate) service: &'v SpiffeId,
    pub(crate) old: World<'v>,
    pub(crate) new: World<'v>,
    pub(crate) language: Language,
    /// Now, and when exceptions and revocations end.
    moments: Vec<Timestamp>,
    /// Trust domains of callers, with one that nobody names.
    domains: Vec<String>,
    /// Revoked in one version, or until another time.
    revoked: Vec<Shape>,
    /// Whose word about others is heard; none if nothing about that differs.
    pub(super) forwarders: Vec<Forwarder<'v>>,
    /// Whatever is in both versions means the same.
    is_alike: bool,
    /// The rules of both versions where some conditions hold, if there are any.
    assumed: Option<RefCell<Assumed>>,
}

/// The rules of both versions, by the conditions that are taken to hold.
type Assumed = HashMap<BTreeSet<Predicate>, Rc<(PolicySet, PolicySet)>>;

/// One service in one version.
pub(crate) struct World<'v> {
    pub(crate) version: &'v Version,
    pub(crate) policy: Option<&'v ServiceSpec>,
    pub(crate) ways: Vec<Way<'v>>,
}

/// What a request is asked about for.
#[derive(Clone, Copy)]
pub(crate) enum Subject<'w> {
    /// An allow rule.
    Allow(&'w Way<'w>),
    /// A deny rule of the other version, that is about what an allow rule is about.
    Denied {
        allow: &'w Way<'w>,
        deny: &'w Way<'w>,
    },
    /// An identity that is revoked in the other version.
    Revoked { allow: &'w Way<'w> },
    /// A deny rule, where Shadow may let pass what it refuses.
    Deny(&'w Way<'w>),
    /// Whatever no rule is about.
    Everything,
}

/// Requests that are decided differently.
pub(crate) struct Found<'w> {
    pub(crate) subject: Subject<'w>,
    /// The version of the allow rule, or of the deny rule without one.
    pub(crate) is_new: bool,
    pub(crate) party: Party<'w>,
    pub(crate) run: Run,
    /// The kinds of requests.
    pub(crate) kinds: BTreeSet<usize>,
    pub(crate) point: Point,
}

/// A time during which both versions differ in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Run {
    pub(crate) levels: (Level, Level),
    /// Now, if there is none.
    pub(crate) from: Option<Timestamp>,
    /// For good, if there is none.
    pub(crate) until: Option<Timestamp>,
}

/// How much may still be asked.
pub(crate) struct Budget {
    pub(crate) left: usize,
}

/// A question: what is in all of these shapes.
pub(crate) struct Region<'r> {
    pub(crate) shapes: Vec<&'r Shape>,
    pub(crate) accesses: Vec<&'r Access>,
}

impl<'v> World<'v> {
    pub(crate) fn of(version: &'v Version, service: &SpiffeId) -> Self {
        let mut services = version.services().iter();
        let policy = services.find(|policy| policy.services.contains(service));
        Self {
            version,
            policy,
            ways: Way::all(version.mesh(), policy),
        }
    }

    pub(crate) fn options(&self) -> PathOptions {
        self.policy
            .map_or_else(PathOptions::default, |policy| policy.paths)
    }

    fn keys(&self) -> HashSet<Key<'_>> {
        self.ways.iter().map(Way::key).collect()
    }

    fn denied(&self) -> HashSet<Key<'_>> {
        self.of_side(Side::Deny).map(Way::key).collect()
    }

    pub(crate) fn of_side(&self, side: Side) -> impl Iterator<Item = &Way<'v>> {
        self.ways.iter().filter(move |way| way.side() == side)
    }

    pub(crate) fn lets_pass(&self) -> bool {
        let identity = self.version.mesh().map(|mesh| mesh.identity);
        self.version.fallback(self.policy) == Enforcement::Shadow
            || identity == Some(Enforcement::Shadow)
    }

    /// Whether what is written alike means the same as in `other`.
    fn is_alike(&self, other: &Self) -> bool {
        let mesh = |world: &Self| world.version.mesh().map(|mesh| mesh.identity);
        self.options() == other.options()
            && self.policy.is_some() == other.policy.is_some()
            && self.version.fallback(self.policy) == other.version.fallback(other.policy)
            && mesh(self).unwrap_or_default() == mesh(other).unwrap_or_default()
            && trust(self.version) == trust(other.version)
    }
}

fn trust(version: &Version) -> TrustSpec {
    version
        .mesh()
        .map_or_else(TrustSpec::default, |mesh| mesh.trust.clone())
}

impl<'v> Survey<'v> {
    /// What has to be looked at; nothing, if both versions are the same.
    pub(crate) fn of(
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
    pub(crate) fn findings(&self, budget: &mut Budget) -> Vec<Found<'_>> {
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
    pub(crate) fn is_complete(&self) -> bool {
        self.language.is_exact() && self.moments.len() <= MAX_MOMENTS
    }

    pub(crate) fn world(&self, is_new: bool) -> &World<'v> {
        if is_new { &self.new } else { &self.old }
    }

    /// When both versions differ about a request, where these conditions hold and no
    /// others.
    pub(crate) fn runs(
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

/// What was asked so far.
pub(crate) struct Asking<'w, 'v, 'b> {
    pub(crate) survey: &'w Survey<'v>,
    budget: &'b mut Budget,
    found: Vec<Found<'w>>,
}

impl<'w, 'v: 'w> Asking<'w, 'v, '_> {
    /// Allow rules of one version, held against all of the other.
    fn allowed(&mut self) {
        let survey = self.survey;
        for is_new in [false, true] {
            let others: HashSet<Key<'_>> = survey
                .world(!is_new)
                .of_side(Side::Allow)
                .map(Way::key)
                .collect();
            for allow in survey.world(is_new).of_side(Side::Allow) {
                if survey.is_alike && others.contains(&allow.key()) {
                    continue;
                }
                let region = Region::of(&[allow], None);
                self.ask(&region, Subject::Allow(allow), is_new, Party::Direct);
            }
        }
    }

    /// Allow rules of one version with deny rules of the other.
    fn denied(&mut self) {
        let survey = self.survey;
        for is_new in [false, true] {
            let same: HashSet<Key<'_>> = survey
                .world(is_new)
                .of_side(Side::Deny)
                .map(Way::key)
                .collect();
            for deny in survey.world(!is_new).of_side(Side::Deny) {
                if survey.is_alike && same.contains(&deny.key()) {
                    continue;
                }
                for allow in survey.world(is_new).of_side(Side::Allow) {
                    let region = Region::of(&[allow, deny], None);
                    let subject = Subject::Denied { allow, deny };
                    self.ask(&region, subject, is_new, Party::Direct);
                }
            }
        }
    }

    /// Identities that one version revokes with allow rules of the other.
    fn revoked(&mut self) {
        let survey = self.survey;
        for revoked in &survey.revoked {
            for is_new in [false, true] {
                for allow in survey.world(is_new).of_side(Side::Allow) {
                    let region = Region::of(&[allow], Some(revoked));
                    self.ask(&region, Subject::Revoked { allow }, is_new, Party::Direct);
                }
            }
        }
    }

    /// What no rule allows, where some of it is let pass.
    fn let_pass(&mut self) {
        let survey = self.survey;
        let everything = survey.domains.iter().map(|one| Shape::everything(one));
        for shape in everything.chain(survey.revoked.iter().cloned()) {
            let region = Region {
                shapes: vec![&shape],
                accesses: Vec::new(),
            };
            self.ask(&region, Subject::Everything, true, Party::Direct);
        }
        for is_new in [false, true] {
            for deny in survey.world(is_new).of_side(Side::Deny) {
                self.ask(
                    &Region::of(&[deny], None),
                    Subject::Deny(deny),
                    is_new,
                    Party::Direct,
                );
                for other in survey.world(!is_new).of_side(Side::Deny) {
                    let region = Region::of(&[deny, other], None);
                    self.ask(&region, Subject::Deny(deny), is_new, Party::Direct);
                }
            }
        }
    }

    fn unverified(&mut self) {
        let everything = Shape::everything("any.example");
        let region = Region {
            shapes: vec![&everything],
            accesses: Vec::new(),
        };
        self.ask(&region, Subject::Everything, true, Party::Unverified);
    }

    pub(crate) fn ask(
        &mut self,
        region: &Region<'_>,
        subject: Subject<'w>,
        is_new: bool,
        party: Party<'w>,
    ) {
        let survey = self.survey;
        if self.budget.left == 0 || !region.may_hold() {
            return;
        }
        let options = [survey.old.options(), survey.new.options()];
        let mut runs: BTreeMap<Run, (BTreeSet<usize>, Point)> = BTreeMap::new();
        let assumed = subject.assumed();
        let questions = survey
            .language
            .questions(&region.shapes, &region.accesses, &options);
        self.budget.left = self.budget.left.saturating_sub(questions.len().max(1));
        for (kind, point) in questions {
            for run in survey.runs(&point, party, &assumed) {
                if subject.is_about(run.levels, is_new) {
                    let found = runs.entry(run);
                    let (kinds, _) = found.or_insert_with(|| (BTreeSet::new(), point.clone()));
                    kinds.insert(kind);
                }
            }
        }
        self.found
            .extend(runs.into_iter().map(|(run, (kinds, point))| Found {
                subject,
                is_new,
                party,
                run,
                kinds,
                point,
            }));
    }
}

impl Subject<'_> {
    /// The conditions of the rules that it is about.
    pub(crate) fn assumed(&self) -> BTreeSet<Predicate> {
        let (one, other) = match self {
            Self::Allow(way) | Self::Deny(way) | Self::Revoked { allow: way } => (Some(way), None),
            Self::Denied { allow, deny } => (Some(allow), Some(deny)),
            Self::Everything => (None, None),
        };
        let ways = one.into_iter().chain(other);
        ways.filter_map(|way| way.predicate.clone()).collect()
    }

    /// Whether a difference is for this subject to tell: what a rule allows is told by
    /// the rule, what is let pass in another place.
    fn is_about(&self, levels: (Level, Level), is_new: bool) -> bool {
        let own = if is_new { levels.1 } else { levels.0 };
        match self {
            Self::Allow(_) | Self::Denied { .. } | Self::Revoked { .. } => own == Level::Allowed,
            Self::Deny(_) | Self::Everything => {
                levels.0 != Level::Allowed && levels.1 != Level::Allowed
            }
        }
    }
}

impl<'r> Region<'r> {
    fn of(ways: &[&'r Way<'_>], callers: Option<&'r Shape>) -> Self {
        Self {
            shapes: ways
                .iter()
                .flat_map(|way| way.shapes())
                .chain(callers)
                .collect(),
            accesses: ways.iter().map(|way| &way.access).collect(),
        }
    }

    /// As far as a glance tells.
    fn may_hold(&self) -> bool {
        let shapes = &self.shapes;
        let mut pairs = shapes.iter().enumerate();
        pairs.all(|(at, shape)| shapes.iter().take(at).all(|other| shape.may_meet(other)))
    }
}
