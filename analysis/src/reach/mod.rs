//! Access the other way around: who can make a call, and what a caller can do.
//!
//! Each allow rule proposes whom or what it is about; whatever is listed was decided, by a
//! request of its own, with deny rules, revocations and the time taken into account.

#[cfg(test)]
mod tests;
mod what;
mod who;

use std::collections::BTreeSet;

use callgate_policy::{PolicySet, Side, Timestamp, spec::Callers};

pub use what::{Can, Reachable, what_can};
pub use who::{CanCall, Forwarding, WhoCan, who_can};

use crate::{
    diff::{
        Answer, Level,
        condition::{Predicate, assuming},
        scene::World,
        way::Way,
    },
    language::{Access, Language, Shape},
};

/// Where the rule stands that allows something, and on what it depends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The rule's name.
    pub rule: String,
    /// The file.
    pub file: String,
    /// The line of `to`, counted from 1.
    pub line: u32,
    /// What must hold besides.
    pub when: Option<String>,
    /// When the rule's exception ends.
    pub until: Option<Timestamp>,
    /// Parts that are refused all the same: by which rule.
    pub except: Vec<String>,
}

/// One service, as it decides now.
struct Scene<'v> {
    world: World<'v>,
    service: &'v callgate_policy::SpiffeId,
    now: Timestamp,
}

impl<'v> Scene<'v> {
    /// The allow rules that have not expired.
    fn allowing(&self) -> impl Iterator<Item = &Way<'v>> {
        let ways = self.world.of_side(Side::Allow);
        ways.filter(|way| way.expires().is_none_or(|end| self.now < end))
    }

    fn language(&self, others: &[Shape]) -> Language {
        let ways = &self.world.ways;
        let accesses: Vec<&Access> = ways.iter().map(|way| &way.access).collect();
        let shapes = ways.iter().flat_map(Way::shapes).chain(others);
        Language::with(accesses, shapes)
    }

    /// What decides, if the condition of this rule holds and no other one does; of a rule
    /// without one, what really decides.
    fn policies(&self, way: &Way<'v>) -> Option<PolicySet> {
        let predicate: BTreeSet<Predicate> = way.predicate.clone().into_iter().collect();
        if predicate.is_empty() {
            return None;
        }
        assuming(&self.world, self.service, &predicate)
    }

    fn grant(&self, way: &Way<'v>, except: Vec<String>) -> Grant {
        let place = way.place(true);
        Grant {
            rule: place.name,
            file: place.file,
            line: place.line,
            when: way.predicate.as_ref().map(|when| when.text().to_owned()),
            until: way.expires(),
            except,
        }
    }

    /// Whether every refusal is let pass.
    fn lets_pass(&self) -> bool {
        self.world.version.fallback(self.world.policy) == callgate_policy::spec::Enforcement::Shadow
    }
}

fn is_allowed(answer: &Answer) -> bool {
    answer.level == Level::Allowed
}

/// The group that an entry of `from` names, and how many members it has.
fn group_of<'w>(way: &'w Way<'_>) -> Option<(&'w str, usize)> {
    match &way.from.callers {
        Callers::Group(members) => Some((&way.from.text, members.len())),
        Callers::Pattern(_) => None,
    }
}
