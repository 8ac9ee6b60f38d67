//! A candidate: tried on every request, never answering.

use callgate_policy::document::{LoadOptions, Source, load};
use callgate_wire::wanted;

use super::*;
use crate::live::Policies;

const ENFORCED: &str = r#"
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [spiffe://example.org/ns/shop/sa/orders]
  allow:
    - {name: reads, from: [spiffe://example.org/ns/shop/sa/*], to: ["GET /orders/{order}"]}
"#;

const CANDIDATE: &str = r#"
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [spiffe://example.org/ns/shop/sa/orders]
  allow:
    - name: reads-on-purpose
      from: [spiffe://example.org/ns/shop/sa/*]
      to: ["GET /orders/{order}"]
      when: request.headers["x-purpose"] != ""
    - {name: cancels, from: [spiffe://example.org/ns/shop/sa/*], to: ["POST /orders/{order}:cancel"]}
"#;

fn gate(root: &Authority) -> Gate {
    let live = live(root, ENFORCED);
    let sources = [Source::new("new.yaml", CANDIDATE)];
    let loaded = load(&sources, &LoadOptions::default()).unwrap();
    let before = live.current().revision().to_owned();
    live.set_candidate(Policies {
        set: loaded.policies,
        counts: loaded.counts,
        trust_domain: loaded.trust_domain,
        digest: "new".to_owned(),
    });
    assert_eq!(live.current().revision(), before, "no answer depends on it");
    Gate::of(live)
}

#[test]
fn only_the_enforced_set_answers_and_differences_are_told() {
    let root = Authority::root("root");
    let leaf = root.leaf(|_| {});
    let gate = gate(&root);
    let ask = |call| ask(Some(&leaf), ORDERS, call);
    allowed(&gate.check(&ask("GET /orders/7")));
    denied(&gate.check(&ask("POST /orders/7:cancel")));
    denied(&gate.check(&ask("DELETE /orders/7")));
    // Sampled already.
    allowed(&gate.check(&ask("GET /orders/8")));
    let mut on_purpose = ask("GET /orders/7");
    http(&mut on_purpose)
        .headers
        .insert("x-purpose".to_owned(), "reporting".to_owned());
    allowed(&gate.check(&on_purpose));

    let metrics = Arc::clone(&gate.authorizer.metrics);
    let records = gate.records();
    let told: Vec<_> = records.iter().map(|record| &record["candidate"]).collect();
    assert_eq!(
        told,
        [
            &json!({"verdict": "Deny", "reason": "no-rule", "rule": null, "policy": null, "enforced": true}),
            &json!({"verdict": "Allow", "reason": "allow", "rule": "cancels", "policy": "new.yaml:11", "enforced": true}),
            &Value::Null,
            &Value::Null,
            &Value::Null,
        ]
    );
    // What only the candidate read decided nothing.
    assert_eq!(records[4]["inputs"], json!({}));
    let count = |rule: &str, enforced: &str, candidate: &str| {
        let labels = [
            ("caller", CHECKOUT.to_owned()),
            ("rule", rule.to_owned()),
            ("enforced", enforced.to_owned()),
            ("candidate", candidate.to_owned()),
        ];
        metrics.differences().counts().get_or_create(&labels).get()
    };
    assert_eq!(count("orders/reads", "Allow", "Deny"), 2);
    assert_eq!(count("orders/cancels", "Deny", "Allow"), 1);
}

#[test]
fn headers_that_only_the_candidate_reads_are_asked_for_too() {
    let root = Authority::root("root");
    let leaf = root.leaf(|_| {});
    let gate = gate(&root);
    let mut check = ask(Some(&leaf), ORDERS, "GET /orders/7");
    let extensions = &mut check.attributes.as_mut().unwrap().context_extensions;
    extensions.insert(wanted::LOOKED_FOR.to_owned(), String::new());
    let response = gate.check(&check);
    let names = wanted::asked(response.dynamic_metadata.as_ref().unwrap());
    assert_eq!(names, Some(Ok(vec!["x-purpose".to_owned()])));
}
