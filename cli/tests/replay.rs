//! `callgate replay`, over logs that are plain, packed, torn and foreign.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod run;

use std::{fs, io::Write as _};

use run::{Outcome, callgate, directory};
use serde_json::{Value, json};
use tempfile::TempDir;

const ORDERS: &str = "spiffe://example.org/ns/shop/sa/orders";
const CHECKOUT: &str = "spiffe://example.org/ns/shop/sa/checkout";
const WEB: &str = "spiffe://example.org/ns/shop/sa/web";

const POLICY: &str = "\
kind: MeshPolicy
metadata: {name: mesh}
spec: {trustDomain: example.org}
---
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [/ns/shop/sa/orders]
  allow:
    - name: checkout-places-orders
      from: [/ns/shop/sa/checkout]
      to:
        - POST /orders
        - GET /orders/{order}
    - name: web-looks
      from: [/ns/shop/sa/web]
      to: [GET /orders]
";

/// A record as a server writes it.
fn record(source: &str, was: (&str, &str, Option<&str>), call: (&str, &str)) -> Value {
    let (verdict, reason, rule) = was;
    json!({
        "time": "2027-01-01T12:00:00.250Z", "id": "01MB78QN0034HNN2TFXAVGGFD1",
        "verdict": verdict, "reason": reason,
        "rule": rule, "policy": rule.map(|_| "orders.yaml:7"), "nearestMiss": null,
        "enforced": true, "leased": false,
        "source": {"id": source, "certificateSha256": "ab", "notBefore": "2027-01-01T11:30:00.000Z",
            "notAfter": "2027-01-01T12:30:00.000Z", "issuer": "O=SPIRE,C=US"},
        "destination": ORDERS, "method": call.0, "path": call.1, "inputs": {},
        "host": "orders.shop", "grpc": false, "traceparent": null, "proxy": ORDERS,
        "revision": "5f2c",
    })
}

fn allowed(source: &str, method: &str, path: &str) -> Value {
    record(source, ("Allow", "allow", Some("old-rule")), (method, path))
}

fn refused(source: &str, method: &str, path: &str) -> Value {
    record(source, ("Deny", "no-rule", None), (method, path))
}

fn text(records: &[Value]) -> String {
    records.iter().map(|one| format!("{one}\n")).collect()
}

fn with_log(log: &str) -> TempDir {
    directory(&[("decisions.jsonl", log), ("new/orders.yaml", POLICY)])
}

fn replay(dir: &TempDir, args: &[&str]) -> Outcome {
    callgate(
        dir.path(),
        &[&["replay", "--policies", "new"], args].concat(),
    )
}

#[test]
fn changes_are_told_by_caller_service_and_rule() {
    let mut let_pass = refused(WEB, "GET", "/orders");
    let_pass["enforced"] = json!(false);
    let mut unasked = refused(WEB, "GET", "/orders");
    unasked["reason"] = json!("policy-unavailable");
    unasked["source"] = json!({});
    let mut log = text(&[
        allowed(CHECKOUT, "GET", "/orders/7"),
        refused(CHECKOUT, "GET", "/admin"),
        allowed(CHECKOUT, "DELETE", "/orders/7"),
        allowed(CHECKOUT, "DELETE", "/orders/8"),
        refused(CHECKOUT, "POST", "/orders"),
        let_pass,
        unasked,
    ]);
    log.push_str("started\n{\"time\":\"2027-01-01T12");
    let outcome = replay(&with_log(&log), &["decisions.jsonl"]);
    let told = "\
Replayed 7 records of decisions.jsonl by the rules in new
recorded 2027-01-01T12:00:00.250Z to 2027-01-01T12:00:00.250Z

          2  come out as they were recorded
          2  are refused now, and passed
          1  pass now, and were refused
          1  are allowed now, and passed only by Shadow
          1  cannot be decided again

REFUSED NOW

  spiffe://example.org/ns/shop/sa/checkout → spiffe://example.org/ns/shop/sa/orders
          2 calls, such as DELETE /orders/7
            was  allowed by old-rule   orders.yaml:7
            now  refused, no-rule; nearest is checkout-places-orders
                 orders.yaml:14   method wants GET, saw DELETE
            see  decisions.jsonl:3   2027-01-01T12:00:00.250Z   01MB78QN0034HNN2TFXAVGGFD1

PASS NOW

  spiffe://example.org/ns/shop/sa/checkout → spiffe://example.org/ns/shop/sa/orders
          1 call, POST /orders
            was  refused, no-rule
            now  allowed by checkout-places-orders   orders.yaml:10
            see  decisions.jsonl:5   2027-01-01T12:00:00.250Z   01MB78QN0034HNN2TFXAVGGFD1

ALLOWED NOW

  spiffe://example.org/ns/shop/sa/web → spiffe://example.org/ns/shop/sa/orders
          1 call, GET /orders
            was  let pass by Shadow, no-rule
            now  allowed by web-looks   orders.yaml:15
            see  decisions.jsonl:6   2027-01-01T12:00:00.250Z   01MB78QN0034HNN2TFXAVGGFD1

NOT DECIDED AGAIN

          1  the server had no policies and asked nobody who called
            see  GET /orders   decisions.jsonl:7   2027-01-01T12:00:00.250Z   01MB78QN0034HNN2TFXAVGGFD1

note: passed over 1 line that is no decision record
note: the last line is torn: a log ends within it
note: the first such line is decisions.jsonl:8: not a decision record: expected value at column 1
";
    assert_eq!(
        (outcome.code, &*outcome.stdout, &*outcome.stderr),
        (Some(1), told, "")
    );
}

#[test]
fn the_exit_code_says_whether_anything_changes() {
    let same = allowed(CHECKOUT, "GET", "/orders/7");
    let narrowed = allowed(CHECKOUT, "DELETE", "/orders/7");
    let widened = refused(CHECKOUT, "POST", "/orders");
    let mut unasked = same.clone();
    unasked["reason"] = json!("policy-unavailable");
    let only = |what| ["decisions.jsonl", "--only", what];
    let cases: [(&str, &[&Value], &[&str], i32); 9] = [
        ("nothing", &[&same], &["decisions.jsonl"], 0),
        ("narrowed", &[&same, &narrowed], &["decisions.jsonl"], 1),
        ("widened", &[&same, &widened], &["decisions.jsonl"], 1),
        ("narrowed of narrowed", &[&narrowed], &only("narrowed"), 1),
        ("narrowed of widened", &[&widened], &only("narrowed"), 0),
        ("widened of narrowed", &[&narrowed], &only("widened"), 0),
        ("undecided", &[&same, &unasked], &["decisions.jsonl"], 1),
        (
            "undecided, and that is known",
            &[&same, &unasked],
            &["decisions.jsonl", "--allow-undecided"],
            0,
        ),
        (
            "narrowed beside undecided",
            &[&narrowed, &unasked],
            &["decisions.jsonl", "--allow-undecided"],
            1,
        ),
    ];
    for (name, records, args, code) in cases {
        let records: Vec<Value> = records.iter().map(|one| (*one).clone()).collect();
        let outcome = replay(&with_log(&text(&records)), args);
        assert_eq!(outcome.code, Some(code), "{name}: {outcome:?}");
    }
}

#[test]
fn nothing_to_replay_is_no_pass() {
    let old = text(&[allowed(CHECKOUT, "GET", "/orders/7")]);
    let since = ["decisions.jsonl", "--since", "2027-02-01T00:00:00Z"];
    let cases: [(&str, &str, &[&str], &str); 5] = [
        (
            "empty",
            "",
            &["decisions.jsonl"],
            "there is no decision record in 1 log",
        ),
        (
            "foreign",
            "started\n",
            &["decisions.jsonl"],
            "there is no decision record in 1 log",
        ),
        (
            "another time",
            &old,
            &since,
            "no decision record in 1 log is of that time",
        ),
        (
            "no log",
            "",
            &["elsewhere.jsonl"],
            "cannot read `elsewhere.jsonl`",
        ),
        (
            "no such policies",
            &old,
            &["decisions.jsonl", "--policies", "elsewhere"],
            "elsewhere",
        ),
    ];
    for (name, log, args, told) in cases {
        let dir = with_log(log);
        let args = [&["replay"], args].concat();
        let args = match args.contains(&"--policies") {
            true => args,
            false => [&args[..], &["--policies", "new"]].concat(),
        };
        let outcome = callgate(dir.path(), &args);
        assert_eq!(outcome.code, Some(2), "{name}: {outcome:?}");
        assert!(outcome.stderr.contains(told), "{name}: {outcome:?}");
    }
    let broken = directory(&[
        ("decisions.jsonl", &*old),
        ("new/orders.yaml", "kind: ServicePolicy\n"),
    ]);
    let outcome = replay(&broken, &["decisions.jsonl"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("does not load"), "{outcome:?}");
}

#[test]
fn packed_logs_and_several_are_one_story() {
    let dir = with_log(&text(&[allowed(CHECKOUT, "GET", "/orders/7")]));
    let packed = text(&[
        allowed(CHECKOUT, "GET", "/orders/8"),
        allowed(CHECKOUT, "PUT", "/orders/8"),
    ]);
    let gzip = fs::File::create(dir.path().join("old.gz")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(gzip, flate2::Compression::fast());
    gzip.write_all(packed.as_bytes()).unwrap();
    gzip.finish().unwrap();
    let zstd = zstd::encode_all(packed.as_bytes(), 1).unwrap();
    fs::write(dir.path().join("older"), zstd).unwrap();
    let logs = ["decisions.jsonl", "old.gz", "older", "--format", "json"];
    let outcome = replay(&dir, &logs);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let told: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(told["logs"], json!(["decisions.jsonl", "old.gz", "older"]));
    assert_eq!(
        (&told["records"], &told["unchanged"], &told["changed"]),
        (&json!(5), &json!(3), &json!(2))
    );
    assert_eq!(told["counts"], json!({"now-refused": 2}));
    assert_eq!(
        told["changes"],
        json!([{
            "change": "now-refused", "direction": "narrowed", "count": 2,
            "source": CHECKOUT, "forwarder": null, "destination": ORDERS,
            "was": {"verdict": "Allow", "enforced": true, "reason": "allow", "rule": "old-rule",
                "policy": "orders.yaml:7"},
            "now": {"verdict": "Deny", "enforced": true, "reason": "no-rule", "rule": null,
                "policy": null, "nearestMiss": {"rule": "checkout-places-orders",
                    "policy": "orders.yaml:14", "clause": "method", "expected": "GET",
                    "actual": "PUT"}},
            "sample": {"log": "old.gz", "line": 2, "time": "2027-01-01T12:00:00.250Z",
                "id": "01MB78QN0034HNN2TFXAVGGFD1", "method": "PUT", "path": "/orders/8"},
        }])
    );
    assert_eq!(
        told["oddLines"],
        json!({"foreign": 0, "torn": 0, "first": null})
    );
}

#[test]
fn what_a_log_says_moves_no_cursor() {
    let mut strange = allowed(CHECKOUT, "DELETE", "/\u{1b}[2J\u{202e}x");
    strange["id"] = json!("\u{7}");
    strange["rule"] = json!("\u{1b}[0m");
    let outcome = replay(&with_log(&text(&[strange])), &["decisions.jsonl"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    for moves in ['\u{1b}', '\u{7}', '\u{202e}'] {
        assert!(!outcome.stdout.contains(moves), "{outcome:?}");
    }
}

#[test]
fn twenty_kinds_are_told_and_the_rest_is_counted() {
    let records: Vec<Value> = (0..25)
        .map(|n| {
            allowed(
                &format!("spiffe://example.org/caller/{n:02}"),
                "GET",
                "/orders",
            )
        })
        .collect();
    let dir = with_log(&text(&records));
    let short = replay(&dir, &["decisions.jsonl"]);
    assert!(
        short
            .stdout
            .contains("\n  and 5 calls of 5 other kinds (--all tells them)\n"),
        "{short:?}"
    );
    let told = |outcome: &Outcome| outcome.stdout.matches("1 call, GET /orders").count();
    assert_eq!(told(&short), 20);
    assert_eq!(told(&replay(&dir, &["decisions.jsonl", "--all"])), 25);
}
