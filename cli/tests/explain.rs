//! `callgate explain`: the answers of the server, before there is a server.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod run;

use run::{Outcome, callgate, directory};
use serde_json::json;
use tempfile::TempDir;

const ORDERS: &str = r##"apiVersion: callgate.dev/v1alpha1
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [/ns/shop/sa/orders]
  owner: team-orders
  help: "#team-orders"
  enforcement: Enforce
  allow:
    - name: checkout-places-orders
      from: [/ns/shop/sa/checkout]
      to:
        - POST /orders
        - GET /orders/{order}
    - name: watch
      from: [spiffe://partner.example/depot/*]
      to: [GRPC shop.v1.Orders/Watch, WEBSOCKET /ui/live]
    - name: tenants
      from: ["/ns/{tenant}/sa/api"]
      to: ["GET /tenants/{tenant}/**"]
    - name: legacy-export
      from: [/ns/batch/sa/export]
      to: [GET /export/**]
      exception:
        reason: shared batch account until it is split
        ticket: SEC-123
        approvedBy: dana@example.org
        expires: 2027-02-01T00:00:00Z
  deny:
    - name: batch-never-administers
      from: [/ns/batch/**]
      to: [ANY /admin/**]
---
kind: MeshPolicy
metadata: {name: mesh}
spec: {trustDomain: example.org}
"##;

fn orders() -> TempDir {
    directory(&[("policies/orders.yaml", ORDERS)])
}

fn explain(dir: &TempDir, from: &str, call: &str, more: &[&str]) -> Outcome {
    let mut args = vec![
        "explain",
        "--from",
        from,
        "--to",
        "/ns/shop/sa/orders",
        call,
    ];
    args.extend(more);
    callgate(dir.path(), &args)
}

#[test]
fn a_refusal_names_the_nearest_rule_and_the_line_to_add() {
    let outcome = explain(&orders(), "/ns/shop/sa/checkout", "DELETE /orders/7", &[]);
    let expected = "\
DENIED no-rule   spiffe://example.org/ns/shop/sa/checkout → …/sa/orders   DELETE /orders/7
No rule allows this. `checkout-places-orders` lets this caller have this path, but by GET, not by DELETE.
nearest: checkout-places-orders
  orders.yaml:11   from: [/ns/shop/sa/checkout]   ok
  orders.yaml:14   - GET /orders/{order}          path ok (order=7); method wants GET, saw DELETE
to allow exactly this, add:   - DELETE /orders/{order}

  orders.yaml
    10 |  - name: checkout-places-orders
    11 |    from: [/ns/shop/sa/checkout]
    12 |    to:
    13 |      - POST /orders
  > 14 |      - GET /orders/{order}
  +    |      - DELETE /orders/{order}

ask: team-orders   #team-orders
…/sa/orders is spiffe://example.org/ns/shop/sa/orders
";
    assert_eq!(outcome.stdout, expected);
    assert_eq!((outcome.code, &*outcome.stderr), (Some(1), ""));
}

#[test]
fn an_allowed_call_names_its_rule() {
    let outcome = explain(&orders(), "/ns/shop/sa/checkout", "HEAD /orders/7?x=1", &[]);
    let expected = "\
ALLOWED   spiffe://example.org/ns/shop/sa/checkout → …/sa/orders   HEAD /orders/7?x=1
`checkout-places-orders` allows this.
rule: checkout-places-orders   orders.yaml:10

  orders.yaml
    10 |  - name: checkout-places-orders
  > 11 |    from: [/ns/shop/sa/checkout]
    12 |    to:
    13 |      - POST /orders
  > 14 |      - GET /orders/{order}

…/sa/orders is spiffe://example.org/ns/shop/sa/orders
";
    assert_eq!((outcome.code, &*outcome.stdout), (Some(0), expected));
}

#[test]
fn programs_get_an_object() {
    let dir = orders();
    let json = |from, call, more: &[&str]| {
        let outcome = explain(&dir, from, call, &[&["--format", "json"], more].concat());
        let value: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        (outcome.code, value)
    };
    assert_eq!(
        json("/ns/shop/sa/checkout", "POST /orders", &[]),
        (
            Some(0),
            json!({"verdict": "Allow", "reason": "allow", "rule": "checkout-places-orders",
                   "policy": "orders.yaml:10", "nearestMiss": null})
        )
    );
    assert_eq!(
        json("/ns/shop/sa/checkout", "DELETE /orders/7", &[]),
        (
            Some(1),
            json!({"verdict": "Deny", "reason": "no-rule", "rule": null, "policy": null,
                   "nearestMiss": {"rule": "checkout-places-orders", "policy": "orders.yaml:14",
                                   "clause": "method", "expected": "GET", "actual": "DELETE"}})
        )
    );
    assert_eq!(
        json(
            "/ns/batch/sa/export",
            "GET /export/1",
            &["--at", "2027-02-01T01:00:00+01:00"]
        ),
        (
            Some(1),
            json!({"verdict": "Deny", "reason": "exception-expired", "rule": "legacy-export",
                   "policy": "orders.yaml:21",
                   "nearestMiss": {"rule": "legacy-export", "policy": "orders.yaml:28",
                                   "clause": "exception", "expected": "before 2027-02-01T00:00:00Z",
                                   "actual": "2027-02-01T00:00:00Z"}})
        )
    );
}

#[test]
fn every_cause_is_told() {
    let dir = orders();
    let before = ["--at", "2027-01-31T23:59:59Z"];
    let grpc = ["--header", "content-type=application/grpc-web"];
    let upgrade = ["--header", "Upgrade=websocket"];
    let none: &[&str] = &[];
    let cases = [
        (
            "/ns/batch/sa/export",
            "GET /export/1",
            &before[..],
            Some(0),
            "rule: legacy-export",
        ),
        (
            "/ns/batch/sa/export",
            "GET /admin",
            none,
            Some(1),
            "DENIED deny-rule",
        ),
        (
            "/ns/batch/sa/export",
            "GET /admin",
            none,
            Some(1),
            "batch-never-administers   orders.yaml:30",
        ),
        (
            "/ns/t1/sa/api",
            "GET /tenants/t1/x",
            none,
            Some(0),
            "rule: tenants",
        ),
        (
            "/ns/t1/sa/api",
            "GET /tenants/t2/x",
            none,
            Some(1),
            "captures want tenant=t1, saw tenant=t2",
        ),
        (
            "spiffe://partner.example/depot/7",
            "GRPC shop.v1.Orders/Watch",
            none,
            Some(0),
            "rule: watch",
        ),
        (
            "spiffe://partner.example/depot/7",
            "GRPC shop.v1.Orders/Watch",
            &grpc[..],
            Some(1),
            "grpc-web",
        ),
        (
            "spiffe://partner.example/depot/7",
            "WEBSOCKET /ui/live",
            none,
            Some(0),
            "rule: watch",
        ),
        (
            "spiffe://partner.example/depot/7",
            "GET /ui/live",
            &upgrade[..],
            Some(0),
            "rule: watch",
        ),
        (
            "/ns/shop/sa/checkout",
            "GET /orders//7",
            none,
            Some(1),
            "DENIED path-ambiguous",
        ),
        (
            "/ns/shop/sa/checkout",
            "CONNECT orders:443",
            none,
            Some(1),
            "DENIED path-ambiguous",
        ),
    ];
    for (from, call, more, code, expected) in cases {
        let outcome = explain(&dir, from, call, more);
        assert_eq!(outcome.code, code, "{from} {call}: {outcome:?}");
        assert!(
            outcome.stdout.contains(expected),
            "{from} {call}: {outcome:?}"
        );
    }
}

#[test]
fn the_story_is_told_in_words() {
    let dir = orders();
    let (shop, export) = ("/ns/shop/sa/checkout", "/ns/batch/sa/export");
    let none: &[&str] = &[];
    let later = ["--at", "2027-02-01T00:00:00Z"];
    let cases = [
        (
            "/ns/shop/sa/web",
            "GET /orders/7",
            none,
            "`checkout-places-orders` allows exactly this, but to other callers.",
        ),
        (
            shop,
            "GET /other",
            none,
            "`checkout-places-orders` lets this caller do such things, but on other paths.",
        ),
        (
            "/ns/t1/sa/api",
            "GET /tenants/t2/x",
            none,
            "`tenants` lets this caller have tenant=t1, and this is tenant=t2.",
        ),
        (
            export,
            "GET /export/1",
            none,
            "`legacy-export` allows this until 2027-02-01T00:00:00Z: it is an exception.",
        ),
        (
            export,
            "GET /export/1",
            &later[..],
            "`legacy-export` would allow this, but it is an exception, and it has ended.",
        ),
        (
            export,
            "GET /admin/1",
            none,
            "`batch-never-administers` refuses this. It is a deny rule, and no allow rule counts",
        ),
        (
            shop,
            "GET //x",
            none,
            "Its path can be read in more than one way, so no rule was looked at.",
        ),
    ];
    for (from, call, more, expected) in cases {
        let outcome = explain(&dir, from, call, more);
        assert!(
            outcome.stdout.contains(expected),
            "{from} {call}: {}",
            outcome.stdout
        );
    }
}

#[test]
fn a_condition_that_does_not_hold_says_why() {
    let policy = "\
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [spiffe://x/orders]
  allow:
    - name: reporting
      from: [spiffe://x/web]
      to: [GET /reports/**]
      when: >-
        request.headers[\"x-purpose\"] == \"reporting\"
      enforcement: Enforce
    - name: later
      from: [spiffe://x/web]
      to: [PUT /reports/**]
      enforcement: Shadow
";
    let dir = directory(&[("policies/orders.yaml", policy)]);
    let explain = |call: &str, more: &[&str]| {
        let args = [
            "explain",
            "--from",
            "spiffe://x/web",
            "--to",
            "spiffe://x/orders",
            call,
        ];
        callgate(dir.path(), &[&args[..], more].concat())
    };
    let absent = explain("GET /reports/7", &[]);
    let expected = "\
DENIED no-rule   spiffe://x/web → spiffe://x/orders   GET /reports/7
No rule allows this. `reporting` is about exactly this, but its condition does not hold: header x-purpose is absent.
nearest: reporting
  orders.yaml:7   from: [spiffe://x/web]   ok
  orders.yaml:8   - GET /reports/**        method ok; path ok
  orders.yaml:9   when                     wants request.headers[\"x-purpose\"] == \"reporting\", saw header x-purpose is absent

  orders.yaml
     6 |  - name: reporting
     7 |    from: [spiffe://x/web]
     8 |    to: [GET /reports/**]
  >  9 |    when: >-
    10 |      request.headers[\"x-purpose\"] == \"reporting\"
";
    assert_eq!((absent.code, &*absent.stdout), (Some(1), expected));
    let given = explain("GET /reports/7", &["--header", "x-purpose=reporting"]);
    assert_eq!(given.code, Some(0), "{given:?}");
    let shadow = explain("PUT /reports/7", &["--all-rules"]);
    assert!(
        shadow
            .stdout
            .contains("shadow: later would allow this, were it live   orders.yaml:12")
            && shadow
                .stdout
                .contains("orders.yaml:12  would match, but is in shadow"),
        "{}",
        shadow.stdout
    );
}

#[test]
fn what_a_deny_rule_overrules_is_told() {
    let open = ORDERS.replace(
        "      to: [GET /export/**]",
        "      to: [GET /export/**, GET /admin/**]",
    );
    let dir = directory(&[("policies/orders.yaml", &open)]);
    let outcome = explain(&dir, "/ns/batch/sa/export", "GET /admin/1", &[]);
    let expected = "Without it, `legacy-export` would allow this (orders.yaml:21).";
    assert!(outcome.stdout.contains(expected), "{}", outcome.stdout);
}

#[test]
fn every_rule_is_told_where_that_is_asked_for() {
    let dir = orders();
    let export = "/ns/batch/sa/export";
    let outcome = explain(&dir, export, "GET /export/1", &["--all-rules"]);
    let expected = "
rules about …/sa/orders, in the order in which they are looked at:
  kind   rule                     where           how it fared
  deny   batch-never-administers  orders.yaml:30  path wants /admin/**, saw /export/1
  allow  checkout-places-orders   orders.yaml:10  from wants spiffe://example.org/ns/shop/sa/checkout; path wants /orders/{order}, saw /export/1
  allow  watch                    orders.yaml:15  from wants spiffe://partner.example/depot/*; method wants GRPC, saw GET without a content type; path wants shop.v1.Orders/Watch, saw /export/1
  allow  tenants                  orders.yaml:18  from wants spiffe://example.org/ns/{tenant}/sa/api; path wants /tenants/{tenant}/**, saw /export/1
  allow  legacy-export            orders.yaml:21  matches, and decides
";
    assert!(outcome.stdout.contains(expected), "{}", outcome.stdout);
    assert_eq!(outcome.code, Some(0));

    let outcome = explain(
        &dir,
        export,
        "GET /export/1",
        &["--all-rules", "--format", "json"],
    );
    let told: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(
        told["rules"][0],
        json!({"rule": "batch-never-administers", "policy": "orders.yaml:30", "level": "service",
               "side": "deny", "outcome": "misses",
               "lacks": {"policy": "orders.yaml:32", "clause": "path",
                         "expected": "/admin/**", "actual": "/export/1"}})
    );
    assert_eq!(
        told["rules"][4],
        json!({"rule": "legacy-export", "policy": "orders.yaml:21", "level": "service",
               "side": "allow", "outcome": "matches"})
    );
}

#[test]
fn a_recorded_decision_is_told_again() {
    let record = |id: &str, verdict: &str, reason: &str, method: &str| {
        json!({
            "time": "2026-11-22T12:00:00.000Z", "id": id, "verdict": verdict, "reason": reason,
            "rule": null, "policy": null, "nearestMiss": null, "enforced": true, "leased": false,
            "source": {"id": "spiffe://example.org/ns/shop/sa/checkout",
                       "certificateSha256": null, "notBefore": null, "notAfter": null,
                       "issuer": null},
            "destination": "spiffe://example.org/ns/shop/sa/orders", "method": method,
            "path": "/orders/7", "inputs": {}, "host": "orders", "grpc": false,
            "traceparent": null, "proxy": null, "revision": "r1",
        })
        .to_string()
    };
    let log = [
        record("01JD8M3Q0000000000000000AA", "Deny", "no-rule", "DELETE"),
        "{ torn".to_owned(),
        record("01JD8M3Q0000000000000000BB", "Deny", "no-rule", "GET"),
        record(
            "01JD8M3Q0000000000000000CC",
            "Deny",
            "policy-unavailable",
            "GET",
        ),
        record(
            "01JD8M3Q0000000000000000EE",
            "Deny",
            "identity-revoked",
            "GET",
        )
        .replace("\"path\"", "\"revocation\": \"leaked-key\", \"path\""),
        record("01JD8M3Q0000000000000000FF", "Deny", "no-rule", "DELETE").replace(
            "\"leased\":false",
            "\"leased\":true,\"rechecks\":\"01JD8M3Q0000000000000000AA\"",
        ),
    ]
    .join("\n");
    let dir = directory(&[("policies/orders.yaml", ORDERS), ("decisions.jsonl", &log)]);
    let explain = |id: &str| {
        let args = ["explain", "--decision", id, "--log", "decisions.jsonl"];
        callgate(dir.path(), &args)
    };
    let same = explain("01jd8m3q0000000000000000aa");
    let expected = "\
recorded: DENIED no-rule   2026-11-22T12:00:00Z   decision 01JD8M3Q0000000000000000AA   revision r1
The policies in `policies` say the same of it:

DENIED no-rule   spiffe://example.org/ns/shop/sa/checkout → …/sa/orders   DELETE /orders/7
No rule allows this. ";
    assert!(same.stdout.starts_with(expected), "{same:?}");
    let leased = explain("01JD8M3Q0000000000000000FF");
    let expected = "\
recorded: DENIED no-rule   2026-11-22T12:00:00Z   decision 01JD8M3Q0000000000000000FF   revision r1   by a lease
of a stream that was open, let in by decision 01JD8M3Q0000000000000000AA
The policies in";
    assert!(leased.stdout.starts_with(expected), "{leased:?}");
    assert_eq!(same.code, Some(1));
    let other = explain("01JD8M3Q0000000000000000BB");
    assert!(
        other.stdout.contains("now say otherwise:\n\nALLOWED "),
        "{other:?}"
    );
    assert_eq!(other.code, Some(0));
    let revoked = explain("01JD8M3Q0000000000000000EE");
    let expected = [
        "recorded: DENIED identity-revoked by `leaked-key`   2026-11-22T12:00:00Z",
        "\nDENIED identity-revoked   spiffe://example.org/ns/shop/sa/checkout → …/sa/orders",
        "This caller is revoked: it is believed no longer, whatever the rules say.",
    ];
    for expected in expected {
        assert!(revoked.stdout.contains(expected), "{revoked:?}");
    }
    for (id, expected) in [
        ("01JD8M3Q0000000000000000CC", "cannot be told again"),
        (
            "01JD8M3Q0000000000000000DD",
            "`decisions.jsonl` has no decision",
        ),
    ] {
        let outcome = explain(id);
        assert_eq!(
            (outcome.code, &*outcome.stdout),
            (Some(2), ""),
            "{outcome:?}"
        );
        assert!(outcome.stderr.contains(expected), "{outcome:?}");
    }
}

/// The line that is shown to be added, where it is shown, makes the call allowed.
#[test]
fn the_line_to_add_lets_exactly_this_in() {
    let policy = "\
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [spiffe://x/orders]
  allow:
    - name: block
      from:
        - spiffe://x/web
      to:
        - GET /block/{id}
        - GET /other
    - name: flow
      from: [spiffe://x/web]
      to: [GET /flow, \"GET /flow/{id}\"]
    - name: first
      from: [spiffe://x/api]
      to: [GET /first]   # with a comment
";
    let cases = [
        ("spiffe://x/web", "DELETE /block/7", true),
        ("spiffe://x/other", "GET /block/7", true),
        ("spiffe://x/web", "DELETE /flow/7", true),
        ("spiffe://x/other", "GET /flow", true),
        ("spiffe://x/api", "DELETE /first", false),
    ];
    for (from, call, is_shown) in cases {
        let dir = directory(&[("policies/orders.yaml", policy)]);
        let args = ["explain", "--from", from, "--to", "spiffe://x/orders", call];
        let refused = callgate(dir.path(), &args);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let shown: Vec<&str> = refused.stdout.lines().collect();
        let Some(at) = shown.iter().position(|line| line.starts_with("  + ")) else {
            assert!(!is_shown, "{}", refused.stdout);
            continue;
        };
        assert!(is_shown, "{}", refused.stdout);
        let number = |line: &str| -> usize {
            let number = line.get(4..).and_then(|rest| rest.split('|').next());
            number.unwrap().trim().parse().unwrap()
        };
        let after = number(shown[at - 1]);
        let text = shown[at].split_once("|  ").unwrap().1;
        let mut lines: Vec<String> = policy.lines().map(str::to_owned).collect();
        // What is shown lost the spaces that all of the rule begin with.
        let added = format!("    {text}");
        if shown[at - 1].starts_with("  - ") {
            lines[after - 1] = added;
        } else {
            lines.insert(after, added);
        }
        let mended = directory(&[("policies/orders.yaml", &lines.join("\n"))]);
        let allowed = callgate(mended.path(), &args);
        assert_eq!(
            allowed.code,
            Some(0),
            "{call}: {}\n{allowed:?}",
            refused.stdout
        );
    }
}

#[test]
fn a_long_rule_is_shown_by_what_matters() {
    let lines: Vec<String> = (0..40).map(|n| format!("        - GET /{n}")).collect();
    let text = format!(
        "kind: ServicePolicy\nmetadata: {{name: long}}\nspec:\n  services: [spiffe://x/o]\n  \
         allow:\n    - name: long\n      from: [spiffe://x/a]\n      to:\n{}\n",
        lines.join("\n")
    );
    let dir = directory(&[("policies/long.yaml", &text)]);
    let args = [
        "explain",
        "--from",
        "spiffe://x/a",
        "--to",
        "spiffe://x/o",
        "PUT /20",
    ];
    let outcome = callgate(dir.path(), &args);
    let expected = "
  long.yaml
     6 |  - name: long
     7 |    from: [spiffe://x/a]
       …
    28 |      - GET /19
  > 29 |      - GET /20
  +    |      - PUT /20
    30 |      - GET /21
";
    assert!(outcome.stdout.contains(expected), "{}", outcome.stdout);
}

#[test]
fn a_service_without_a_policy() {
    let args = [
        "explain",
        "--from",
        "/ns/a/sa/a",
        "--to",
        "/ns/shop/sa/none",
        "GET /",
    ];
    let outcome = callgate(orders().path(), &args);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stdout.starts_with("DENIED no-policy "),
        "{outcome:?}"
    );
    assert!(
        outcome
            .stdout
            .contains("spiffe://example.org/ns/shop/sa/none among"),
        "{outcome:?}"
    );
}

#[test]
fn shadow_is_said_and_is_still_no() {
    let text = ORDERS.replace("Enforce", "Shadow");
    let dir = directory(&[("policies/orders.yaml", &text)]);
    let outcome = explain(&dir, "/ns/shop/sa/checkout", "DELETE /orders/7", &[]);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stdout.contains("shadow: recorded, but let pass"),
        "{outcome:?}"
    );
}

#[test]
fn what_cannot_be_decided_exits_with_2() {
    let dir = directory(&[
        (
            "policies/groups.yaml",
            "kind: CallerGroup\nmetadata: {name: a}\nspec: {members: [spiffe://x/a]}",
        ),
        ("broken/a.yaml", "kind: Group"),
    ]);
    let from = ["explain", "--from", "spiffe://x/a", "--to"];
    let cases: [(&[&str], &str); 8] = [
        (
            &["/b", "GET /"],
            "nothing says which trust domain `/b` belongs to",
        ),
        (&["b", "GET /"], "begins with `spiffe://`"),
        (&["/b/", "GET /"], "does not end in `/`"),
        (
            &["spiffe://x/b", "GET"],
            "a method and a path in one argument",
        ),
        (
            &["spiffe://x/b", "GET /", "--at", "2027-02-01"],
            "did you mean `2027-02-01T00:00:00Z`?",
        ),
        (
            &["spiffe://x/b", "GET /", "--header", "x"],
            "a header is NAME=VALUE",
        ),
        (
            &["spiffe://x/b", "GET /", "--policies", "none"],
            "cannot read `none`",
        ),
        (
            &["spiffe://x/b", "GET /", "--policies", "broken"],
            "error[CG107]",
        ),
    ];
    for (args, expected) in cases {
        let outcome = callgate(dir.path(), &[&from[..], args].concat());
        assert_eq!(
            (outcome.code, &*outcome.stdout),
            (Some(2), ""),
            "{args:?}: {outcome:?}"
        );
        assert!(outcome.stderr.contains(expected), "{args:?}: {outcome:?}");
    }
    let args = [&from[..], &["/b", "GET /", "--trust-domain", "x"]].concat();
    assert_eq!(callgate(dir.path(), &args).code, Some(1));
}

#[test]
fn a_revoked_caller_is_refused_by_name_and_until_it_lapses() {
    let revoked = "kind: Revocation\nmetadata: {name: leaked-key}\nspec:\n  \
        id: /ns/shop/sa/checkout\n  reason: key found in a build log\n  \
        revokedBy: dana@example.org\n  expires: 2027-01-01T00:00:00Z\n";
    let dir = directory(&[
        ("policies/orders.yaml", ORDERS),
        ("policies/revoked.yaml", revoked),
    ]);
    let call = |at: &str, format: &str| {
        let args = [
            "explain",
            "--from",
            "/ns/shop/sa/checkout",
            "--to",
            "/ns/shop/sa/orders",
            "--at",
            at,
            "--format",
            format,
            "POST /orders",
        ];
        callgate(dir.path(), &args)
    };
    let before = call("2026-12-31T23:59:59Z", "human");
    assert_eq!(before.code, Some(1), "{before:?}");
    assert!(
        before.stdout.starts_with("DENIED identity-revoked "),
        "{before:?}"
    );
    assert!(
        before
            .stdout
            .contains("\nrevoked: leaked-key   revoked.yaml:1\n  key found in a build log\n"),
        "{before:?}"
    );
    let json = call("2026-12-31T23:59:59Z", "json");
    let told: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(told["reason"], "identity-revoked");
    assert_eq!(told["revocation"], "leaked-key");
    let after = call("2027-01-01T00:00:00Z", "human");
    assert_eq!(after.code, Some(0), "{after:?}");
}

#[test]
fn a_call_that_somebody_passes_on() {
    let mesh = "kind: MeshPolicy\nmetadata: {name: mesh}\nspec:\n  trustDomain: example.org\n  \
        acceptedTrustDomains: [example.org]\n  forwarders:\n    \
        - {id: /ns/edge/sa/gateway, mayAssert: [/ns/shop/**], forServices: [/ns/shop/sa/orders]}\n";
    let orders = ORDERS.split("---\n").next().unwrap();
    let orders = orders.replace("spiffe://partner.example/depot/*", "/ns/depot/*");
    let dir = directory(&[
        ("policies/orders.yaml", &orders),
        ("policies/mesh.yaml", mesh),
    ]);
    let by = ["--forwarder", "/ns/edge/sa/gateway"];
    let allowed = explain(&dir, "/ns/shop/sa/checkout", "GET /orders/7", &by);
    assert_eq!(allowed.code, Some(0), "{}", allowed.stderr);
    assert!(
        allowed.stdout.contains(
            "spiffe://example.org/ns/shop/sa/checkout → …/sa/gateway → …/sa/orders   GET /orders/7"
        ),
        "{}",
        allowed.stdout
    );
    let near = explain(&dir, "/ns/shop/sa/checkout", "DELETE /orders/7", &by);
    assert!(
        near.stdout.contains("nearest: checkout-places-orders"),
        "{}",
        near.stdout
    );
    let other = explain(&dir, "/ns/batch/sa/export", "GET /orders/7", &by);
    assert_eq!(other.code, Some(1));
    assert!(
        other.stdout.contains("DENIED identity-untrusted") && other.stdout.contains("`mayAssert`"),
        "{}",
        other.stdout
    );
    let foreign = explain(&dir, "spiffe://partner.example/a", "GET /orders/7", &[]);
    assert!(
        foreign.stdout.contains("`acceptedTrustDomains` leaves out"),
        "{}",
        foreign.stdout
    );
    let nobody = explain(
        &dir,
        "/ns/shop/sa/checkout",
        "GET /orders/7",
        &["--forwarder", "/ns/shop/sa/web"],
    );
    assert_eq!(nobody.code, Some(2));
    assert!(
        nobody.stderr.contains("is no forwarder for"),
        "{}",
        nobody.stderr
    );
}
