//! `callgate test`: policies held to what their tests expect.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod run;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use run::{Outcome, callgate, directory};
use serde_json::json;
use tempfile::TempDir;

const ORDERS: &str = r##"kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [/ns/shop/sa/orders]
  owner: team-orders
  allow:
    - name: checkout-places-orders
      from: [/ns/shop/sa/checkout]
      to:
        - POST /orders
        - GET /orders/{order}
    - name: legacy-export
      from: [/ns/batch/sa/export]
      to: [GET /export/**]
      exception:
        reason: shared batch account until it is split
        ticket: SEC-123
        approvedBy: dana@example.org
        expires: 2027-02-01T00:00:00Z
---
kind: MeshPolicy
metadata: {name: mesh}
spec: {trustDomain: example.org}
"##;

const PASSING: &str = r"kind: PolicyTest
metadata: {name: orders}
spec:
  now: 2026-11-22T12:00:00Z
  cases:
    - name: checkout places orders
      from: /ns/shop/sa/checkout
      to: /ns/shop/sa/orders
      requests: [POST /orders, GET /orders/7]
      expect: {verdict: Allow, rule: checkout-places-orders}
    - name: only checkout writes
      from: [/ns/shop/sa/web, /ns/batch/sa/export]
      to: /ns/shop/sa/orders
      requests: [POST /orders, DELETE /orders/7]
      expect: {verdict: Deny, reason: no-rule}
";

const FAILING: &str = r#"kind: PolicyTest
metadata: {name: export}
spec:
  cases:
    - name: the <export> has "ended"
      from: /ns/batch/sa/export
      to: /ns/shop/sa/orders
      now: 2027-02-01T00:00:00Z
      requests: [GET /export/1]
      expect: {verdict: Allow}
"#;

fn orders(tests: &[(&str, &str)]) -> TempDir {
    directory(&[&[("policies/orders.yaml", ORDERS)], tests].concat())
}

fn test(dir: &TempDir, args: &[&str]) -> Outcome {
    callgate(dir.path(), &[&["test"], args].concat())
}

#[test]
fn what_comes_out_as_expected_passes() {
    let dir = orders(&[("policies/shop/orders_test.yaml", PASSING)]);
    let expected = "\
ok  policies/shop/orders_test.yaml  2 cases, 6 calls

2 cases, 6 calls: all as expected
";
    let outcome = test(&dir, &[]);
    assert_eq!(
        (outcome.code, &*outcome.stdout, &*outcome.stderr),
        (Some(0), expected, "")
    );
}

#[test]
fn a_case_that_fails_is_explained() {
    let dir = orders(&[
        ("policies/export_test.yaml", FAILING),
        ("policies/orders_test.yaml", PASSING),
    ]);
    let expected = r#"FAILED  policies/export_test.yaml  1 of 1 case, 1 call
ok      policies/orders_test.yaml  2 cases, 6 calls

FAILED   export: the <export> has "ended"   policies/export_test.yaml:5
  expected ALLOWED (line 10), but it came out otherwise

  DENIED exception-expired   spiffe://example.org/ns/batch/sa/export → …/sa/orders   GET /export/1
  `legacy-export` would allow this, but it is an exception, and it has ended.
  rule: legacy-export   policies/orders.yaml:12
  nearest: legacy-export
    policies/orders.yaml:13   from: [/ns/batch/sa/export]   ok
    policies/orders.yaml:14   - GET /export/**              method ok; path ok
    policies/orders.yaml:19   expires                       held before 2027-02-01T00:00:00Z, it is 2027-02-01T00:00:00Z

    policies/orders.yaml
      12 |  - name: legacy-export
    > 13 |    from: [/ns/batch/sa/export]
    > 14 |    to: [GET /export/**]
      15 |    exception:
      16 |      reason: shared batch account until it is split
      17 |      ticket: SEC-123
      18 |      approvedBy: dana@example.org
    > 19 |      expires: 2027-02-01T00:00:00Z

  ask: team-orders
  …/sa/orders is spiffe://example.org/ns/shop/sa/orders
  at 2027-02-01T00:00:00Z

1 of 3 cases failed, 7 calls
"#;
    let outcome = test(&dir, &["policies"]);
    assert_eq!(outcome.stdout, expected);
    assert_eq!((outcome.code, &*outcome.stderr), (Some(1), ""));
}

#[test]
fn what_no_case_has_met_is_told_and_may_be_too_much() {
    let dir = orders(&[("policies/orders_test.yaml", PASSING)]);
    let coverage = "
coverage: 1 of 2 rules (50 %), 2 of 3 lines of `to` (66 %)
  no case has met          rule           line
  policies/orders.yaml:14  legacy-export  - GET /export/**  never decides
";
    let told = test(&dir, &["--coverage"]);
    assert_eq!(told.code, Some(0));
    assert!(told.stdout.contains(coverage), "{}", told.stdout);
    assert_eq!(test(&dir, &["--fail-under", "66"]).code, Some(0));
    let less = test(&dir, &["--fail-under", "67"]);
    assert_eq!(less.code, Some(1));
    let last = "all as expected; but 66 % of the lines is less than the 67 % wanted\n";
    assert!(less.stdout.ends_with(last), "{}", less.stdout);
    assert_eq!(test(&dir, &["--fail-under", "101"]).code, Some(2));
}

#[test]
fn a_filter_takes_some_cases() {
    let dir = orders(&[
        ("policies/export_test.yaml", FAILING),
        ("policies/orders_test.yaml", PASSING),
    ]);
    let writes = test(&dir, &["--filter", "only checkout"]);
    assert_eq!(writes.code, Some(0));
    assert!(writes.stdout.contains("1 case, 4 calls"), "{writes:?}");
    assert_eq!(test(&dir, &["--filter", "export_test"]).code, Some(1));
    let none = test(&dir, &["--filter", "nobody"]);
    assert_eq!((none.code, &*none.stdout), (Some(2), ""));
    assert!(none.stderr.contains("no case matches `nobody`"), "{none:?}");
}

#[test]
fn programs_get_an_object() {
    let dir = orders(&[("policies/export_test.yaml", FAILING)]);
    let outcome = test(&dir, &["--format", "json", "--coverage"]);
    let told: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let expected = json!({
        "passed": false,
        "cases": [{
            "file": "policies/export_test.yaml", "line": 5, "test": "export",
            "name": "the <export> has \"ended\"", "passed": false, "calls": 1,
            "expected": {"verdict": "Allow", "reason": null, "rule": null, "enforced": null},
            "failures": [{
                "from": "spiffe://example.org/ns/batch/sa/export",
                "to": "spiffe://example.org/ns/shop/sa/orders",
                "request": "GET /export/1", "line": 9, "at": "2027-02-01T00:00:00Z",
                "got": {"verdict": "Deny", "reason": "exception-expired", "rule": "legacy-export",
                        "policy": "policies/orders.yaml:12",
                        "nearestMiss": {"rule": "legacy-export", "policy": "policies/orders.yaml:19",
                                        "clause": "exception",
                                        "expected": "before 2027-02-01T00:00:00Z",
                                        "actual": "2027-02-01T00:00:00Z"}},
                "enforced": true,
            }],
        }],
        "coverage": {
            "rules": {"met": 1, "of": 2, "percent": 50},
            "lines": {"met": 1, "of": 3, "percent": 33},
            "unmet": [
                {"rule": "checkout-places-orders", "policy": "policies/orders.yaml:10",
                 "to": "POST /orders"},
                {"rule": "checkout-places-orders", "policy": "policies/orders.yaml:11",
                 "to": "GET /orders/{order}"},
            ],
        },
    });
    assert_eq!(told, expected);
    assert_eq!(outcome.code, Some(1));
}

#[test]
fn ci_systems_get_junit() {
    let dir = orders(&[
        ("policies/export_test.yaml", FAILING),
        ("policies/orders_test.yaml", PASSING),
    ]);
    let outcome = test(&dir, &["--format", "junit", "--fail-under", "100"]);
    let (before, rest) = outcome.stdout.split_once("DENIED exception").unwrap();
    let (_, after) = rest.split_once("</failure>").unwrap();
    assert_eq!(
        before,
        r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="callgate" tests="4" failures="1">
  <testsuite name="export" file="policies/export_test.yaml" tests="1" failures="1">
    <testcase classname="export" name="the &lt;export&gt; has &quot;ended&quot;" file="policies/export_test.yaml" line="5">
      <failure message="expected ALLOWED (line 10), but it came out otherwise">"#
    );
    assert_eq!(
        after,
        r#"
    </testcase>
  </testsuite>
  <testsuite name="orders" file="policies/orders_test.yaml" tests="2" failures="0">
    <testcase classname="orders" name="checkout places orders" file="policies/orders_test.yaml" line="6"/>
    <testcase classname="orders" name="only checkout writes" file="policies/orders_test.yaml" line="11"/>
  </testsuite>
  <testsuite name="coverage" tests="1" failures="0">
    <testcase classname="coverage" name="at least 100 % of the lines"/>
  </testsuite>
</testsuites>
"#
    );
    assert_eq!(outcome.code, Some(1));
}

#[test]
fn tests_may_stand_apart_from_policies() {
    let dir = directory(&[
        ("policies/orders.yaml", ORDERS),
        ("tests/orders_test.yaml", PASSING),
    ]);
    let passes: [&[&str]; 3] = [
        &["tests/orders_test.yaml"],
        &["tests", "--policies", "policies"],
        &["policies", "tests"],
    ];
    for args in passes {
        let outcome = test(&dir, args);
        assert_eq!(outcome.code, Some(0), "{args:?}: {outcome:?}");
        assert!(outcome.stdout.contains("2 cases, 6 calls"), "{outcome:?}");
    }
}

#[test]
fn nothing_to_run_exits_with_2() {
    let dir = directory(&[
        ("policies/orders.yaml", ORDERS),
        ("tests/orders_test.yaml", PASSING),
        ("empty/orders_test.yaml", "# later\n"),
        ("empty/orders.yaml", ORDERS),
    ]);
    let cases: [(&[&str], &str); 6] = [
        (&[], "there is no `*_test.yaml` in `policies`"),
        (
            &["tests"],
            "there is no policy in `tests`; `--policies DIR`",
        ),
        (&["policies/orders.yaml"], "is no file of tests"),
        (&["none"], "cannot read `none`"),
        (&["none_test.yaml"], "cannot read `none_test.yaml`"),
        (
            &["empty"],
            "there is no document in `empty/orders_test.yaml`",
        ),
    ];
    for (args, expected) in cases {
        let outcome = test(&dir, args);
        assert_eq!((outcome.code, &*outcome.stdout), (Some(2), ""), "{args:?}");
        assert!(outcome.stderr.contains(expected), "{args:?}: {outcome:?}");
    }
}

#[test]
fn findings_in_either_fail() {
    let typo = PASSING.replace("expect:", "expects:");
    let dir = orders(&[("policies/orders_test.yaml", &typo)]);
    let outcome = test(&dir, &[]);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome
            .stdout
            .contains("error[CG103]: unknown field `expects` in a case")
            && outcome.stdout.contains("policies/orders_test.yaml:10:7"),
        "{outcome:?}"
    );
    let json = test(&dir, &["--format", "json"]);
    assert_eq!((json.code, &*json.stdout), (Some(1), ""));
    assert!(json.stderr.contains("error[CG103]"), "{json:?}");
    let dir = directory(&[
        ("policies/orders.yaml", "kind: ServicePolicies"),
        ("policies/orders_test.yaml", PASSING),
    ]);
    let outcome = test(&dir, &[]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stdout.contains("error[CG107]"), "{outcome:?}");
}

#[test]
fn headers_forwarders_and_shadow_are_held_to_as_well() {
    let policy = r#"kind: ServicePolicy
metadata: {name: reports}
spec:
  services: [/ns/shop/sa/reports]
  enforcement: Shadow
  allow:
    - name: reporting
      from: ["/ns/shop/sa/*"]
      to: [GET /reports/**]
      when: request.headers["x-purpose"] == "reporting"
---
kind: MeshPolicy
metadata: {name: mesh}
spec:
  trustDomain: example.org
  forwarders: [{id: /ns/edge/sa/gateway, mayAssert: [/ns/shop/**], forServices: [/ns/shop/sa/*]}]
"#;
    let cases = r"kind: PolicyTest
metadata: {name: reports}
spec:
  cases:
    - name: reporting reads
      from: /ns/shop/sa/web
      forwarder: /ns/edge/sa/gateway
      to: /ns/shop/sa/reports
      headers: {X-Purpose: reporting}
      requests: [GET /reports/7]
      expect: {verdict: Allow, rule: reporting}
    - name: others are let pass for now
      from: /ns/shop/sa/web
      to: /ns/shop/sa/reports
      requests: [GET /reports/7]
      expect: {verdict: Deny, reason: no-rule, enforced: false}
    - name: the gateway itself
      from: /ns/shop/sa/web
      forwarder: /ns/edge/sa/other
      to: /ns/shop/sa/reports
      requests: [GET /reports/7]
      expect: {verdict: Allow}
";
    let dir = directory(&[
        ("policies/reports.yaml", policy),
        ("policies/reports_test.yaml", cases),
    ]);
    let outcome = test(&dir, &[]);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stdout.contains("1 of 3 cases")
            && outcome
                .stdout
                .contains("FAILED   reports: the gateway itself")
            && outcome
                .stdout
                .contains("the case's `forwarder` is none for this service"),
        "{}",
        outcome.stdout
    );
}

/// Ends with its handle.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn watching_runs_again_after_a_change() {
    let dir = orders(&[("policies/orders_test.yaml", PASSING)]);
    let child = Command::new(env!("CARGO_BIN_EXE_callgate"))
        .args(["test", "--watch"])
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut watching = Watching(child);
    let mut lines = BufReader::new(watching.0.stdout.take().unwrap()).lines();
    let mut run = || {
        let mut text = String::new();
        for line in lines.by_ref() {
            let line = line.unwrap();
            if line.starts_with("watching;") {
                break;
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    };
    assert!(run().contains("2 cases, 6 calls: all as expected"));
    let broken = ORDERS.replace("POST /orders", "PUT /orders");
    fs::write(dir.path().join("policies/orders.yaml"), broken).unwrap();
    assert!(run().contains("1 of 2 cases failed"));
    fs::write(dir.path().join("policies/orders.yaml"), "kind: X").unwrap();
    assert!(run().contains("error[CG107]"));
    fs::write(dir.path().join("policies/orders.yaml"), ORDERS).unwrap();
    assert!(run().contains("2 cases, 6 calls: all as expected"));
}
