//! `callgate identities`, over logs that servers wrote and over others.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod run;

use run::{Outcome, callgate, directory};
use serde_json::{Value, json};
use tempfile::TempDir;

const ORDERS: &str = "spiffe://example.org/ns/shop/sa/orders";
const CHECKOUT: &str = "spiffe://example.org/ns/shop/sa/checkout";
const WEB: &str = "spiffe://example.org/ns/shop/sa/web";
const GATEWAY: &str = "spiffe://example.org/ns/edge/sa/gateway";
const MESH: &str = "kind: MeshPolicy\nmetadata: {name: mesh}\nspec:\n  trustDomain: example.org\n  \
    gateways:\n    - {id: /ns/edge/sa/gateway, forServices: [/ns/shop/sa/*]}\n";

/// A record as a server writes it, with `minute` for all its times.
fn record(caller: &str, minute: u32, proxy: &str, destination: &str) -> Value {
    json!({
        "time": format!("2027-01-01T12:{minute:02}:00.000Z"),
        "id": "01MB78QN0034HNN2TFXAVGGFD1",
        "verdict": "Allow",
        "reason": "allow",
        "enforced": true,
        "source": {
            "id": caller,
            "certificateSha256": format!("{minute:064}"),
            "notBefore": format!("2027-01-01T12:{minute:02}:00.000Z"),
            "notAfter": format!("2027-01-01T13:{minute:02}:00.000Z"),
            "issuer": "O=SPIRE,C=US",
        },
        "destination": destination,
        "method": "GET",
        "path": "/orders",
        "grpc": false,
        "proxy": proxy,
    })
}

fn lines(records: &[Value]) -> String {
    records.iter().map(|one| format!("{one}\n")).collect()
}

fn with_log(text: &str) -> TempDir {
    directory(&[("decisions.jsonl", text), ("policies/mesh.yaml", MESH)])
}

fn identities(dir: &TempDir, args: &[&str]) -> Outcome {
    let at = ["--at", "2027-01-01T12:30:00Z"];
    callgate(
        dir.path(),
        &[&["identities", "decisions.jsonl"], &at[..], args].concat(),
    )
}

fn listed(outcome: &Outcome) -> Vec<Value> {
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    serde_json::from_str(&outcome.stdout).unwrap()
}

#[test]
fn callers_are_told_with_the_certificate_seen_last() {
    let mut refused = record(CHECKOUT, 20, ORDERS, ORDERS);
    refused["verdict"] = json!("Deny");
    let text = lines(&[
        record(CHECKOUT, 10, ORDERS, ORDERS),
        refused,
        // Logs of two servers are not in order.
        record(CHECKOUT, 5, ORDERS, ORDERS),
        record(CHECKOUT, 5, ORDERS, ORDERS),
        record(WEB, 29, ORDERS, ORDERS),
    ]);
    let dir = with_log(&text);
    let outcome = identities(&dir, &[]);
    assert_eq!(
        (outcome.code, &*outcome.stdout, &*outcome.stderr),
        (
            Some(0),
            "\
CALLER                                    LAST SEEN  ENDS    LIFE  CERTIFICATES  CALLS  REFUSED  ISSUER
spiffe://example.org/ns/shop/sa/checkout  10m ago    in 50m  60m   3             4      1        O=SPIRE,C=US
spiffe://example.org/ns/shop/sa/web       60s ago    in 59m  60m   1             1      0        O=SPIRE,C=US
",
            ""
        )
    );
    let outcome = identities(&dir, &["--format", "json"]);
    assert_eq!(
        listed(&outcome)[0],
        json!({
            "id": CHECKOUT,
            "lastSeen": "2027-01-01T12:20:00Z",
            "certificateSha256": format!("{:064}", 20),
            "notBefore": "2027-01-01T12:20:00Z",
            "notAfter": "2027-01-01T13:20:00Z",
            "issuer": "O=SPIRE,C=US",
            "certificates": 3,
            "calls": 4,
            "refused": 1,
        })
    );
    let recent = identities(
        &dir,
        &["--since", "2027-01-01T12:21:00Z", "--format", "json"],
    );
    assert_eq!(listed(&recent).len(), 1);
}

#[test]
fn only_a_proxy_that_may_speak_for_the_destination_is_believed() {
    let unproven = |field: &str, value: Value| {
        let mut record = record(CHECKOUT, 1, ORDERS, ORDERS);
        record[field] = value;
        record
    };
    let gateways = record(WEB, 1, GATEWAY, ORDERS);
    let elsewhere = record(WEB, 1, GATEWAY, "spiffe://example.org/ns/mail/sa/box");
    for (name, record, args, counts) in [
        (
            "its own",
            record(CHECKOUT, 1, ORDERS, ORDERS),
            &[][..],
            true,
        ),
        ("none", unproven("proxy", Value::Null), &[], false),
        (
            "another service's",
            unproven("proxy", json!(WEB)),
            &[],
            false,
        ),
        (
            "a name that is none",
            unproven("proxy", json!("orders")),
            &[],
            false,
        ),
        (
            "no names on either side",
            {
                let mut record = unproven("proxy", json!(""));
                record["destination"] = json!("");
                record
            },
            &[],
            false,
        ),
        (
            "none, and told not to care",
            unproven("proxy", Value::Null),
            &["--danger-any-proxy"],
            true,
        ),
        (
            "a gateway that nobody lists here",
            gateways.clone(),
            &[],
            false,
        ),
        ("a gateway", gateways, &["--policies", "policies"], true),
        (
            "a gateway for another service",
            elsewhere,
            &["--policies", "policies"],
            false,
        ),
    ] {
        let dir = with_log(&lines(&[record]));
        let outcome = identities(&dir, &[&["--format", "json"], args].concat());
        assert_eq!(listed(&outcome).len(), usize::from(counts), "{name}");
        assert_eq!(
            outcome.stderr.is_empty(),
            counts,
            "{name}: {}",
            outcome.stderr
        );
    }
}

#[test]
fn a_forwarder_was_seen_as_well() {
    let mut passed_on = record(CHECKOUT, 1, ORDERS, ORDERS);
    passed_on["forwarder"] = passed_on["source"].clone();
    passed_on["forwarder"]["id"] = json!(GATEWAY);
    passed_on["source"] = json!({"id": CHECKOUT, "certificateSha256": null,
        "notBefore": null, "notAfter": null, "issuer": null});
    let dir = with_log(&lines(&[passed_on]));
    let outcome = identities(&dir, &[]);
    let rows: Vec<&str> = outcome.stdout.lines().skip(1).collect();
    assert!(
        rows[0].starts_with(GATEWAY) && rows[0].contains("in 31m"),
        "{rows:?}"
    );
    assert!(
        rows[1].starts_with(CHECKOUT) && rows[1].ends_with("0             1      0        -"),
        "{rows:?}"
    );
}

#[test]
fn what_is_no_record_is_passed_over_and_counted() {
    let forged = json!({"id": null, "certificateSha256": "ab", "notBefore": null,
        "notAfter": null, "issuer": null});
    let mut untrusted = record(CHECKOUT, 1, ORDERS, ORDERS);
    untrusted["source"] = forged;
    let mut odd = record(CHECKOUT, 1, ORDERS, ORDERS);
    odd["time"] = json!("yesterday");
    let mut text = lines(&[untrusted, odd, record(CHECKOUT, 2, ORDERS, ORDERS)]);
    text.push_str("\nnot JSON\n");
    text.push_str(&"x".repeat(3 << 20));
    text.push('\n');
    text.push_str(&lines(&[record(WEB, 3, ORDERS, ORDERS)]));
    // The server is writing it.
    text.push_str("{\"time\":\"2027-01-01T12");
    let outcome = identities(&with_log(&text), &["--format", "json"]);
    assert_eq!(listed(&outcome).len(), 2, "{outcome:?}");
    assert_eq!(
        outcome.stderr,
        "note: 3 lines are no decision record\nnote: 1 lines at the end of a log are torn\n"
    );

    let escape = "\u{1b}[2Jspiffe://example.org/x";
    let outcome = identities(&with_log(&lines(&[record(escape, 1, ORDERS, ORDERS)])), &[]);
    assert!(!outcome.stdout.contains('\u{1b}'), "{outcome:?}");
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let dir = with_log("nothing\n");
    let outcome = identities(&dir, &[]);
    assert_eq!(
        (outcome.code, &*outcome.stderr),
        (Some(2), "callgate: there is no decision record in 1 log\n")
    );
    let outcome = callgate(dir.path(), &["identities", "elsewhere.jsonl"]);
    assert_eq!(outcome.code, Some(2));
    assert!(
        outcome.stderr.contains("cannot read `elsewhere.jsonl`"),
        "{outcome:?}"
    );
    let outcome = identities(&with_log(""), &[]);
    assert_eq!(
        (outcome.code, &*outcome.stdout),
        (Some(0), "nobody was seen\n")
    );
}
