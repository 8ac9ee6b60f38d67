//! Envoy's RBAC: nested permissions and principals.

use proptest::prelude::*;
use serde_json::{Value, json};

use callgate_analysis::import::System;
use callgate_policy::SpiffeId;

use super::{Call, Case, assert_many, compare, method_text, options, path_text, run};

const SERVICE: &str = "spiffe://example.org/ns/shop/sa/orders";
const CALLERS: [&str; 6] = [
    "spiffe://example.org/ns/a/sa/x",
    "spiffe://example.org/ns/a/sa/y",
    "spiffe://example.org/ns/b/sa/x",
    "spiffe://example.org/ns/ab/sa/x",
    "spiffe://example.org/ns/a",
    "spiffe://other.example/ns/a/sa/x",
];

#[derive(Clone, Debug)]
enum Condition {
    Any,
    Method(&'static str),
    Path(&'static str),
    PathPrefix(&'static str),
    Caller(&'static str),
    CallerPrefix(&'static str),
    Authenticated,
    Header(&'static str, &'static str),
    HeaderPresent,
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
}

type Policy = (Vec<Condition>, Vec<Condition>);

impl Condition {
    fn holds(&self, call: Call<'_>) -> bool {
        match self {
            Self::Any | Self::Authenticated => true,
            Self::Method(text) => call.method == *text,
            Self::Path(text) => call.path == *text,
            Self::PathPrefix(text) => call.path.starts_with(text),
            Self::Caller(text) => call.caller == *text,
            Self::CallerPrefix(text) => call.caller.starts_with(text),
            Self::Header(how, text) => call.header.is_some_and(|value| match *how {
                "exact" => value == *text,
                "prefix" => value.starts_with(text),
                "suffix" => value.ends_with(text),
                _ => value.contains(text),
            }),
            Self::HeaderPresent => call.header.is_some(),
            Self::And(all) => all.iter().all(|one| one.holds(call)),
            Self::Or(some) => some.iter().any(|one| one.holds(call)),
            Self::Not(one) => !one.holds(call),
        }
    }

    fn permission(&self) -> Value {
        match self {
            Self::Method(text) => {
                json!({"header": {"name": ":method", "string_match": {"exact": text}}})
            }
            Self::Path(text) => json!({"url_path": {"path": {"exact": text}}}),
            Self::PathPrefix(text) => json!({"url_path": {"path": {"prefix": text}}}),
            Self::Header(how, text) => {
                json!({"header": {"name": "X-A", "string_match": {*how: text}}})
            }
            Self::HeaderPresent => json!({"header": {"name": "x-a", "present_match": true}}),
            Self::And(all) => {
                json!({"and_rules": {"rules": all.iter().map(Self::permission).collect::<Vec<_>>()}})
            }
            Self::Or(some) => {
                json!({"or_rules": {"rules": some.iter().map(Self::permission).collect::<Vec<_>>()}})
            }
            Self::Not(one) => json!({"not_rule": one.permission()}),
            _ => json!({"any": true}),
        }
    }

    fn principal(&self) -> Value {
        let named =
            |how: &str, text: &str| json!({"authenticated": {"principal_name": {how: text}}});
        match self {
            Self::Path(text) => json!({"url_path": {"path": {"exact": text}}}),
            Self::Caller(text) => named("exact", text),
            Self::CallerPrefix(text) => named("prefix", text),
            Self::Authenticated => json!({"authenticated": {}}),
            Self::Header(how, text) => {
                json!({"header": {"name": "X-A", "string_match": {*how: text}}})
            }
            Self::HeaderPresent => json!({"header": {"name": "x-a", "present_match": true}}),
            Self::And(all) => {
                json!({"and_ids": {"ids": all.iter().map(Self::principal).collect::<Vec<_>>()}})
            }
            Self::Or(some) => {
                json!({"or_ids": {"ids": some.iter().map(Self::principal).collect::<Vec<_>>()}})
            }
            Self::Not(one) => json!({"not_id": one.principal()}),
            _ => json!({"any": true}),
        }
    }
}

fn nested(leaf: impl Strategy<Value = Condition> + 'static) -> impl Strategy<Value = Condition> {
    leaf.prop_recursive(3, 12, 3, |inner| {
        let several = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            3 => several.clone().prop_map(Condition::And),
            3 => several.prop_map(Condition::Or),
            1 => inner.prop_map(|one| Condition::Not(Box::new(one))),
        ]
    })
}

fn header() -> impl Strategy<Value = Condition> {
    let how = prop::sample::select(vec!["exact", "prefix", "suffix", "contains"]);
    let text = prop::sample::select(vec!["b", "c", "bc"]);
    prop_oneof![
        4 => (how, text).prop_map(|(how, text)| Condition::Header(how, text)),
        1 => Just(Condition::HeaderPresent),
    ]
}

fn permission() -> impl Strategy<Value = Condition> {
    nested(prop_oneof![
        2 => Just(Condition::Any),
        6 => method_text().prop_map(Condition::Method),
        6 => path_text().prop_map(Condition::Path),
        6 => path_text().prop_map(Condition::PathPrefix),
        2 => header(),
    ])
}

fn principal() -> impl Strategy<Value = Condition> {
    let prefixes = vec![
        "spiffe://example.org/",
        "spiffe://example.org/ns/a/",
        "spiffe://example.org/ns/",
        "spiffe://example.org/ns/a",
        "spiffe://",
    ];
    nested(prop_oneof![
        12 => prop::sample::select(CALLERS.to_vec()).prop_map(Condition::Caller),
        4 => prop::sample::select(prefixes).prop_map(Condition::CallerPrefix),
        1 => Just(Condition::Any),
        1 => Just(Condition::Authenticated),
        2 => header(),
        1 => path_text().prop_map(Condition::Path),
    ])
}

fn policies() -> impl Strategy<Value = Vec<Policy>> {
    let policy = (
        prop::collection::vec(permission(), 1..3),
        prop::collection::vec(principal(), 1..3),
    );
    prop::collection::vec(policy, 0..3)
}

fn filter(action: &str, policies: &[Policy]) -> Value {
    let policy = |(at, (permissions, principals)): (usize, &Policy)| {
        let permissions: Vec<Value> = permissions.iter().map(Condition::permission).collect();
        let principals: Vec<Value> = principals.iter().map(Condition::principal).collect();
        (
            format!("policy-{at}"),
            json!({"permissions": permissions, "principals": principals}),
        )
    };
    let policies: serde_json::Map<String, Value> =
        policies.iter().enumerate().map(policy).collect();
    json!({"rules": {"action": action, "policies": policies}})
}

fn fits(policies: &[Policy], call: Call<'_>) -> bool {
    let some = |conditions: &[Condition]| conditions.iter().any(|one| one.holds(call));
    policies
        .iter()
        .any(|(permissions, principals)| some(permissions) && some(principals))
}

#[test]
fn an_envoy_filter_and_its_import_let_in_the_same() {
    let exact = run(300, &(policies(), policies()), |(deny, allow)| {
        let case = Case {
            system: System::EnvoyRbac {
                services: vec![SpiffeId::parse(SERVICE).unwrap()],
            },
            options: options("example.org", &[]),
            documents: &[filter("DENY", &deny), filter("ALLOW", &allow)],
            callers: &CALLERS,
            services: &[SERVICE],
            headers: true,
        };
        compare(&case, |call| !fits(&deny, call) && fits(&allow, call))
    });
    assert_many(exact, 30);
}
