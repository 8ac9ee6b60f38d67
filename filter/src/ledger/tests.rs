use callgate_policy::Location;
use callgate_wire::callgate::v1::{Caller, RecordRequest};
use prost::Message as _;

use super::*;

const SERVICE: &str = "spiffe://example.org/ns/shop/sa/orders";
const REVISION: [u8; 32] = [9; 32];

fn ledger() -> Ledger {
    Ledger::new(SERVICE, [5; 16])
}

fn caller(id: &str) -> NotedCaller {
    NotedCaller::from(&Caller {
        id: id.to_owned(),
        ..Caller::default()
    })
}

fn rule(name: &str) -> RuleRef<'_> {
    RuleRef {
        name,
        policy: "orders",
        location: Location {
            file: "orders.yaml",
            line: 7,
        },
    }
}

fn allowed<'a>(id: &'a str, caller: &'a NotedCaller) -> Noted<'a> {
    Noted {
        id,
        time: Timestamp::from_millis(1_700_000_000_000),
        caller,
        reason: Reason::Allow,
        rule: Some(rule("reads")),
        revision: &REVISION,
        method: "GET",
        path: "/orders/7",
        upgrade: None,
        content_type: None,
        host: "orders",
        traceparent: None,
        rechecks: None,
    }
}

fn refused<'a>(id: &'a str, caller: &'a NotedCaller) -> Noted<'a> {
    Noted {
        reason: Reason::NoRule,
        rule: None,
        upgrade: Some(""),
        content_type: Some("text/plain"),
        traceparent: Some("00-ab"),
        rechecks: Some("01A"),
        ..allowed(id, caller)
    }
}

fn sent(ledger: &mut Ledger) -> RecordRequest {
    let batch = ledger.batch().unwrap();
    ledger.sent();
    RecordRequest::decode(batch.as_slice()).unwrap()
}

fn ids(request: &RecordRequest) -> Vec<&str> {
    let decisions = request.decisions.iter();
    decisions.map(|decided| decided.id.as_str()).collect()
}

const MS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn a_batch_says_who_and_what_once() {
    let (web, batch) = (caller("web"), caller("batch"));
    let mut ledger = ledger();
    ledger.note(&allowed("01", &web), MS(0));
    ledger.note(&refused("02", &batch), MS(1));
    let other = Noted {
        rule: Some(rule("writes")),
        ..allowed("03", &web)
    };
    ledger.note(&other, MS(2));
    ledger.note(&allowed("04", &batch), MS(3));
    let request = sent(&mut ledger);
    assert_eq!((request.service.as_str(), request.sequence), (SERVICE, 1));
    assert_eq!(request.worker, [5; 16]);
    let callers: Vec<&str> = request.callers.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(callers, ["web", "batch"]);
    let rules: Vec<&str> = request.rules.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(rules, ["reads", "writes"]);
    assert_eq!(
        (request.rules[0].line, &*request.rules[0].file),
        (7, "orders.yaml")
    );
    assert_eq!(ids(&request), ["02", "01", "03", "04"]);
    let refusal = &request.decisions[0];
    assert_eq!((refusal.caller, refusal.rule), (1, 0));
    assert_eq!((&*refusal.reason, &*refusal.path), ("no-rule", "/orders/7"));
    assert_eq!(refusal.upgrade.as_deref(), Some(""));
    assert_eq!(refusal.content_type.as_deref(), Some("text/plain"));
    assert_eq!(refusal.traceparent.as_deref(), Some("00-ab"));
    assert_eq!(refusal.rechecks.as_deref(), Some("01A"));
    let last = &request.decisions[3];
    assert_eq!((last.caller, last.rule), (1, 1));
    assert_eq!(
        (last.time_ms, &*last.revision),
        (1_700_000_000_000, &REVISION[..])
    );
    assert_eq!((&*last.method, &*last.host), ("GET", "orders"));
    assert_eq!(
        (last.upgrade.as_ref(), last.rechecks.as_ref()),
        (None, None)
    );
}

#[test]
fn a_batch_is_due_when_it_is_old_or_full() {
    let web = caller("web");
    let mut ledger = ledger();
    assert!(!ledger.is_due(MS(10_000)) && ledger.batch().is_none());
    ledger.note(&allowed("01", &web), MS(100));
    assert!(!ledger.is_due(MS(299)));
    assert!(ledger.is_due(MS(300)));
    let path = "/".repeat(FULL);
    let long = Noted {
        path: &path,
        ..allowed("02", &web)
    };
    ledger.note(&long, MS(101));
    assert!(ledger.is_due(MS(101)));
}

#[test]
fn a_batch_that_failed_is_sent_again_with_its_number_and_later_ones_wait() {
    let web = caller("web");
    let mut ledger = ledger();
    ledger.note(&allowed("01", &web), MS(0));
    let first = sent(&mut ledger);
    assert!(ledger.batch().is_none() && !ledger.is_due(MS(10_000)));
    ledger.note(&allowed("02", &web), MS(1));
    ledger.failed(14, MS(500));
    assert!(!ledger.is_due(MS(1_499)));
    assert!(ledger.is_due(MS(1_500)));
    assert_eq!(sent(&mut ledger), first);
    ledger.acknowledged();
    let second = sent(&mut ledger);
    assert_eq!((second.sequence, ids(&second)), (2, vec!["02"]));
    // Who calls is said in each batch.
    assert_eq!(second.callers.len(), 1);
    ledger.acknowledged();
    // A late second word changes nothing.
    ledger.note(&allowed("03", &web), MS(2_000));
    ledger.acknowledged();
    assert_eq!(ids(&sent(&mut ledger)), ["03"]);
}

#[test]
fn a_batch_that_the_server_will_never_take_is_counted_and_gone() {
    let web = caller("web");
    for status in NEVER {
        let mut ledger = ledger();
        ledger.note(&allowed("01", &web), MS(0));
        ledger.note(&refused("02", &web), MS(0));
        sent(&mut ledger);
        ledger.failed(status, MS(1));
        assert!(ledger.batch().is_none());
        assert_eq!(ledger.dropped(), (1, 1));
    }
}

#[test]
fn beyond_the_bound_allowed_decisions_go_first_and_what_was_sent_stays() {
    let web = caller("web");
    let mut ledger = ledger();
    let path = "/".repeat(1_000);
    let note = |ledger: &mut Ledger, noted: Noted<'_>| {
        ledger.note(
            &Noted {
                path: &path,
                ..noted
            },
            MS(0),
        );
    };
    note(&mut ledger, allowed("first", &web));
    sent(&mut ledger);
    ledger.failed(14, MS(0));
    for _ in 0..500 {
        note(&mut ledger, refused("refused", &web));
    }
    for _ in 0..2_000 {
        note(&mut ledger, allowed("allowed", &web));
        assert!(ledger.size() <= MAX_WAITING);
    }
    let (allowed_dropped, denied_dropped) = ledger.dropped();
    assert!(allowed_dropped > 1_000 && denied_dropped == 0);
    for _ in 0..2_000 {
        note(&mut ledger, refused("refused", &web));
        assert!(ledger.size() <= MAX_WAITING);
    }
    let (allowed_dropped, denied_dropped) = ledger.dropped();
    assert!(allowed_dropped == 2_000 && denied_dropped > 1_000);
    let batches = ledger.drain();
    let all: Vec<RecordRequest> = batches
        .iter()
        .map(|batch| RecordRequest::decode(batch.as_slice()).unwrap())
        .collect();
    assert_eq!(ids(&all[0]), ["first"]);
    assert!(all.is_sorted_by(|a, b| a.sequence < b.sequence));
    let kept: u64 = all.iter().map(|batch| batch.decisions.len() as u64).sum();
    assert_eq!(kept + allowed_dropped + denied_dropped, 4_501);
    assert_eq!(all[1].dropped_allowed, 2_000);
    assert_eq!(all[1].dropped_denied, denied_dropped);
    assert!(ledger.batch().is_none());
}
