//! Consul: the most specific intention decides, and of its permissions the first that fits.

use proptest::prelude::*;
use serde_json::{Value, json};

use callgate_analysis::import::System;

use super::{Call, Case, assert_many, compare, method_text, options, path_text, run};

const CALLERS: [&str; 3] = [
    "spiffe://example.consul/ns/default/dc/dc1/svc/web",
    "spiffe://example.consul/ns/default/dc/dc2/svc/web",
    "spiffe://example.consul/ns/default/dc/dc1/svc/mobile",
];
const SERVICES: [&str; 2] = [
    "spiffe://example.consul/ns/default/dc/dc1/svc/api",
    "spiffe://example.consul/ns/default/dc/dc1/svc/store",
];

#[derive(Clone, Debug)]
struct Permission {
    allow: bool,
    exact: bool,
    path: Option<&'static str>,
    methods: Vec<&'static str>,
}

#[derive(Clone, Debug)]
enum Effect {
    Allow,
    Deny,
    Permissions(Vec<Permission>),
}

/// The intentions for one destination: sources are unique in an entry.
type Entry = (&'static str, Vec<(&'static str, Effect)>);

fn name(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or_default()
}

impl Permission {
    fn fits(&self, call: Call<'_>) -> bool {
        let path = self.path.is_none_or(|path| {
            if self.exact {
                call.path == path
            } else {
                call.path.starts_with(path)
            }
        });
        path && (self.methods.is_empty() || self.methods.contains(&call.method))
    }

    fn document(&self) -> Value {
        let mut http = serde_json::Map::new();
        if let Some(path) = self.path {
            http.insert(
                if self.exact {
                    "PathExact"
                } else {
                    "PathPrefix"
                }
                .to_owned(),
                json!(path),
            );
        }
        if !self.methods.is_empty() {
            http.insert("Methods".to_owned(), json!(self.methods));
        }
        json!({"Action": if self.allow { "allow" } else { "deny" }, "HTTP": http})
    }
}

fn effect() -> impl Strategy<Value = Effect> {
    let permission = (
        any::<bool>(),
        any::<bool>(),
        prop::option::weighted(0.8, path_text()),
        prop::collection::vec(method_text(), 0..2),
    );
    let permission = permission.prop_map(|(allow, exact, path, methods)| Permission {
        allow,
        exact,
        path,
        methods,
    });
    prop_oneof![
        2 => Just(Effect::Allow),
        2 => Just(Effect::Deny),
        3 => prop::collection::vec(permission, 1..5).prop_map(Effect::Permissions),
    ]
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let sources = prop::sample::subsequence(vec!["web", "mobile", "*"], 0..=3);
    let sources = sources.prop_flat_map(|names| {
        let count = names.len();
        (Just(names), prop::collection::vec(effect(), count))
            .prop_map(|(names, effects)| names.into_iter().zip(effects).collect::<Vec<_>>())
    });
    (
        sources.clone(),
        sources.clone(),
        prop_oneof![2 => Just(Vec::new()), 1 => sources],
    )
        .prop_map(|(api, store, any)| vec![("api", api), ("store", store), ("*", any)])
}

fn lets_in(entries: &[Entry], call: Call<'_>) -> bool {
    for destination in [name(call.service), "*"] {
        for source in [name(call.caller), "*"] {
            let entry = entries.iter().find(|(name, _)| *name == destination);
            let found =
                entry.and_then(|(_, sources)| sources.iter().find(|(name, _)| *name == source));
            match found {
                None => {}
                Some((_, Effect::Allow)) => return true,
                Some((_, Effect::Deny)) => return false,
                Some((_, Effect::Permissions(list))) => {
                    return list
                        .iter()
                        .find(|one| one.fits(call))
                        .is_some_and(|one| one.allow);
                }
            }
        }
    }
    false
}

#[test]
fn consul_intentions_and_their_import_let_in_the_same() {
    let exact = run(600, &entries(), |entries| {
        let source = |(name, effect): &(&str, Effect)| match effect {
            Effect::Allow => json!({"Name": name, "Action": "allow"}),
            Effect::Deny => json!({"Name": name, "Action": "deny"}),
            Effect::Permissions(list) => {
                json!({"Name": name, "Permissions": list.iter().map(Permission::document).collect::<Vec<_>>()})
            }
        };
        let documents: Vec<Value> = entries
            .iter()
            .map(|(name, sources)| {
                let sources: Vec<Value> = sources.iter().map(source).collect();
                json!({"Kind": "service-intentions", "Name": name, "Sources": sources})
            })
            .collect();
        let case = Case {
            system: System::Consul {
                datacenters: vec!["dc1".to_owned()],
            },
            options: options("example.consul", &[]),
            documents: &documents,
            callers: &CALLERS,
            services: &SERVICES,
            headers: false,
        };
        compare(&case, |call| lets_in(&entries, call))
    });
    assert_many(exact, 60);
}
