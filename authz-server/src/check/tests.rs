mod candidate;
mod conditions;
mod leases;

use std::time::Duration;

use callgate_wire::envoy::service::auth::v3::{
    DeniedHttpResponse, OkHttpResponse, check_response::HttpResponse,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rcgen::Certificate;
use serde_json::{Value, json};

use super::*;
use crate::{
    fixture::{DOCUMENTS, Kept, ORDERS, SHADOWED, ask, http, live},
    identity::{Proxy, ProxyFault},
    mint::{Authority, CHECKOUT, at, now, uri},
    record::Sink,
    svid::{SvidError, Verifier, hex},
};

struct Gate {
    authorizer: Authorizer,
    recorder: Recorder,
    records: Kept,
}

impl Gate {
    fn of(live: Arc<Live>) -> Self {
        let records = Kept::default();
        let recorder = Recorder::start(Sink::stream(records.clone())).unwrap();
        Self {
            authorizer: Authorizer::new(live, recorder.clone(), Arc::default()),
            recorder,
            records,
        }
    }

    fn new(root: &Authority) -> Self {
        Self::of(live(root, DOCUMENTS))
    }

    fn check(&self, check: &CheckRequest) -> CheckResponse {
        self.authorizer.check(Asker::Unnamed, check, now()).unwrap()
    }

    /// The records, once they are written.
    fn records(&self) -> Vec<Value> {
        assert!(self.recorder.close(Duration::from_secs(10)));
        self.records.records()
    }
}

fn allowed(response: &CheckResponse) -> &OkHttpResponse {
    assert_eq!(response.status.as_ref().unwrap().code, 0);
    match &response.http_response {
        Some(HttpResponse::OkResponse(ok)) => ok,
        other => panic!("{other:?}"),
    }
}

fn denied(response: &CheckResponse) -> &DeniedHttpResponse {
    assert_ne!(response.status.as_ref().unwrap().code, 0);
    match &response.http_response {
        Some(HttpResponse::DeniedResponse(denied)) => denied,
        other => panic!("{other:?}"),
    }
}

fn headers(set: &[callgate_wire::envoy::config::core::v3::HeaderValueOption]) -> Vec<(&str, &str)> {
    set.iter()
        .map(|option| {
            assert_eq!(option.append_action, 2, "overwrite");
            let header = option.header.as_ref().unwrap();
            (header.key.as_str(), header.value.as_str())
        })
        .collect()
}

fn value<'a>(headers: &[(&str, &'a str)], name: &str) -> &'a str {
    headers
        .iter()
        .find_map(|(key, value)| (*key == name).then_some(*value))
        .unwrap_or_else(|| panic!("no {name} in {headers:?}"))
}

#[test]
fn an_allowed_call_goes_on_under_the_verified_name() {
    let root = Authority::root("root");
    let leaf = root.leaf(|_| {});
    let gate = Gate::new(&root);
    let response = gate.check(&ask(Some(&leaf), ORDERS, "GET /orders?page=2"));
    let ok = allowed(&response);
    let set = headers(&ok.headers);
    assert_eq!(value(&set, "x-callgate-caller"), CHECKOUT);
    assert!(ok.headers_to_remove.is_empty());
    assert_eq!(response.dynamic_metadata, None);

    let record = gate.records().remove(0);
    let id = value(&set, "x-callgate-decision");
    assert_eq!(
        record,
        json!({
            "time": "2027-01-01T00:00:00.000Z",
            "id": id,
            "verdict": "Allow",
            "reason": "allow",
            "rule": "checkout-reads",
            "policy": "mesh.yaml:9",
            "nearestMiss": null,
            "enforced": true,
            "leased": false,
            "source": {
                "id": CHECKOUT,
                "certificateSha256": crate::mint::peer(&leaf).sha256(),
                "notBefore": "2026-12-31T23:00:00.000Z",
                "notAfter": "2027-01-01T01:00:00.000Z",
                "issuer": "CN=root",
            },
            "destination": ORDERS,
            "method": "GET",
            "path": "/orders",
            "inputs": {},
            "host": "orders.example",
            "grpc": false,
            "traceparent": null,
            "proxy": null,
            "revision": gate.authorizer.live.current().revision(),
        })
    );
}

#[test]
fn a_refused_caller_learns_whom_to_ask_and_the_owner_learns_why() {
    let root = Authority::root("root");
    let leaf = root.leaf(|_| {});
    let gate = Gate::new(&root);
    let response = gate.check(&ask(Some(&leaf), ORDERS, "DELETE /orders"));
    assert_eq!(response.status.as_ref().unwrap().code, 7);
    let denied = denied(&response);
    assert_eq!(denied.status.unwrap().code, 403);
    let set = headers(&denied.headers);
    assert_eq!(value(&set, "x-callgate-reason"), "no-rule");
    assert_eq!(value(&set, "content-type"), "application/problem+json");
    let id = value(&set, "x-callgate-decision");
    assert_eq!(
        serde_json::from_str::<Value>(&denied.body).unwrap(),
        json!({
            "type": "urn:callgate:no-rule",
            "title": "orders does not allow this call",
            "status": 403,
            "reason": "no-rule",
            "decision": id,
            "owner": "team-orders",
            "help": "#team-orders",
        })
    );
    let record = gate.records().remove(0);
    assert_eq!(record["verdict"], "Deny");
    assert_eq!(record["rule"], Value::Null);
    assert_eq!(
        record["nearestMiss"],
        json!({
            "rule": "checkout-reads",
            "policy": "mesh.yaml:11",
            "clause": "method",
            "expected": record["nearestMiss"]["expected"],
            "actual": "DELETE",
        })
    );
    assert!(
        record["nearestMiss"]["expected"]
            .as_str()
            .unwrap()
            .contains("GET")
    );
}

#[test]
fn a_grpc_caller_gets_a_short_message() {
    let root = Authority::root("root");
    let gate = Gate::new(&root);
    for (content_type, grpc) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpc-web", false),
        ("application/grpc,text/html", false),
        ("", false),
    ] {
        let mut check = ask(
            Some(&root.leaf(|_| {})),
            ORDERS,
            "POST /shop.v1.Orders/Watch",
        );
        let headers_in = &mut http(&mut check).headers;
        headers_in.insert("content-type".to_owned(), content_type.to_owned());
        let response = gate.check(&check);
        let denied = denied(&response);
        let has_type = headers(&denied.headers)
            .iter()
            .any(|(name, _)| *name == "content-type");
        assert_eq!(has_type, !grpc, "{content_type}");
        assert_eq!(
            denied.body == "orders does not allow this call",
            grpc,
            "{content_type}"
        );
    }
    let grpc: Vec<bool> = gate
        .records()
        .iter()
        .map(|record| record["grpc"].as_bool().unwrap())
        .collect();
    assert_eq!(grpc, [true, true, false, false, false]);
}

#[test]
fn every_identity_fault_has_its_reason_and_tells_nothing_else() {
    let root = Authority::root("root");
    let stranger = Authority::root("root");
    let gate = Gate::new(&root);
    let leaf = root.leaf(|_| {});
    type Case<'a> = (&'a str, Option<Certificate>, &'a str, Option<&'a str>);
    let cases: [Case<'_>; 4] = [
        ("missing", None, "identity-missing", None),
        (
            "invalid",
            Some(root.leaf(|p| p.subject_alt_names.clear())),
            "identity-invalid",
            None,
        ),
        (
            "expired",
            Some(root.leaf(|p| p.not_after = at(-1))),
            "identity-expired",
            Some(CHECKOUT),
        ),
        (
            "untrusted",
            Some(stranger.leaf(|_| {})),
            "identity-untrusted",
            None,
        ),
    ];
    for (name, leaf, reason, _) in &cases {
        let response = gate.check(&ask(leaf.as_ref(), ORDERS, "GET /orders"));
        assert_eq!(response.status.as_ref().unwrap().code, 7, "{name}");
        let denied = denied(&response);
        assert_eq!(denied.status.unwrap().code, 403, "{name}");
        assert_eq!(
            value(&headers(&denied.headers), "x-callgate-reason"),
            *reason,
            "{name}"
        );
        let problem: Value = serde_json::from_str(&denied.body).unwrap();
        assert_eq!(problem.get("owner"), None, "{name}");
        assert_eq!(problem.get("help"), None, "{name}");
        assert!(!denied.body.contains("orders"), "{name}: {}", denied.body);
    }
    let mut two_blocks = ask(Some(&leaf), ORDERS, "GET /orders");
    let source = two_blocks
        .attributes
        .as_mut()
        .unwrap()
        .source
        .as_mut()
        .unwrap();
    source.certificate = source.certificate.repeat(2);
    let response = gate.check(&two_blocks);
    let set = headers(&denied(&response).headers);
    assert_eq!(
        value(&set, "x-callgate-reason"),
        "identity-invalid",
        "two PEM blocks"
    );

    let records = gate.records();
    for ((name, leaf, reason, id), record) in cases.iter().zip(&records) {
        assert_eq!(record["reason"], *reason, "{name}");
        assert_eq!(record["source"]["id"], json!(id), "{name}");
        assert_eq!(
            record["source"]["certificateSha256"].is_string(),
            leaf.is_some(),
            "{name}"
        );
    }
}

#[test]
fn the_principal_of_the_source_is_nobodys_word() {
    let root = Authority::root("root");
    let gate = Gate::new(&root);
    let mut check = ask(None, ORDERS, "GET /orders");
    let source = check.attributes.as_mut().unwrap().source.as_mut().unwrap();
    source.principal = CHECKOUT.to_owned();
    let response = gate.check(&check);
    let set = headers(&denied(&response).headers);
    assert_eq!(value(&set, "x-callgate-reason"), "identity-missing");
}

#[test]
fn the_certificate_may_be_percent_encoded_and_come_with_its_chain() {
    let root = Authority::root("root");
    let intermediate = root.intermediate("intermediate", |_| {});
    let leaf = intermediate.leaf(|_| {});
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let chain = encode(&(leaf.pem() + &intermediate.certificate.pem()));
    for (name, header, expected) in [
        ("no chain", None, 7),
        ("the filter's", Some(format!("Chain=\"{chain}\"")), 0),
        (
            "Envoy's",
            Some(format!(
                "By=spiffe://a/b;Hash=00;Chain=\"{chain}\";URI={CHECKOUT}"
            )),
            0,
        ),
        (
            "another proxy's",
            Some(format!("Chain=\"{chain}\",By=spiffe://a/b")),
            7,
        ),
        ("broken", Some(format!("Chain=\"{chain}")), 7),
    ] {
        let gate = Gate::new(&root);
        let mut check = ask(Some(&leaf), ORDERS, "GET /orders");
        let source = check.attributes.as_mut().unwrap().source.as_mut().unwrap();
        source.certificate = encode(&source.certificate);
        if let Some(header) = header {
            http(&mut check)
                .headers
                .insert("x-forwarded-client-cert".to_owned(), header);
        }
        let code = gate.check(&check).status.unwrap().code;
        assert_eq!(code, expected, "{name}");
    }
}

#[test]
fn what_shadow_lets_pass_is_recorded_as_refused() {
    let root = Authority::root("root");
    let gate = Gate::new(&root);
    let response = gate.check(&ask(Some(&root.leaf(|_| {})), SHADOWED, "GET /orders"));
    let set = headers(&allowed(&response).headers);
    assert_eq!(value(&set, "x-callgate-caller"), CHECKOUT);
    let record = gate.records().remove(0);
    assert_eq!(record["verdict"], "Deny");
    assert_eq!(record["reason"], "no-rule");
    assert_eq!(record["enforced"], false);
}

#[test]
fn an_anonymous_caller_in_shadow_goes_on_without_a_name() {
    let root = Authority::root("root");
    let documents = DOCUMENTS.replace("trustDomain", "identity: Shadow, trustDomain");
    let gate = Gate::of(live(&root, &documents));
    let mut check = ask(None, ORDERS, "GET /orders");
    let forged = ("x-callgate-caller".to_owned(), CHECKOUT.to_owned());
    http(&mut check).headers.extend([forged]);
    let response = gate.check(&check);
    let ok = allowed(&response);
    let names: Vec<&str> = headers(&ok.headers).iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["x-callgate-decision"]);
    assert_eq!(
        ok.headers_to_remove,
        ["x-callgate-caller"],
        "which somebody else wrote"
    );
    let record = gate.records().remove(0);
    assert_eq!(record["reason"], "identity-missing");
    assert_eq!(record["enforced"], false);
}

#[test]
fn headers_that_only_callgate_sets_or_that_override_are_removed() {
    let root = Authority::root("root");
    let gate = Gate::new(&root);
    let leaf = root.leaf(|_| {});
    let seen = [
        "x-callgate-caller",
        "x_callgate_caller",
        "x-callgate-decision",
        "x-callgate-anything",
        "x-http-method-override",
        "x-original-url",
        "accept",
    ];
    let with_headers = |service| {
        let mut check = ask(Some(&leaf), service, "GET /orders");
        let headers = seen.map(|name| (name.to_owned(), "DELETE".to_owned()));
        http(&mut check).headers.extend(headers);
        gate.check(&check)
    };
    let plain = with_headers(ORDERS);
    assert_eq!(
        allowed(&plain).headers_to_remove,
        [
            "x-callgate-anything",
            "x-http-method-override",
            "x-original-url",
            "x_callgate_caller"
        ],
        "and what is set is not removed as well"
    );
    let keeps = with_headers(SHADOWED);
    assert_eq!(
        allowed(&keeps).headers_to_remove,
        ["x-callgate-anything", "x_callgate_caller"]
    );
    let metadata = format!("{:?}", keeps.dynamic_metadata.unwrap());
    for word in ["callgate", "overrideHeaders", "Keep"] {
        assert!(metadata.contains(word), "{metadata}");
    }
}

#[test]
fn without_policies_every_answer_is_unavailable() {
    let root = Authority::root("root");
    let gate = Gate::of(Arc::new(Live::new(Verifier::new([
        root.bundle("example.org")
    ]))));
    let response = gate.check(&ask(Some(&root.leaf(|_| {})), ORDERS, "GET /orders"));
    assert_eq!(response.status.as_ref().unwrap().code, 14);
    let denied = denied(&response);
    assert_eq!(denied.status.unwrap().code, 503);
    assert_eq!(
        value(&headers(&denied.headers), "x-callgate-reason"),
        "policy-unavailable"
    );
    assert_eq!(gate.records().remove(0)["reason"], "policy-unavailable");
}

#[test]
fn an_ambiguous_path_is_a_bad_request() {
    let root = Authority::root("root");
    let gate = Gate::new(&root);
    let response = gate.check(&ask(
        Some(&root.leaf(|_| {})),
        ORDERS,
        "GET /orders/../admin",
    ));
    assert_eq!(response.status.as_ref().unwrap().code, 3);
    assert_eq!(denied(&response).status.unwrap().code, 400);
}

#[test]
fn what_is_no_check_is_an_error_and_no_decision() {
    let root = Authority::root("root");
    let gate = Gate::new(&root);
    let mut no_http = ask(None, ORDERS, "GET /orders");
    no_http
        .attributes
        .as_mut()
        .unwrap()
        .request
        .as_mut()
        .unwrap()
        .http = None;
    let mut many = ask(None, ORDERS, "GET /orders");
    http(&mut many).headers = (0..257).map(|n| (format!("h{n}"), String::new())).collect();
    for (name, check, expected) in [
        (
            "no attributes",
            CheckRequest::default(),
            InvalidCheck::NoHttpRequest,
        ),
        ("no HTTP request", no_http, InvalidCheck::NoHttpRequest),
        ("257 headers", many, InvalidCheck::TooManyHeaders),
    ] {
        assert_eq!(
            gate.authorizer.check(Asker::Unnamed, &check, now()),
            Err(Unanswered::Invalid(expected)),
            "{name}"
        );
    }
    assert!(gate.records().is_empty());
}

#[test]
fn a_service_that_is_no_spiffe_id_has_no_policy() {
    let root = Authority::root("root");
    let gate = Gate::new(&root);
    let leaf = root.leaf(|_| {});
    for service in ["", "orders.example", "spiffe://example.org"] {
        let response = gate.check(&ask(Some(&leaf), service, "GET /orders"));
        let set = headers(&denied(&response).headers);
        assert_eq!(value(&set, "x-callgate-reason"), "no-policy", "{service}");
    }
}

#[test]
fn a_record_notes_the_upgrade_and_the_trace_within_limits() {
    let root = Authority::root("root");
    let gate = Gate::new(&root);
    let mut check = ask(None, ORDERS, "GET /ui/live");
    let attributes = check.attributes.as_mut().unwrap();
    let claim = ("proxy".to_owned(), "orders-7f9c".to_owned());
    attributes.context_extensions.extend([claim]);
    let request = http(&mut check);
    request.host = "h".repeat(2_000);
    request.headers.extend([
        ("upgrade".to_owned(), "websocket".to_owned()),
        ("traceparent".to_owned(), "00-1-2-01".to_owned()),
        ("authorization".to_owned(), "Bearer stolen".to_owned()),
    ]);
    gate.check(&check);
    let records = gate.records();
    assert_eq!(records[0]["upgrade"], "websocket");
    assert_eq!(records[0]["traceparent"], "00-1-2-01");
    assert_eq!(records[0]["proxy"], Value::Null, "a claim is no proof");
    assert_eq!(records[0]["host"].as_str().unwrap().len(), 512);
    assert!(!gate.records.text().contains("stolen"));
}

const REVOKED: &str = "kind: Revocation\nmetadata: {name: leaked-key}\nspec:\n  \
    id: /ns/shop/sa/checkout\n  reason: a test\n  revokedBy: dana@example.org\n  \
    expires: 2027-01-01T00:00:30Z\n";

fn revoke(live: &Live, text: &str) {
    let source = callgate_policy::document::Source::new("revoked.yaml", text);
    let options = callgate_policy::document::LoadOptions::default();
    let loaded = callgate_policy::document::load_revocations(&source, &options);
    assert_eq!(loaded.findings, []);
    live.set_revocations(crate::revocation::Revocations::new(loaded.revocations));
}

fn reason(response: &CheckResponse) -> String {
    response.status.as_ref().unwrap().message.clone()
}

#[test]
fn a_revoked_caller_is_refused_at_the_next_request_until_it_lapses() {
    let root = Authority::root("root");
    let live = live(&root, DOCUMENTS);
    let gate = Gate::of(Arc::clone(&live));
    let leaf = root.leaf(|_| {});
    let check = ask(Some(&leaf), ORDERS, "GET /orders");
    allowed(&gate.check(&check));
    revoke(&live, REVOKED);
    let response = gate.check(&check);
    let denied = denied(&response);
    assert_eq!(reason(&response), "identity-revoked");
    assert_eq!(denied.status.unwrap().code, 403);
    assert!(!denied.body.contains("team-orders"), "{}", denied.body);
    assert!(!denied.body.contains("leaked-key"), "{}", denied.body);

    let later = |seconds: i64| Timestamp::from_millis(now().as_millis() + seconds * 1_000);
    for (seconds, expected) in [(29, "identity-revoked"), (30, "allow")] {
        let response = gate
            .authorizer
            .check(Asker::Unnamed, &check, later(seconds))
            .unwrap();
        assert_eq!(reason(&response), expected, "{seconds}");
    }
    let records = gate.records();
    assert_eq!(records[0].get("revocation"), None);
    assert_eq!(records[1]["revocation"], "leaked-key");
    assert_eq!(records[1]["source"]["id"], CHECKOUT, "it did verify");
    assert_eq!(records[1]["enforced"], true);
}

#[test]
fn only_who_verifies_is_revoked_and_who_is_revoked_never_passes() {
    let root = Authority::root("root");
    let shadow = DOCUMENTS.replace(
        "trustDomain: example.org",
        "trustDomain: example.org, identity: Shadow, unpolicied: Shadow",
    );
    let live = live(&root, &shadow);
    revoke(&live, REVOKED);
    let gate = Gate::of(Arc::clone(&live));
    let foreign = Authority::root("root").leaf(|_| {});
    let expired = root.leaf(|params| params.not_after = at(-1));
    let current = root.leaf(|_| {});
    for (name, leaf, expected, passes) in [
        ("forged", Some(&foreign), "identity-untrusted", true),
        ("none", None, "identity-missing", true),
        ("expired as well", Some(&expired), "identity-revoked", false),
        ("current", Some(&current), "identity-revoked", false),
    ] {
        for service in [ORDERS, SHADOWED, "spiffe://example.org/ns/shop/sa/unknown"] {
            let response = gate.check(&ask(leaf, service, "GET /orders"));
            let code = response.status.as_ref().unwrap().code;
            assert_eq!(code == 0, passes, "{name} at {service}: {response:?}");
        }
        let records =
            gate.authorizer
                .check(Asker::Unnamed, &ask(leaf, ORDERS, "GET /orders"), now());
        let response = records.unwrap();
        if !passes {
            assert_eq!(reason(&response), expected, "{name}");
        }
    }
    let reasons: Vec<_> = gate
        .records()
        .iter()
        .map(|one| one["reason"].clone())
        .collect();
    assert_eq!(reasons[0], "identity-untrusted");
    assert_eq!(reasons[8], "identity-revoked", "expired as well");
}

#[test]
fn a_certificate_is_revoked_with_its_twin_and_the_next_one_is_not() {
    let root = Authority::root("root");
    let live = live(&root, DOCUMENTS);
    let gate = Gate::of(Arc::clone(&live));
    let [leaf, next] = [root.leaf(|_| {}), root.leaf(|_| {})];
    let verifier = Verifier::new([root.bundle("example.org")]);
    let svid = verifier
        .verify(&crate::mint::peer(&leaf), Vec::new, now())
        .unwrap();
    for fingerprint in svid.fingerprints() {
        let fingerprint = hex(&fingerprint);
        let by = format!("certificateSha256: \"{fingerprint}\"");
        revoke(&live, &REVOKED.replace("id: /ns/shop/sa/checkout", &by));
        let ask = |leaf| gate.check(&ask(Some(leaf), ORDERS, "GET /orders"));
        assert_eq!(reason(&ask(&leaf)), "identity-revoked", "{fingerprint}");
        assert_eq!(reason(&ask(&next)), "allow");
    }
}

/// A proxy that showed the SVID of `id`, which lasts for an hour.
fn proxy(root: &Authority, id: &str) -> Proxy {
    let leaf = root.leaf(|params| params.subject_alt_names = vec![uri(id)]);
    Proxy::new(&[leaf.der().clone()])
}

#[test]
fn a_proxy_asks_about_its_own_service_and_no_other() {
    let root = Authority::root("root");
    let gate = Gate::new(&root);
    let orders = proxy(&root, ORDERS);
    let leaf = root.leaf(|_| {});
    let mut own = ask(Some(&leaf), ORDERS, "GET /orders");
    let claims = &mut own.attributes.as_mut().unwrap().context_extensions;
    claims.insert("proxy".to_owned(), SHADOWED.to_owned());
    let response = gate.authorizer.check(Asker::Proxy(&orders), &own, now());
    allowed(&response.unwrap());
    for other in [
        SHADOWED,
        "",
        "orders",
        "spiffe://example.org/ns/shop/sa/Orders",
        "spiffe://example.org/ns/shop/sa/orders/",
        "spiffe://partner.example/ns/shop/sa/orders",
    ] {
        let check = ask(Some(&leaf), other, "GET /orders");
        let refused = gate.authorizer.check(Asker::Proxy(&orders), &check, now());
        let expected = ProxyFault::NotItsService {
            proxy: ORDERS.parse().unwrap(),
            destination: other.to_owned(),
        };
        assert_eq!(refused, Err(Unanswered::Proxy(expected)), "{other}");
    }
    let records = gate.records();
    assert_eq!(records.len(), 1, "what gets no answer gets no record");
    assert_eq!(
        records[0]["proxy"], ORDERS,
        "who it proved to be, not who it says it is"
    );
}

#[test]
fn a_gateway_asks_about_what_it_is_listed_for() {
    const GATEWAY: &str = "spiffe://example.org/ns/edge/sa/gateway";
    let root = Authority::root("root");
    let mesh = "spec: {trustDomain: example.org}";
    let listed = "spec:\n  trustDomain: example.org\n  gateways:\n    \
                  - {id: /ns/edge/sa/gateway, forServices: [/ns/shop/sa/orders]}";
    let documents = DOCUMENTS.replace(mesh, listed);
    assert_ne!(documents, DOCUMENTS);
    let gate = Gate::of(live(&root, &documents));
    let gateway = proxy(&root, GATEWAY);
    let leaf = root.leaf(|_| {});
    for (service, may) in [(ORDERS, true), (SHADOWED, false), (GATEWAY, true)] {
        let check = ask(Some(&leaf), service, "GET /orders");
        let answer = gate.authorizer.check(Asker::Proxy(&gateway), &check, now());
        assert_eq!(answer.is_ok(), may, "{service}");
    }
    let proxies: Vec<_> = gate.records().iter().map(|r| r["proxy"].clone()).collect();
    assert_eq!(proxies, [GATEWAY, GATEWAY]);
}

#[test]
fn before_any_policy_every_proxy_is_told_that_there_is_none() {
    let root = Authority::root("root");
    let gate = Gate::of(Arc::new(Live::new(Verifier::new([
        root.bundle("example.org")
    ]))));
    let orders = proxy(&root, ORDERS);
    for service in [ORDERS, SHADOWED] {
        let check = ask(Some(&root.leaf(|_| {})), service, "GET /orders");
        let answer = gate.authorizer.check(Asker::Proxy(&orders), &check, now());
        assert_eq!(answer.unwrap().status.unwrap().code, 14);
    }
}

/// Ten minutes in which no source of identities says anything, second by second, by a
/// simulated clock. What is right is said by the certificates' own dates.
#[test]
fn ten_minutes_without_any_source_and_no_wrong_answer() {
    let root = Authority::root("root");
    let gate = Gate::new(&root);
    let stays = root.leaf(|_| {});
    let ends = root.leaf(|params| params.not_after = at(300));
    let begins = root.leaf(|params| params.not_before = at(200));
    let forged = Authority::root("root").leaf(|_| {});
    let proxies = [(proxy(&root, ORDERS), 3_600), {
        let leaf = root.leaf(|params| {
            params.subject_alt_names = vec![uri(ORDERS)];
            params.not_after = at(450);
        });
        (Proxy::new(&[leaf.der().clone()]), 450)
    }];
    for second in 0..=600 {
        let now = Timestamp::from_millis(now().as_millis() + second * 1_000);
        let callers = [
            (&stays, "allow"),
            (
                &ends,
                if second <= 300 {
                    "allow"
                } else {
                    "identity-expired"
                },
            ),
            (
                &begins,
                if second < 200 {
                    "identity-expired"
                } else {
                    "allow"
                },
            ),
            (&forged, "identity-untrusted"),
        ];
        for (proxy, lasts) in &proxies {
            for (leaf, expected) in callers {
                let check = ask(Some(leaf), ORDERS, "GET /orders");
                let answer = gate.authorizer.check(Asker::Proxy(proxy), &check, now);
                if second <= *lasts {
                    assert_eq!(reason(&answer.unwrap()), expected, "after {second} s");
                } else {
                    let Err(Unanswered::Proxy(fault)) = answer else {
                        panic!("answered after {second} s");
                    };
                    assert_eq!(fault.cause(), "identity-expired");
                }
            }
        }
    }
}

#[test]
fn a_proxy_is_verified_again_at_every_check() {
    let root = Authority::root("root");
    let live = live(&root, DOCUMENTS);
    let gate = Gate::of(Arc::clone(&live));
    let orders = proxy(&root, ORDERS);
    let check = ask(Some(&root.leaf(|_| {})), ORDERS, "GET /orders");
    let cause = |now| match gate.authorizer.check(Asker::Proxy(&orders), &check, now) {
        Ok(_) => "answered",
        Err(Unanswered::Proxy(fault)) => fault.cause(),
        Err(Unanswered::Invalid(_)) => "invalid",
    };
    let later = |seconds: i64| Timestamp::from_millis(now().as_millis() + seconds * 1_000);
    assert_eq!(cause(now()), "answered");
    assert_eq!(cause(later(3_600)), "answered", "the last moment counts");
    assert_eq!(cause(later(3_601)), "identity-expired");
    assert_eq!(cause(later(-3_601)), "identity-expired");
    let other = Authority::root("root");
    live.set_bundles([other.bundle("example.org")]);
    assert_eq!(cause(now()), "identity-untrusted", "its root is gone");
    live.set_bundles([root.bundle("example.org")]);
    assert_eq!(cause(now()), "answered");
    revoke(&live, &REVOKED.replace("sa/checkout", "sa/orders"));
    assert_eq!(cause(now()), "identity-revoked");
    assert_eq!(cause(later(30)), "answered", "it has lapsed");
    let nobody = Proxy::new(&[]);
    let refused = gate.authorizer.check(Asker::Proxy(&nobody), &check, now());
    assert!(matches!(
        refused,
        Err(Unanswered::Proxy(ProxyFault::Identity(SvidError::Invalid(
            _
        ))))
    ));
}

/// One step and one way, as for rules: what is said against a name holds for whoever
/// has it.
#[test]
fn a_revocation_holds_for_every_name_of_a_caller() {
    let root = Authority::root("root");
    let aliases = DOCUMENTS.replace(
        "trustDomain: example.org",
        "trustDomain: new.example, aliases: [{trustDomain: example.org, as: new.example, paths: [/ns/shop/**]}]",
    );
    let aliases = aliases.replace(
        "/ns/shop/sa/orders]",
        "spiffe://example.org/ns/shop/sa/orders]",
    );
    let live = live(&root, &aliases);
    let gate = Gate::of(Arc::clone(&live));
    let leaf = root.leaf(|_| {});
    let ask = || gate_reason(&gate, &leaf);
    assert_eq!(ask(), "allow", "as `new.example`, by the alias");
    for (id, expected) in [
        // Relative: in `new.example`.
        ("/ns/shop/sa/checkout", "identity-revoked"),
        (
            "spiffe://new.example/ns/shop/sa/checkout",
            "identity-revoked",
        ),
        (
            "spiffe://example.org/ns/shop/sa/checkout",
            "identity-revoked",
        ),
        ("spiffe://new.example/ns/shop/sa/web", "allow"),
        ("spiffe://old.example/ns/shop/sa/checkout", "allow"),
    ] {
        revoke(&live, &REVOKED.replace("/ns/shop/sa/checkout", id));
        assert_eq!(ask(), expected, "{id}");
    }
}

fn gate_reason(gate: &Gate, leaf: &Certificate) -> String {
    reason(&gate.check(&ask(Some(leaf), ORDERS, "GET /orders")))
}

#[test]
fn a_revoked_proxy_gets_no_answer_on_the_connection_that_it_has() {
    let root = Authority::root("root");
    let live = live(&root, DOCUMENTS);
    let gate = Gate::of(Arc::clone(&live));
    let orders = proxy(&root, ORDERS);
    let check = ask(Some(&root.leaf(|_| {})), ORDERS, "GET /orders");
    let cause = || match gate.authorizer.check(Asker::Proxy(&orders), &check, now()) {
        Ok(_) => "answered",
        Err(Unanswered::Proxy(fault)) => fault.cause(),
        Err(Unanswered::Invalid(_)) => "invalid",
    };
    assert_eq!(cause(), "answered");
    revoke(&live, &REVOKED.replace("sa/checkout", "sa/orders"));
    assert_eq!(cause(), "identity-revoked");
    live.set_revocations(crate::revocation::Revocations::default());
    assert_eq!(cause(), "answered", "lifted");
}
