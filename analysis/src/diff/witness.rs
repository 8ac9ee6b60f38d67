//! The request that shows a difference, and the conditions that have a say in it.

use callgate_policy::Timestamp;

use super::{
    Witness,
    asking::Found,
    condition::{self, Extras},
    survey::Survey,
    way::Way,
    world::{Asked, Party},
};

impl Survey<'_> {
    /// The conditions that have a say in what is found.
    pub(super) fn conditions(&self, found: &Found<'_>) -> Vec<String> {
        let ways = self.conditional(found).map(|way| way.predicate.as_ref());
        let mut texts: Vec<String> = Vec::new();
        for predicate in ways.flatten() {
            if !texts.iter().any(|text| text == predicate.text()) {
                texts.push(predicate.text().to_owned());
            }
        }
        texts
    }

    /// Rules with conditions that are about what is found.
    fn conditional<'w>(&'w self, found: &'w Found<'_>) -> impl Iterator<Item = &'w Way<'w>> {
        let ways = self.old.ways.iter().chain(&self.new.ways);
        ways.filter(|way| way.predicate.is_some() && way.may_hold(&found.point))
    }

    /// A request that both versions were asked about: one that they decide differently,
    /// if there is one among those that are tried.
    pub(super) fn witness(&self, found: &Found<'_>, now: Timestamp) -> Option<Witness> {
        let start = found.run.from.unwrap_or(now);
        let ends = found.run.until;
        let mut tries = condition::tries(self.conditional(found));
        let times = condition::times(self.conditional(found), start).into_iter();
        tries.extend(times.filter(|extras| ends.is_none_or(|end| extras.at < Some(end))));
        let witnesses = || tries.iter().map(|extras| self.ask(found, extras, now));
        let proof = witnesses().find(|witness| witness.is_proof);
        proof.or_else(|| witnesses().next())
    }

    fn ask(&self, found: &Found<'_>, extras: &Extras, now: Timestamp) -> Witness {
        let at = extras.at.or(found.run.from).unwrap_or(now);
        let asked = Asked {
            point: &found.point,
            party: found.party,
            service: self.service,
            at,
            extras: Some(extras),
        };
        let (old, new) = (
            self.old.version.answer(&asked),
            self.new.version.answer(&asked),
        );
        let headers = extras.headers.iter();
        Witness {
            is_proof: (old.level, new.level) == found.run.levels,
            point: found.point.with_query(&extras.query),
            unverified: found.party == Party::Unverified,
            forwarder: match found.party {
                Party::Via { by, .. } => Some(by.clone()),
                Party::Direct | Party::Unverified => None,
            },
            service: self.service.clone(),
            at,
            headers: headers
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            old,
            new,
        }
    }
}
