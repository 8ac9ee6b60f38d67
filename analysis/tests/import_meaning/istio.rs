//! Istio: policies of a workload, its namespace and the root namespace.

use proptest::prelude::*;
use serde_json::{Value, json};

use callgate_analysis::import::System;

use super::{Call, Case, assert_many, compare, method_text, options, path_text, run};

const CALLERS: [&str; 5] = [
    "spiffe://example.org/ns/a/sa/x",
    "spiffe://example.org/ns/a/sa/y",
    "spiffe://example.org/ns/b/sa/x",
    "spiffe://example.org/ns/ab/sa/x",
    "spiffe://other.example/ns/a/sa/x",
];
const ORDERS: &str = "spiffe://example.org/ns/shop/sa/orders";
const LEDGER: &str = "spiffe://example.org/ns/shop/sa/ledger";

#[derive(Clone, Debug, Default)]
struct Source {
    principals: Vec<&'static str>,
    not_principals: Vec<&'static str>,
    namespaces: Vec<&'static str>,
    service_accounts: Vec<&'static str>,
}

#[derive(Clone, Debug, Default)]
struct Operation {
    methods: Vec<&'static str>,
    paths: Vec<String>,
    not_paths: Vec<String>,
}

#[derive(Clone, Debug)]
struct Rule {
    from: Vec<Source>,
    to: Vec<Operation>,
    when: Option<&'static str>,
    /// Values of `x-a`, and values that it must not have.
    headers: (Vec<&'static str>, Vec<&'static str>),
}

#[derive(Clone, Debug)]
struct Policy {
    namespace: &'static str,
    selector: Option<&'static str>,
    deny: bool,
    rules: Vec<Rule>,
}

/// Istio's wildcards.
fn matches(pattern: &str, text: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(""), _) => !text.is_empty(),
        (Some(end), _) => text.ends_with(end),
        (None, Some(beginning)) => text.starts_with(beginning),
        (None, None) => text == pattern,
    }
}

fn principal_matches(pattern: &str, caller: &str) -> bool {
    let pattern = pattern.replace("cluster.local", "example.org");
    matches(&pattern, caller.trim_start_matches("spiffe://"))
}

fn some<T>(values: &[T], holds: impl Fn(&T) -> bool) -> bool {
    values.is_empty() || values.iter().any(holds)
}

fn header_holds((values, not): &(Vec<&str>, Vec<&str>), header: Option<&str>) -> bool {
    let fits = |pattern: &str| match (pattern, header) {
        (_, None) => false,
        ("*", Some(_)) => true,
        (pattern, Some(value)) => matches(pattern, value),
    };
    (values.is_empty() || values.iter().any(|one| fits(one))) && !not.iter().any(|one| fits(one))
}

impl Source {
    fn holds(&self, caller: &str) -> bool {
        let namespace = caller.split('/').nth(4).unwrap_or_default();
        let account = caller.split('/').nth(6).unwrap_or_default();
        some(&self.principals, |one| principal_matches(one, caller))
            && !self
                .not_principals
                .iter()
                .any(|one| principal_matches(one, caller))
            && some(&self.namespaces, |one| *one == namespace)
            && some(&self.service_accounts, |one| {
                // The policies' own namespaces have no callers.
                *one == format!("{namespace}/{account}")
            })
    }

    fn document(&self) -> Value {
        let mut source = serde_json::Map::new();
        let lists = [
            ("principals", &self.principals),
            ("notPrincipals", &self.not_principals),
            ("namespaces", &self.namespaces),
            ("serviceAccounts", &self.service_accounts),
        ];
        source.extend(
            lists
                .into_iter()
                .filter(|(_, list)| !list.is_empty())
                .map(|(key, list)| (key.to_owned(), json!(list))),
        );
        json!({"source": source})
    }
}

impl Operation {
    fn holds(&self, call: Call<'_>) -> bool {
        some(&self.methods, |one| *one == call.method)
            && some(&self.paths, |one| matches(one, call.path))
            && !self.not_paths.iter().any(|one| matches(one, call.path))
    }

    fn document(&self) -> Value {
        let mut operation = serde_json::Map::new();
        if !self.methods.is_empty() {
            operation.insert("methods".to_owned(), json!(self.methods));
        }
        for (key, list) in [("paths", &self.paths), ("notPaths", &self.not_paths)] {
            if !list.is_empty() {
                operation.insert(key.to_owned(), json!(list));
            }
        }
        json!({"operation": operation})
    }
}

impl Policy {
    fn is_for(&self, service: &str) -> bool {
        let app = service.rsplit('/').next().unwrap_or_default();
        self.selector.is_none_or(|selected| selected == app)
    }

    fn fits(&self, call: Call<'_>) -> bool {
        self.rules.iter().any(|rule| {
            some(&rule.from, |source| source.holds(call.caller))
                && some(&rule.to, |operation| operation.holds(call))
                && header_holds(&rule.headers, call.header)
                && rule
                    .when
                    .is_none_or(|principal| principal_matches(principal, call.caller))
        })
    }

    fn document(&self, at: usize) -> Value {
        let rule = |rule: &Rule| {
            let mut document = serde_json::Map::new();
            if !rule.from.is_empty() {
                document.insert(
                    "from".to_owned(),
                    rule.from.iter().map(Source::document).collect(),
                );
            }
            if !rule.to.is_empty() {
                document.insert(
                    "to".to_owned(),
                    rule.to.iter().map(Operation::document).collect(),
                );
            }
            let mut when = Vec::new();
            if let Some(principal) = rule.when {
                when.push(json!({"key": "source.principal", "values": [principal]}));
            }
            let (values, not) = &rule.headers;
            if !(values.is_empty() && not.is_empty()) {
                when.push(
                    json!({"key": "request.headers[X-A]", "values": values, "notValues": not}),
                );
            }
            if !when.is_empty() {
                document.insert("when".to_owned(), json!(when));
            }
            Value::Object(document)
        };
        let mut spec = json!({"rules": self.rules.iter().map(rule).collect::<Vec<_>>()});
        if self.deny {
            spec["action"] = json!("DENY");
        }
        if let Some(app) = self.selector {
            spec["selector"] = json!({"matchLabels": {"app": app}});
        }
        json!({
            "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": {"name": format!("policy-{at}"), "namespace": self.namespace}, "spec": spec,
        })
    }
}

fn principal() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "example.org/ns/a/sa/x",
        "cluster.local/ns/a/sa/y",
        "example.org/ns/b/sa/x",
        "example.org/ns/a/*",
        "cluster.local/ns/*",
        "other.example/ns/a/sa/x",
        "other.example/*",
        "example.org/ns/a/sa/*",
        // Gaps.
        "*",
        "example.org/ns/a*",
    ])
}

fn paths() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => path_text().prop_map(str::to_owned),
        4 => path_text().prop_map(|text| format!("{text}*")),
        1 => Just("*".to_owned()),
        1 => Just("*/b".to_owned()),
    ]
}

fn source() -> impl Strategy<Value = Source> {
    let few = |n| prop::collection::vec(principal(), 0..n);
    let namespaces = prop::collection::vec(prop::sample::select(vec!["a", "b"]), 0..2);
    let accounts = prop::collection::vec(prop::sample::select(vec!["a/x", "b/x"]), 0..2);
    (
        few(3),
        prop_oneof![4 => Just(Vec::new()), 1 => few(2)],
        namespaces,
        accounts,
    )
        .prop_map(
            |(principals, not_principals, namespaces, service_accounts)| Source {
                principals,
                not_principals,
                namespaces,
                service_accounts,
            },
        )
        .prop_filter("a source names something", |source| {
            !(source.principals.is_empty()
                && source.not_principals.is_empty()
                && source.namespaces.is_empty()
                && source.service_accounts.is_empty())
        })
}

fn operation() -> impl Strategy<Value = Operation> {
    let not = prop_oneof![4 => Just(Vec::new()), 1 => prop::collection::vec(paths(), 1..2)];
    (
        prop::collection::vec(method_text(), 0..3),
        prop::collection::vec(paths(), 0..3),
        not,
    )
        .prop_map(|(methods, paths, not_paths)| Operation {
            methods,
            paths,
            not_paths,
        })
        .prop_filter("an operation names something", |one| {
            !(one.methods.is_empty() && one.paths.is_empty() && one.not_paths.is_empty())
        })
}

fn policy() -> impl Strategy<Value = Policy> {
    let from = prop_oneof![8 => prop::collection::vec(source(), 1..3), 1 => Just(Vec::new())];
    let when = prop_oneof![5 => Just(None), 1 => principal().prop_map(Some)];
    let value = || prop::sample::select(vec!["b", "b*", "*c", "*"]);
    let headers = prop_oneof![
        3 => Just((Vec::new(), Vec::new())),
        1 => (prop::collection::vec(value(), 0..3), prop::collection::vec(value(), 0..2)),
    ];
    let rule = (
        from,
        prop::collection::vec(operation(), 0..3),
        when,
        headers,
    )
        .prop_map(|(from, to, when, headers)| Rule {
            from,
            to,
            when,
            headers,
        });
    let place = prop::sample::select(vec![
        ("shop", Some("orders")),
        ("shop", None),
        ("istio-system", None),
        ("istio-system", Some("orders")),
    ]);
    (
        place,
        prop::bool::weighted(0.3),
        prop::collection::vec(rule, 0..3),
    )
        .prop_map(|((namespace, selector), deny, rules)| Policy {
            namespace,
            selector,
            deny,
            rules,
        })
}

fn workload(app: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": app, "namespace": "shop", "labels": {"app": app}},
        "spec": {"serviceAccountName": app},
    })
}

#[test]
fn istio_policies_and_their_import_let_in_the_same() {
    let exact = run(300, &prop::collection::vec(policy(), 1..4), |policies| {
        let mut documents = vec![workload("orders"), workload("ledger")];
        documents.extend(
            policies
                .iter()
                .enumerate()
                .map(|(at, policy)| policy.document(at)),
        );
        let case = Case {
            system: System::Istio {
                root_namespace: "istio-system".to_owned(),
                namespace: None,
            },
            options: options("example.org", &["other.example"]),
            documents: &documents,
            callers: &CALLERS,
            services: &[ORDERS, LEDGER],
            headers: true,
        };
        compare(&case, |call| {
            let about = || policies.iter().filter(|policy| policy.is_for(call.service));
            let denied = about().any(|policy| policy.deny && policy.fits(call));
            let mut allows = about().filter(|policy| !policy.deny).peekable();
            !denied && (allows.peek().is_none() || allows.any(|policy| policy.fits(call)))
        })
    });
    assert_many(exact, 30);
}
