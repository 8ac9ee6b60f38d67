//! Places in the tree as paths that a rule can have, with the evidence for them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Service,
    token::{Kind, Token},
    tree::{Piece, Verb},
    values::Values,
};
use crate::figure::grouped;

/// A path, and how it was called.
#[derive(Debug)]
pub(super) struct Place {
    /// As a rule has it.
    pub(super) path: String,
    /// What its captures stand for.
    pub(super) evidence: Vec<String>,
    /// By whom, how often.
    pub(super) verbs: BTreeMap<Verb, BTreeMap<u32, u64>>,
}

/// Every place of `service`, in the order of their paths, gRPC methods last.
pub(super) fn places(service: &Service) -> Vec<Place> {
    let mut places = BTreeMap::new();
    service.paths.each(&mut |pieces, ends| {
        let (path, evidence) = text(pieces);
        for (end, callers) in ends {
            let slash = if end.slash { "/" } else { "" };
            let path = match &*path {
                "" => "/".to_owned(),
                path => format!("{path}{slash}"),
            };
            let place = places.entry(path.clone()).or_insert_with(|| Place {
                path,
                evidence: evidence.clone(),
                verbs: BTreeMap::new(),
            });
            let verb = place.verbs.entry(end.verb.clone()).or_default();
            for (caller, count) in callers {
                *verb.entry(*caller).or_default() += count;
            }
        }
    });
    let mut places: Vec<Place> = places.into_values().collect();
    places.iter_mut().for_each(Place::cover_head);
    places.extend(service.grpc.iter().map(|(method, callers)| Place {
        path: (**method).to_owned(),
        evidence: Vec::new(),
        verbs: BTreeMap::from([(Verb::Grpc, callers.clone())]),
    }));
    places
}

impl Place {
    /// Counts a caller's HEAD as GET where it has both: GET covers HEAD.
    fn cover_head(&mut self) {
        let (get, head) = ["GET", "HEAD"].map(|name| Verb::Method(name.into())).into();
        let Some(mut heads) = self.verbs.remove(&head) else {
            return;
        };
        if let Some(gets) = self.verbs.get_mut(&get) {
            heads.retain(|caller, count| match gets.get_mut(caller) {
                Some(calls) => {
                    *calls += *count;
                    false
                }
                None => true,
            });
        }
        if !heads.is_empty() {
            self.verbs.insert(head, heads);
        }
    }
}

/// A path with its captures named, and what they stand for.
fn text(pieces: &[Piece<'_>]) -> (String, Vec<String>) {
    let (mut path, mut names, mut last) = (String::new(), BTreeSet::new(), "");
    let mut evidence = Vec::new();
    let captures = pieces
        .iter()
        .filter(|piece| matches!(piece, Piece::Capture { .. }));
    let several = captures.count() > 1;
    for piece in pieces {
        path.push('/');
        match piece {
            Piece::Literal(literal, token) => {
                path.push_str(literal);
                if !matches!(token, Token::Word) {
                    evidence.push(format!("always {literal}"));
                }
                last = match token {
                    Token::Id { prefix, .. } if !prefix.is_empty() => prefix,
                    _ => literal,
                };
            }
            Piece::Capture {
                prefix,
                suffix,
                values,
            } => {
                let name = name(prefix, last, &mut names);
                path.push_str(&format!("{prefix}{{{name}}}{suffix}"));
                let told = told(values);
                evidence.push(match several {
                    true => format!("{name}: {told}"),
                    false => told,
                });
                last = "";
            }
        }
    }
    (path, evidence)
}

/// What a capture is called: what stands before it, in the singular; never twice.
fn name(prefix: &str, before: &str, taken: &mut BTreeSet<String>) -> String {
    let trim = |text: &str| {
        let text = text.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        text.to_owned()
    };
    let word = match prefix {
        "" => singular(&trim(before)),
        prefix => trim(prefix),
    };
    let word: String = word
        .chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() => c.to_ascii_lowercase(),
            _ => '_',
        })
        .collect();
    let sound = word.starts_with(|c: char| c.is_ascii_alphabetic()) && word.len() <= 32;
    let word = if sound { word } else { "id".to_owned() };
    let numbered = (2..).map(|n| format!("{word}{n}"));
    let mut names = std::iter::once(word.clone()).chain(numbered);
    let name = names.find(|name| !taken.contains(name)).unwrap_or(word);
    taken.insert(name.clone());
    name
}

/// `orders` and `categories` name many of `order` and `category`.
fn singular(word: &str) -> String {
    match word.strip_suffix("ies") {
        Some(stem) if !stem.is_empty() => format!("{stem}y"),
        _ => match word.strip_suffix('s') {
            Some(stem) if stem.len() > 2 && !stem.ends_with(['s', 'u', 'i']) => stem.to_owned(),
            _ => word.to_owned(),
        },
    }
}

/// `29,113 values, all digits`.
fn told(values: &Values) -> String {
    let (count, exact) = values.count();
    let some = if exact { "" } else { "over " };
    let noun = if count == 1 { "value" } else { "values" };
    let mut kinds: Vec<String> = values.kinds().map(|kind: Kind| kind.to_string()).collect();
    let last = kinds.pop().unwrap_or_default();
    let what = match kinds.is_empty() {
        true if count == 1 => last,
        true => format!("all {last}"),
        false => format!("{} and {last}", kinds.join(", ")),
    };
    format!("{some}{} {noun}, {what}", grouped(count as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_are_named_after_what_stands_before_them() {
        let cases = [
            ("", "orders", "order"),
            ("", "categories", "category"),
            ("", "status", "status"),
            ("", "address", "address"),
            ("", "v1", "v1"),
            ("", "user-profiles", "user_profile"),
            ("", "resources-", "resource"),
            ("", "", "id"),
            ("", "%C3%A9", "c3_a9"),
            ("", "2027", "id"),
            ("order-", "things", "order"),
            ("app.", "", "app"),
        ];
        for (prefix, before, expected) in cases {
            let got = name(prefix, before, &mut BTreeSet::new());
            assert_eq!(got, expected, "{prefix} {before}");
        }
        let mut taken = BTreeSet::new();
        let names = [1, 2, 3].map(|_| name("", "orders", &mut taken));
        assert_eq!(names, ["order", "order2", "order3"]);
    }
}
