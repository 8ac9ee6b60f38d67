//! `callgate generate`, from logs to documents that load and replay.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test, a panic is the report"
)]

mod run;

use std::fs;

use run::{Outcome, callgate, directory};
use serde_json::{Value, json};
use tempfile::TempDir;

const SHOP: &str = "spiffe://example.org/ns/shop/sa/";
const ORDERS: &str = "spiffe://example.org/ns/shop/sa/orders";

/// A record of a call that a rule allowed.
fn call(caller: &str, method: &str, path: &str) -> Value {
    json!({
        "time": "2027-01-01T12:00:00.000Z", "id": "01MB78QN0034HNN2TFXAVGGFD1",
        "verdict": "Allow", "reason": "allow", "rule": "old", "policy": "old.yaml:3",
        "nearestMiss": null, "enforced": true, "leased": false,
        "source": {"id": format!("{SHOP}{caller}"), "certificateSha256": "ab",
            "notBefore": "2027-01-01T11:30:00.000Z", "notAfter": "2027-01-01T12:30:00.000Z",
            "issuer": "O=SPIRE,C=US"},
        "destination": ORDERS, "method": method, "path": path, "inputs": {},
        "host": "orders.shop", "grpc": false, "traceparent": null, "proxy": ORDERS,
        "revision": "5f2c",
    })
}

fn with(mut record: Value, fields: &[(&str, Value)]) -> Value {
    for (name, value) in fields {
        record[*name] = value.clone();
    }
    record
}

/// A day of the shop.
fn day() -> Vec<Value> {
    let mut day: Vec<Value> = (0..40)
        .map(|n| call("checkout", "GET", &format!("/orders/{n}")))
        .collect();
    day.push(call("checkout", "POST", "/orders"));
    day.push(with(
        call("checkout", "POST", "/orders/7:cancel"),
        &[("time", json!("2027-01-02T08:30:00.000Z"))],
    ));
    day.push(call("checkout", "POST", "/orders/9:cancel"));
    day.extend((0..5).map(|n| call(&format!("app-{n}"), "GET", "/flags/all")));
    day.push(with(
        call("web", "GET", "/ui/live"),
        &[("upgrade", json!("websocket"))],
    ));
    day.push(with(
        call("web", "POST", "/shop.v1.Orders/Watch"),
        &[("grpc", json!(true))],
    ));
    let let_pass = [
        ("verdict", json!("Deny")),
        ("reason", json!("no-rule")),
        ("enforced", json!(false)),
    ];
    day.push(with(call("web", "GET", "/orders/7"), &let_pass));
    let refused = [("verdict", json!("Deny")), ("reason", json!("no-rule"))];
    day.push(with(call("stranger", "GET", "/admin"), &refused));
    day.push(with(
        call("web", "GET", "/"),
        &[("destination", json!(format!("{SHOP}billing")))],
    ));
    day
}

fn with_log(records: &[Value]) -> TempDir {
    let text: String = records.iter().map(|one| format!("{one}\n")).collect();
    directory(&[("decisions.jsonl", &*(text + "not JSON\n"))])
}

fn generate(dir: &TempDir, args: &[&str]) -> Outcome {
    let generate = ["generate", "--log", "decisions.jsonl"];
    callgate(dir.path(), &[&generate[..], args].concat())
}

const DOCUMENT: &str = "\
# Generated from decisions.jsonl: 51 calls to spiffe://example.org/ns/shop/sa/orders by
# 7 callers, 2027-01-01T12:00:00Z to 2027-01-02T08:30:00Z. It allows the calls that
# passed, with any value where a capture stands; what nobody called in that time is not
# in it.
#
# Left out:
#   1 call refused: no-rule
#
# Read it, say whose it is, replay the log against it, then enforce it.
apiVersion: callgate.dev/v1alpha1
kind: ServicePolicy
metadata: {name: orders}
spec:
  services:
    - spiffe://example.org/ns/shop/sa/orders
  owner: TODO
  enforcement: Shadow
  allow:
    - name: orders-callers
      from: [orders-callers]
      to:
        - GET /flags/all  # 5 calls
    - name: checkout-calls
      from:
        - spiffe://example.org/ns/shop/sa/checkout
      to:
        - POST /orders                 # 1 call
        - GET /orders/{order}          # 40 calls, 40 values, all digits
        - POST /orders/{order}:cancel  # 2 calls, 2 values, all digits
    - name: web-calls
      from:
        - spiffe://example.org/ns/shop/sa/web
      to:
        - GET /orders/{order}        # 1 call, 40 values, all digits
        - WEBSOCKET /ui/live         # 1 call
        - GRPC shop.v1.Orders/Watch  # 1 call
---
apiVersion: callgate.dev/v1alpha1
kind: CallerGroup
metadata: {name: orders-callers}
spec:
  owner: TODO
  members:
    - spiffe://example.org/ns/shop/sa/app-0
    - spiffe://example.org/ns/shop/sa/app-1
    - spiffe://example.org/ns/shop/sa/app-2
    - spiffe://example.org/ns/shop/sa/app-3
    - spiffe://example.org/ns/shop/sa/app-4
";

#[test]
fn a_day_becomes_a_policy_with_its_evidence() {
    let outcome = generate(&with_log(&day()), &["--service", ORDERS]);
    assert_eq!(
        (outcome.code, &*outcome.stdout, &*outcome.stderr),
        (
            Some(0),
            DOCUMENT,
            "note: spiffe://example.org/ns/shop/sa/orders: 1 call left out, as its head says\n\
             note: 1 record about other services\n\
             note: passed over 1 line that is no decision record\n"
        )
    );
}

#[test]
fn the_log_replayed_against_it_refuses_nothing_that_was_allowed() {
    let dir = with_log(&day());
    let generated = generate(&dir, &[]);
    assert_eq!(generated.code, Some(0), "{generated:?}");
    let enforced = generated
        .stdout
        .replace("enforcement: Shadow", "enforcement: Enforce");
    fs::create_dir(dir.path().join("new")).unwrap();
    fs::write(dir.path().join("new/all.yaml"), enforced).unwrap();
    let check = callgate(dir.path(), &["check", "new"]);
    assert_eq!(check.code, Some(0), "{check:?}");
    let replay = [
        "replay",
        "decisions.jsonl",
        "--policies",
        "new",
        "--format",
        "json",
    ];
    let narrowed = callgate(dir.path(), &[&replay[..], &["--only", "narrowed"]].concat());
    assert_eq!(narrowed.code, Some(0), "{narrowed:?}");
    let told: Value = serde_json::from_str(&narrowed.stdout).unwrap();
    // What Shadow let pass is allowed now, and what was refused is still refused.
    assert_eq!(told["counts"], json!({"now-allowed": 1}), "{told}");
    assert_eq!(told["unchanged"], json!(52), "{told}");
    let stranger = format!("{SHOP}stranger");
    let explained = callgate(
        dir.path(),
        &[
            "explain",
            "--policies",
            "new",
            "--from",
            &stranger,
            "--to",
            ORDERS,
            "GET /admin",
        ],
    );
    assert_eq!(explained.code, Some(1), "{explained:?}");
}

#[test]
fn rules_of_the_mesh_are_left_to_it() {
    let mut day = day();
    day.push(call("prometheus", "GET", "/metrics"));
    let dir = with_log(&day);
    fs::create_dir(dir.path().join("policies")).unwrap();
    let mesh = "kind: MeshPolicy\nmetadata: {name: mesh}\nspec:\n  trustDomain: example.org\n  \
                allow:\n    - {name: metrics, from: [/ns/shop/sa/prometheus], to: [GET /metrics]}\n";
    fs::write(dir.path().join("policies/mesh.yaml"), mesh).unwrap();
    let service = ["--service", "/ns/shop/sa/orders", "--format", "json"];
    let args = [&service[..], &["--policies", "policies"]].concat();
    let told: Value = serde_json::from_str(&generate(&dir, &args).stdout).unwrap();
    let left_out = &told["documents"][0]["leftOut"];
    assert_eq!(
        *left_out,
        json!([
            {"why": "refused: no-rule", "count": 1},
            {"why": "allowed by rules of the mesh", "count": 1},
        ])
    );
    assert_eq!(told["documents"][0]["callers"], json!(7));
    let relative = generate(&dir, &service);
    assert_eq!(relative.code, Some(2), "{relative:?}");
    assert!(relative.stderr.contains("--trust-domain"), "{relative:?}");
}

#[test]
fn nothing_to_write_is_an_error() {
    let refused = with(
        call("web", "GET", "/a"),
        &[("verdict", json!("Deny")), ("reason", json!("no-rule"))],
    );
    let dir = with_log(&[refused]);
    let outcome = generate(&dir, &["--service", ORDERS]);
    assert_eq!((outcome.code, &*outcome.stdout), (Some(2), ""));
    for told in [
        "note: nothing passed to spiffe://example.org/ns/shop/sa/orders: 1 call refused: no-rule\n",
        "callgate: nothing passed that a policy could be written for\n",
    ] {
        assert!(outcome.stderr.contains(told), "{outcome:?}");
    }
    let nobody = format!("{SHOP}nobody");
    let outcome = generate(&dir, &["--service", &nobody]);
    assert!(
        outcome.stderr.contains("note: no record is about spiffe"),
        "{outcome:?}"
    );
    let outcome = callgate(dir.path(), &["generate", "--log", "elsewhere"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(
        outcome.stderr.contains("cannot read `elsewhere`"),
        "{outcome:?}"
    );
    let late = generate(&dir, &["--since", "2028-01-01T00:00:00Z"]);
    assert_eq!(late.code, Some(2), "{late:?}");
}
