//! Which requests both versions are asked about.
//!
//! A request is decided by the first rule that is about it: revocations, deny rules,
//! allow rules, in this order, else by what holds for all that no rule allows. If two
//! versions differ on a request, they do on a new one (see [`crate::language`]) that is
//! about the rule which decides in the old version and the rule which decides in the new
//! one. So it is enough to ask about each rule, and about each two of them whose answers
//! differ.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use callgate_policy::Side;

use super::{
    Level,
    condition::Predicate,
    survey::{Run, Survey},
    way::{Key, Way},
    world::Party,
};
use crate::language::{Access, Point, Shape};

/// What a request is asked about for.
#[derive(Clone, Copy)]
pub(super) enum Subject<'w> {
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
pub(super) struct Found<'w> {
    pub(super) subject: Subject<'w>,
    /// The version of the allow rule, or of the deny rule without one.
    pub(super) is_new: bool,
    pub(super) party: Party<'w>,
    pub(super) run: Run,
    /// The kinds of requests.
    pub(super) kinds: BTreeSet<usize>,
    pub(super) point: Point,
}

/// How much may still be asked.
pub(super) struct Budget {
    pub(super) left: usize,
}

/// A question: what is in all of these shapes.
pub(super) struct Region<'r> {
    pub(super) shapes: Vec<&'r Shape>,
    pub(super) accesses: Vec<&'r Access>,
}

/// What was asked so far.
pub(super) struct Asking<'w, 'v, 'b> {
    pub(super) survey: &'w Survey<'v>,
    pub(super) budget: &'b mut Budget,
    pub(super) found: Vec<Found<'w>>,
}

impl<'w, 'v: 'w> Asking<'w, 'v, '_> {
    /// Allow rules of one version, held against all of the other.
    pub(super) fn allowed(&mut self) {
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
    pub(super) fn denied(&mut self) {
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
                    if survey.keeps() {
                        // A deny rule is about other readings of a path as well: of as many
                        // segments as it has itself.
                        let callers = Shape::of_callers(allow.pattern);
                        let mut region = Region::of(&[deny], Some(&callers));
                        region.accesses.push(&allow.access);
                        self.ask(&region, subject, is_new, Party::Direct);
                    }
                }
            }
        }
    }

    /// Identities that one version revokes with allow rules of the other.
    pub(super) fn revoked(&mut self) {
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
    pub(super) fn let_pass(&mut self) {
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

    pub(super) fn unverified(&mut self) {
        let everything = Shape::everything("any.example");
        let region = Region {
            shapes: vec![&everything],
            accesses: Vec::new(),
        };
        self.ask(&region, Subject::Everything, true, Party::Unverified);
    }

    pub(super) fn ask(
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
    pub(super) fn assumed(&self) -> BTreeSet<Predicate> {
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
