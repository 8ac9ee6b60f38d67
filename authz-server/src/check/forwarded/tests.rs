use std::sync::Arc;

use callgate_policy::document::{LoadOptions, Source, load_revocations};
use callgate_wire::envoy::service::auth::v3::{
    CheckRequest, CheckResponse, check_response::HttpResponse,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rcgen::Certificate;
use serde_json::{Value, json};

use super::ClientCert;
use crate::{
    check::Authorizer,
    fixture::{Kept, ORDERS, ask, http, live},
    identity::Asker,
    live::Live,
    mint::{Authority, CHECKOUT, at, now, peer, uri},
    record::{Recorder, Sink},
    revocation::Revocations,
};

const GATEWAY: &str = "spiffe://example.org/ns/edge/sa/gateway";
const OTHER: &str = "spiffe://example.org/ns/shop/sa/other";

const DOCUMENTS: &str = "
kind: MeshPolicy
metadata: {name: mesh}
spec:
  trustDomain: example.org
  aliases:
    - {trustDomain: example.org, as: new.example, paths: [/**]}
  forwarders:
    - id: /ns/edge/sa/gateway
      mayAssert: [/ns/shop/**]
      forServices: [/ns/shop/sa/orders]
---
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [/ns/shop/sa/orders, /ns/shop/sa/own]
  allow:
    - {name: checkout-reads, from: [/ns/shop/sa/checkout], to: [GET /orders]}
    - {name: gateway-checks, from: [/ns/edge/sa/gateway], to: [GET /health]}
---
kind: ServicePolicy
metadata: {name: elsewhere}
spec:
  services: [/ns/bank/sa/ledger]
  allow:
    - {name: gateway-reads, from: [/ns/edge/sa/gateway], to: [GET /orders]}
";

struct Scene {
    live: Arc<Live>,
    root: Authority,
    gateway: Certificate,
    checkout: Certificate,
    authorizer: Authorizer,
    recorder: Recorder,
    records: Kept,
}

impl Scene {
    fn new() -> Self {
        let root = Authority::root("root");
        let gateway = root.leaf(|params| params.subject_alt_names = vec![uri(GATEWAY)]);
        let records = Kept::default();
        let recorder = Recorder::start(Sink::stream(records.clone())).unwrap();
        let live = live(&root, DOCUMENTS);
        Self {
            live: Arc::clone(&live),
            checkout: root.leaf(|_| {}),
            gateway,
            authorizer: Authorizer::new(live, recorder.clone(), Default::default()),
            recorder,
            records,
            root,
        }
    }

    /// This hop, as the service's own proxy writes it.
    fn own(&self) -> String {
        let hash = peer(&self.gateway).sha256();
        format!("By={ORDERS};Hash={hash};URI={GATEWAY}")
    }

    /// What the gateway's proxy writes of checkout, with `more` pairs.
    fn said(&self, more: &str) -> String {
        let hash = peer(&self.checkout).sha256();
        format!("By={GATEWAY};Hash={hash};{more}URI={CHECKOUT}")
    }

    fn ask(&self, header: &str, service: &str, call: &str) -> CheckResponse {
        self.ask_as(&self.gateway, header, service, call)
    }

    fn ask_as(&self, leaf: &Certificate, header: &str, service: &str, call: &str) -> CheckResponse {
        let mut check: CheckRequest = ask(Some(leaf), service, call);
        let headers = &mut http(&mut check).headers;
        headers.insert("x-forwarded-client-cert".to_owned(), header.to_owned());
        self.authorizer
            .check(Asker::Unnamed, &check, now())
            .unwrap()
    }

    fn reason(&self, header: &str) -> String {
        reason(&self.ask(header, ORDERS, "GET /orders"))
    }

    fn records(&self) -> Vec<Value> {
        assert!(self.recorder.close(std::time::Duration::from_secs(10)));
        self.records.records()
    }
}

fn reason(response: &CheckResponse) -> String {
    match header(response, "x-callgate-reason") {
        Some(reason) => reason,
        None => {
            assert_eq!(response.status.as_ref().unwrap().code, 0);
            "allow".to_owned()
        }
    }
}

fn header(response: &CheckResponse, name: &str) -> Option<String> {
    let headers = match response.http_response.as_ref().unwrap() {
        HttpResponse::OkResponse(ok) => &ok.headers,
        HttpResponse::DeniedResponse(denied) => &denied.headers,
    };
    let mut headers = headers.iter().filter_map(|option| option.header.as_ref());
    let found = headers.find(|header| header.key == name);
    found.map(|header| header.value.clone())
}

fn encoded(pem: &str) -> String {
    utf8_percent_encode(pem, NON_ALPHANUMERIC).to_string()
}

#[test]
fn the_original_caller_decides_and_both_are_told_and_recorded() {
    let scene = Scene::new();
    let pair = format!("Cert=\"{}\";", encoded(&scene.checkout.pem()));
    let header_in = format!("{},{}", scene.said(&pair), scene.own());
    let response = scene.ask(&header_in, ORDERS, "GET /orders");
    assert_eq!(reason(&response), "allow");
    let told = |name| header(&response, name);
    assert_eq!(told("x-callgate-caller").as_deref(), Some(CHECKOUT));
    assert_eq!(told("x-callgate-forwarder").as_deref(), Some(GATEWAY));
    assert_eq!(told("x-forwarded-client-cert"), Some(header_in));
    let record = scene.records().remove(0);
    assert_eq!(record["rule"], "checkout-reads");
    assert_eq!(
        record["source"],
        json!({
            "id": CHECKOUT,
            "certificateSha256": peer(&scene.checkout).sha256(),
            "notBefore": "2026-12-31T23:00:00.000Z",
            "notAfter": "2027-01-01T01:00:00.000Z",
            "issuer": "CN=root",
        })
    );
    assert_eq!(
        record["forwarder"],
        json!({
            "id": GATEWAY,
            "certificateSha256": peer(&scene.gateway).sha256(),
            "notBefore": "2026-12-31T23:00:00.000Z",
            "notAfter": "2027-01-01T01:00:00.000Z",
            "issuer": "CN=root",
        })
    );
}

#[test]
fn without_the_certificate_there_is_the_forwarders_word() {
    let scene = Scene::new();
    let header_in = format!("{},{}", scene.said(""), scene.own());
    assert_eq!(scene.reason(&header_in), "allow");
    let foreign = header_in.replace(CHECKOUT, "spiffe://example.org/ns/bank/sa/root");
    assert_eq!(scene.reason(&foreign), "identity-untrusted");
    let records = scene.records();
    assert_eq!(records[0]["source"]["id"], CHECKOUT);
    assert_eq!(records[0]["source"]["notAfter"], Value::Null);
    assert_eq!(
        records[1]["source"]["id"],
        Value::Null,
        "nobody believes it"
    );
    assert_eq!(records[1]["forwarder"]["id"], GATEWAY);
}

#[test]
fn only_what_envoy_writes_of_this_connection_is_understood() {
    let scene = Scene::new();
    let (said, own) = (scene.said(""), scene.own());
    let hash = peer(&scene.checkout).sha256();
    let whole = format!("{said},{own}");
    let cert = encoded(&scene.checkout.pem());
    let other = encoded(&scene.root.leaf(|_| {}).pem());
    let cases = [
        ("as it should be", whole.clone(), "allow"),
        (
            "what others said before",
            format!("By=x;Hash=y,{whole}"),
            "allow",
        ),
        (
            "quoted",
            whole.replace(CHECKOUT, &format!("\"{CHECKOUT}\"")),
            "allow",
        ),
        (
            "a subject that looks like elements",
            {
                let subject = "Subject=\"CN=x,By=y;URI=spiffe://example.org/z\";";
                format!("{},{own}", scene.said(subject))
            },
            "allow",
        ),
        ("no grammar", format!("{whole},"), "identity-invalid"),
        (
            "the filter could not read it",
            "unreadable".to_owned(),
            "identity-invalid",
        ),
        (
            "an open quote",
            format!("Subject=\"x,{whole}"),
            "identity-invalid",
        ),
        (
            "the last element of another connection",
            format!("{own},{said}"),
            "identity-invalid",
        ),
        (
            "no hash of this connection",
            whole.replace(&peer(&scene.gateway).sha256(), ""),
            "identity-invalid",
        ),
        (
            "said by another proxy",
            whole.replacen(GATEWAY, OTHER, 1),
            "identity-invalid",
        ),
        (
            "said by nobody",
            whole.replacen(&format!("By={GATEWAY};"), "", 1),
            "identity-invalid",
        ),
        (
            "said by two",
            format!("By={OTHER};{whole}"),
            "identity-invalid",
        ),
        (
            "no identity",
            whole.replace(&format!(";URI={CHECKOUT}"), ""),
            "identity-invalid",
        ),
        (
            "an empty identity",
            whole.replace(CHECKOUT, ""),
            "identity-invalid",
        ),
        (
            "two identities",
            whole.replacen(",", &format!(";URI={OTHER},"), 1),
            "identity-invalid",
        ),
        (
            "two identities in two cases",
            format!("uri={OTHER};{whole}"),
            "identity-invalid",
        ),
        (
            "no SPIFFE ID",
            whole.replace(CHECKOUT, "https://example.org/checkout"),
            "identity-invalid",
        ),
        (
            "upper case",
            whole.replace(CHECKOUT, "spiffe://Example.org/ns/shop/sa/checkout"),
            "identity-invalid",
        ),
        (
            "no hash",
            whole.replace(&format!("Hash={hash};"), ""),
            "identity-invalid",
        ),
        (
            "a short hash",
            whole.replace(&hash, "ab"),
            "identity-invalid",
        ),
        (
            "a hash in upper case",
            whole.replace(&hash, &"AB".repeat(32)),
            "identity-invalid",
        ),
        (
            "two hashes",
            format!("Hash={hash};{whole}"),
            "identity-invalid",
        ),
        (
            "its certificate",
            format!("Cert=\"{cert}\";{whole}"),
            "allow",
        ),
        ("its chain", format!("Chain=\"{cert}\";{whole}"), "allow"),
        (
            "both",
            format!("Chain=\"{cert}\";Cert=\"{cert}\";{whole}"),
            "allow",
        ),
        (
            "another certificate",
            format!("Cert=\"{other}\";{whole}"),
            "identity-invalid",
        ),
        (
            "another chain",
            format!("Chain=\"{other}\";Cert=\"{cert}\";{whole}"),
            "identity-invalid",
        ),
        (
            "two certificates",
            format!("Cert=\"{cert}\";Cert=\"{cert}\";{whole}"),
            "identity-invalid",
        ),
        ("no PEM", format!("Cert=x;{whole}"), "identity-invalid"),
        (
            "an empty certificate",
            format!("Cert=;{whole}"),
            "identity-invalid",
        ),
        (
            "an empty chain",
            format!("Chain=\"\";{whole}"),
            "identity-invalid",
        ),
    ];
    for (name, header, wanted) in cases {
        assert_eq!(scene.reason(&header), wanted, "{name}: {header}");
    }
}

#[test]
fn a_forwarded_certificate_is_verified_like_any_callers() {
    let scene = Scene::new();
    let stranger = Authority::root("root");
    let leaf = |edit: fn(&mut rcgen::CertificateParams)| scene.root.leaf(edit);
    let intermediate = scene.root.intermediate("intermediate", |_| {});
    let (below, alone) = (intermediate.leaf(|_| {}), intermediate.leaf(|_| {}));
    let below_chain = below.pem() + &intermediate.certificate.pem();
    let cases = [
        ("valid", leaf(|_| {}), None, "allow", Some(CHECKOUT)),
        (
            "expired",
            leaf(|p| p.not_after = at(-1)),
            None,
            "identity-expired",
            Some(CHECKOUT),
        ),
        (
            "forged",
            stranger.leaf(|_| {}),
            None,
            "identity-untrusted",
            None,
        ),
        (
            "no SVID",
            leaf(|p| p.subject_alt_names.clear()),
            None,
            "identity-invalid",
            None,
        ),
        (
            "another's",
            leaf(|p| p.subject_alt_names = vec![uri(OTHER)]),
            None,
            "identity-invalid",
            None,
        ),
        (
            "below an intermediate",
            below,
            Some(below_chain),
            "allow",
            Some(CHECKOUT),
        ),
        (
            "its intermediate not shown",
            alone,
            None,
            "identity-untrusted",
            None,
        ),
    ];
    for (name, leaf, chain, wanted, _) in &cases {
        let pem = encoded(&chain.clone().unwrap_or_else(|| leaf.pem()));
        let hash = peer(leaf).sha256();
        let said = format!("By={GATEWAY};Hash={hash};Chain=\"{pem}\";URI={CHECKOUT}");
        let header = format!("{said},{}", scene.own());
        assert_eq!(scene.reason(&header), *wanted, "{name}");
    }
    for ((name, leaf, _, _, id), record) in cases.iter().zip(scene.records()) {
        assert_eq!(record["source"]["id"], json!(id), "{name}");
        assert_eq!(
            record["source"]["certificateSha256"],
            peer(leaf).sha256(),
            "{name}"
        );
        assert_eq!(record["forwarder"]["id"], GATEWAY, "{name}");
    }
}

#[test]
fn nobody_else_is_heard_and_what_they_say_ends_here() {
    let scene = Scene::new();
    let said = scene.said("");
    let own = |leaf: &Certificate, id: &str| {
        format!("By={ORDERS};Hash={};Chain=x;URI={id}", peer(leaf).sha256())
    };
    // Checkout says that it is somebody else.
    let other = said.replace(CHECKOUT, OTHER);
    let header_in = format!("{other},{}", own(&scene.checkout, CHECKOUT));
    let response = scene.ask_as(&scene.checkout, &header_in, ORDERS, "GET /orders");
    assert_eq!(reason(&response), "allow");
    assert_eq!(
        header(&response, "x-callgate-caller").as_deref(),
        Some(CHECKOUT)
    );
    assert_eq!(header(&response, "x-callgate-forwarder"), None);
    let kept = own(&scene.checkout, CHECKOUT).replace("Chain=x;", "");
    assert_eq!(header(&response, "x-forwarded-client-cert"), Some(kept));

    // The gateway, at a service that does not listen to it.
    let ledger = "spiffe://example.org/ns/bank/sa/ledger";
    let header_in = format!("{said},{}", own(&scene.gateway, GATEWAY));
    let response = scene.ask(&header_in, ledger, "GET /orders");
    assert_eq!(
        header(&response, "x-callgate-caller").as_deref(),
        Some(GATEWAY)
    );
    let kept = own(&scene.gateway, GATEWAY).replace("Chain=x;", "");
    assert_eq!(header(&response, "x-forwarded-client-cert"), Some(kept));
    let records = scene.records();
    assert!(
        records
            .iter()
            .all(|record| record.get("forwarder").is_none())
    );
    assert_eq!(records[1]["source"]["id"], GATEWAY);
}

#[test]
fn a_forwarder_may_call_for_itself() {
    let scene = Scene::new();
    let response = scene.ask(&scene.own(), ORDERS, "GET /health");
    assert_eq!(reason(&response), "allow");
    assert_eq!(
        header(&response, "x-callgate-caller").as_deref(),
        Some(GATEWAY)
    );
    assert_eq!(header(&response, "x-callgate-forwarder"), None);
    // But its own rules are not its callers'.
    let header_in = format!("{},{}", scene.said(""), scene.own());
    let response = scene.ask(&header_in, ORDERS, "GET /health");
    assert_eq!(reason(&response), "no-rule");
}

#[test]
fn an_untrusted_peer_says_nothing() {
    let scene = Scene::new();
    let forged = Authority::root("root");
    let forged = forged.leaf(|params| params.subject_alt_names = vec![uri(GATEWAY)]);
    let own = format!("By={ORDERS};Hash={};URI={GATEWAY}", peer(&forged).sha256());
    let header_in = format!("{},{own}", scene.said(""));
    let response = scene.ask_as(&forged, &header_in, ORDERS, "GET /orders");
    assert_eq!(reason(&response), "identity-untrusted");
    assert!(scene.records()[0].get("forwarder").is_none());
}

#[test]
fn a_revocation_holds_for_the_caller_and_for_its_forwarder() {
    let scene = Scene::new();
    let cert = format!("Cert=\"{}\";", encoded(&scene.checkout.pem()));
    let checkout = peer(&scene.checkout).sha256();
    let revoked = [
        ("the caller", format!("id: {CHECKOUT}")),
        ("its certificate", format!("certificateSha256: {checkout}")),
        (
            "its other name",
            "id: spiffe://new.example/ns/shop/sa/checkout".to_owned(),
        ),
        ("the forwarder", format!("id: {GATEWAY}")),
        (
            "the forwarder's certificate",
            format!("certificateSha256: {}", peer(&scene.gateway).sha256()),
        ),
        (
            "the forwarder's other name",
            "id: spiffe://new.example/ns/edge/sa/gateway".to_owned(),
        ),
    ];
    for (name, spec) in revoked {
        for shown in ["", &cert] {
            let header_in = format!("{},{}", scene.said(shown), scene.own());
            scene.live.set_revocations(Revocations::default());
            assert_eq!(scene.reason(&header_in), "allow", "{name}");
            scene.live.set_revocations(revocation(&spec));
            assert_eq!(scene.reason(&header_in), "identity-revoked", "{name}");
        }
    }
    let records = scene.records();
    assert!(records[1]["revocation"] == "leaked" && records[1]["forwarder"]["id"] == GATEWAY);
}

#[test]
fn a_forged_certificate_learns_nothing_of_revocations() {
    let scene = Scene::new();
    scene
        .live
        .set_revocations(revocation(&format!("id: {CHECKOUT}")));
    let forged = Authority::root("root").leaf(|_| {});
    let (hash, pem) = (peer(&forged).sha256(), encoded(&forged.pem()));
    let said = format!("By={GATEWAY};Hash={hash};Cert=\"{pem}\";URI={CHECKOUT}");
    let header_in = format!("{said},{}", scene.own());
    assert_eq!(scene.reason(&header_in), "identity-untrusted");
}

fn revocation(spec: &str) -> Revocations {
    let text = format!(
        "kind: Revocation\nmetadata: {{name: leaked}}\nspec:\n  {spec}\n  reason: a log\n  revokedBy: dana\n"
    );
    let source = Source::new("leaked.yaml", text);
    let loaded = load_revocations(&source, &LoadOptions::default());
    assert_eq!(loaded.revocations.len(), 1, "{loaded:?}");
    Revocations::new(loaded.revocations)
}

#[test]
fn what_the_service_gets_of_the_header() {
    let set = |text: &str| ClientCert::Set(text.to_owned());
    let cases = [
        (None, true, ClientCert::Keep),
        (Some("By=s"), true, ClientCert::Keep),
        (Some("Chain=x"), true, ClientCert::Keep),
        (Some("By=s;Chain=x"), true, set("By=s")),
        (Some("nonsense"), true, ClientCert::Remove),
        (
            Some("A=1,By=g;Chain=x;URI=c,By=s;Chain=y"),
            true,
            set("By=g;URI=c,By=s"),
        ),
        (Some("A=1,By=g;URI=c,By=s;Chain=y"), false, set("By=s")),
        (Some("By=g,Chain=y"), false, ClientCert::Remove),
    ];
    for (header, believed, wanted) in cases {
        assert_eq!(ClientCert::of(header, believed), wanted, "{header:?}");
    }
}
