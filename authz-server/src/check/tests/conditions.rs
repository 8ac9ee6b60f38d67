//! Conditions: what a decision reads, what the proxy did not send, what is recorded.

use callgate_wire::wanted;

use super::*;

const CONDITIONS: &str = r#"
apiVersion: callgate.dev/v1alpha1
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [spiffe://example.org/ns/shop/sa/orders]
  allow:
    - name: reports
      from: [spiffe://example.org/ns/shop/sa/checkout]
      to: [GET /reports]
      when: request.headers["x-purpose"] == "reporting" && request.query["draft"] == ""
    - name: exports
      from: [spiffe://example.org/ns/shop/sa/checkout]
      to: [GET /exports]
    - name: soon
      from: [spiffe://example.org/ns/shop/sa/checkout]
      to: [POST /reports]
      enforcement: Shadow
  deny:
    - name: no-robots
      from: [spiffe://example.org/**]
      to: [ANY /exports]
      when: request.headers["x-robot"] != ""
    - name: no-exports-soon
      from: [spiffe://example.org/**]
      to: [ANY /exports]
      enforcement: Shadow
"#;

/// A Check with these headers, by a proxy that says which ones it looked for.
fn with(
    leaf: &Certificate,
    call: &str,
    headers: &[(&str, &str)],
    looked_for: Option<&str>,
) -> CheckRequest {
    let mut check = ask(Some(leaf), ORDERS, call);
    let owned = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    http(&mut check).headers = owned.collect();
    let extensions = &mut check.attributes.as_mut().unwrap().context_extensions;
    extensions.extend(looked_for.map(|names| (wanted::LOOKED_FOR.to_owned(), names.to_owned())));
    check
}

/// What is left of a record when what these tests are about is picked out.
fn told(record: &Value) -> Value {
    let shown = ["reason", "rule", "inputs", "conditionErrors", "shadow"];
    let shown = shown
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), record.get(*name)?.clone())));
    shown.collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn what_decided_is_recorded_and_nothing_else() {
    let root = Authority::root("root");
    let leaf = root.leaf(|_| {});
    let gate = Gate::of(live(&root, CONDITIONS));
    let secret = ("authorization", "Bearer abc");
    let reporting = ("x-purpose", "reporting");
    for (call, headers) in [
        ("GET /reports?x=1", &[reporting, secret][..]),
        ("GET /reports?draft=1", &[reporting]),
        ("GET /reports?draft=1&draft=2", &[reporting]),
        ("GET /reports", &[secret]),
        ("GET /exports", &[]),
        ("GET /exports", &[("x-robot", "yes")]),
        ("POST /reports", &[]),
    ] {
        gate.check(&with(&leaf, call, headers, None));
    }
    let records = gate.records();
    let told: Vec<Value> = records.iter().map(told).collect();
    let purpose = json!({"x-purpose": "reporting"});
    let no_exports = json!({"verdict": "Deny", "reason": "deny-rule", "rule": "no-exports-soon", "policy": "mesh.yaml:24"});
    let expected = [
        json!({"reason": "allow", "rule": "reports", "inputs": {"headers": purpose, "query": {"draft": null}}}),
        json!({"reason": "no-rule", "rule": null, "inputs": {"headers": purpose, "query": {"draft": "1"}}}),
        json!({
            "reason": "no-rule",
            "rule": null,
            "inputs": {"headers": purpose, "query": {"draft": {"unreadable": "repeated"}}},
            "conditionErrors": [{
                "rule": "reports",
                "policy": "mesh.yaml:8",
                "error": "query parameter draft is there more than once",
            }],
        }),
        json!({"reason": "no-rule", "rule": null, "inputs": {"headers": {"x-purpose": null}}}),
        json!({"reason": "allow", "rule": "exports", "inputs": {"headers": {"x-robot": null}}, "shadow": no_exports}),
        json!({"reason": "deny-rule", "rule": "no-robots", "inputs": {"headers": {"x-robot": "yes"}}}),
        json!({
            "reason": "no-rule",
            "rule": null,
            "inputs": {},
            "shadow": {"verdict": "Allow", "reason": "allow", "rule": "soon", "policy": "mesh.yaml:15"},
        }),
    ];
    assert_eq!(told, expected);
    let miss = &records[3]["nearestMiss"];
    assert_eq!(miss["clause"], "when");
    assert_eq!(miss["policy"], "mesh.yaml:11");
    assert_eq!(
        miss["expected"],
        "request.headers[\"x-purpose\"] == \"reporting\""
    );
    assert_eq!(miss["actual"], "header x-purpose is absent");
}

#[test]
fn a_proxy_that_did_not_look_is_asked_to_and_nothing_is_decided() {
    let root = Authority::root("root");
    let leaf = root.leaf(|_| {});
    let gate = Gate::of(live(&root, CONDITIONS));
    let response = gate.check(&with(&leaf, "GET /reports", &[], Some("")));
    assert_eq!(response.status.as_ref().unwrap().code, 14);
    assert_eq!(denied(&response).status.unwrap().code, 503);
    let metadata = response.dynamic_metadata.as_ref().unwrap();
    let names = vec!["x-purpose".to_owned(), "x-robot".to_owned()];
    assert_eq!(wanted::asked(metadata), Some(Ok(names)));

    let all = Some("x-purpose,x-robot");
    allowed(&gate.check(&with(
        &leaf,
        "GET /reports",
        &[("x-purpose", "reporting")],
        all,
    )));
    denied(&gate.check(&with(&leaf, "GET /reports", &[], all)));
    // No condition is about it, so nothing is missing.
    denied(&gate.check(&with(&leaf, "GET /other", &[], Some(""))));
    assert_eq!(gate.records().len(), 3);
}

#[test]
fn bytes_that_are_not_utf8_have_no_result() {
    let root = Authority::root("root");
    let leaf = root.leaf(|_| {});
    let gate = Gate::of(live(&root, CONDITIONS));
    for call in ["GET /reports", "GET /exports"] {
        let mut check = with(&leaf, call, &[], Some("x-purpose,x-robot"));
        let extensions = &mut check.attributes.as_mut().unwrap().context_extensions;
        extensions.insert(wanted::NOT_UTF8.to_owned(), "x-purpose,x-robot".to_owned());
        denied(&gate.check(&check));
    }
    let records = gate.records();
    assert_eq!(records[0]["reason"], "no-rule");
    assert_eq!(records[1]["reason"], "deny-rule");
    assert_eq!(records[1]["rule"], "no-robots");
    assert_eq!(
        records[1]["conditionErrors"][0]["error"],
        "header x-robot is not UTF-8"
    );
}
