use callgate_policy::Reason;
use callgate_wire::{
    callgate::v1::{Announcement, Caller, RecordRequest, Terms, WatchRequest},
    envoy::service::auth::v3::{
        CheckResponse, DeniedHttpResponse, OkHttpResponse, check_response::HttpResponse,
    },
    envoy::r#type::v3::HttpStatus,
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
    assert!(contexts.done(5, &mut host));
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
    assert!(contexts.done(9, &mut host));
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
    assert!(contexts.done(ROOT, &mut host));
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
    let mut contexts = self::contexts();
    let _ = with_a_decision(&mut contexts, &mut host);
    assert!(contexts.done(5, &mut host), "a request");
    assert!(!contexts.done(ROOT, &mut host));
    assert_eq!((host.records.len(), host.done), (1, 0));
    contexts.failed(host.records[0].0, &mut host, 14);
    assert_eq!(host.done, 1, "it does not wait for ever");
    // Nor for what cannot be sent.
    let mut contexts = self::contexts();
    host.broken.push("record");
    let _ = with_a_decision(&mut contexts, &mut host);
    assert!(contexts.done(ROOT, &mut host));
}

/// An answer that goes on, and says what it was decided by.
fn allow_at(revision: u8, ends_at_ms: i64) -> Vec<u8> {
    let mut answer = CheckResponse::decode(allow().as_slice()).unwrap();
    let terms = Terms {
        revision: vec![revision; 32],
        decided_at_ms: 1_700_000_000_000,
        ends_at_ms,
        lease: None,
    };
    callgate_wire::terms::add(&mut answer.dynamic_metadata, &terms);
    answer.encode_to_vec()
}

fn deny() -> Vec<u8> {
    CheckResponse {
        status: Some(Status {
            code: 7,
            message: String::new(),
        }),
        http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: Some(HttpStatus { code: 403 }),
            ..DeniedHttpResponse::default()
        })),
        dynamic_metadata: None,
    }
    .encode_to_vec()
}

/// A host with these requests open, all decided at revision 1, which is announced.
fn open(contexts: &mut Contexts, requests: std::ops::Range<u32>) -> FakeHost {
    let mut host = FakeHost::new();
    host.wall = Duration::from_secs(1_700_000_000);
    for request in requests {
        contexts.created(request, ROOT);
        let _ = contexts.request_headers(request, &mut host);
        let check = last_check(&host);
        contexts.answered(check, &mut host, &allow_at(1, 0));
    }
    contexts.answered(host.watches[0].0, &mut host, &announces(1));
    contexts.tick(ROOT, &mut host);
    host
}

fn last_check(host: &FakeHost) -> CallId {
    CallId(u32::try_from(host.sent.len()).unwrap())
}

#[test]
fn another_revision_has_open_requests_decided_anew() {
    let mut contexts = contexts();
    let mut host = open(&mut contexts, 10..13);
    assert_eq!((host.sent.len(), host.resumed), (3, 3));
    let watch = host.watches[0].0;
    contexts.answered(watch, &mut host, &announces(1));
    assert_eq!(host.sent.len(), 3, "nothing changed");

    contexts.answered(watch, &mut host, &announces(2));
    assert_eq!(host.sent.len(), 6, "at once, not at the next tick");
    contexts.tick(ROOT, &mut host);
    assert_eq!(host.sent.len(), 6);
    let before = host.headers.clone();
    contexts.answered(CallId(4), &mut host, &allow_at(2, 0));
    assert_eq!(
        (host.resumed, host.replies.len()),
        (3, 0),
        "it feels nothing"
    );
    assert_eq!(host.headers, before);
    contexts.answered(CallId(5), &mut host, &deny());
    assert_eq!(host.replies.len(), 1);
    assert_eq!(host.acted_for.last(), Some(&11));
    contexts.failed(CallId(6), &mut host, 14);
    contexts.failed(CallId(7), &mut host, 14);
    assert_eq!(host.replies.len(), 1, "nobody said that it may not");

    // The one without an answer is asked about again; the others are settled.
    host.now += Duration::from_secs(1);
    contexts.answered(watch, &mut host, &announces(2));
    contexts.tick(ROOT, &mut host);
    assert_eq!(host.sent.len(), 8);
    contexts.answered(CallId(8), &mut host, &deny());
    assert_eq!((host.replies.len(), host.acted_for.last()), (2, Some(&12)));
    host.now += Duration::from_secs(3);
    contexts.tick(ROOT, &mut host);
    assert_eq!(
        (host.sent.len(), host.replies.len(), host.resumed),
        (8, 2, 3)
    );
}

#[test]
fn news_while_the_server_is_asked_have_it_asked_again_at_once() {
    let mut contexts = contexts();
    let mut host = open(&mut contexts, 10..11);
    let watch = host.watches[0].0;
    contexts.answered(watch, &mut host, &announces(2));
    contexts.answered(watch, &mut host, &announces(3));
    assert_eq!(host.sent.len(), 2);
    contexts.answered(CallId(2), &mut host, &allow_at(2, 0));
    contexts.tick(ROOT, &mut host);
    assert_eq!(host.sent.len(), 3);
    // A server that is behind is not asked without end.
    contexts.answered(CallId(3), &mut host, &allow_at(2, 0));
    contexts.tick(ROOT, &mut host);
    assert_eq!(host.sent.len(), 3);
    host.now += Duration::from_secs(1);
    contexts.tick(ROOT, &mut host);
    assert_eq!(host.sent.len(), 4);
    contexts.answered(CallId(4), &mut host, &allow_at(3, 0));
    host.now += Duration::from_secs(2);
    contexts.tick(ROOT, &mut host);
    assert_eq!((host.sent.len(), host.replies.len()), (4, 0));
}

#[test]
fn an_end_that_was_told_is_kept_without_news() {
    let mut contexts = contexts();
    let mut host = open(&mut contexts, 10..11);
    contexts.created(20, ROOT);
    let _ = contexts.request_headers(20, &mut host);
    contexts.answered(CallId(2), &mut host, &allow_at(1, 1_700_000_003_000));
    host.now += Duration::from_millis(2_900);
    contexts.tick(ROOT, &mut host);
    assert_eq!(host.sent.len(), 2);
    // By the monotonic clock, though the other one was set back.
    host.wall = Duration::ZERO;
    host.now += Duration::from_millis(100);
    contexts.tick(ROOT, &mut host);
    assert_eq!((host.sent.len(), host.acted_for.last()), (3, Some(&20)));
    contexts.answered(CallId(3), &mut host, &deny());
    assert_eq!(host.replies.len(), 1);
}

#[test]
fn of_many_open_requests_some_are_asked_about_at_a_time() {
    let mut contexts = contexts();
    let mut host = open(&mut contexts, 100..300);
    let watch = host.watches[0].0;
    contexts.answered(watch, &mut host, &announces(2));
    assert_eq!(host.sent.len(), 264);
    contexts.answered(CallId(201), &mut host, &deny());
    assert_eq!(host.sent.len(), 265, "an answer makes room for one");
    // A request that goes away makes room as well.
    assert!(contexts.done(101, &mut host));
    contexts.tick(ROOT, &mut host);
    assert_eq!(host.sent.len(), 266);
    for call in 203..=400 {
        assert!(host.sent.len() <= call as usize + 64);
        contexts.answered(CallId(call), &mut host, &deny());
    }
    assert_eq!((host.sent.len(), host.replies.len()), (400, 199));
}

#[test]
fn open_requests_that_nobody_decides_end_all_the_same() {
    let mut contexts = contexts();
    let mut host = open(&mut contexts, 100..200);
    contexts.answered(host.watches[0].0, &mut host, &announces(2));
    // Nothing is answered: all time out, again and again.
    for _ in 0..30 {
        for call in (0..=last_check(&host).0).map(CallId) {
            contexts.failed(call, &mut host, 14);
        }
        host.now += TICK;
        contexts.tick(ROOT, &mut host);
    }
    assert_eq!(
        host.replies.len(),
        100,
        "those that waited for a place as well"
    );
    let details = host.replies.iter().map(|reply| reply.details.as_str());
    assert!(
        details
            .into_iter()
            .all(|it| it == "callgate_authz-unreachable")
    );
}

#[test]
fn a_worker_with_two_plugins_keeps_their_open_requests_apart() {
    let mut contexts = contexts();
    contexts.created(2, 0);
    contexts.configured(2, Plugin::new(br#"{"cluster":"other"}"#));
    let mut host = open(&mut contexts, 10..11);
    contexts.created(20, 2);
    let _ = contexts.request_headers(20, &mut host);
    contexts.answered(CallId(2), &mut host, &allow_at(1, 0));
    contexts.answered(host.watches[0].0, &mut host, &announces(2));
    contexts.tick(2, &mut host);
    assert_eq!((host.sent.len(), host.acted_for.last()), (3, Some(&10)));
    contexts.answered(host.watches[1].0, &mut host, &announces(3));
    assert_eq!((host.sent.len(), host.acted_for.last()), (4, Some(&20)));
}

#[test]
fn a_plugin_that_is_configured_anew_keeps_what_is_open() {
    let mut contexts = contexts();
    let mut host = open(&mut contexts, 10..11);
    let watch = host.watches[0].0;
    contexts.configured(ROOT, Plugin::new(br#"{"cluster":"authz","timeout":"1s"}"#));
    contexts.tick(ROOT, &mut host);
    assert!(contexts.awaits(watch));
    contexts.answered(watch, &mut host, &announces(2));
    assert_eq!(host.sent.len(), 2);
    contexts.failed(CallId(2), &mut host, 14);
    contexts.failed(CallId(3), &mut host, 14);
    host.now += Duration::from_secs(1);
    contexts.tick(ROOT, &mut host);
    assert_eq!(host.sent.len(), 4, "time passes for it as well");
    let former = Rc::clone(&contexts.former[0].1.callees()[0]);
    note(&former, host.now);
    assert!(contexts.done(10, &mut host));
    host.now += TICK;
    contexts.tick(ROOT, &mut host);
    assert!(contexts.awaits(watch), "what it decided is recorded first");
    contexts.answered(host.records[0].0, &mut host, b"");
    contexts.tick(ROOT, &mut host);
    assert!(!contexts.awaits(watch) && host.cancelled.contains(&watch));
    assert!(contexts.former.is_empty());
}
