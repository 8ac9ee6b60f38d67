//! `callgate import`, as a shell and a pipeline see it. What is translated is tested where it
//! is done, in `analysis/tests/`.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod run;

use run::{callgate, callgate_reading, directory};
use tempfile::TempDir;

const RBAC: &str = "\
rules:
  action: ALLOW
  policies:
    web:
      permissions: [{url_path: {path: {exact: /health}}}]
      principals: [{authenticated: {principal_name: {exact: 'spiffe://example.org/ns/shop/sa/web'}}}]
";

const GAP: &str = "\
rules:
  policies:
    web:
      permissions: [{any: true}]
      principals: [{source_ip: {address_prefix: 10.0.0.0, prefix_len: 8}}]
";

const WRITTEN: &str = "\
apiVersion: callgate.dev/v1alpha1
kind: ServicePolicy
metadata:
  name: shop-orders
spec:
  services:
    - spiffe://example.org/ns/shop/sa/orders
  allow:
    # rbac.yaml:4
    - name: web
      from:
        - spiffe://example.org/ns/shop/sa/web
      to:
        - ANY /health
";

const REPORT: &str = "\
gap[address]: `source_ip`: an IP address
 --> gap.yaml:5:21
  |
5 |       principals: [{source_ip: {address_prefix: 10.0.0.0, prefix_len: 8}}]
  |                     ^^^^^^^^^
  |
  = effect: left out: the calls that only this let in are refused
  = instead: name the callers by their SPIFFE IDs: an address proves nothing

1 service and 0 rules written; 1 gap and 0 notes reported
";

const SERVICE: &str = "--service=spiffe://example.org/ns/shop/sa/orders";

fn files() -> TempDir {
    directory(&[
        ("rbac.yaml", RBAC),
        ("gap.yaml", GAP),
        ("broken.yaml", "rules: {polices: {}}"),
        ("other.yaml", "static_resources: {}"),
    ])
}

#[test]
fn documents_and_report_go_apart() {
    let dir = files();
    let whole = callgate(dir.path(), &["import", "envoy-rbac", SERVICE, "rbac.yaml"]);
    assert_eq!((whole.code, whole.stdout.as_str()), (Some(0), WRITTEN));
    assert_eq!(
        whole.stderr,
        "1 service and 1 rule written; 0 gaps and 0 notes reported\n"
    );
    let gap = callgate(dir.path(), &["import", "envoy-rbac", SERVICE, "gap.yaml"]);
    assert_eq!((gap.code, gap.stderr.as_str()), (Some(1), REPORT));
    assert!(gap.stdout.contains("allow: []"), "{}", gap.stdout);
}

#[test]
fn what_was_written_is_checked_tested_and_explained_like_anything_else() {
    let dir = files();
    let imported = callgate(dir.path(), &["import", "envoy-rbac", SERVICE, "rbac.yaml"]);
    std::fs::create_dir(dir.path().join("policies")).unwrap();
    std::fs::write(dir.path().join("policies/imported.yaml"), imported.stdout).unwrap();
    let explain = |from: &str| {
        let from = format!("--from=spiffe://example.org/ns/shop/sa/{from}");
        let to = "--to=spiffe://example.org/ns/shop/sa/orders";
        callgate(dir.path(), &["explain", &from, to, "POST /health"]).code
    };
    assert_eq!((explain("web"), explain("other")), (Some(0), Some(1)));
}

#[test]
fn programs_get_one_object() {
    let dir = files();
    let args = ["import", "envoy-rbac", SERVICE, "--format=json", "gap.yaml"];
    let outcome = callgate(dir.path(), &args);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(1), ""));
    let answer: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(answer["services"], 1);
    let finding = serde_json::json!({
        "severity": "gap", "kind": "address", "file": "gap.yaml", "line": 5, "column": 21,
        "endLine": 5, "endColumn": 30, "message": "`source_ip`: an IP address",
        "effect": "left out: the calls that only this let in are refused",
        "instead": "name the callers by their SPIFFE IDs: an address proves nothing",
    });
    assert_eq!(answer["findings"], serde_json::json!([finding]));
    let broken = [
        "import",
        "envoy-rbac",
        SERVICE,
        "--format=json",
        "broken.yaml",
    ];
    let broken = callgate(dir.path(), &broken);
    let answer: serde_json::Value = serde_json::from_str(&broken.stdout).unwrap();
    assert_eq!((broken.code, &answer["documents"]), (Some(1), &"".into()));
    assert_eq!(answer["findings"][0]["severity"], "error");
}

#[test]
fn what_cannot_be_read_exits_with_2() {
    let dir = files();
    let nothing = callgate(dir.path(), &["import", "envoy-rbac", SERVICE, "other.yaml"]);
    assert_eq!(nothing.code, Some(2));
    assert_eq!(
        nothing.stderr,
        "callgate: there is nothing to import in `other.yaml`\n"
    );
    let missing = callgate(dir.path(), &["import", "istio", "missing.yaml"]);
    assert_eq!(missing.code, Some(2));
    assert!(
        missing
            .stderr
            .starts_with("callgate: cannot read `missing.yaml`"),
        "{}",
        missing.stderr
    );
    for args in [
        &["import", "envoy-rbac", "rbac.yaml"][..],
        &["import", "envoy-rbac", "--service=/ns/a", "rbac.yaml"],
        &[
            "import",
            "consul",
            "--trust-domain=example.consul",
            "api.hcl",
        ],
        &[
            "import",
            "consul",
            "--trust-domain=example.consul",
            "--datacenter=a/b",
            "api.hcl",
        ],
        &["import", "istio"],
    ] {
        let outcome = callgate(dir.path(), args);
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (Some(2), ""),
            "{args:?}"
        );
    }
}

#[test]
fn standard_input_is_a_file_too() {
    let dir = directory(&[]);
    let args = ["import", "envoy-rbac", SERVICE, "-"];
    let outcome = callgate_reading(dir.path(), &args, &[], RBAC);
    assert_eq!(outcome.stdout, WRITTEN.replace("rbac.yaml:4", "<stdin>:4"));
}
