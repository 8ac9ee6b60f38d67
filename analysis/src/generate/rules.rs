//! Rules: callers that do the same are one.

use std::collections::{BTreeMap, BTreeSet};

use super::{Callers, template::Place, tree::Verb};
use crate::figure::counted;

/// A rule to be written.
#[derive(Debug)]
pub(super) struct Rule {
    /// Callers' SPIFFE IDs, in order.
    pub(super) from: Vec<String>,
    pub(super) to: Vec<Line>,
}

/// A line of `to`, and what it rests on.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) evidence: String,
}

/// What a caller did: places, by their numbers, and how.
type Access<'a> = BTreeSet<(usize, &'a Verb)>;

/// One rule for everyone with the same access, in the order of their callers.
pub(super) fn rules(places: &[Place], callers: &Callers) -> Vec<Rule> {
    let mut access: BTreeMap<u32, Access<'_>> = BTreeMap::new();
    for (number, place) in places.iter().enumerate() {
        for (verb, calls) in &place.verbs {
            for caller in calls.keys() {
                access.entry(*caller).or_default().insert((number, verb));
            }
        }
    }
    let mut alike: BTreeMap<Access<'_>, Vec<u32>> = BTreeMap::new();
    for (caller, access) in access {
        alike.entry(access).or_default().push(caller);
    }
    let mut rules: Vec<Rule> = alike
        .into_iter()
        .map(|(access, numbers)| {
            let mut from: Vec<String> = numbers
                .iter()
                .map(|number| callers.id(*number).to_owned())
                .collect();
            from.sort();
            Rule {
                from,
                to: lines(&access, &numbers, places),
            }
        })
        .collect();
    rules.sort_by(|a, b| a.from.cmp(&b.from));
    rules
}

fn lines(access: &Access<'_>, callers: &[u32], places: &[Place]) -> Vec<Line> {
    let mut at_place: BTreeMap<usize, Vec<&Verb>> = BTreeMap::new();
    for (place, verb) in access {
        at_place.entry(*place).or_default().push(verb);
    }
    let mut lines = Vec::new();
    for (number, verbs) in at_place {
        let Some(place) = places.get(number) else {
            continue;
        };
        for (word, verbs) in words(&verbs) {
            lines.push(Line {
                text: format!("{word} {}", place.path),
                evidence: evidence(place, &verbs, callers),
            });
        }
    }
    lines
}

/// The words that say `verbs`, and which of them each says: methods in one, unless they
/// have no name.
fn words<'a>(verbs: &[&'a Verb]) -> Vec<(String, Vec<&'a Verb>)> {
    let of = |which: fn(&Verb) -> bool| -> Vec<&'a Verb> {
        verbs.iter().copied().filter(|verb| which(verb)).collect()
    };
    let any = verbs.contains(&&Verb::Any);
    let methods = of(|verb| matches!(verb, Verb::Method(_) | Verb::Any));
    let mut names: Vec<&str> = methods
        .iter()
        .filter_map(|verb| match verb {
            Verb::Method(name) => Some(&**name),
            _ => None,
        })
        .collect();
    names.sort_by_key(|name| (usual(name), *name));
    let method = if any {
        "ANY".to_owned()
    } else {
        names.join(",")
    };
    let words = [
        (method, methods),
        ("WEBSOCKET".to_owned(), of(|verb| *verb == Verb::WebSocket)),
        ("GRPC".to_owned(), of(|verb| *verb == Verb::Grpc)),
    ];
    let words = words.into_iter();
    words.filter(|(_, verbs)| !verbs.is_empty()).collect()
}

/// Methods in the order in which people write them.
fn usual(method: &str) -> usize {
    let order = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let at = order.iter().position(|one| *one == method);
    at.unwrap_or(order.len())
}

fn evidence(place: &Place, verbs: &[&Verb], callers: &[u32]) -> String {
    let calls = |verb: &&Verb| -> u64 {
        let calls = place.verbs.get(verb);
        let counts = callers.iter().filter_map(|caller| calls?.get(caller));
        counts.sum()
    };
    let mut evidence = vec![counted(verbs.iter().map(calls).sum(), "call")];
    evidence.extend(place.evidence.iter().cloned());
    if verbs.contains(&&Verb::Any) {
        evidence.push("some with a method that no rule can name".to_owned());
    }
    evidence.join(", ")
}
