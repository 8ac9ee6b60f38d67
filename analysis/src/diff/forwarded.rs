//! Calls that a proxy forwards for others. Where it is believed, rules are held against
//! the caller that it names, and deny rules against itself as well; where it is not, the
//! call is its own.

use callgate_policy::{CallerPattern, Side, SpiffeId, spec::ForwarderSpec};

use super::{
    asking::{Asking, Region, Subject},
    scene::World,
    survey::Survey,
    way::Way,
    world::Party,
};
use crate::language::Shape;

/// A proxy that is believed in one of the versions.
pub(super) struct Forwarder<'v> {
    pub(super) id: &'v SpiffeId,
    /// Whom it may name in either of them.
    pub(super) may_assert: Vec<&'v CallerPattern>,
}

/// The proxies whose word is heard at this service.
pub(super) fn forwarders<'v>(
    old: &World<'v>,
    new: &World<'v>,
    service: &SpiffeId,
) -> Vec<Forwarder<'v>> {
    let mut all: Vec<Forwarder<'v>> = Vec::new();
    for world in [old, new] {
        for one in listed(world) {
            if !world.version.believes(&one.id, service) {
                continue;
            }
            let known = all.iter_mut().find(|known| *known.id == one.id);
            let may_assert = match known {
                Some(known) => &mut known.may_assert,
                None => {
                    all.push(Forwarder {
                        id: &one.id,
                        may_assert: Vec::new(),
                    });
                    match all.last_mut() {
                        Some(last) => &mut last.may_assert,
                        None => continue,
                    }
                }
            };
            for pattern in &one.may_assert {
                if !may_assert.contains(&pattern) {
                    may_assert.push(pattern);
                }
            }
        }
    }
    all
}

fn listed<'v>(world: &World<'v>) -> &'v [ForwarderSpec] {
    let mesh = world.version.mesh();
    mesh.map_or(&[], |mesh| &mesh.trust.forwarders)
}

/// What a rule is about in calls that a proxy forwards.
enum Form<'w> {
    /// The caller that it names.
    Named(&'w Way<'w>),
    /// The proxy itself, whomever it names.
    Itself(&'w Way<'w>, Shape),
}

impl<'w> Form<'w> {
    fn shapes(&self) -> Vec<&Shape> {
        match self {
            Self::Named(way) => way.shapes(),
            Self::Itself(_, shape) => vec![shape],
        }
    }

    const fn way(&self) -> &'w Way<'w> {
        match self {
            Self::Named(way) | Self::Itself(way, _) => way,
        }
    }
}

impl<'w, 'v: 'w> Asking<'w, 'v, '_> {
    /// Everything that differs about calls which proxies forward.
    pub(super) fn forwarded(&mut self) {
        let survey = self.survey;
        for forwarder in &survey.forwarders {
            for may in &forwarder.may_assert {
                self.forwarded_for(forwarder.id, may);
            }
        }
    }

    fn forwarded_for(&mut self, by: &'v SpiffeId, may: &'v CallerPattern) {
        let survey = self.survey;
        let callers = Shape::of_callers(may);
        let party = Party::Via { by, may };
        if survey.old.lets_pass() || survey.new.lets_pass() {
            let region = Region {
                shapes: vec![&callers],
                accesses: Vec::new(),
            };
            self.ask(&region, Subject::Everything, true, party);
        }
        for is_new in [false, true] {
            let denied = survey.forms(!is_new, Side::Deny, by, may);
            for allow in survey.forms(is_new, Side::Allow, by, may) {
                let way = allow.way();
                let mut shapes = allow.shapes();
                shapes.push(&callers);
                let region = Region {
                    shapes: shapes.clone(),
                    accesses: vec![&way.access],
                };
                self.ask(&region, Subject::Allow(way), is_new, party);
                for deny in &denied {
                    let region = Region {
                        shapes: shapes.iter().copied().chain(deny.shapes()).collect(),
                        accesses: vec![&way.access, &deny.way().access],
                    };
                    let subject = Subject::Denied {
                        allow: way,
                        deny: deny.way(),
                    };
                    self.ask(&region, subject, is_new, party);
                }
            }
        }
    }
}

impl<'v> Survey<'v> {
    /// The ways of one version, as they are held against such calls.
    fn forms<'w>(
        &'w self,
        is_new: bool,
        side: Side,
        by: &SpiffeId,
        may: &CallerPattern,
    ) -> Vec<Form<'w>>
    where
        'v: 'w,
    {
        let world = self.world(is_new);
        let heard = world.version.believes(by, self.service);
        let mut forms = Vec::new();
        for way in world.of_side(side) {
            if heard {
                forms.push(Form::Named(way));
            }
            if (!heard || side == Side::Deny)
                && let Some(shape) = way.called_by(by, may.trust_domain())
            {
                forms.push(Form::Itself(way, shape));
            }
        }
        forms
    }
}
