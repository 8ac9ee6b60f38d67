use callgate_policy::{
    Caller, PolicySet, SpiffeId,
    document::{LoadOptions, RequestLine, Source, Specified, specify},
};

use super::*;

const DOCUMENTS: &str = r#"
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [/ns/shop/sa/orders]
  allow:
    - name: writes
      from: [/ns/shop/sa/checkout, /ns/shop/sa/web]
      to:
        - POST /orders
        - GET /orders/{order}
        - GET /orders/**
    - name: tenants
      from: ["/ns/{tenant}/sa/api"]
      to: ["GET /tenants/{tenant}/**"]
    - name: legacy
      from: [/ns/batch/sa/export]
      to: [GET /export/**]
      exception: {reason: r, ticket: t, approvedBy: a, expires: 2027-02-01T00:00:00Z}
  deny:
    - name: no-admin
      from: [/ns/batch/**]
      to: [ANY /admin/**, GRPC shop.v1.Admin/*]
---
kind: MeshPolicy
metadata: {name: mesh}
spec:
  trustDomain: example.org
  acceptedTrustDomains: [old.example]
  aliases: [{trustDomain: old.example, as: example.org, paths: [/ns/shop/**]}]
  deny: [{name: guard, from: [/ns/evil/**], to: [ANY /**]}]
  allow: [{name: metrics, from: [/ns/monitoring/sa/prometheus], to: [GET /metrics]}]
"#;

fn specified() -> Specified {
    let sources = [Source::new("orders.yaml", DOCUMENTS)];
    specify(&sources, &LoadOptions::default()).unwrap()
}

fn id(path: &str) -> SpiffeId {
    if path.starts_with('/') {
        SpiffeId::parse(&format!("spiffe://example.org{path}")).unwrap()
    } else {
        SpiffeId::parse(path).unwrap()
    }
}

fn now() -> Timestamp {
    Timestamp::from_secs(1_795_348_800) // 2026-11-22T12:00:00Z
}

/// Name and outcome of every rule, and of those that miss the clause that fails first.
fn fared(from: &str, line: &str, at: Timestamp) -> Vec<String> {
    let specified = specified();
    let rules = Rules::of(&specified.spec);
    let (from, to) = (id(from), id("/ns/shop/sa/orders"));
    let request = line.parse::<RequestLine>().unwrap().with(&[]);
    let request = request.by(Caller::Verified(&from), Some(&to));
    let trials = rules.try_all(&request, at).unwrap_or_default();
    let fared = trials.iter().map(|trial| {
        let failed = trial.told.as_ref().and_then(|told| told.failed);
        let failed = failed.map_or_else(String::new, |(clause, line)| format!(" {clause}:{line}"));
        format!("{} {:?}{failed}", trial.placed.rule.name, trial.outcome)
    });
    fared.collect()
}

#[test]
fn every_rule_says_how_it_fared_in_the_order_of_the_decision() {
    assert_eq!(
        fared("/ns/shop/sa/checkout", "DELETE /orders/7", now()),
        [
            "guard Misses from:31",
            "no-admin Misses from:22",
            "writes Misses method:11",
            "tenants Misses from:14",
            "legacy Misses from:17",
            "metrics Misses from:32",
        ]
    );
    assert_eq!(
        fared("/ns/batch/sa/export", "GET /export/1", now())[4],
        "legacy Matches"
    );
    let later = Timestamp::from_secs(1_900_000_000);
    assert_eq!(
        fared("/ns/batch/sa/export", "GET /export/1", later)[4],
        "legacy Expired exception:19"
    );
    assert_eq!(
        fared("/ns/t1/sa/api", "GET /tenants/t2/x", now())[3],
        "tenants Misses captures:15"
    );
}

#[test]
fn deny_rules_are_told_as_they_hold() {
    let cases = [
        ("GET /admin/x", "no-admin Matches"),
        ("GET /admin/", "no-admin Matches"),
        ("WEBSOCKET /admin/x", "no-admin Matches"),
        ("GET /shop.v1.Admin/Purge", "no-admin Matches"),
        ("WEBSOCKET /other", "no-admin Misses path:23"),
    ];
    for (line, expected) in cases {
        assert_eq!(
            fared("/ns/batch/sa/export", line, now())[1],
            expected,
            "{line}"
        );
    }
}

#[test]
fn a_rule_that_matches_tells_by_which_lines_and_what_it_captures() {
    let specified = specified();
    let rules = Rules::of(&specified.spec);
    let to = id("/ns/shop/sa/orders");
    let from = id("spiffe://old.example/ns/shop/sa/web");
    let request = "GET /orders/7".parse::<RequestLine>().unwrap().with(&[]);
    let request = request.by(Caller::Verified(&from), Some(&to));
    let writes = rules.about(&to)[2];
    let trial = rules.try_one(writes, &request, now()).unwrap();
    assert_eq!(trial.outcome, Outcome::Matches);
    let told = trial.told.unwrap();
    assert_eq!(told.from, (8, "/ns/shop/sa/web".to_owned()));
    assert_eq!(told.to, (11, "GET /orders/{order}".to_owned()));
    assert_eq!(told.story.captures, [("order".to_owned(), "7".to_owned())]);
    assert!(told.story.checks.iter().all(|check| check.passed));
    assert_eq!(told.failed, None);
    let met: Vec<_> = (0..4)
        .filter(|line| {
            let one = rules.one_line(writes, *line, &to);
            one.is_some_and(|one| one.is_about(&request, now()))
        })
        .collect();
    assert_eq!(met, [1, 2]);
}

#[test]
fn a_rule_is_found_by_what_a_decision_says_of_it() {
    let specified = specified();
    let rules = Rules::of(&specified.spec);
    let set = PolicySet::build(specified.spec.clone()).unwrap();
    let (from, to) = (id("/ns/shop/sa/web"), id("/ns/shop/sa/orders"));
    let request = "POST /orders".parse::<RequestLine>().unwrap().with(&[]);
    let request = request.by(Caller::Verified(&from), Some(&to));
    let decision = set.decide(&request, now());
    let placed = rules.find(&decision.rule.unwrap()).unwrap();
    assert_eq!(placed.rule.name, "writes");
    assert_eq!((placed.side, placed.level), (Side::Allow, Level::Service));
}

#[test]
fn what_is_refused_before_rules_is_tried_by_none() {
    for line in ["GET //", "CONNECT x:1"] {
        assert!(fared("/ns/shop/sa/web", line, now()).is_empty(), "{line}");
    }
    assert!(fared("spiffe://foreign.example/a", "GET /orders/7", now()).is_empty());
}

#[test]
fn rules_of_the_mesh_are_tried_where_there_is_no_policy() {
    let specified = specified();
    let rules = Rules::of(&specified.spec);
    let to = id("/ns/shop/sa/other");
    let from = id("/ns/monitoring/sa/prometheus");
    let request = "GET /metrics".parse::<RequestLine>().unwrap().with(&[]);
    let request = request.by(Caller::Verified(&from), Some(&to));
    let trials = rules.try_all(&request, now()).unwrap();
    let fared: Vec<_> = trials
        .iter()
        .map(|trial| (&*trial.placed.rule.name, trial.outcome))
        .collect();
    assert_eq!(
        fared,
        [("guard", Outcome::Misses), ("metrics", Outcome::Matches)]
    );
}
