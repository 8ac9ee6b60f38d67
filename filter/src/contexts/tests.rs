use callgate_policy::Reason;
use callgate_wire::{
    callgate::v1::{Announcement, Caller, RecordRequest, WatchRequest},
    envoy::service::auth::v3::{
        CheckResponse, DeniedHttpResponse, OkHttpResponse, check_response::HttpResponse,
    },
    google::rpc::Status,
    wanted,
};
use prost::Message as _;

use super::*;
use crate::{
    fake::FakeHost,
    ledger::{Noted, NotedCaller},
};

const ROOT: u32 = 1;

fn contexts() -> Contexts {
    let mut contexts = Contexts::default();
    contexts.created(ROOT, 0);
    contexts.configured(ROOT, Plugin::new(br#"{"cluster":"authz"}"#));
    contexts
}

fn allow() -> Vec<u8> {
    CheckResponse {
        status: Some(Status::default()),
        http_response: Some(HttpResponse::OkResponse(OkHttpResponse::default())),
        dynamic_metadata: None,
    }
    .encode_to_vec()
}

#[test]
fn an_answer_finds_its_request() {
    let mut contexts = contexts();
    let mut host = FakeHost::new();
    for request in [5, 6] {
        contexts.created(request, ROOT);
        assert_eq!(contexts.request_headers(request, &mut host), Flow::Pause);
    }
    assert!(contexts.awaits(CallId(1)) && contexts.awaits(CallId(2)));
    contexts.answered(CallId(2), &mut host, &allow());
    assert_eq!((host.resumed, contexts.awaits(CallId(2))), (1, false));
    assert_eq!(host.acted_for, [6]);
    // A second answer to the same call finds nobody.
    contexts.answered(CallId(2), &mut host, &allow());
    assert_eq!(host.resumed, 1);
}

#[test]
fn a_retry_finds_its_request() {
    let mut contexts = contexts();
    let mut host = FakeHost::new();
    contexts.created(5, ROOT);
    let _ = contexts.request_headers(5, &mut host);
    contexts.failed(CallId(1), &mut host, 14);
    assert!(!contexts.awaits(CallId(1)) && contexts.awaits(CallId(2)));
    contexts.answered(CallId(2), &mut host, &allow());
    assert_eq!(host.resumed, 1);
}

#[test]
fn a_request_that_is_gone_leaves_nothing_behind() {
    let mut contexts = contexts();
    let mut host = FakeHost::new();
    contexts.created(5, ROOT);
    let _ = contexts.request_headers(5, &mut host);
    contexts.deleted(5, &mut host);
    assert_eq!(host.cancelled, [CallId(1)]);
    assert!(contexts.exchanges.is_empty() && !contexts.awaits(CallId(1)));
    contexts.answered(CallId(1), &mut host, &allow());
    assert_eq!((host.resumed, host.replies.len()), (0, 0));
}

#[test]
fn numbers_that_nobody_knows_open_nothing() {
    let mut contexts = contexts();
    let mut host = FakeHost::new();
    contexts.answered(CallId(9), &mut host, &allow());
    contexts.failed(CallId(9), &mut host, 14);
    contexts.deleted(9, &mut host);
    assert_eq!(contexts.request_trailers(9, &mut host), Flow::Pause);
    assert_eq!(contexts.request_headers(9, &mut host), Flow::Pause);
    assert_eq!(
        (host.sent.len(), host.resumed, host.replies.len()),
        (0, 0, 1)
    );
}

#[test]
fn a_request_of_a_plugin_that_was_never_configured_is_refused() {
    let mut contexts = contexts();
    let mut host = FakeHost::new();
    contexts.created(5, 77);
    assert_eq!(contexts.request_headers(5, &mut host), Flow::Pause);
    assert_eq!(host.replies[0].details, "callgate_filter-misconfigured");
}

#[test]
fn each_plugin_has_its_own_configuration() {
    let mut contexts = contexts();
    contexts.created(2, 0);
    contexts.configured(2, Plugin::new(b"nonsense"));
    let mut host = FakeHost::new();
    contexts.created(5, ROOT);
    contexts.created(6, 2);
    let _ = contexts.request_headers(5, &mut host);
    let _ = contexts.request_headers(6, &mut host);
    assert_eq!((host.sent.len(), host.replies.len()), (1, 1));
}

#[test]
fn a_check_with_more_headers_finds_its_request() {
    let wanting = CheckResponse {
        status: Some(Status {
            code: 14,
            message: String::new(),
        }),
        http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse::default())),
        dynamic_metadata: Some(wanted::ask(["x-purpose".to_owned()])),
    };
    let mut contexts = contexts();
    let mut host = FakeHost::new();
    contexts.created(5, ROOT);
    let _ = contexts.request_headers(5, &mut host);
    contexts.answered(CallId(1), &mut host, &wanting.encode_to_vec());
    assert!(!contexts.awaits(CallId(1)) && contexts.awaits(CallId(2)));
    contexts.answered(CallId(2), &mut host, &allow());
    assert_eq!(host.resumed, 1);
}

fn announces(revision: u8) -> Vec<u8> {
    Announcement {
        revision: vec![revision; 32],
        elapsed_ms: 0,
    }
    .encode_to_vec()
}

#[test]
fn the_first_request_opens_the_watch_of_its_service() {
    let mut contexts = contexts();
    let mut host = FakeHost::new();
    contexts.tick(ROOT, &mut host);
    assert_eq!((host.ticks, host.watches.len()), (None, 0));
    for request in [5, 6] {
        contexts.created(request, ROOT);
        let _ = contexts.request_headers(request, &mut host);
    }
    contexts.tick(ROOT, &mut host);
    assert_eq!((host.ticks, host.watches.len()), (Some(TICK), 1));
    let (watch, message) = host.watches[0].clone();
    let service = WatchRequest::decode(message.as_slice()).unwrap().service;
    assert_eq!(service, "spiffe://example.org/ns/shop/sa/orders");
    contexts.answered(watch, &mut host, &announces(1));
    let plugin = Rc::clone(&contexts.plugins[&ROOT]);
    assert_eq!(
        plugin.watches().announced(&service, host.now),
        Some([1; 32])
    );
    assert!(contexts.awaits(watch), "a stream goes on");
    contexts.deleted(ROOT, &mut host);
    assert!(host.cancelled.contains(&watch) && !contexts.awaits(watch));
}

#[test]
fn a_watch_that_ends_is_opened_again() {
    let mut contexts = contexts();
    let mut host = FakeHost::new();
    host.broken.push("watch");
    contexts.created(5, ROOT);
    let _ = contexts.request_headers(5, &mut host);
    host.broken.clear();
    let endings: [fn(&mut Contexts, CallId, &mut FakeHost); 3] = [
        |contexts, watch, host| contexts.failed(watch, host, 14),
        |contexts, watch, host| contexts.answered(watch, host, b"\xff"),
        // Silence.
        |_, _, host| host.now += Duration::from_secs(5),
    ];
    for (opened, end) in (1..).zip(endings) {
        host.now += Duration::from_secs(5);
        contexts.tick(ROOT, &mut host);
        contexts.tick(ROOT, &mut host);
        assert_eq!(host.watches.len(), opened);
        let watch = host.watches[opened - 1].0;
        end(&mut contexts, watch, &mut host);
        contexts.tick(ROOT, &mut host);
        assert!(!contexts.awaits(watch));
    }
}

/// The service of a plugin that saw a request, with a decision that waits to be recorded.
fn with_a_decision(contexts: &mut Contexts, host: &mut FakeHost) -> Rc<Callee> {
    contexts.created(5, ROOT);
    let _ = contexts.request_headers(5, host);
    let callee = Rc::clone(&contexts.plugins[&ROOT].callees()[0]);
    note(&callee, host.now);
    callee
}

fn note(callee: &Callee, now: Duration) {
    let noted = Noted {
        id: "01ARZ3NDEKZZZZZZZZZZZZZZZZ",
        time: callgate_policy::Timestamp::from_secs(1_700_000_000),
        caller: &NotedCaller::from(&Caller::default()),
        reason: Reason::NoRule,
        rule: None,
        revision: &[1; 32],
        method: "GET",
        path: "/orders/7",
        upgrade: None,
        content_type: None,
        host: "orders",
        traceparent: None,
        rechecks: None,
    };
    callee.ledger().note(&noted, now);
}

fn sequence((_, batch): &(CallId, Vec<u8>)) -> u64 {
    RecordRequest::decode(batch.as_slice()).unwrap().sequence
}

#[test]
fn decisions_reach_the_server_though_it_fails_now_and_then() {
    let mut contexts = contexts();
    let mut host = FakeHost::new();
    let callee = with_a_decision(&mut contexts, &mut host);
    contexts.tick(ROOT, &mut host);
    assert_eq!(host.records.len(), 0, "it may become more yet");
    host.now += TICK;
    contexts.tick(ROOT, &mut host);
    contexts.tick(ROOT, &mut host);
    assert_eq!(host.records.len(), 1, "one at a time");
    contexts.failed(host.records[0].0, &mut host, 14);
    host.broken.push("record");
    host.now += Duration::from_secs(1);
    contexts.tick(ROOT, &mut host);
    host.broken.clear();
    host.now += Duration::from_secs(1);
    contexts.tick(ROOT, &mut host);
    assert_eq!(
        host.records.iter().map(sequence).collect::<Vec<_>>(),
        [1, 1]
    );
    // What became due meanwhile goes at once.
    note(&callee, host.now);
    host.now += TICK;
    contexts.answered(host.records[1].0, &mut host, b"");
    assert_eq!(
        host.records.iter().map(sequence).collect::<Vec<_>>(),
        [1, 1, 2]
    );
    contexts.answered(host.records[2].0, &mut host, b"");
    host.now += Duration::from_secs(9);
    contexts.tick(ROOT, &mut host);
    assert_eq!(host.records.len(), 3);
}

#[test]
fn a_plugin_that_ends_hands_over_what_it_has() {
    let mut contexts = contexts();
    let mut host = FakeHost::new();
    assert!(contexts.done(ROOT, &mut host), "nothing to hand over");
    let _ = with_a_decision(&mut contexts, &mut host);
    assert!(contexts.done(5, &mut host), "a request");
    assert!(!contexts.done(ROOT, &mut host));
    assert_eq!((host.records.len(), host.done), (1, 0));
    contexts.failed(host.records[0].0, &mut host, 14);
    assert_eq!(host.done, 1, "it does not wait for ever");
    contexts.deleted(ROOT, &mut host);
    // Nor for what cannot be sent.
    let mut contexts = self::contexts();
    host.broken.push("record");
    let _ = with_a_decision(&mut contexts, &mut host);
    assert!(contexts.done(ROOT, &mut host));
}
