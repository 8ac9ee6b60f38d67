//! Rules with a `when`. What a condition says of a request is not looked into: each is
//! true of some requests and false of others, and the same text says the same in both
//! versions. What then comes out differently *may* differ, and is told as that; for a
//! witness, values are tried that stand in the conditions.

use std::collections::{BTreeMap, BTreeSet};

use callgate_policy::{
    PolicySet, Side, SpiffeId, Timestamp,
    document::parse_time,
    spec::{
        Callers, Enforcement, FromSpec, MeshSpec, PolicySetSpec, RuleSpec, ServiceSpec, WhenSpec,
    },
};

use super::{scene::World, way::Way};

/// Requests that are tried to show what conditions do.
const MAX_TRIES: usize = 200;

/// What a condition says, wherever it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Predicate {
    /// An error in it makes a deny rule match and an allow rule not.
    denies: bool,
    text: String,
    /// Where its captures come from.
    bound: Option<(String, String)>,
}

impl Predicate {
    pub(crate) fn of(when: &WhenSpec, side: Side, from: &str, to: &str) -> Self {
        let binds = !when.condition.captures().is_empty();
        Self {
            denies: side == Side::Deny,
            text: when.text.trim().to_owned(),
            bound: binds.then(|| (from.to_owned(), to.to_owned())),
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// The rules that decide about one service, where these predicates hold and no others.
pub(crate) fn assuming(
    world: &World<'_>,
    service: &SpiffeId,
    assumed: &BTreeSet<Predicate>,
) -> Option<PolicySet> {
    let live = |rules: &[RuleSpec], side| {
        let rules = rules.iter();
        rules.flat_map(|rule| ways(rule, side, assumed)).collect()
    };
    let mesh = world.version.mesh().map(|mesh| MeshSpec {
        allow: live(&mesh.allow, Side::Allow),
        deny: live(&mesh.deny, Side::Deny),
        ..mesh.clone()
    });
    let policy = world.policy.map(|policy| ServiceSpec {
        services: vec![service.clone()],
        allow: live(&policy.allow, Side::Allow),
        deny: live(&policy.deny, Side::Deny),
        ..policy.clone()
    });
    let services = policy.into_iter().collect();
    PolicySet::build(PolicySetSpec { mesh, services }).ok()
}

/// A rule, or of one with a condition the ways into it for which that is assumed.
fn ways(rule: &RuleSpec, side: Side, assumed: &BTreeSet<Predicate>) -> Vec<RuleSpec> {
    let Some(when) = &rule.when else {
        return vec![rule.clone()];
    };
    if rule.enforcement == Enforcement::Shadow {
        return Vec::new();
    }
    let mut ways = Vec::new();
    for from in &rule.from {
        for pattern in from.callers.patterns() {
            for to in &rule.to {
                let predicate = Predicate::of(when, side, &pattern.to_string(), &to.text);
                if assumed.contains(&predicate) {
                    ways.push(RuleSpec {
                        from: vec![FromSpec {
                            callers: Callers::Pattern(pattern.clone()),
                            ..from.clone()
                        }],
                        to: vec![to.clone()],
                        when: None,
                        ..rule.clone()
                    });
                }
            }
        }
    }
    ways
}

/// Moments within a week, and moments that conditions name, are tried too.
const HOURS_OF_A_WEEK: i64 = 7 * 24;

/// What a request may have besides, so that conditions come out in one way or another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extras {
    pub(crate) headers: BTreeMap<String, String>,
    /// As in a request target, with `?` where there is any.
    pub(crate) query: String,
    /// When it is made, if not as soon as both versions differ.
    pub(crate) at: Option<Timestamp>,
}

/// Times that are tried from `start` on for the conditions of `ways`: each hour of a week,
/// and the timestamps that stand in them. None, where none of them reads the time.
pub(crate) fn times<'w>(ways: impl Iterator<Item = &'w Way<'w>>, start: Timestamp) -> Vec<Extras> {
    let whens = ways.filter_map(|way| way.rule.when.as_ref());
    let timed: Vec<&WhenSpec> = whens.filter(|when| when.condition.reads_time()).collect();
    if timed.is_empty() {
        return Vec::new();
    }
    let named = timed.iter().flat_map(|when| literals(&when.text));
    let named = named.filter_map(|text| parse_time(&text).ok());
    let hours = (1..=HOURS_OF_A_WEEK)
        .map(|hour| Timestamp::from_millis(start.as_millis().saturating_add(hour * 3_600_000)));
    let moments = named.filter(|moment| *moment > start).chain(hours);
    let at = |moment| Extras {
        at: Some(moment),
        ..Extras::default()
    };
    moments.map(at).collect()
}

/// What is tried for the conditions of `ways`: nothing, and each of their headers and
/// parameters with the texts that stand in them.
pub(crate) fn tries<'w>(ways: impl Iterator<Item = &'w Way<'w>>) -> Vec<Extras> {
    let (mut names, mut values) = (BTreeSet::new(), BTreeSet::new());
    for when in ways.filter_map(|way| way.rule.when.as_ref()) {
        let headers = when.condition.headers().into_iter();
        names.extend(headers.map(|name| (true, name.to_owned())));
        let parameters = when.condition.parameters().into_iter();
        names.extend(parameters.map(|name| (false, name.to_owned())));
        values.extend(literals(&when.text));
    }
    values.insert("any".to_owned());
    for (_, name) in &names {
        values.remove(name);
    }
    let mut tries = vec![Extras::default()];
    for (is_header, name) in &names {
        for value in &values {
            let more: Vec<Extras> = tries
                .iter()
                .filter(|known| !known.has(*is_header, name))
                .map(|known| known.with(*is_header, name, value))
                .collect();
            tries.extend(more);
            tries.truncate(MAX_TRIES);
        }
    }
    tries
}

impl Extras {
    fn has(&self, is_header: bool, name: &str) -> bool {
        if is_header {
            self.headers.contains_key(name)
        } else {
            let begins = |part: &str| part.split('=').next() == Some(name);
            self.query.trim_start_matches('?').split('&').any(begins)
        }
    }

    fn with(&self, is_header: bool, name: &str, value: &str) -> Self {
        let mut more = self.clone();
        if is_header {
            more.headers.insert(name.to_owned(), value.to_owned());
        } else {
            let plain = |text: &str| {
                text.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b))
            };
            if plain(name) && plain(value) {
                more.query
                    .push(if more.query.is_empty() { '?' } else { '&' });
                more.query.push_str(&format!("{name}={value}"));
            }
        }
        more
    }
}

/// The texts in quotes.
fn literals(text: &str) -> Vec<String> {
    let mut literals = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(['"', '\'']) {
        let Some(after) = rest.get(start + 1..) else {
            break;
        };
        let quote = rest.get(start..=start).unwrap_or_default();
        let Some(end) = after.find(quote) else {
            break;
        };
        literals.extend(after.get(..end).map(ToOwned::to_owned));
        rest = after.get(end + 1..).unwrap_or_default();
    }
    literals
}
