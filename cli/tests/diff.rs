//! `callgate diff`: what a change of documents changes.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod run;

use std::{path::Path, process::Command};

use run::{Outcome, callgate, callgate_with, directory};
use serde_json::Value;
use tempfile::TempDir;

const OLD: &str = r#"kind: MeshPolicy
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
  services: [/ns/shop/sa/orders, /ns/shop/sa/orders-canary]
  allow:
    - name: checkout-places-orders
      from: [/ns/shop/sa/checkout]
      to:
        - POST /orders
        - GET /orders/{order}
    - name: flags
      from: [flag-readers]
      to: [GET /flags/**]
    - name: tenants
      from: ["/ns/{tenant}/sa/*"]
      to: ["GET /tenants/{tenant}/**"]
"#;

const NEW: &str = r#"kind: MeshPolicy
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
  services: [/ns/shop/sa/orders, /ns/shop/sa/orders-canary]
  allow:
    - name: flags
      from: [flag-readers]
      to: [GET /flags/public]
    - name: checkout-orders
      from: [/ns/shop/sa/checkout]
      to:
        - GET,DELETE /orders/{id}
        - POST /orders
    - name: tenants
      from: ["/ns/{t}/sa/*"]
      to: ["GET /tenants/{t}/**"]
    - name: reports
      from: [/ns/shop/sa/reports]
      to: [GET /reports]
      when: request.headers["x-purpose"] == "reporting"
    - name: legacy-export
      from: [/ns/batch/sa/export]
      to: [GET /export]
      exception:
        reason: shared batch account until it is split
        ticket: SEC-123
        approvedBy: dana@example.org
        expires: 2027-02-01T00:00:00Z
  deny:
    - name: no-tests
      from: [/ns/test/**]
      to: [ANY /tenants/**]
"#;

const AT: [&str; 2] = ["--at", "2026-11-22T12:00:00Z"];

fn sets() -> TempDir {
    directory(&[("old/orders.yaml", OLD), ("new/orders.yaml", NEW)])
}

fn diff(dir: &Path, args: &[&str]) -> Outcome {
    callgate(dir, &[&["diff"], args, &AT[..]].concat())
}

#[test]
fn people_are_told_who_what_by_which_rule_and_an_example() {
    let outcome = diff(sets().path(), &["old", "new"]);
    let expected = "\
old → new   as of 2026-11-22T12:00:00Z

orders   spiffe://example.org/ns/shop/sa/orders
         spiffe://example.org/ns/shop/sa/orders-canary

  flag-readers, a group of 2 members
    - GET /flags/**
        was by       flags   old/orders.yaml:21
        except       GET /flags/public
        for example  GET /flags   from spiffe://example.org/ns/a/sa/app   allowed (flags) → refused (no-rule)

  spiffe://example.org/ns/shop/sa/checkout
    + DELETE /orders/{id}
        allowed by   checkout-orders   new/orders.yaml:20
        for example  DELETE /orders/any-id   refused (no-rule) → allowed (checkout-orders)

  spiffe://example.org/ns/shop/sa/reports
    ~ GET /reports
        allowed by   reports   new/orders.yaml:27
        depends on   when: request.headers[\"x-purpose\"] == \"reporting\"
        for example  GET /reports   x-purpose: reporting   refused (no-rule) → allowed (reports)

  spiffe://example.org/ns/batch/sa/export
    + GET /export
        allowed by   legacy-export   new/orders.yaml:31
        only         until 2027-02-01T00:00:00Z
        for example  GET /export   refused (no-rule) → allowed (legacy-export)

  spiffe://example.org/ns/{tenant}/sa/* that are also spiffe://example.org/ns/test/**
    - GET /tenants/{tenant}/**
        denied by    no-tests   new/orders.yaml:40
        for example  GET /tenants/test   from spiffe://example.org/ns/test/sa/any   allowed (tenants) → refused (deny-rule)

2 accesses widen, 2 accesses narrow, 1 access may differ
";
    assert_eq!(outcome.stdout, expected);
    assert_eq!((outcome.code, &*outcome.stderr), (Some(1), ""));
}

#[test]
fn what_means_the_same_is_no_difference() {
    let renamed = OLD
        .replace("name: tenants", "name: their-own")
        .replace("tenant}", "t}")
        .replace(
            "- POST /orders\n",
            "- GET /orders/7\n        - POST /orders\n",
        );
    let dir = directory(&[("old/orders.yaml", OLD), ("new/renamed.yaml", &renamed)]);
    let outcome = diff(dir.path(), &["old", "new"]);
    assert_eq!(
        outcome.stdout,
        "old → new   as of 2026-11-22T12:00:00Z\n\nno access changes\n"
    );
    assert_eq!(outcome.code, Some(0));
    // Files may be compared as well as directories.
    let outcome = diff(dir.path(), &["old/orders.yaml", "new/renamed.yaml"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

#[test]
fn one_direction_alone() {
    let dir = sets();
    let summary = |only| {
        let outcome = diff(dir.path(), &["old", "new", "--only", only]);
        (
            outcome.code,
            outcome.stdout.lines().last().map(str::to_owned),
        )
    };
    let last = |text: &str| (Some(1), Some(text.to_owned()));
    assert_eq!(summary("narrowed"), last("2 accesses narrow"));
    assert_eq!(
        summary("widened"),
        last("2 accesses widen, 1 access may differ")
    );
    let more = format!("{OLD}    - {{name: more, from: [/ns/x/sa/y], to: [GET /x]}}\n");
    let dir = directory(&[("old/o.yaml", OLD), ("new/o.yaml", &more)]);
    let outcome = diff(dir.path(), &["old", "new", "--only", "narrowed"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

/// Each witness, asked of both versions by `callgate explain`, comes out as it is told.
#[test]
fn witnesses_are_true() {
    let dir = sets();
    let outcome = diff(dir.path(), &["old", "new", "--format", "json"]);
    let told: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let changes = told["changes"].as_array().unwrap();
    assert_eq!((changes.len(), &told["complete"]), (5, &Value::Bool(true)));
    for change in changes {
        let witness = &change["witness"];
        let text = |key: &str| witness[key].as_str().unwrap().to_owned();
        for (set, key) in [("old", "old"), ("new", "new")] {
            let (from, to, call) = (text("from"), text("to"), text("call"));
            let headers = witness["headers"].as_object().unwrap();
            let mut args = vec![
                "explain".to_owned(),
                "--policies".to_owned(),
                set.to_owned(),
            ];
            args.extend(["--from", &from, "--to", &to, &call].map(str::to_owned));
            args.extend(["--at", AT[1], "--format", "json"].map(str::to_owned));
            for (name, value) in headers {
                let value = value.as_str().unwrap();
                args.extend(["--header".to_owned(), format!("{name}={value}")]);
            }
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let explained = callgate(dir.path(), &args);
            let answer: Value = serde_json::from_str(&explained.stdout).unwrap();
            assert_eq!(answer["reason"], witness[key]["reason"], "{set} {change}");
        }
    }
}

#[test]
fn pull_requests_get_a_table() {
    let dir = sets();
    let outcome = diff(dir.path(), &["old", "new", "--format", "markdown"]);
    let expected = "\
### Callgate: 2 accesses widen, 2 accesses narrow, 1 access may differ

**orders** `spiffe://example.org/ns/shop/sa/orders`, `spiffe://example.org/ns/shop/sa/orders-canary`

| | caller | access | for example | before | after |
|---|---|---|---|---|---|
| narrows | `flag-readers, a group of 2 members` | `GET /flags/**`<br>except `GET /flags/public` | `GET /flags`<br>from `spiffe://example.org/ns/a/sa/app` | allowed (flags) | refused (no-rule) |
| **widens** | `spiffe://example.org/ns/shop/sa/checkout` | `DELETE /orders/{id}` | `DELETE /orders/any-id`<br>from `spiffe://example.org/ns/shop/sa/checkout` | refused (no-rule) | allowed (checkout-orders) |
";
    assert!(outcome.stdout.starts_with(expected), "{}", outcome.stdout);
    assert!(outcome.stdout.ends_with(
        "<sub>old → new, as of 2026-11-22T12:00:00Z; both versions decided each request \
         shown</sub>\n"
    ));
}

fn git(dir: &Path, args: &[&str]) {
    let identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"];
    let status = Command::new("git")
        .args(identity)
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .status()
        .unwrap();
    assert!(status.success(), "git {args:?}");
}

/// `callgate diff` where `git` can be found.
fn diff_git(dir: &Path, args: &[&str]) -> Outcome {
    let path = std::env::var("PATH").unwrap();
    callgate_with(
        dir,
        &[&["diff"], args, &AT[..]].concat(),
        &[("PATH", &path)],
    )
}

#[test]
fn a_directory_is_compared_with_a_revision() {
    let dir = directory(&[
        ("repo/policies/orders.yaml", OLD),
        ("repo/policies/orders_test.yaml", "not read"),
        ("repo/policies/.hidden/x.yaml", "not read"),
        ("repo/other.yaml", "not read"),
        ("none/x", ""),
    ]);
    let repo = dir.path().join("repo");
    git(&repo, &["init", "--quiet", "--initial-branch=main"]);
    git(
        &repo,
        &["commit", "--quiet", "--allow-empty", "--message=empty"],
    );
    git(&repo, &["tag", "empty"]);
    git(&repo, &["add", "."]);
    git(&repo, &["commit", "--quiet", "--message=first"]);
    assert_eq!(diff_git(&repo, &["--git", "main"]).code, Some(0));
    std::fs::write(repo.join("policies/orders.yaml"), NEW).unwrap();
    let outcome = diff_git(&repo, &["--git", "main"]);
    assert_eq!(outcome.code, Some(1));
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(
        lines[0],
        "main:policies → policies   as of 2026-11-22T12:00:00Z"
    );
    assert!(lines.contains(&"        was by       flags   main:policies/orders.yaml:21"));
    // From within the directory, and against a revision without documents.
    let outcome = diff_git(&repo.join("policies"), &["--git", "main", "."]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let outcome = diff_git(&repo, &["--git", "empty", "--only", "narrowed"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let cases: [(&[&str], &str); 4] = [
        (
            &["--git", "nowhere"],
            "git knows no revision `nowhere` here",
        ),
        (&["--git=--all"], "git knows no revision `--all` here"),
        (
            &["--git", "main", "missing"],
            "`missing` is not a directory",
        ),
        (&["--git", "main", "a", "b"], "name only the directory"),
    ];
    for (args, told) in cases {
        let outcome = diff_git(&repo, args);
        assert_eq!(outcome.code, Some(2), "{args:?}");
        assert!(outcome.stderr.contains(told), "{}", outcome.stderr);
    }
}

#[test]
fn what_cannot_be_compared() {
    let broken = OLD.replace("POST /orders", "POST orders");
    let dir = directory(&[("old/orders.yaml", OLD), ("new/orders.yaml", &broken)]);
    let outcome = diff(dir.path(), &["old", "new"]);
    assert_eq!(outcome.code, Some(2));
    assert!(
        outcome
            .stderr
            .ends_with("callgate: `new` does not load, so nothing can be compared\n")
    );
    assert!(
        outcome.stderr.contains("new/orders.yaml:17"),
        "{}",
        outcome.stderr
    );
    for args in [&["old"][..], &[], &["old", "missing"]] {
        assert_eq!(diff(dir.path(), args).code, Some(2), "{args:?}");
    }
}
