//! From requests that are decided differently to what people are told: who, what, by
//! which rule.

use std::collections::HashMap;

use callgate_policy::{Side, SpiffeId, Timestamp, spec::Callers};

use super::{
    AccessChange, CallerChange, ServiceChange, Who, Witness,
    condition::{self, Extras},
    survey::{Found, Subject, Survey},
    way::Way,
    world::{Asked, Party},
};
use crate::language::Shape;

/// What of an access stays as it was is told by so many entries.
const MAX_EXCEPTIONS: usize = 8;

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
struct Told<'w> {
    found: &'w Found<'w>,
    kept: Vec<&'w Way<'w>>,
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
                && other.kept.iter().all(|kept| apart(kept))
        }
        _ => false,
    })
}

/// Differences with whom they are about. Where a rule names a group and all members of
/// it fare alike, it is the group.
fn whole_groups<'t, 'w>(told: &'t [Told<'w>]) -> Vec<(Who, &'t Told<'w>)> {
    let mut members: HashMap<GroupKey<'_>, usize> = HashMap::new();
    let keys: Vec<Option<GroupKey<'_>>> = told.iter().map(GroupKey::of).collect();
    for key in keys.iter().flatten() {
        *members.entry(key.clone()).or_default() += 1;
    }
    let mut whole = Vec::new();
    for (number, (one, key)) in told.iter().zip(&keys).enumerate() {
        let Some(key) = key else {
            whole.push((who(one.found), one));
            continue;
        };
        let all = key.members();
        if members.get(key) != Some(&all) {
            whole.push((who(one.found), one));
        } else if !keys.iter().take(number).flatten().any(|other| other == key) {
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

impl<'v> Survey<'v> {
    /// Rules by which part of what a difference is about stays as it was.
    fn exceptions<'w>(&'w self, found: &Found<'w>) -> Vec<&'w Way<'w>>
    where
        'v: 'w,
    {
        let Subject::Allow(way) = found.subject else {
            return Vec::new();
        };
        let (own, other) = if found.is_new {
            (&self.new, &self.old)
        } else {
            (&self.old, &self.new)
        };
        let allowed = other.ways.iter().filter(|way| way.side() == Side::Allow);
        let denied = own.ways.iter().filter(|way| way.side() == Side::Deny);
        let mut kept: Vec<&Way<'_>> = Vec::new();
        for exception in allowed.chain(denied) {
            let texts = |way: &Way<'_>| (way.pattern.to_string(), way.to.text.clone());
            if kept.len() < MAX_EXCEPTIONS
                && self.stays(found, way, exception)
                && !kept.iter().any(|known| texts(known) == texts(exception))
            {
                kept.push(exception);
            }
        }
        kept
    }

    /// Whether some of what both ways are about is decided alike at that time.
    fn stays(&self, found: &Found<'_>, way: &Way<'_>, exception: &Way<'_>) -> bool {
        let (mine, theirs) = (way.shapes(), exception.shapes());
        let meet = |shape: &&Shape| theirs.iter().all(|other| shape.may_meet(other));
        if !mine.iter().all(meet) {
            return false;
        }
        let asserted = match found.party {
            Party::Via { may, .. } => Some(Shape::of_callers(may)),
            Party::Direct | Party::Unverified => None,
        };
        let shapes: Vec<&Shape> = mine.into_iter().chain(theirs).chain(&asserted).collect();
        let accesses = [&way.access, &exception.access];
        let questions = self.language.questions(&shapes, &accesses, &[]);
        let mut assumed = found.subject.assumed();
        assumed.extend(exception.predicate.clone());
        let other = found.run;
        questions.iter().any(|(kind, point)| {
            let mut runs = self.runs(point, found.party, &assumed).into_iter();
            found.kinds.contains(kind)
                && !runs.any(|run| run.levels == other.levels && run.from <= other.from)
        })
    }

    /// What is told of a difference; nothing if the versions do not bear it out.
    fn change(&self, told: &Told<'_>, now: Timestamp) -> Option<AccessChange> {
        let found = told.found;
        let conditions = self.conditions(found);
        let witness = match conditions.is_empty() {
            true => self.witness(found, now).filter(|one| one.is_proof)?,
            false => self.witness(found, now)?,
        };
        let (mut what, mut except) = self.what(found);
        except.extend(told.kept.iter().map(|way| self.exception(found, way)));
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

    /// The operation, as a line of a rule would say it, and methods that are no part.
    fn what(&self, found: &Found<'_>) -> (Option<String>, Vec<String>) {
        let way = match found.subject {
            Subject::Everything => return (None, Vec::new()),
            Subject::Allow(way) | Subject::Deny(way) | Subject::Revoked { allow: way } => way,
            Subject::Denied { allow, .. } => allow,
        };
        let path = match found.subject {
            Subject::Denied { allow, deny } => common_path(allow, deny),
            _ => way.path().to_owned(),
        };
        let verb = way.access.to().verb();
        let all = self.language.kinds_of(&way.access);
        if all.iter().all(|kind| found.kinds.contains(kind)) {
            return (Some(format!("{verb} {path}")), Vec::new());
        }
        let methods = |changed: bool| -> Vec<&str> {
            let kinds = all
                .iter()
                .filter(|kind| found.kinds.contains(kind) == changed);
            let methods = kinds.flat_map(|kind| self.language.methods_of(*kind));
            let mut methods: Vec<&str> = methods.map(String::as_str).collect();
            if methods.contains(&"GET") {
                methods.retain(|method| *method != "HEAD");
            }
            methods
        };
        let (changed, same) = (methods(true), methods(false));
        if changed.is_empty() || same.is_empty() {
            (Some(format!("{verb} {path}")), Vec::new())
        } else if verb == "ANY" && changed.len() > same.len() {
            (Some(format!("ANY {path}")), vec![same.join(",")])
        } else {
            (Some(format!("{} {path}", changed.join(","))), Vec::new())
        }
    }

    /// Whom a proxy may name in the version that allows less.
    fn asserted(&self, found: &Found<'_>, by: &SpiffeId) -> Vec<String> {
        let widens = found.run.levels.0 < found.run.levels.1;
        let version = self.world(!widens).version;
        let listed = version
            .mesh()
            .map_or(&[][..], |mesh| &mesh.trust.forwarders);
        let of_proxy = listed.iter().filter(|one| one.id == *by);
        let patterns = of_proxy.flat_map(|one| &one.may_assert);
        patterns.map(|pattern| format!("from {pattern}")).collect()
    }

    /// Where the same line is about more or fewer paths than before: which.
    fn spelling(&self, what: &str) -> &'static str {
        let (old, new) = (self.old.options(), self.new.options());
        let slash = old.ignore_trailing_slash != new.ignore_trailing_slash;
        let encoded = old.keep_encoded_slash != new.keep_encoded_slash;
        let parameters = old.keep_parameters != new.keep_parameters;
        match (slash, encoded, parameters) {
            (true, false, false) if !what.ends_with('/') => "/",
            (false, true, false) => " with `%2F`",
            (false, false, true) => " with `;`",
            _ => " in other spellings",
        }
    }

    /// What of an access stays as it was, in the words of the rule that says so.
    fn exception(&self, found: &Found<'_>, way: &Way<'_>) -> String {
        let Subject::Allow(own) = found.subject else {
            return way.to.text.clone();
        };
        let kinds = self.language.kinds_of(&way.access);
        let same_path = way.access.shape().has_paths_of(own.access.shape())
            && found.kinds.iter().all(|kind| kinds.contains(kind));
        // What is captured says which of the paths are meant.
        let binds = way.pattern.captures().next().is_some();
        let same_caller = way.alias.is_none()
            && (way.pattern == own.pattern || (!binds && way.pattern.covers(own.pattern)));
        let when = way.predicate.as_ref();
        let when = when.map_or_else(String::new, |when| format!(" when {}", when.text()));
        match (same_caller, same_path) {
            (true, _) => format!("{}{when}", way.to.text),
            (false, true) => format!("from {}{when}", way.pattern),
            (false, false) => format!("{} from {}{when}", way.to.text, way.pattern),
        }
    }

    /// The conditions that have a say in what is found.
    fn conditions(&self, found: &Found<'_>) -> Vec<String> {
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
    fn witness(&self, found: &Found<'_>, now: Timestamp) -> Option<Witness> {
        let tries = condition::tries(self.conditional(found));
        let witnesses = || tries.iter().map(|extras| self.ask(found, extras, now));
        let proof = witnesses().find(|witness| witness.is_proof);
        proof.or_else(|| witnesses().next())
    }

    fn ask(&self, found: &Found<'_>, extras: &Extras, now: Timestamp) -> Witness {
        let at = found.run.from.unwrap_or(now);
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

/// The narrower of two paths; both, if neither is.
fn common_path(allow: &Way<'_>, deny: &Way<'_>) -> String {
    let (allowed, denied) = (allow.access.shape(), deny.access.shape());
    let (one, other) = (allow.path(), deny.path());
    if denied.has_paths_of(allowed) {
        one.to_owned()
    } else if allowed.has_paths_of(denied) {
        other.to_owned()
    } else {
        format!("{one} that is also {other}")
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
