//! Linkerd: of a server's routes the most specific one decides, of whom it or the server
//! authorizes.

use proptest::prelude::*;
use serde_json::{Value, json};

use callgate_analysis::import::System;

use super::{Call, Case, assert_many, compare, method_text, options, path_text, run};

const CALLERS: [&str; 3] = [
    "spiffe://cluster.local/ns/a/sa/x",
    "spiffe://cluster.local/ns/a/sa/y",
    "spiffe://cluster.local/ns/b/sa/x",
];
const SERVICE: &str = "spiffe://cluster.local/ns/shop/sa/orders";

#[derive(Clone, Debug)]
struct Matching {
    exact: bool,
    path: &'static str,
    method: Option<&'static str>,
}

#[derive(Clone, Debug)]
struct Route {
    matches: Vec<Matching>,
    identities: Vec<&'static str>,
}

impl Matching {
    /// The length that the order goes by, if it fits.
    fn fits(&self, call: Call<'_>) -> Option<(usize, bool)> {
        if self.method.is_some_and(|method| method != call.method) {
            return None;
        }
        let length = if self.exact {
            (self.path == call.path).then_some(self.path.len())?
        } else if self.path == "/" {
            1
        } else {
            let prefix = self.path.trim_end_matches('/');
            let rest = call.path.trim_end_matches('/').strip_prefix(prefix)?;
            (rest.is_empty() || rest.starts_with('/')).then_some(prefix.len())?
        };
        Some((length, self.method.is_some()))
    }
}

fn is_among(identities: &[&str], caller: &str) -> bool {
    let mut segments = caller.split('/');
    let (namespace, account) = (
        segments.nth(4).unwrap_or_default(),
        segments.nth(1).unwrap_or_default(),
    );
    identities
        .iter()
        .any(|identity| match identity.strip_prefix("*.") {
            Some(rest) => rest.split('.').next() == Some(namespace),
            None => identity.starts_with(&format!("{account}.{namespace}.")),
        })
}

fn identities() -> impl Strategy<Value = Vec<&'static str>> {
    let known = vec![
        "x.a.serviceaccount.identity.linkerd.cluster.local",
        "y.a.serviceaccount.identity.linkerd.cluster.local",
        "x.b.serviceaccount.identity.linkerd.cluster.local",
        "*.a.serviceaccount.identity.linkerd.cluster.local",
    ];
    prop::collection::vec(prop::sample::select(known), 1..3)
}

fn route() -> impl Strategy<Value = Route> {
    let one = (
        any::<bool>(),
        path_text(),
        prop::option::weighted(0.4, method_text()),
    );
    let one = one.prop_map(|(exact, path, method)| Matching {
        exact,
        path,
        method,
    });
    (prop::collection::vec(one, 1..3), identities()).prop_map(|(matches, identities)| Route {
        matches,
        identities,
    })
}

fn policy(name: &str, target: &Value, identities: &[&str]) -> [Value; 2] {
    let metadata = json!({"name": name, "namespace": "shop"});
    [
        json!({"apiVersion": "policy.linkerd.io/v1alpha1", "kind": "AuthorizationPolicy", "metadata": metadata, "spec": {
            "targetRef": target, "requiredAuthenticationRefs": [{"kind": "MeshTLSAuthentication", "name": name}],
        }}),
        json!({"apiVersion": "policy.linkerd.io/v1alpha1", "kind": "MeshTLSAuthentication", "metadata": metadata, "spec": {"identities": identities}}),
    ]
}

fn documents(routes: &[Route], of_server: Option<&[&str]>) -> Vec<Value> {
    let mut documents = vec![
        json!({"kind": "Pod", "metadata": {"name": "orders", "namespace": "shop", "labels": {"app": "orders"}}, "spec": {"serviceAccountName": "orders"}}),
        json!({"apiVersion": "policy.linkerd.io/v1beta3", "kind": "Server", "metadata": {"name": "http", "namespace": "shop"},
            "spec": {"podSelector": {"matchLabels": {"app": "orders"}}, "port": 80}}),
    ];
    for (at, route) in routes.iter().enumerate() {
        let name = format!("route-{at}");
        let one = |one: &Matching| {
            let kind = if one.exact { "Exact" } else { "PathPrefix" };
            let mut matching = json!({"path": {"type": kind, "value": one.path}});
            if let Some(method) = one.method {
                matching["method"] = json!(method);
            }
            matching
        };
        let matches: Vec<Value> = route.matches.iter().map(one).collect();
        documents.push(json!({"apiVersion": "policy.linkerd.io/v1beta3", "kind": "HTTPRoute", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"parentRefs": [{"kind": "Server", "name": "http"}], "rules": [{"matches": matches}]}}));
        documents.extend(policy(
            &name,
            &json!({"kind": "HTTPRoute", "name": name}),
            &route.identities,
        ));
    }
    if let Some(identities) = of_server {
        documents.extend(policy(
            "server",
            &json!({"kind": "Server", "name": "http"}),
            identities,
        ));
    }
    documents
}

#[test]
fn linkerd_authorizations_and_their_import_let_in_the_same() {
    let strategy = (
        prop::collection::vec(route(), 0..4),
        prop::option::of(identities()),
    );
    let exact = run(400, &strategy, |(routes, of_server)| {
        let documents = documents(&routes, of_server.as_deref());
        let case = Case {
            system: System::Linkerd { namespace: None },
            options: options("cluster.local", &[]),
            documents: &documents,
            callers: &CALLERS,
            services: &[SERVICE],
            headers: false,
        };
        compare(&case, |call| {
            let by_server = of_server
                .as_ref()
                .is_some_and(|identities| is_among(identities, call.caller));
            if routes.is_empty() {
                return by_server;
            }
            let best = |route: &Route| route.matches.iter().filter_map(|one| one.fits(call)).max();
            let Some(most) = routes.iter().filter_map(best).max() else {
                return false;
            };
            // Which of several equal ones decides is not told by the documents.
            let mut deciding = routes.iter().filter(|route| best(route) == Some(most));
            deciding.all(|route| by_server || is_among(&route.identities, call.caller))
        })
    });
    assert_many(exact, 60);
}
