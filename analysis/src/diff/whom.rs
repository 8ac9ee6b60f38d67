//! Whom a difference is about.

use std::collections::{HashMap, HashSet};

use callgate_policy::spec::Callers;

use super::{
    Who,
    asking::{Found, Subject},
    report::Told,
    way::Way,
    world::Party,
};

/// Differences with whom they are about. Where a rule names a group and all members of
/// it fare alike, it is the group.
pub(super) fn whole_groups<'t, 'w>(told: &'t [Told<'w>]) -> Vec<(Who, &'t Told<'w>)> {
    let mut members: HashMap<GroupKey<'_>, usize> = HashMap::new();
    let keys: Vec<Option<GroupKey<'_>>> = told.iter().map(GroupKey::of).collect();
    for key in keys.iter().flatten() {
        *members.entry(key.clone()).or_default() += 1;
    }
    let (mut whole, mut done) = (Vec::new(), HashSet::new());
    for (one, key) in told.iter().zip(&keys) {
        let Some(key) = key else {
            whole.push((who(one.found), one));
            continue;
        };
        let all = key.members();
        if members.get(key) != Some(&all) {
            whole.push((who(one.found), one));
        } else if done.insert(key) {
            let name = key.name.to_owned();
            whole.push((group(one.found.party, name, all), one));
        }
    }
    whole
}

fn group(party: Party<'_>, name: String, members: usize) -> Who {
    forwarded(party, Who::Group { name, members })
}

/// What differences of members of one group have in common if they are alike.
#[derive(Clone, PartialEq, Eq, Hash)]
struct GroupKey<'w> {
    name: &'w str,
    /// The entry of `from`, the line of `to` and the other rule, by where they are.
    entries: (usize, usize, usize),
    members: usize,
    run: String,
    kinds: Vec<usize>,
    kept: Vec<String>,
}

impl<'w> GroupKey<'w> {
    fn of(told: &Told<'w>) -> Option<Self> {
        let found = told.found;
        let (way, other) = match found.subject {
            Subject::Allow(way) | Subject::Deny(way) => (way, None),
            Subject::Denied { allow, deny } if deny.pattern.covers(allow.pattern) => {
                (allow, Some(deny))
            }
            _ => return None,
        };
        let Callers::Group(members) = &way.from.callers else {
            return None;
        };
        if way.alias.is_some() || found.party != Party::Direct {
            return None;
        }
        let address =
            |one: Option<&Way<'_>>| one.map_or(0, |way| std::ptr::from_ref(way.to).addr());
        Some(Self {
            name: &way.from.text,
            entries: (
                std::ptr::from_ref(way.from).addr(),
                address(Some(way)),
                address(other),
            ),
            members: members.len(),
            run: format!("{:?} {:?}", found.run, found.party),
            kinds: found.kinds.iter().copied().collect(),
            kept: told.kept.iter().map(|way| way.to.text.clone()).collect(),
        })
    }

    const fn members(&self) -> usize {
        self.members
    }
}

/// Whom a difference is about.
fn who(found: &Found<'_>) -> Who {
    if let Party::Via { may, .. } = found.party {
        let named = match found.subject {
            Subject::Allow(way) if may.covers(way.pattern) => of_way(way),
            _ => Who::Pattern {
                pattern: may.to_string(),
                group: None,
                alias: None,
                also: None,
            },
        };
        return forwarded(found.party, named);
    }
    let who = match found.subject {
        Subject::Allow(way) | Subject::Deny(way) => of_way(way),
        Subject::Denied { allow, deny } => common_callers(allow, deny),
        Subject::Revoked { .. } => Who::Pattern {
            pattern: found.point.caller().to_string(),
            group: None,
            alias: None,
            also: None,
        },
        Subject::Everything if found.party == Party::Unverified => return Who::Unverified,
        Subject::Everything => Who::Everyone {
            trust_domain: found.point.caller().trust_domain().to_owned(),
        },
    };
    forwarded(found.party, who)
}

fn forwarded(party: Party<'_>, who: Who) -> Who {
    match party {
        Party::Via { by, .. } => Who::Forwarded {
            by: by.clone(),
            caller: Box::new(who),
        },
        Party::Direct | Party::Unverified => who,
    }
}

fn of_way(way: &Way<'_>) -> Who {
    let full = way.pattern.to_string();
    let group = match &way.from.callers {
        Callers::Group(_) => Some(way.from.text.clone()),
        Callers::Pattern(_) => None,
    };
    match &way.alias {
        None => Who::Pattern {
            pattern: full,
            group,
            alias: None,
            also: None,
        },
        Some(alias) => {
            let own = way.pattern.trust_domain();
            Who::Pattern {
                pattern: full.replacen(own, &alias.trust_domain, 1),
                group,
                alias: Some(full),
                also: None,
            }
        }
    }
}

/// The narrower of two lists of callers; both, if neither is.
fn common_callers(allow: &Way<'_>, deny: &Way<'_>) -> Who {
    let aliased = allow.alias.is_some() || deny.alias.is_some();
    // What is captured says which paths are meant, so the pattern that does stays.
    let binds = allow.pattern.captures().next().is_some();
    if aliased || deny.pattern.covers(allow.pattern) {
        return of_way(allow);
    }
    if !binds && allow.pattern.covers(deny.pattern) {
        return of_way(deny);
    }
    match of_way(allow) {
        Who::Pattern {
            pattern,
            group,
            alias,
            ..
        } => Who::Pattern {
            pattern,
            group,
            alias,
            also: Some(deny.pattern.to_string()),
        },
        who => who,
    }
}
