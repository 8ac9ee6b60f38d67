//! What answers say of their own future.

use std::collections::BTreeMap;

use callgate_policy::{
    NoHeaders, Slice,
    document::{LoadOptions, Source as Text, load},
};
use callgate_wire::{callgate::v1::Terms, terms};

use super::*;
use crate::live::Policies;

const ID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// Besides [`DOCUMENTS`]: an exception, a condition, rules in Shadow, a forwarder.
const MORE: &str = r#"
kind: ServicePolicy
metadata: {name: ledger}
spec:
  services: [/ns/bank/sa/ledger]
  allow:
    - name: export
      from: [/ns/shop/sa/checkout]
      to: [GET /export]
      exception: {reason: a, ticket: b, approvedBy: c, expires: "2027-01-01T00:30:00Z"}
    - name: on-purpose
      from: [/ns/shop/sa/checkout]
      to: [GET /reports]
      when: request.headers["x-purpose"] != ""
    - {name: soon, from: [/ns/shop/sa/checkout], to: [GET /soon], enforcement: Shadow}
---
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [/ns/shop/sa/orders]
  owner: team-orders
  allow:
    - {name: checkout-reads, from: [/ns/shop/sa/checkout], to: [GET /orders]}
---
kind: MeshPolicy
metadata: {name: mesh}
spec:
  trustDomain: example.org
  forwarders:
    - {id: /ns/edge/sa/gateway, mayAssert: [/ns/shop/**], forServices: [/ns/shop/sa/orders]}
"#;

const LEDGER: &str = "spiffe://example.org/ns/bank/sa/ledger";

fn millis(seconds: i64) -> i64 {
    now().as_millis() + seconds * 1_000
}

fn extensions(check: &mut CheckRequest) -> &mut BTreeMap<String, String> {
    &mut check.attributes.as_mut().unwrap().context_extensions
}

fn ask_for_terms(leaf: Option<&Certificate>, service: &str, call: &str) -> CheckRequest {
    let mut check = ask(leaf, service, call);
    extensions(&mut check).insert(terms::WANTED.to_owned(), terms::VERSION.to_owned());
    check
}

fn terms_of(response: &CheckResponse) -> Option<Terms> {
    let terms = terms::of(response.dynamic_metadata.as_ref()?)?;
    Some(terms.expect("our own"))
}

impl Gate {
    fn terms(&self, leaf: &Certificate, service: &str, call: &str) -> Option<Terms> {
        terms_of(&self.check(&ask_for_terms(Some(leaf), service, call)))
    }

    fn revision(&self, service: &str) -> Vec<u8> {
        let service = SpiffeId::parse(service).ok();
        let snapshot = self.authorizer.live.current();
        snapshot.service_revision(service.as_ref()).to_vec()
    }
}

#[test]
fn who_understands_terms_gets_them_with_a_lease() {
    let root = Authority::root("root");
    let leaf = root.leaf(|_| {});
    let gate = Gate::new(&root);
    let terms = gate.terms(&leaf, ORDERS, "GET /orders").unwrap();
    assert_eq!(terms.revision, gate.revision(ORDERS));
    assert_eq!(terms.decided_at_ms, millis(0));
    // The leaf's last moment is its last millisecond.
    assert_eq!(terms.ends_at_ms, millis(3_600) + 1);
    let lease = terms.lease.unwrap();
    assert_eq!(lease.ttl_ms, 60_000);
    assert_eq!(lease.valid_until_ms, millis(3_600) + 1);
    let caller = lease.caller.unwrap();
    assert_eq!(
        (caller.id.as_str(), caller.issuer.as_str()),
        (CHECKOUT, "CN=root")
    );
    assert_eq!(caller.certificate_sha256, crate::mint::peer(&leaf).sha256());
    assert_eq!(
        (caller.not_before_ms, caller.not_after_ms),
        (millis(-3_600), millis(3_600))
    );

    let slice = Slice::decode(&lease.slice).unwrap();
    let caller = SpiffeId::parse(CHECKOUT).unwrap();
    let service = SpiffeId::parse(ORDERS).unwrap();
    for (method, expected) in [("GET", Reason::Allow), ("PUT", Reason::NoRule)] {
        let request = Request {
            caller: Caller::Verified(&caller),
            service: Some(&service),
            method,
            path: "/orders",
            upgrade: None,
            content_type: None,
            host: None,
            headers: &NoHeaders,
        };
        let decision = slice.decide(&request, now(), now()).unwrap();
        assert_eq!(decision.reason, expected, "{method}");
        assert_eq!(decision.owner, Some("team-orders"));
    }
    assert_eq!(gate.authorizer.metrics.leases(), 1);
}

#[test]
fn a_refusal_by_rules_has_terms_and_no_end() {
    let root = Authority::root("root");
    let leaf = root.leaf(|_| {});
    let gate = Gate::new(&root);
    for call in ["DELETE /orders", "GET /orders//7"] {
        let response = gate.check(&ask_for_terms(Some(&leaf), ORDERS, call));
        denied(&response);
        let terms = terms_of(&response).unwrap();
        assert_eq!(terms.ends_at_ms, 0, "{call}");
        assert!(terms.lease.is_some(), "{call}");
    }
    // A service without rules has none to be leased by, and that can be leased.
    let terms = gate.terms(&leaf, "spiffe://example.org/nobody", "GET /");
    assert!(terms.unwrap().lease.is_some());
}

#[test]
fn who_does_not_ask_or_asks_for_others_gets_none() {
    let root = Authority::root("root");
    let leaf = root.leaf(|_| {});
    let gate = Gate::new(&root);
    let response = gate.check(&ask(Some(&leaf), ORDERS, "GET /orders"));
    assert_eq!(response.dynamic_metadata, None);
    let mut other = ask_for_terms(Some(&leaf), ORDERS, "GET /orders");
    extensions(&mut other).insert(terms::WANTED.to_owned(), "2".to_owned());
    assert_eq!(gate.check(&other).dynamic_metadata, None);
}

#[test]
fn who_keeps_no_leases_gets_terms_without_one() {
    let root = Authority::root("root");
    let leaf = root.leaf(|_| {});
    let gate = Gate::new(&root);
    let mut check = ask_for_terms(Some(&leaf), ORDERS, "GET /orders");
    let with = terms_of(&gate.check(&check)).unwrap();
    extensions(&mut check).insert("callgate.leases".to_owned(), "false".to_owned());
    let without = terms_of(&gate.check(&check)).unwrap();
    assert!(with.lease.is_some());
    assert_eq!(
        without,
        Terms {
            lease: None,
            ..with
        }
    );
}

#[test]
fn nothing_is_said_of_who_proves_nothing() {
    let root = Authority::root("root");
    let gate = Gate::new(&root);
    let stranger = Authority::root("root").leaf(|_| {});
    let expired = root.leaf(|params| params.not_after = at(-1));
    for leaf in [None, Some(&stranger), Some(&expired)] {
        let response = gate.check(&ask_for_terms(leaf, ORDERS, "GET /orders"));
        assert_eq!(terms_of(&response), None);
    }
    let leaf = root.leaf(|_| {});
    revoke(&gate.authorizer.live, REVOKED);
    assert_eq!(gate.terms(&leaf, ORDERS, "GET /orders"), None);
    let bare = Gate::of(Arc::new(Live::new(Verifier::new([]))));
    assert_eq!(bare.terms(&leaf, ORDERS, "GET /orders"), None);

    // Who goes on nevertheless can be asked about again.
    let shadow = DOCUMENTS.replace("example.org}", "example.org, identity: Shadow}");
    let gate = Gate::of(live(&root, &shadow));
    let response = gate.check(&ask_for_terms(None, ORDERS, "GET /orders"));
    allowed(&response);
    let terms = terms_of(&response).unwrap();
    assert_eq!((terms.ends_at_ms, terms.lease), (0, None));
}

#[test]
fn what_the_proxy_cannot_know_is_not_leased() {
    let root = Authority::root("root");
    let leaf = root.leaf(|_| {});
    let gate = Gate::of(live(&root, MORE));
    // A rule in Shadow would decide otherwise.
    let terms = gate.terms(&leaf, LEDGER, "GET /soon").unwrap();
    assert_eq!(terms.lease, None);
    // What a condition read is no obstacle: the slice says ask.
    let mut reports = ask_for_terms(Some(&leaf), LEDGER, "GET /reports");
    let purpose = ("x-purpose".to_owned(), "reporting".to_owned());
    http(&mut reports).headers.extend([purpose]);
    assert!(terms_of(&gate.check(&reports)).unwrap().lease.is_some());
    extensions(&mut reports).insert("callgate.headers".to_owned(), String::new());
    let incomplete = gate.check(&reports);
    assert_eq!(incomplete.status.as_ref().unwrap().code, 14);
    assert_eq!(terms_of(&incomplete), None);

    // Whom a forwarder speaks for is in the request.
    let gateway = "spiffe://example.org/ns/edge/sa/gateway";
    let forwarder = root.leaf(|params| params.subject_alt_names = vec![uri(gateway)]);
    let terms = gate.terms(&forwarder, ORDERS, "GET /orders").unwrap();
    assert_eq!(terms.lease, None, "nor its own calls");
    let short = root.leaf(|params| params.not_after = at(60));
    let pem = utf8_percent_encode(&short.pem(), NON_ALPHANUMERIC).to_string();
    let hash = |leaf: &Certificate| crate::mint::peer(leaf).sha256();
    let said = format!("By={gateway};Hash={};Cert=\"{pem}\"", hash(&short));
    let own = format!("By={ORDERS};Hash={}", hash(&forwarder));
    let header = format!("{said};URI={CHECKOUT},{own};URI={gateway}");
    let mut passed_on = ask_for_terms(Some(&forwarder), ORDERS, "GET /orders");
    let header = ("x-forwarded-client-cert".to_owned(), header);
    http(&mut passed_on).headers.extend([header]);
    let response = gate.check(&passed_on);
    allowed(&response);
    let terms = terms_of(&response).unwrap();
    assert_eq!(terms.lease, None);
    assert_eq!(terms.ends_at_ms, millis(60) + 1, "the original's");

    // What only Shadow lets pass goes on, and is asked about each time.
    let gate = Gate::new(&root);
    let response = gate.check(&ask_for_terms(Some(&leaf), SHADOWED, "GET /orders"));
    allowed(&response);
    assert_eq!(terms_of(&response).unwrap().lease, None);
}

#[test]
fn a_caller_of_whom_too_much_is_said_is_asked_about_each_time() {
    let root = Authority::root("root");
    let leaf = root.leaf(|_| {});
    let line = |n| format!("        - GET /{}/{n}\n", "long".repeat(25));
    let lines: String = (0..200).map(line).collect();
    let many = DOCUMENTS.replacen(
        "[GET /orders]",
        &format!("\n        - GET /orders\n{lines}"),
        1,
    );
    let gate = Gate::of(live(&root, &many));
    for _ in 0..2 {
        let terms = gate.terms(&leaf, ORDERS, "GET /orders").unwrap();
        assert_eq!(terms.lease, None);
    }
    let other = root.leaf(|params| params.subject_alt_names = vec![uri(SHADOWED)]);
    let terms = gate.terms(&other, ORDERS, "GET /orders").unwrap();
    assert!(terms.lease.is_some(), "of this one nothing is said");
}

#[test]
fn a_call_ends_with_the_first_thing_that_lets_it_in() {
    let root = Authority::root("root");
    let gate = Gate::of(live(&root, MORE));
    let leaf = root.leaf(|_| {});
    let terms = gate.terms(&leaf, LEDGER, "GET /export").unwrap();
    assert_eq!(terms.ends_at_ms, millis(1_800), "the exception");
    assert_eq!(terms.lease.unwrap().valid_until_ms, millis(3_600) + 1);
    let short = root.leaf(|params| params.not_after = at(60));
    let terms = gate.terms(&short, LEDGER, "GET /export").unwrap();
    assert_eq!(terms.ends_at_ms, millis(60) + 1, "the leaf");

    // A CA between it and the root.
    let between = root.intermediate("between", |params| params.not_after = at(30));
    let leaf = between.leaf(|_| {});
    let mut check = ask_for_terms(Some(&leaf), LEDGER, "GET /export");
    let chain = format!("{}{}", leaf.pem(), between.certificate.pem());
    let chain = utf8_percent_encode(&chain, NON_ALPHANUMERIC).to_string();
    let header = (
        "x-forwarded-client-cert".to_owned(),
        format!("Chain=\"{chain}\""),
    );
    http(&mut check).headers.extend([header]);
    let terms = terms_of(&gate.check(&check)).unwrap();
    assert_eq!(terms.ends_at_ms, millis(30) + 1);
    assert_eq!(terms.lease.unwrap().valid_until_ms, millis(30) + 1);
}

#[test]
fn leases_last_as_long_as_the_operator_says() {
    let root = Authority::root("root");
    let leaf = root.leaf(|_| {});
    for (ttl, expected) in [("0", None), ("1s", Some(1_000)), ("1h", Some(3_600_000))] {
        let authorizer =
            Authorizer::new(live(&root, DOCUMENTS), Recorder::discard(), Arc::default())
                .with_lease_ttl(ttl.parse().unwrap());
        let check = ask_for_terms(Some(&leaf), ORDERS, "GET /orders");
        let response = authorizer.check(Asker::Unnamed, &check, now()).unwrap();
        let lease = terms_of(&response).unwrap().lease;
        assert_eq!(lease.map(|lease| lease.ttl_ms), expected, "{ttl}");
    }
    for text in ["60s", "3600s", "0"] {
        assert_eq!(text.parse::<LeaseTtl>().unwrap().to_string(), text);
    }
    assert_eq!(
        "5m".parse(),
        Ok(LeaseTtl::new(Duration::from_secs(300)).unwrap())
    );
    for text in [
        "",
        "60",
        "0s",
        "3601s",
        "61m",
        "2h",
        "-1s",
        "+1s",
        "1.5s",
        "100ms",
        " 1s",
        "1 s",
        "18446744073709551615h",
        "s",
    ] {
        assert_eq!(text.parse::<LeaseTtl>(), Err(LeaseTtlError), "{text}");
    }
}

#[test]
fn a_candidate_that_reads_headers_is_tried_on_every_call() {
    let root = Authority::root("root");
    let leaf = root.leaf(|_| {});
    let gate = Gate::new(&root);
    let candidate = |when: &str| {
        let text = DOCUMENTS.replacen("to: [GET /orders]", &format!("to: [GET /orders]{when}"), 1);
        let loaded = load(&[Text::new("new.yaml", text)], &LoadOptions::default()).unwrap();
        gate.authorizer.live.set_candidate(Policies {
            set: loaded.policies,
            counts: loaded.counts,
            trust_domain: loaded.trust_domain,
            digest: String::new(),
        });
    };
    candidate("");
    let terms = gate.terms(&leaf, ORDERS, "GET /orders").unwrap();
    assert!(terms.lease.is_some());
    candidate("\n      when: request.headers[\"x-a\"] == \"\"");
    let terms = gate.terms(&leaf, ORDERS, "GET /orders").unwrap();
    assert_eq!(terms.lease, None);
}

#[test]
fn a_stream_that_is_decided_anew_says_which() {
    let root = Authority::root("root");
    let leaf = root.leaf(|_| {});
    let gate = Gate::new(&root);
    let mut check = ask_for_terms(Some(&leaf), ORDERS, "GET /orders");
    extensions(&mut check).insert(terms::RECHECKS.to_owned(), ID.to_owned());
    allowed(&gate.check(&check));
    extensions(&mut check).insert(terms::RECHECKS.to_owned(), "no id".to_owned());
    let refused = gate.authorizer.check(Asker::Unnamed, &check, now());
    assert_eq!(refused, Err(Unanswered::Invalid(InvalidCheck::Rechecks)));
    let records = gate.records();
    assert_eq!((records.len(), &records[0]["rechecks"]), (1, &json!(ID)));
    assert_eq!(records[0]["leased"], false);
}

#[test]
fn a_revision_changes_with_what_touches_its_service() {
    let root = Authority::root("root");
    let gate = Gate::of(live(&root, MORE));
    let revisions =
        || [ORDERS, LEDGER, "spiffe://example.org/nobody", ""].map(|s| gate.revision(s));
    let load = |text: &str| {
        let loaded = load(&[Text::new("mesh.yaml", text)], &LoadOptions::default()).unwrap();
        gate.authorizer.live.set_policies(Policies {
            set: loaded.policies,
            counts: loaded.counts,
            trust_domain: loaded.trust_domain,
            digest: text.len().to_string(),
        });
    };
    let differ = |before: &[Vec<u8>; 4], after: &[Vec<u8>; 4]| {
        let pairs = before.iter().zip(after);
        pairs
            .map(|(before, after)| before != after)
            .collect::<Vec<_>>()
    };
    let first = revisions();
    assert_eq!(first[2], first[3], "of services without a policy");
    assert_ne!(first[0], first[1]);
    // Another service's rule; a comment.
    load(&MORE.replace("[GET /export]", "[PUT /export]"));
    let second = revisions();
    assert_eq!(differ(&first, &second), [false, true, false, false]);
    load(&MORE.replace(
        "services: [/ns/shop/sa/orders]",
        "services: [/ns/shop/sa/orders] # ours",
    ));
    assert_eq!(revisions(), first);
    load(&MORE.replace("mayAssert: [/ns/shop/**]", "mayAssert: [/ns/**]"));
    assert_eq!(differ(&first, &revisions()), [true; 4], "the mesh's");
    load(MORE);
    assert_eq!(revisions(), first, "the same is the same again");

    revoke(&gate.authorizer.live, REVOKED);
    let revoked = revisions();
    assert_eq!(differ(&first, &revoked), [true; 4]);
    let other = Authority::root("other");
    gate.authorizer
        .live
        .set_bundles([other.bundle("example.org")]);
    assert_eq!(differ(&revoked, &revisions()), [true; 4]);
}
