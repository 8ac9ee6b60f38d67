use std::time::Duration;

use callgate_policy::{Reason, Timestamp, Verdict};
use callgate_wire::callgate::v1::{Caller, Decided, RecordRequest, Rule};
use rcgen::Certificate;
use serde_json::{Value, json};

use super::*;
use crate::{
    fixture::{DOCUMENTS, Kept, ORDERS, SHADOWED, live},
    identity::{Asker, Proxy, ProxyFault},
    mint::{Authority, CHECKOUT, NOW, at, now, peer, uri},
    record::Sink,
};

const ID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const FIRST: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAA";

struct Stage {
    gate: Gate,
    recorder: Recorder,
    records: Kept,
}

impl Stage {
    fn of(root: &Authority, documents: &str) -> Self {
        let records = Kept::default();
        let recorder = Recorder::start(Sink::stream(records.clone())).unwrap();
        let live = live(root, documents);
        Self {
            gate: Gate::new(live, recorder.clone(), Arc::default()),
            recorder,
            records,
        }
    }

    fn record(&self, batch: &RecordRequest) -> Result<(), Unrecorded> {
        self.gate.record(Asker::Unnamed, batch, now())
    }

    /// The records, once they are written.
    fn records(&self) -> Vec<Value> {
        assert!(self.recorder.close(Duration::from_secs(10)));
        self.records.records()
    }

    fn revision(&self) -> Vec<u8> {
        let service = SpiffeId::parse(ORDERS).ok();
        let live = self.gate.live.current();
        live.service_revision(service.as_ref()).to_vec()
    }

    /// A batch of two: what checkout may do, and what it may not.
    fn batch(&self, leaf: &Certificate) -> RecordRequest {
        let decided = |call: &str, reason: &str, rule| {
            let (method, path) = call.split_once(' ').unwrap();
            Decided {
                id: ID.to_owned(),
                time_ms: NOW * 1_000 + 250,
                caller: 0,
                reason: reason.to_owned(),
                rule,
                revision: self.revision(),
                method: method.to_owned(),
                path: path.to_owned(),
                host: "orders.example".to_owned(),
                ..Decided::default()
            }
        };
        RecordRequest {
            service: ORDERS.to_owned(),
            worker: vec![7; 16],
            sequence: 1,
            callers: vec![Caller {
                id: CHECKOUT.to_owned(),
                certificate_sha256: peer(leaf).sha256(),
                not_before_ms: (NOW - 3_600) * 1_000,
                not_after_ms: (NOW + 3_600) * 1_000,
                issuer: "CN=root".to_owned(),
            }],
            rules: vec![Rule {
                name: "checkout-reads".to_owned(),
                policy: "orders".to_owned(),
                file: "mesh.yaml".to_owned(),
                line: 9,
            }],
            decisions: vec![
                decided("GET /orders", "allow", 1),
                decided("DELETE /orders", "no-rule", 0),
            ],
            dropped_allowed: 0,
            dropped_denied: 0,
        }
    }
}

#[test]
fn a_leased_decision_is_recorded_as_a_check_is() {
    let root = Authority::root("root");
    let leaf = root.leaf(|_| {});
    let stage = Stage::of(&root, DOCUMENTS);
    let mut batch = stage.batch(&leaf);
    batch.decisions[0].rechecks = Some(FIRST.to_owned());
    batch.decisions[1].content_type = Some("application/grpc".to_owned());
    batch.decisions[1].traceparent = Some("00-aa-bb-01".to_owned());
    stage.record(&batch).unwrap();
    let [allowed, refused] = stage.records().try_into().unwrap();
    assert_eq!(
        allowed,
        json!({
            "time": "2027-01-01T00:00:00.250Z",
            "id": ID,
            "verdict": "Allow",
            "reason": "allow",
            "rule": "checkout-reads",
            "policy": "mesh.yaml:9",
            "nearestMiss": null,
            "enforced": true,
            "leased": true,
            "rechecks": FIRST,
            "source": {
                "id": CHECKOUT,
                "certificateSha256": peer(&leaf).sha256(),
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
            "revision": stage.gate.live.current().revision(),
        })
    );
    assert_eq!(
        (&refused["verdict"], &refused["reason"], &refused["rule"]),
        (&json!("Deny"), &json!("no-rule"), &Value::Null)
    );
    assert_eq!(refused["nearestMiss"]["rule"], "checkout-reads");
    assert_eq!(
        (&refused["grpc"], &refused["traceparent"]),
        (&json!(true), &json!("00-aa-bb-01"))
    );
    assert!(refused.get("rechecks").is_none());
    assert_eq!(stage.gate.metrics.leased(Reason::Allow), 1);
    assert_eq!(stage.gate.metrics.leased(Reason::NoRule), 1);
    assert_eq!(stage.gate.metrics.disagreements(), 0);
}

#[test]
fn by_another_revision_the_record_is_what_the_proxy_says() {
    let root = Authority::root("root");
    let stage = Stage::of(&root, DOCUMENTS);
    let mut batch = stage.batch(&root.leaf(|_| {}));
    batch.decisions[0].revision = vec![0xab; 32];
    batch.decisions[1].revision = vec![0xab; 32];
    batch.decisions[1].path = "/orders?secret=1".to_owned();
    // No rule of this server's.
    batch.rules[0].name = "an-older-one".to_owned();
    stage.record(&batch).unwrap();
    let [allowed, refused] = stage.records().try_into().unwrap();
    assert_eq!(
        (&allowed["rule"], &allowed["policy"], &allowed["revision"]),
        (
            &json!("an-older-one"),
            &json!("mesh.yaml:9"),
            &json!("ab".repeat(32))
        )
    );
    assert_eq!(
        (&refused["nearestMiss"], &refused["path"]),
        (&Value::Null, &json!("/orders"))
    );
    assert_eq!(stage.gate.metrics.disagreements(), 0, "nobody can tell");
}

#[test]
fn a_decision_that_this_server_would_not_make_is_told_and_kept() {
    let root = Authority::root("root");
    let stage = Stage::of(&root, DOCUMENTS);
    let mut batch = stage.batch(&root.leaf(|_| {}));
    // Another reason; another rule; another verdict.
    batch.decisions[1].reason = "deny-rule".to_owned();
    batch.decisions[0].rule = 0;
    let mut third = batch.decisions[0].clone();
    (third.rule, third.method) = (1, "DELETE".to_owned());
    batch.decisions.push(third);
    stage.record(&batch).unwrap();
    assert_eq!(stage.gate.metrics.disagreements(), 3);
    let records = stage.records();
    assert_eq!(records[0]["rule"], Value::Null);
    assert_eq!(records[1]["reason"], "deny-rule");
    assert_eq!(
        (&records[2]["verdict"], &records[2]["rule"]),
        (&json!("Allow"), &json!("checkout-reads"))
    );
}

#[test]
fn a_batch_that_is_sent_again_is_taken_once() {
    let root = Authority::root("root");
    let stage = Stage::of(&root, DOCUMENTS);
    let mut batch = stage.batch(&root.leaf(|_| {}));
    (batch.dropped_allowed, batch.dropped_denied) = (10, 1);
    // What a worker sends at its end may overtake itself.
    for sequence in [3, 3, 2, 4, 4, 3, 2] {
        batch.sequence = sequence;
        if sequence == 4 {
            batch.dropped_allowed = 15;
        }
        stage.record(&batch).unwrap();
    }
    // Others count for themselves.
    let other = RecordRequest {
        worker: vec![8; 16],
        ..batch.clone()
    };
    stage.record(&other).unwrap();
    let elsewhere = RecordRequest {
        service: SHADOWED.to_owned(),
        ..batch
    };
    stage.record(&elsewhere).unwrap();
    assert_eq!(stage.records().len(), 5 * 2);
    let metrics = &stage.gate.metrics;
    assert_eq!(metrics.dropped_leased(Verdict::Allow), 15 + 15 + 15);
    assert_eq!(metrics.dropped_leased(Verdict::Deny), 1 + 1 + 1);
}

#[test]
fn of_what_is_no_batch_nothing_is_recorded() {
    type Edit = fn(&mut RecordRequest);
    let decision = |field| InvalidBatch::Decision { place: 1, field };
    let cases: [(&str, Edit, InvalidBatch); 18] = [
        (
            "a name that is too long",
            |batch| batch.service = "x".repeat(2_049),
            InvalidBatch::Service,
        ),
        (
            "a worker of 15 bytes",
            |batch| batch.worker.truncate(15),
            InvalidBatch::Worker,
        ),
        (
            "no number",
            |batch| batch.sequence = 0,
            InvalidBatch::Sequence,
        ),
        (
            "too many decisions",
            |batch| batch.decisions = vec![Decided::default(); 16_385],
            InvalidBatch::TooMany,
        ),
        (
            "too many callers",
            |batch| batch.callers = vec![Caller::default(); 16_385],
            InvalidBatch::TooMany,
        ),
        (
            "too many rules",
            |batch| batch.rules = vec![Rule::default(); 16_385],
            InvalidBatch::TooMany,
        ),
        (
            "a caller that is no SPIFFE ID",
            |batch| batch.callers[0].id = "checkout".to_owned(),
            InvalidBatch::Caller { place: 0 },
        ),
        (
            "a fingerprint in upper case",
            |batch| batch.callers[0].certificate_sha256 = "A".repeat(64),
            InvalidBatch::Caller { place: 0 },
        ),
        (
            "a page for an issuer",
            |batch| batch.callers[0].issuer = "x".repeat(1_025),
            InvalidBatch::Caller { place: 0 },
        ),
        (
            "an unknown caller",
            |batch| batch.decisions[1].caller = 1,
            decision("caller"),
        ),
        (
            "an unknown rule",
            |batch| batch.decisions[1].rule = 2,
            decision("rule"),
        ),
        (
            "a short revision",
            |batch| batch.decisions[1].revision = vec![0; 31],
            decision("revision"),
        ),
        (
            "no id",
            |batch| batch.decisions[1].id = "01ARZ3NDEK".to_owned(),
            decision("id"),
        ),
        (
            "no id to recheck",
            |batch| batch.decisions[1].rechecks = Some(String::new()),
            decision("rechecks"),
        ),
        (
            "an unknown reason",
            |batch| batch.decisions[1].reason = "because".to_owned(),
            decision("reason"),
        ),
        (
            "a reason that no lease has",
            |batch| batch.decisions[1].reason = "identity-revoked".to_owned(),
            decision("reason"),
        ),
        (
            "a path that no proxy takes",
            |batch| batch.decisions[1].path = "/".repeat(65_537),
            decision("text"),
        ),
        (
            "an upgrade that no proxy takes",
            |batch| batch.decisions[1].upgrade = Some("x".repeat(65_537)),
            decision("text"),
        ),
    ];
    let root = Authority::root("root");
    let stage = Stage::of(&root, DOCUMENTS);
    let batch = stage.batch(&root.leaf(|_| {}));
    for (name, edit, expected) in cases {
        let mut edited = batch.clone();
        edit(&mut edited);
        let error = stage.record(&edited).expect_err(name);
        assert_eq!(error, Unrecorded::Invalid(expected), "{name}");
    }
    // Nor does it take the number away.
    stage.record(&batch).unwrap();
    assert_eq!(stage.records().len(), 2);
}

#[test]
fn a_proxy_tells_of_its_own_service_only() {
    let root = Authority::root("root");
    let stage = Stage::of(&root, DOCUMENTS);
    let batch = stage.batch(&root.leaf(|_| {}));
    let proxy = |id: &str| {
        let certificate = root.leaf(|params| params.subject_alt_names = vec![uri(id)]);
        Proxy::new(std::slice::from_ref(certificate.der()))
    };
    let other = proxy(SHADOWED);
    let refused = stage.gate.record(Asker::Proxy(&other), &batch, now());
    let fault = ProxyFault::NotItsService {
        proxy: SpiffeId::parse(SHADOWED).unwrap(),
        destination: ORDERS.to_owned(),
    };
    assert_eq!(refused, Err(Unrecorded::Proxy(fault.clone())));
    let callee = Callee::named(ORDERS).unwrap();
    let announced = |asker, now| stage.gate.announce(asker, &callee, Duration::ZERO, now);
    let refused = announced(Asker::Proxy(&other), now());
    assert_eq!(refused, Err(Unannounced::Proxy(fault)));

    let own = proxy(ORDERS);
    stage
        .gate
        .record(Asker::Proxy(&own), &batch, now())
        .unwrap();
    let announced_to_own = announced(Asker::Proxy(&own), now()).unwrap();
    assert_eq!(announced_to_own.revision, stage.revision());
    // Its certificate ends, and so does what it may hear.
    let later = Timestamp::from_secs(at(3_601).unix_timestamp());
    let expired = announced(Asker::Proxy(&own), later);
    assert!(
        matches!(expired, Err(Unannounced::Proxy(ProxyFault::Identity(_)))),
        "{expired:?}"
    );
    let records = stage.records();
    assert_eq!((records.len(), &records[0]["proxy"]), (2, &json!(ORDERS)));
}

#[test]
fn nothing_is_announced_without_policies() {
    let live = Arc::new(Live::new(crate::svid::Verifier::new([])));
    let gate = Gate::new(live, Recorder::discard(), Arc::default());
    let callee = Callee::named(ORDERS).unwrap();
    let announced = gate.announce(Asker::Unnamed, &callee, Duration::ZERO, now());
    assert_eq!(announced, Err(Unannounced::NoPolicies));
}
