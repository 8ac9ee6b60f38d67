//! From requests that are decided differently to what people are told: who, what, by
//! which rule.

use callgate_policy::Timestamp;

use super::{
    AccessChange, CallerChange, ServiceChange,
    asking::{Found, Subject},
    operation::MAX_EXCEPTIONS,
    survey::Survey,
    way::Way,
    whom::whole_groups,
    world::Party,
};

/// What changes, caller by caller, in the order of the documents.
pub(super) fn by_caller(
    survey: &Survey<'_>,
    found: &[Found<'_>],
    now: Timestamp,
) -> Vec<CallerChange> {
    let mut told: Vec<Told<'_>> = Vec::new();
    for one in found {
        let kept = survey.exceptions(one);
        if !is_told_before(one, &told) {
            told.push(Told { found: one, kept });
        }
    }
    let mut callers: Vec<CallerChange> = Vec::new();
    for (who, one) in whole_groups(&told) {
        let change = survey.change(one, now);
        let Some(change) = change else { continue };
        match callers
            .iter_mut()
            .find(|caller| caller.who == [who.clone()])
        {
            Some(caller) if caller.accesses.iter().any(|other| other.says_more(&change)) => {}
            Some(caller) => caller.accesses.push(change),
            None => callers.push(CallerChange {
                who: vec![who],
                accesses: vec![change],
            }),
        }
    }
    merge_callers(callers)
}

/// Adds what changes for one service; services that change alike are told together.
pub(super) fn add(
    services: &mut Vec<ServiceChange>,
    survey: &Survey<'_>,
    is_named: bool,
    callers: Vec<CallerChange>,
) {
    let policy = survey.new.policy.or(survey.old.policy);
    let service = is_named.then(|| survey.service.clone());
    let alike = |other: &[CallerChange]| {
        other.len() == callers.len()
            && other
                .iter()
                .zip(&callers)
                .all(|(one, other)| one.who == other.who && alike(&one.accesses, &other.accesses))
    };
    if let Some(known) = services.iter_mut().find(|known| alike(&known.callers)) {
        known.services.push(service);
        return;
    }
    services.push(ServiceChange {
        policy: policy.map(|policy| policy.name.clone()),
        services: vec![service],
        callers,
    });
}

/// A difference, and what of its access is as it was.
pub(super) struct Told<'w> {
    pub(super) found: &'w Found<'w>,
    pub(super) kept: Vec<&'w Way<'w>>,
}

/// Whether the same rule tells of it already, as part of something larger.
fn is_told_before(one: &Found<'_>, told: &[Told<'_>]) -> bool {
    let (allow, deny) = match one.subject {
        Subject::Denied { allow, deny } => (allow, Some(deny)),
        Subject::Revoked { allow } => (allow, None),
        Subject::Allow(_) | Subject::Deny(_) | Subject::Everything => return false,
    };
    // What is said to stay as it was may be just what changes by the other rule.
    let apart = |kept: &Way<'_>| {
        let others = deny.map(Way::shapes).unwrap_or_default();
        let mut pairs = kept.shapes().into_iter();
        !others.is_empty() && pairs.any(|shape| others.iter().any(|other| !shape.may_meet(other)))
    };
    told.iter().any(|other| match other.found.subject {
        Subject::Allow(way) => {
            std::ptr::eq(way, allow)
                && other.found.run == one.run
                && one.kinds.is_subset(&other.found.kinds)
                && other.kept.len() <= MAX_EXCEPTIONS
                && other.kept.iter().all(|kept| apart(kept))
        }
        _ => false,
    })
}

impl Survey<'_> {
    /// What is told of a difference; nothing if the versions do not bear it out.
    fn change(&self, told: &Told<'_>, now: Timestamp) -> Option<AccessChange> {
        let found = told.found;
        let conditions = self.conditions(found);
        let witness = match conditions.is_empty() {
            true => self.witness(found, now).filter(|one| one.is_proof)?,
            false => self.witness(found, now)?,
        };
        let (mut what, mut except) = self.what(found);
        let kept = told.kept.iter().take(MAX_EXCEPTIONS);
        except.extend(kept.map(|way| self.exception(found, way)));
        if told.kept.len() > MAX_EXCEPTIONS {
            except.push("more that other rules say".to_owned());
        }
        if let Some(what) = &what {
            // The conditions are told beside it.
            let conditional = format!("{what} when ");
            except.retain(|other| !other.starts_with(&conditional));
        }
        if let Some(what) = &mut what
            && except.contains(what)
        {
            except.retain(|other| other != what);
            match found.party {
                Party::Via { by, .. } => except.extend(self.asserted(found, by)),
                Party::Direct | Party::Unverified => what.push_str(self.spelling(what)),
            }
        }
        let rule = match found.subject {
            Subject::Allow(way) | Subject::Deny(way) => Some(way.place(found.is_new)),
            Subject::Denied { deny, .. } => Some(deny.place(!found.is_new)),
            Subject::Revoked { .. } | Subject::Everything => None,
        };
        Some(AccessChange {
            levels: found.run.levels,
            what,
            except,
            rule,
            conditions,
            from: found.run.from,
            until: found.run.until,
            witness,
        })
    }
}

impl AccessChange {
    /// Whether `other` adds nothing to this.
    fn says_more(&self, other: &Self) -> bool {
        self.is_alike(other) || {
            let same = self.levels == other.levels
                && (self.from, self.until) == (other.from, other.until)
                && self.what == other.what;
            let certain = self.is_certain() || self.conditions == other.conditions;
            same && certain && self.except.is_empty()
        }
    }

    /// Whether both say the same, be it by other rules and witnesses.
    fn is_alike(&self, other: &Self) -> bool {
        self.levels == other.levels
            && self.what == other.what
            && self.except == other.except
            && self.conditions == other.conditions
            && (self.from, self.until) == (other.from, other.until)
    }
}

fn alike(one: &[AccessChange], other: &[AccessChange]) -> bool {
    let rule = |access: &AccessChange| access.rule.clone();
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|(a, b)| a.is_alike(b) && rule(a) == rule(b))
}

/// Callers whose accesses change alike are told together.
fn merge_callers(callers: Vec<CallerChange>) -> Vec<CallerChange> {
    let mut merged: Vec<CallerChange> = Vec::new();
    for caller in callers {
        match merged
            .iter_mut()
            .find(|known| alike(&known.accesses, &caller.accesses))
        {
            Some(known) => known.who.extend(caller.who),
            None => merged.push(caller),
        }
    }
    merged
}
