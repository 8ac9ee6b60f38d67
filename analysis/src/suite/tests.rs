use callgate_policy::{
    Reason,
    document::{LoadOptions, Source, load_tests, specify},
};

use super::*;

const DOCUMENTS: &str = r#"
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [/ns/shop/sa/orders]
  allow:
    - name: writes
      from: [/ns/shop/sa/checkout]
      to: [POST /orders, "GET /orders/{order}", "DELETE /orders/{order}"]
    - name: also-reads
      from: [/ns/shop/sa/checkout, /ns/shop/sa/web]
      to: ["GET /orders/{order}"]
    - name: legacy
      from: [/ns/batch/sa/export]
      to: [GET /export/**]
      exception: {reason: r, ticket: t, approvedBy: a, expires: 2027-02-01T00:00:00Z}
  deny:
    - {name: no-admin, from: [/ns/batch/**], to: [ANY /admin/**]}
---
kind: MeshPolicy
metadata: {name: mesh}
spec:
  trustDomain: example.org
  forwarders: [{id: /ns/edge/sa/gateway, mayAssert: [/ns/shop/**], forServices: [/ns/shop/sa/orders]}]
  allow: [{name: metrics, from: [/ns/monitoring/sa/prometheus], to: [GET /metrics]}]
"#;

const TESTS: &str = r#"
kind: PolicyTest
metadata: {name: orders}
spec:
  now: 2026-11-22T12:00:00Z
  cases:
    - name: checkout writes
      from: /ns/shop/sa/checkout
      to: /ns/shop/sa/orders
      requests: [POST /orders, GET /orders/7]
      expect: {verdict: Allow, rule: writes}
    - name: only checkout writes
      from: [/ns/shop/sa/web, /ns/batch/sa/export]
      to: /ns/shop/sa/orders
      requests: [POST /orders, GET /admin/x]
      expect: {verdict: Deny, reason: no-rule}
    - name: the export has ended
      from: /ns/batch/sa/export
      to: /ns/shop/sa/orders
      now: 2027-02-01T00:00:00Z
      requests: [GET /export/1]
      expect: {verdict: Deny, reason: exception-expired, rule: legacy}
    - name: passed on
      from: /ns/shop/sa/web
      forwarder: /ns/edge/sa/gateway
      to: /ns/shop/sa/orders
      requests: [GET /orders/7]
      expect: {verdict: Allow, rule: also-reads}
    - name: by one who is no forwarder
      from: /ns/shop/sa/web
      forwarder: /ns/edge/sa/other
      to: /ns/shop/sa/orders
      requests: [GET /orders/7]
      expect: {verdict: Allow}
"#;

fn with_report(filter: Option<&str>, check: impl FnOnce(&Report<'_>)) {
    let sources = [Source::new("orders.yaml", DOCUMENTS)];
    let specified = specify(&sources, &LoadOptions::default()).unwrap();
    let options = LoadOptions {
        trust_domain: specified.trust_domain.clone(),
        ..LoadOptions::default()
    };
    let tests = load_tests(&[Source::new("orders_test.yaml", TESTS)], &options).unwrap();
    let policies = PolicySet::build(specified.spec.clone()).unwrap();
    let rules = Rules::of(&specified.spec);
    let run = Run {
        policies: &policies,
        rules: &rules,
        now: Timestamp::from_secs(0),
        filter,
    };
    check(&Report::of(run, &tests));
}

#[test]
fn every_call_of_a_case_is_held_to_what_is_expected() {
    with_report(None, |report| {
        let told: Vec<_> = report
            .cases
            .iter()
            .map(|case| (&*case.case.name, case.calls, case.failures.len()))
            .collect();
        assert_eq!(
            told,
            [
                ("checkout writes", 2, 0),
                ("only checkout writes", 4, 1),
                ("the export has ended", 1, 0),
                ("passed on", 1, 0),
                ("by one who is no forwarder", 1, 1),
            ]
        );
        assert_eq!((report.failed(), report.calls()), (2, 9));
        let failure = &report.cases[1].failures[0];
        assert_eq!(
            failure.from.as_str(),
            "spiffe://example.org/ns/batch/sa/export"
        );
        assert_eq!(failure.request.request.to_string(), "GET /admin/x");
        let Got::Decided(decision) = &failure.got else {
            panic!("{failure:?}");
        };
        assert_eq!(decision.reason, Reason::DenyRule);
        assert!(matches!(report.cases[4].failures[0].got, Got::NoForwarder));
    });
}

#[test]
fn what_no_case_met_is_told() {
    with_report(None, |report| {
        let coverage = &report.coverage;
        assert_eq!(coverage.rules(), Share { met: 4, of: 5 });
        assert_eq!(coverage.lines(), Share { met: 5, of: 7 });
        let unmet: Vec<_> = coverage
            .unmet()
            .map(|unmet| {
                let lines: Vec<_> = unmet.lines.iter().map(|line| line.text.clone()).collect();
                (unmet.placed.rule.name.clone(), unmet.whole, lines)
            })
            .collect();
        assert_eq!(
            unmet,
            [
                (
                    "writes".to_owned(),
                    false,
                    vec!["DELETE /orders/{order}".to_owned()]
                ),
                ("metrics".to_owned(), true, vec!["GET /metrics".to_owned()]),
            ]
        );
    });
}

#[test]
fn a_filter_takes_names_documents_and_files() {
    let count = |filter| {
        let mut count = 0;
        with_report(Some(filter), |report| count = report.cases.len());
        count
    };
    assert_eq!(
        [
            count("checkout"),
            count("orders_test.yaml"),
            count("nobody")
        ],
        [2, 5, 0]
    );
}

#[test]
fn a_share_is_rounded_down() {
    let share = |met, of| Share { met, of };
    assert_eq!(share(2, 3).percent(), 66);
    assert!(share(2, 3).reaches(66) && !share(2, 3).reaches(67));
    assert!(share(0, 0).reaches(100));
    assert_eq!(share(0, 0).percent(), 100);
    assert!(!share(999, 1000).reaches(100));
}
