//! `callgate explain --who-can` and `--what-can`: access the other way around.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod run;

use run::{Outcome, callgate, directory};
use serde_json::{Value, json};
use tempfile::TempDir;

const ORDERS: &str = r#"kind: MeshPolicy
metadata: {name: mesh}
spec: {trustDomain: example.org}
---
kind: CallerGroup
metadata: {name: flag-readers}
spec: {members: [/ns/a/sa/app, /ns/b/sa/app]}
---
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [/ns/shop/sa/orders]
  allow:
    - name: checkout-places-orders
      from: [/ns/shop/sa/checkout]
      to: [POST /orders, "GET /orders/{order}"]
    - name: flags
      from: [flag-readers]
      to: ["GET /orders/**"]
      exception:
        reason: until there is an API for it
        ticket: SEC-123
        approvedBy: dana@example.org
        expires: 2027-02-01T00:00:00Z
    - name: tenants
      from: ["/ns/{tenant}/sa/*"]
      to: ["GET /tenants/{tenant}/**"]
  deny:
    - name: no-secrets
      from: [/**]
      to: [ANY /tenants/shop/secret]
"#;

fn orders() -> TempDir {
    directory(&[("policies/orders.yaml", ORDERS)])
}

fn explain(dir: &TempDir, args: &[&str]) -> Outcome {
    let at = ["--at", "2026-11-22T12:00:00Z"];
    callgate(dir.path(), &[&["explain"], args, &at[..]].concat())
}

const TO: [&str; 2] = ["--to", "/ns/shop/sa/orders"];

#[test]
fn who_can_is_a_table() {
    let outcome = explain(
        &orders(),
        &[&["--who-can", "GET /orders/7"], &TO[..]].concat(),
    );
    let expected = "\
GET /orders/7 → spiffe://example.org/ns/shop/sa/orders   at 2026-11-22T12:00:00Z

CALLER                                    BY RULE                 AT              NOTE
spiffe://example.org/ns/shop/sa/checkout  checkout-places-orders  orders.yaml:16
flag-readers, a group of 2 members        flags                   orders.yaml:19  until 2027-02-01T00:00:00Z
";
    assert_eq!(outcome.stdout, expected);
    assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""));
}

#[test]
fn what_can_is_a_table() {
    let outcome = explain(&orders(), &["--what-can", "/ns/shop/sa/checkout"]);
    let expected = "\
spiffe://example.org/ns/shop/sa/checkout can, at 2026-11-22T12:00:00Z:

SERVICE                                 CALL                  BY RULE                 AT              NOTE
spiffe://example.org/ns/shop/sa/orders  POST /orders          checkout-places-orders  orders.yaml:16
spiffe://example.org/ns/shop/sa/orders  GET /orders/{order}   checkout-places-orders  orders.yaml:16
spiffe://example.org/ns/shop/sa/orders  GET /tenants/shop/**  tenants                 orders.yaml:27  except ANY /tenants/shop/secret by no-secrets
";
    assert_eq!(outcome.stdout, expected);
    assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""));
}

#[test]
fn programs_get_objects() {
    let dir = orders();
    let parsed = |args: &[&str]| {
        let outcome = explain(&dir, &[args, &["--format", "json"]].concat());
        serde_json::from_str::<Value>(&outcome.stdout).unwrap()
    };
    let who = parsed(&[&["--who-can", "GET /tenants/acme/x"], &TO[..]].concat());
    assert_eq!(
        who["callers"],
        json!([{
            "pattern": "spiffe://example.org/ns/acme/sa/*", "group": null, "alias": null,
            "example": "spiffe://example.org/ns/acme/sa/any", "rule": "tenants",
            "policy": "orders.yaml:27", "when": null, "until": null, "except": []
        }])
    );
    let what = parsed(&[&["--what-can", "/ns/a/sa/app"], &TO[..]].concat());
    assert_eq!(
        what["access"][0],
        json!({
            "to": "spiffe://example.org/ns/shop/sa/orders", "operation": "GET /orders/**",
            "example": "GET /orders", "rule": "flags", "policy": "orders.yaml:19", "when": null,
            "until": "2027-02-01T00:00:00Z", "except": []
        })
    );
}

#[test]
fn nobody_and_nothing_are_answers_too() {
    let dir = orders();
    let cases: [(&[&str], i32, &str); 5] = [
        (
            &["--who-can", "DELETE /orders/7"],
            1,
            "no rule allows it to anybody",
        ),
        (
            &["--who-can", "GET /tenants/shop/secret"],
            1,
            "no rule allows it to anybody",
        ),
        (
            &["--what-can", "spiffe://other.org/x"],
            1,
            "nothing: no rule is about it",
        ),
        (
            &["--who-can", "GET /a//b"],
            2,
            "nobody can: `GET /a//b` is refused before any rule",
        ),
        (
            &["--who-can", "GET /a", "--from", "/x"],
            2,
            "cannot be used with",
        ),
    ];
    for (args, code, told) in cases {
        let outcome = explain(&dir, &[args, &TO[..]].concat());
        assert_eq!(outcome.code, Some(code), "{args:?} {outcome:?}");
        let text = outcome.stdout + &outcome.stderr;
        assert!(text.contains(told), "{text}");
    }
    let outcome = explain(&dir, &["--who-can", "GET /a"]);
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("--to"), "{}", outcome.stderr);
}
