//! `callgate check`, as a shell and a pipeline see it.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod run;

use run::{Outcome, callgate, directory};

const GROUP: &str = "\
kind: CallerGroup
metadata: {name: readers}
spec: {members: [/ns/a/sa/app]}
";

const ORDERS: &str = "\
apiVersion: callgate.dev/v1alpha1
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [/ns/shop/sa/orders]
  allow:
    - name: read
      from: [readers]
      to: ['GET /orders/{order}']
---
kind: MeshPolicy
metadata: {name: mesh}
spec: {trustDomain: example.org}
";

const BROKEN: &str = "\
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [spiffe://example.org/ns/shop/sa/orders]
  ownr: team-orders
  allow:
    - name: read
      from: [spiffe://example.org/ns/a/sa/app]
      to: [get /orders]
";

fn answer(outcome: &Outcome) -> (Option<i32>, &str, &str) {
    (outcome.code, &outcome.stdout, &outcome.stderr)
}

#[test]
fn a_set_in_order_is_counted() {
    let dir = directory(&[
        ("policies/orders.yaml", ORDERS),
        ("policies/teams/groups.yml", GROUP),
        ("policies/orders_test.yaml", "kind: PolicyTest"),
        ("policies/.hidden.yaml", "broken: ["),
        ("policies/README.md", "# Policies"),
    ]);
    let expected = "3 documents, 1 service, 1 rule: no findings\n";
    for args in [
        &["check"][..],
        &["check", "policies"],
        &[
            "check",
            "policies/orders.yaml",
            "policies/orders_test.yaml",
            "policies/teams",
        ],
        &["check", "policies", "policies/orders.yaml"],
    ] {
        let outcome = callgate(dir.path(), args);
        assert_eq!(answer(&outcome), (Some(0), expected, ""), "{args:?}");
    }
    let json = callgate(dir.path(), &["check", "--format", "json"]);
    assert_eq!(answer(&json), (Some(0), "[]\n", ""));
}

#[test]
fn findings_are_shown_with_their_place_and_exit_with_1() {
    let dir = directory(&[("policies/orders.yaml", BROKEN)]);
    let outcome = callgate(dir.path(), &["check"]);
    let expected = "\
error[CG103]: unknown field `ownr` in a `ServicePolicy`
 --> policies/orders.yaml:5:3
  |
5 |   ownr: team-orders
  |   ^^^^ did you mean `owner`?

error[CG205]: `get /orders` is not an operation: methods are compared case-sensitively and are in upper case
 --> policies/orders.yaml:9:12
  |
9 |       to: [get /orders]
  |            ^^^
  |
  = help: did you mean `GET /orders`?

2 errors
";
    assert_eq!(answer(&outcome), (Some(1), expected, ""));
}

#[test]
fn programs_get_an_array() {
    let dir = directory(&[("policies/orders.yaml", BROKEN)]);
    let outcome = callgate(dir.path(), &["check", "--format", "json"]);
    assert_eq!((outcome.code, &*outcome.stderr), (Some(1), ""));
    let found: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let expected = serde_json::json!({
        "code": "CG103", "severity": "error", "file": "policies/orders.yaml",
        "line": 5, "column": 3, "endLine": 5, "endColumn": 7,
        "message": "unknown field `ownr` in a `ServicePolicy`", "help": null, "related": [],
    });
    assert_eq!(found[0], expected);
    assert_eq!(found[1]["help"], "did you mean `GET /orders`?");
    assert_eq!(found.as_array().unwrap().len(), 2);
}

#[test]
fn nothing_to_check_exits_with_2() {
    let dir = directory(&[
        ("empty/README.md", ""),
        ("comments/a.yaml", "# nothing yet\n---\n"),
        ("tests/a_test.yaml", "kind: PolicyTest"),
    ]);
    let cases = [
        (&["check"][..], "cannot read `policies`"),
        (&["check", "missing.yaml"], "cannot read `missing.yaml`"),
        (&["check", "empty"], "`empty`"),
        (&["check", "comments"], "there is no document in `comments`"),
        (
            &["check", "tests/a_test.yaml"],
            "there is no document in `tests/a_test.yaml`",
        ),
        (&["check", "--colour"], "unexpected argument"),
        (&["check", "--format", "xml"], "invalid value"),
        (&["check", "--trust-domain", "Example.org"], "invalid value"),
        (&[], "Usage"),
    ];
    for (args, expected) in cases {
        let outcome = callgate(dir.path(), args);
        assert_eq!((outcome.code, &*outcome.stdout), (Some(2), ""), "{args:?}");
        assert!(
            outcome.stderr.contains(expected),
            "{args:?}: {}",
            outcome.stderr
        );
    }
}

#[test]
fn a_trust_domain_can_be_given() {
    let dir = directory(&[("policies/groups.yaml", GROUP)]);
    let without = callgate(dir.path(), &["check"]);
    assert_eq!(without.code, Some(1));
    assert!(
        without.stdout.contains("error[CG202]"),
        "{}",
        without.stdout
    );
    let given = callgate(dir.path(), &["check", "--trust-domain", "example.org"]);
    assert_eq!(given.code, Some(0), "{given:?}");
}

#[test]
fn what_is_not_text_is_a_finding_not_a_failure() {
    let dir = directory(&[("policies/a.yaml", GROUP)]);
    std::fs::write(dir.path().join("policies/b.yaml"), b"kind: \xff").unwrap();
    let outcome = callgate(dir.path(), &["check", "--trust-domain", "example.org"]);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stdout.contains("error[CG001]"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn who_may_write_a_policy_is_checked_where_it_is_known() {
    let mesh = "kind: MeshPolicy\nmetadata: {name: mesh}\nspec:\n  trustDomain: example.org\n  \
        authors:\n    - {directory: teams/shop, forServices: [/ns/shop/sa/*]}\n";
    let policy = "kind: ServicePolicy\nmetadata: {name: orders}\n\
        spec: {services: [/ns/shop/sa/orders]}\n";
    let dir = directory(&[
        ("policies/mesh.yaml", mesh),
        ("policies/teams/shop/orders.yaml", policy),
    ]);
    let whole = callgate(dir.path(), &["check", "policies"]);
    assert_eq!(whole.code, Some(0), "{}{}", whole.stdout, whole.stderr);
    let named = [
        "check",
        "policies/mesh.yaml",
        "policies/teams/shop/orders.yaml",
    ];
    assert_eq!(callgate(dir.path(), &named).code, Some(0));
    let dir = directory(&[
        ("policies/mesh.yaml", mesh),
        ("policies/teams/shopping/orders.yaml", policy),
    ]);
    let elsewhere = callgate(dir.path(), &["check", "policies"]);
    assert_eq!(elsewhere.code, Some(1));
    let told = elsewhere.stdout + &elsewhere.stderr;
    assert!(
        told.contains("error[CG312]") && told.contains("policies/teams/shopping/orders.yaml"),
        "{told}"
    );
}

const SUSPICIOUS: &str = "\
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [spiffe://example.org/ns/shop/sa/orders]
  owner: TODO
  allow:
    - name: health
      from: [spiffe://example.org/**]   # callgate: allow CG505 health tells nothing
      to: [GET /health]
    - name: export
      from: [spiffe://example.org/ns/batch/sa/export]
      to: [GET /export]
      exception: {reason: r, ticket: T-1, approvedBy: dana, expires: 2020-01-01T00:00:00Z}
";

#[test]
fn warnings_are_told_and_let_pass_unless_denied() {
    let dir = directory(&[("policies/orders.yaml", SUSPICIOUS)]);
    let outcome = callgate(dir.path(), &["check"]);
    assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""));
    let told = &outcome.stdout;
    assert!(
        told.starts_with("warning[CG510]: `owner` says `TODO`\n --> policies/orders.yaml:5:10\n"),
        "{told}"
    );
    assert!(
        told.contains("warning[CG509]: the exception of `export` has ended"),
        "{told}"
    );
    assert!(!told.contains("CG505"), "{told}");
    assert!(
        told.ends_with("\n1 document, 1 service, 2 rules: 2 warnings\n"),
        "{told}"
    );

    let denied = callgate(dir.path(), &["check", "--deny-warnings"]);
    assert_eq!(denied.code, Some(1));
    assert!(
        denied
            .stdout
            .ends_with(": 2 warnings, denied by --deny-warnings\n"),
        "{}",
        denied.stdout
    );
    let json = callgate(dir.path(), &["check", "--format", "json"]);
    assert_eq!(json.code, Some(0));
    let found: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(found[0]["severity"], "warning");
}

#[test]
fn exceptions_are_warned_of_before_they_end() {
    let far = SUSPICIOUS
        .replace("2020-01-01T00", "2200-01-01T00")
        .replace("TODO", "team-orders");
    let dir = directory(&[("policies/orders.yaml", &far)]);
    assert!(
        callgate(dir.path(), &["check"])
            .stdout
            .ends_with(": no findings\n")
    );
    let soon = callgate(
        dir.path(),
        &["check", "--expiring-within", "3650d", "--deny-warnings"],
    );
    // Longer than anybody looks ahead is refused, and this century is not over yet.
    assert_eq!(soon.code, Some(0), "{}", soon.stdout);
    for bad in ["14", "two weeks", "-1d", "9999d"] {
        let outcome = callgate(dir.path(), &["check", &format!("--expiring-within={bad}")]);
        assert_eq!(outcome.code, Some(2), "{bad}");
        assert!(
            outcome.stderr.contains("write days or hours"),
            "{}",
            outcome.stderr
        );
    }
}

#[test]
fn github_gets_annotations() {
    let dir = directory(&[("policies/orders.yaml", BROKEN)]);
    let outcome = callgate(dir.path(), &["check", "--format", "github"]);
    let expected = "\
::error file=policies/orders.yaml,line=5,endLine=5,col=3,endColumn=6,title=CG103::\
unknown field `ownr` in a `ServicePolicy` (did you mean `owner`?)
::error file=policies/orders.yaml,line=9,endLine=9,col=12,endColumn=14,title=CG205::\
`get /orders` is not an operation: methods are compared case-sensitively and are in upper case\
%0Ahelp: did you mean `GET /orders`?
2 errors
";
    assert_eq!(answer(&outcome), (Some(1), expected, ""));
}

#[test]
fn code_scanning_gets_sarif() {
    let dir = directory(&[
        ("policies/orders.yaml", SUSPICIOUS),
        ("policies/b.yaml", GROUP),
    ]);
    let args = [
        "check",
        "--trust-domain",
        "example.org",
        "--format",
        "sarif",
    ];
    let outcome = callgate(dir.path(), &args);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let log: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    let ids: Vec<_> = rules
        .iter()
        .map(|rule| rule["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["CG509", "CG510", "CG511"]);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert_eq!(result["level"], "warning");
    }
    let place = &results[1]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "policies/orders.yaml");
    let region =
        serde_json::json!({"startLine": 5, "startColumn": 10, "endLine": 5, "endColumn": 14});
    assert_eq!(place["region"], region);
}

#[test]
fn a_code_is_explained_without_documents() {
    let dir = directory(&[]);
    let outcome = callgate(dir.path(), &["check", "--explain", "CG012"]);
    let expected = "\
CG012 (error)

An empty text, list or mapping where something must be said.

    error[CG012]: `owner` is empty
";
    assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""));
    assert!(outcome.stdout.starts_with(expected), "{}", outcome.stdout);
    let json = callgate(
        dir.path(),
        &["check", "--explain", "cg505", "--format", "json"],
    );
    let page: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        (page["code"].as_str(), page["severity"].as_str()),
        (Some("CG505"), Some("warning"))
    );
    let unknown = callgate(dir.path(), &["check", "--explain", "CG0505"]);
    assert_eq!(unknown.code, Some(2));
    assert!(
        unknown.stderr.contains("they look like `CG012`"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn identities_that_a_log_does_not_know_are_warned_of() {
    let policy = SUSPICIOUS
        .replace("TODO", "team-orders")
        .replace("2020-", "2200-");
    let record = r#"{"time":"2026-11-22T12:00:00Z","id":"01","verdict":"Allow","reason":"allow","enforced":true,"source":{"id":"spiffe://example.org/ns/batch/sa/exports"},"destination":"spiffe://example.org/ns/shop/sa/orders","method":"GET","path":"/","grpc":false}"#;
    let log = format!("{record}\nnot a record\n");
    let dir = directory(&[
        ("policies/orders.yaml", &policy),
        ("decisions.jsonl", &log),
        ("empty.jsonl", "{}\n"),
    ]);
    let outcome = callgate(
        dir.path(),
        &["check", "--log", "decisions.jsonl", "--deny-warnings"],
    );
    assert_eq!(outcome.code, Some(1));
    let expected = "did you mean `spiffe://example.org/ns/batch/sa/exports`?";
    assert!(
        outcome.stdout.contains("warning[CG507]") && outcome.stdout.contains(expected),
        "{}",
        outcome.stdout
    );
    assert_eq!(
        outcome.stderr,
        "callgate: --log: 1 line that is no decision record was passed over\n"
    );
    for (log, told) in [
        ("empty.jsonl", "no decision record"),
        ("missing", "cannot read `missing`"),
    ] {
        let outcome = callgate(dir.path(), &["check", "--log", log]);
        assert_eq!((outcome.code, &*outcome.stdout), (Some(2), ""));
        assert!(outcome.stderr.contains(told), "{}", outcome.stderr);
    }
}

/// What a reader copies is what we would write: every worked example is in the one form, and
/// nothing in it is warned of.
#[test]
fn the_worked_examples_are_exemplary() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut examples = 0;
    for entry in std::fs::read_dir(root.join("docs/examples")).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        let example = path.to_str().unwrap();
        for args in [
            &["check", "--deny-warnings", example][..],
            &["fmt", "--check", example],
        ] {
            let outcome = callgate(&root, args);
            assert_eq!(
                outcome.code,
                Some(0),
                "{}{}",
                outcome.stdout,
                outcome.stderr
            );
        }
        examples += 1;
    }
    assert!(examples >= 10, "{examples}");
}
