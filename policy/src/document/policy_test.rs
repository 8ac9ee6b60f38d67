//! Tests of policies, read apart from them: what calls there are, and what is expected of
//! each.
//!
//! They stand in files of their own, `*_test.yaml`, which the server never reads.

use super::{
    Header, LoadError, LoadOptions, RequestLine, Source, compile,
    finding::Sink,
    raw::{Documents, Role},
    read, yaml,
};
use crate::{Decision, Reason, SpiffeId, Timestamp, Verdict};

/// A `PolicyTest` document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTest {
    /// `metadata.name`.
    pub name: String,
    /// The file, as it was named to the loader.
    pub file: String,
    /// `spec.cases`; never empty.
    pub cases: Vec<TestCase>,
}

/// One case: every caller makes every request, and each call is expected to come out
/// the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestCase {
    /// `name`, unique in its document.
    pub name: String,
    /// The line where the case begins, counted from 1.
    pub line: u32,
    /// `from`; never empty.
    pub from: Vec<SpiffeId>,
    /// `forwarder`: who passes the calls on.
    pub forwarder: Option<SpiffeId>,
    /// `to`: the service that is called.
    pub to: SpiffeId,
    /// `headers`, in the order of the file.
    pub headers: Vec<Header>,
    /// `requests`; never empty.
    pub requests: Vec<TestRequest>,
    /// `now`, of the case or else of its document: when the calls are made.
    pub now: Option<Timestamp>,
    /// `expect`.
    pub expect: Expectation,
}

/// One entry of `requests`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRequest {
    /// The request.
    pub request: RequestLine,
    /// Its line, counted from 1.
    pub line: u32,
}

/// What a call is expected to come to. What it leaves out may be anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The line of `expect`, counted from 1.
    pub line: u32,
    /// `verdict`.
    pub verdict: Verdict,
    /// `reason`.
    pub reason: Option<Reason>,
    /// `rule`: which one decides.
    pub rule: Option<String>,
    /// `enforced`: false of a refusal that a Shadow setting lets pass.
    pub enforced: Option<bool>,
}

impl Expectation {
    /// Whether `decision` is what is expected.
    #[must_use]
    pub fn is_met_by(&self, decision: &Decision<'_>) -> bool {
        self.verdict == decision.verdict
            && self.reason.is_none_or(|reason| reason == decision.reason)
            && self
                .rule
                .as_deref()
                .is_none_or(|rule| decision.rule.is_some_and(|own| own.name == rule))
            && self
                .enforced
                .is_none_or(|enforced| enforced == decision.enforced)
    }
}

/// Whether a file of this name holds tests of policies: `*_test.yaml` and `*_test.yml`.
#[must_use]
pub fn is_test_file(name: &str) -> bool {
    name.ends_with("_test.yaml") || name.ends_with("_test.yml")
}

/// Reads the tests in `sources`: all of them or none. What relative identities belong to
/// is what the policies have: [`Loaded::trust_domain`](super::Loaded).
///
/// # Errors
/// Every finding, in the order of the sources; or that there is no document.
pub fn load_tests(sources: &[Source], options: &LoadOptions) -> Result<Vec<PolicyTest>, LoadError> {
    let mut sink = Sink::default();
    let mut documents = Documents {
        whole: true,
        role: Role::Tests,
        ..Documents::default()
    };
    for (file, source) in (0..).zip(sources) {
        let parsed = yaml::parse(file, source, &options.limits, &mut sink);
        documents.whole &= parsed.whole;
        for node in parsed.documents {
            read::document(node, &mut documents, &mut sink);
        }
    }
    if sink.is_empty() && documents.count == 0 {
        return Err(LoadError::NoDocuments);
    }
    let tests = compile::tests(&documents, sources, options, &mut sink);
    match sink.into_findings(sources, options.limits.findings.max(1)) {
        Some(findings) => Err(LoadError::Findings(findings)),
        None => Ok(tests),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TrustDomain;

    const ORDERS: &str = "\
kind: PolicyTest
metadata: {name: orders}
spec:
  now: 2026-11-22T12:00:00Z
  cases:
    - name: only checkout writes
      from: [/ns/shop/sa/web, spiffe://other.example/a]
      forwarder: /ns/edge/sa/gateway
      to: /ns/shop/sa/orders
      headers: {X-Purpose: reporting, x-list: [a, b], x-empty: \"\"}
      requests: [POST /orders, \"DELETE /orders/7?x=1\"]
      expect: {verdict: Deny, reason: deny-rule, rule: writes, enforced: false}
    - name: web reads
      from: /ns/shop/sa/web
      to: /ns/shop/sa/orders
      now: 2027-01-01T00:00:00Z
      requests: [GRPC shop.v1.Orders/Watch]
      expect: {verdict: Allow}
";

    fn load(text: &str) -> Result<Vec<PolicyTest>, LoadError> {
        let options = LoadOptions {
            trust_domain: Some(TrustDomain::parse("example.org").unwrap()),
            ..LoadOptions::default()
        };
        load_tests(&[Source::new("orders_test.yaml", text)], &options)
    }

    #[test]
    fn a_test_is_read_whole() {
        let tests = load(ORDERS).unwrap();
        let [test] = &tests[..] else {
            panic!("{tests:?}")
        };
        assert_eq!(
            (&*test.name, &*test.file, test.cases.len()),
            ("orders", "orders_test.yaml", 2)
        );
        let first = &test.cases[0];
        assert_eq!((&*first.name, first.line), ("only checkout writes", 6));
        let from: Vec<_> = first.from.iter().map(SpiffeId::as_str).collect();
        assert_eq!(
            from,
            [
                "spiffe://example.org/ns/shop/sa/web",
                "spiffe://other.example/a"
            ]
        );
        assert_eq!(
            first.forwarder.as_ref().map(SpiffeId::as_str),
            Some("spiffe://example.org/ns/edge/sa/gateway")
        );
        assert_eq!(first.to.as_str(), "spiffe://example.org/ns/shop/sa/orders");
        let headers: Vec<_> = first
            .headers
            .iter()
            .map(|one| (one.name(), one.value()))
            .collect();
        assert_eq!(
            headers,
            [
                ("x-purpose", "reporting"),
                ("x-list", "a"),
                ("x-list", "b"),
                ("x-empty", "")
            ]
        );
        let requests: Vec<_> = first
            .requests
            .iter()
            .map(|one| one.request.to_string())
            .collect();
        assert_eq!(requests, ["POST /orders", "DELETE /orders/7?x=1"]);
        assert_eq!(first.now, Some(Timestamp::from_millis(1_795_348_800_000)));
        let expected = Expectation {
            line: 12,
            verdict: Verdict::Deny,
            reason: Some(Reason::DenyRule),
            rule: Some("writes".to_owned()),
            enforced: Some(false),
        };
        assert_eq!(first.expect, expected);
        let second = &test.cases[1];
        assert_eq!(second.now, Some(Timestamp::from_millis(1_798_761_600_000)));
        assert_eq!((second.expect.line, second.expect.reason), (18, None));
    }

    #[test]
    fn nothing_is_no_test() {
        assert_eq!(load("# later\n"), Err(LoadError::NoDocuments));
    }

    #[test]
    fn relative_identities_need_a_trust_domain() {
        let sources = [Source::new("orders_test.yaml", ORDERS)];
        let Err(LoadError::Findings(findings)) = load_tests(&sources, &LoadOptions::default())
        else {
            panic!("it loads");
        };
        let told = findings.to_string();
        assert!(told.contains("error[CG202]"), "{told}");
        assert_eq!(findings.diagnostics().len(), 1, "{told}");
    }

    #[test]
    fn files_of_tests_are_known_by_their_names() {
        let is: Vec<_> = ["a_test.yaml", "a_test.yml", "a.yaml", "test.yaml"]
            .into_iter()
            .map(is_test_file)
            .collect();
        assert_eq!(is, [true, true, false, false]);
    }
}
