use callgate_policy::{
    SpiffeId, Timestamp,
    document::{
        LoadOptions, OwnedRequest, RequestLine, Source, load_revocations, parse_time, specify,
    },
};

use super::{CanCall, Grant, what_can, who_can};
use crate::diff::Version;

const DOCUMENTS: &str = r#"
kind: MeshPolicy
metadata: {name: mesh}
spec:
  trustDomain: example.org
  aliases: [{trustDomain: old.org, as: example.org, paths: [/ns/shop/**]}]
  forwarders: [{id: /ns/edge/sa/gw, mayAssert: [/ns/mobile/**], forServices: [/ns/shop/sa/*]}]
  allow:
    - {name: metrics, from: [/ns/monitoring/sa/prometheus], to: [GET /metrics]}
---
kind: CallerGroup
metadata: {name: readers}
spec: {members: [/ns/a/sa/app, /ns/b/sa/app, /ns/c/sa/leaked]}
---
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [/ns/shop/sa/orders]
  allow:
    - {name: places, from: [/ns/shop/sa/checkout], to: [POST /orders, 'GET /orders/{order}']}
    - {name: reads, from: [readers], to: [GET /orders/**]}
    - {name: tenants, from: ['/ns/{tenant}/sa/*'], to: ['ANY /tenants/{tenant}/**']}
    - name: reports
      from: [/ns/shop/sa/reports]
      to: [GET /orders/**]
      when: request.headers["x-purpose"] == "reporting"
    - name: batch
      from: [/ns/batch/**]
      to: [GET /orders/**]
      exception: {reason: a, ticket: b, approvedBy: c, expires: 2027-02-01T00:00:00Z}
  deny:
    - {name: no-tests, from: [/ns/batch/test/*], to: [ANY /orders/**]}
    - {name: no-secrets, from: [/**], to: [ANY /tenants/acme/secret]}
---
kind: ServicePolicy
metadata: {name: mail}
spec:
  services: [/ns/mail/sa/mail]
  enforcement: Shadow
  allow:
    - {name: sends, from: [/ns/shop/sa/checkout], to: [POST /mails]}
---
kind: Revocation
metadata: {name: leak}
spec: {id: /ns/c/sa/leaked, reason: a, revokedBy: b}
"#;

fn now() -> Timestamp {
    parse_time("2026-11-22T12:00:00Z").unwrap()
}

fn version() -> Version {
    let source = Source::new("p.yaml", DOCUMENTS);
    let options = LoadOptions {
        now: now(),
        without_revocations: true,
        ..LoadOptions::default()
    };
    let revocations = load_revocations(&source, &options).revocations;
    Version::new(specify(&[source], &options).unwrap(), revocations).unwrap()
}

fn id(path: &str) -> SpiffeId {
    SpiffeId::parse(&format!("spiffe://example.org{path}")).unwrap()
}

fn call(text: &str) -> OwnedRequest {
    text.parse::<RequestLine>().unwrap().with(&[])
}

fn grant(grant: &Grant) -> String {
    let mut text = format!("by {}", grant.rule);
    if let Some(when) = &grant.when {
        text += &format!(" when {when}");
    }
    if let Some(until) = grant.until {
        text += &format!(" until {until}");
    }
    if !grant.except.is_empty() {
        text += &format!(" except {}", grant.except.join(", "));
    }
    text.replace("spiffe://example.org", "")
}

fn callers(text: &str) -> Vec<String> {
    let found = who_can(&version(), &id("/ns/shop/sa/orders"), &call(text), now()).unwrap();
    let line = |can: &CanCall| {
        let who = match (&can.group, &*can.pattern) {
            (Some((name, members)), "") => format!("{name} ({members})"),
            (Some((name, _)), pattern) => format!("{pattern} of {name}"),
            (None, pattern) => pattern.to_owned(),
        };
        let alias = can.alias.as_ref().map(|alias| format!(" as {alias}"));
        let who = who + &alias.unwrap_or_default();
        format!(
            "{} {}",
            who.replace("spiffe://example.org", ""),
            grant(&can.grant)
        )
    };
    found.callers.iter().map(line).collect()
}

#[test]
fn who_can_make_a_call() {
    assert_eq!(
        callers("GET /orders/7"),
        [
            "/ns/shop/sa/checkout by places",
            "spiffe://old.org/ns/shop/sa/checkout as /ns/shop/sa/checkout by places",
            "/ns/a/sa/app of readers by reads",
            "/ns/b/sa/app of readers by reads",
            "/ns/shop/sa/reports by reports when request.headers[\"x-purpose\"] == \"reporting\"",
            "spiffe://old.org/ns/shop/sa/reports as /ns/shop/sa/reports by reports when \
             request.headers[\"x-purpose\"] == \"reporting\"",
            "/ns/batch/** by batch until 2027-02-01T00:00:00Z except /ns/batch/test/* by no-tests",
        ]
    );
    // What the path captures says whose.
    assert_eq!(
        callers("DELETE /tenants/acme/users"),
        ["/ns/acme/sa/* by tenants"]
    );
    assert_eq!(callers("GET /tenants/acme/secret"), Vec::<String>::new());
    assert_eq!(
        callers("GET /metrics"),
        ["/ns/monitoring/sa/prometheus by metrics"]
    );
    let orders = id("/ns/shop/sa/orders");
    assert!(who_can(&version(), &orders, &call("GET /a//b"), now()).is_err());
}

#[test]
fn shadow_and_forwarders_are_told_beside_it() {
    let at = |service: &str| {
        let found = who_can(&version(), &id(service), &call("GET /x"), now()).unwrap();
        (found.callers.len(), found.lets_pass, found.forwarders.len())
    };
    assert_eq!(at("/ns/shop/sa/orders"), (0, false, 1));
    assert_eq!(at("/ns/mail/sa/mail"), (0, true, 0));
    assert_eq!(at("/ns/nobody/sa/x"), (0, false, 0));
}

fn can(caller: &str, only: Option<&str>) -> Vec<String> {
    let only = only.map(id);
    let caller = SpiffeId::parse(caller).unwrap_or_else(|_| id(caller));
    let found = what_can(&version(), &caller, only.as_ref(), now());
    let mut lines = Vec::new();
    let services = found.services.iter().map(|(id, cans)| (id.path(), cans));
    for (service, cans) in services.chain([("elsewhere", &found.elsewhere)]) {
        let text = |can: &super::Can| format!("{service}: {} {}", can.what, grant(&can.grant));
        lines.extend(cans.iter().map(text));
    }
    let passed = found.let_pass.iter();
    lines.extend(passed.map(|id| format!("{} lets pass", id.path())));
    lines
}

#[test]
fn what_a_caller_can_do() {
    assert_eq!(
        can("/ns/shop/sa/checkout", None),
        [
            "/ns/mail/sa/mail: POST /mails by sends",
            "/ns/shop/sa/orders: POST /orders by places",
            "/ns/shop/sa/orders: GET /orders/{order} by places",
            "/ns/shop/sa/orders: ANY /tenants/shop/** by tenants",
            "/ns/mail/sa/mail lets pass",
        ]
    );
    let orders = Some("/ns/shop/sa/orders");
    assert_eq!(
        can("/ns/acme/sa/x", orders),
        [
            "/ns/shop/sa/orders: ANY /tenants/acme/** by tenants except ANY /tenants/acme/secret \
          by no-secrets"
        ]
    );
    assert_eq!(
        can("spiffe://old.org/ns/shop/sa/checkout", orders),
        [
            "/ns/shop/sa/orders: POST /orders by places",
            "/ns/shop/sa/orders: GET /orders/{order} by places",
            "/ns/shop/sa/orders: ANY /tenants/shop/** by tenants",
        ]
    );
    assert_eq!(can("/ns/c/sa/leaked", orders), Vec::<String>::new());
    assert_eq!(
        can("/ns/monitoring/sa/prometheus", None),
        [
            "/ns/mail/sa/mail: GET /metrics by metrics",
            "/ns/shop/sa/orders: ANY /tenants/monitoring/** by tenants",
            "/ns/shop/sa/orders: GET /metrics by metrics",
            "elsewhere: GET /metrics by metrics",
            "/ns/mail/sa/mail lets pass",
        ]
    );
}
