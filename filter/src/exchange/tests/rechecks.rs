//! Open requests that are decided anew.

use callgate_wire::callgate::v1;

use super::{
    leases::{host, leased, leasing, recorded, with_terms},
    *,
};
use crate::{
    Revision,
    lease::testing::{DECIDED_AT, MS, REVISION, announce},
};

const LATER: Revision = [2; 32];
const ID: &str = "01ARZ3NDEKFZZZZZZZZZZZZZZZ";

/// Terms that lease nothing.
fn terms(revision: Revision) -> v1::Terms {
    v1::Terms {
        revision: revision.to_vec(),
        lease: None,
        ..leasing()
    }
}

fn allowed(revision: Revision) -> Vec<u8> {
    let mut answer = allow();
    if let Some(HttpResponse::OkResponse(ok)) = &mut answer.http_response {
        ok.headers[1] = option("x-callgate-decision", ID);
    }
    with_terms(answer, &terms(revision))
}

/// A request that goes on, by an answer at [`REVISION`], which is announced.
fn open(json: &str) -> (FakeHost, Rc<Plugin>, Exchange) {
    let plugin = Rc::new(Plugin::new(json.as_bytes()));
    let mut host = host("GET /orders/1");
    host.header("content-type", "text/plain")
        .header("x-purpose", "a");
    let mut exchange = Exchange::new(Rc::clone(&plugin));
    assert_eq!(exchange.request_headers(&mut host), Flow::Pause);
    announce(&plugin, REVISION, host.now);
    exchange.answered(&mut host, CALL, &allowed(REVISION));
    assert_eq!((host.resumed, exchange.call()), (1, None));
    host.calls.clear();
    host.counted.clear();
    (host, plugin, exchange)
}

fn plain_open() -> (FakeHost, Rc<Plugin>, Exchange) {
    open(r#"{"cluster":"authz"}"#)
}

fn due(exchange: &mut Exchange, host: &FakeHost) -> bool {
    exchange.due(host.now, host.wall)
}

/// What a Check under way is asked as.
fn rechecks(host: &FakeHost) -> Vec<String> {
    let last = host.sent.last().unwrap();
    let check = CheckRequest::decode(last.message.as_slice()).unwrap();
    let told = check.attributes.unwrap().context_extensions;
    told.get("callgate.rechecks").cloned().into_iter().collect()
}

#[test]
fn while_nothing_changes_nothing_is_due() {
    let (mut host, plugin, mut exchange) = plain_open();
    for _ in 0..50 {
        host.now += MS(1_000);
        announce(&plugin, REVISION, host.now);
        assert!(!due(&mut exchange, &host));
    }
    // A Watch that is silent says nothing of a change.
    host.now += MS(100_000);
    assert!(!due(&mut exchange, &host));
}

#[test]
fn at_another_revision_it_is_asked_about_and_one_that_may_go_on_feels_nothing() {
    let (mut host, plugin, mut exchange) = plain_open();
    announce(&plugin, LATER, host.now);
    assert!(due(&mut exchange, &host));
    exchange.recheck(&mut host);
    assert_eq!(exchange.call(), Some(RETRY));
    assert_eq!(rechecks(&host), [ID]);
    assert!(!due(&mut exchange, &host), "under way");
    exchange.recheck(&mut host);
    assert_eq!(host.sent.len(), 2);
    let (before, calls) = (host.headers.clone(), host.calls.len());
    exchange.answered(&mut host, RETRY, &allowed(LATER));
    assert_eq!((host.resumed, host.replies.len()), (1, 0));
    assert_eq!((&before, calls), (&host.headers, host.calls.len()));
    assert!(!due(&mut exchange, &host));
    assert_eq!(host.counted, [Counter::Recheck]);
    assert_eq!(exchange.request_trailers(&mut host), Flow::Continue);
}

#[test]
fn what_is_asked_is_what_was_let_in() {
    let (mut host, plugin, mut exchange) = plain_open();
    let first = check(&host).attributes.unwrap();
    // What became of its headers on the way to the service is not what was decided.
    host.headers = vec![(":path".to_owned(), b"/elsewhere".to_vec())];
    announce(&plugin, LATER, host.now);
    exchange.recheck(&mut host);
    let again = CheckRequest::decode(host.sent[1].message.as_slice()).unwrap();
    let mut again = again.attributes.unwrap();
    assert_eq!(
        again
            .context_extensions
            .remove("callgate.rechecks")
            .as_deref(),
        Some(ID)
    );
    assert_eq!(again, first);
}

#[test]
fn one_that_may_not_go_on_is_ended_by_one_reply() {
    let (mut host, plugin, mut exchange) = plain_open();
    announce(&plugin, LATER, host.now);
    exchange.recheck(&mut host);
    exchange.answered(&mut host, RETRY, &with_terms(refusal(), &terms(LATER)));
    assert_eq!((host.resumed, host.replies.len()), (1, 1));
    assert_eq!(host.replies[0].http_status, 403);
    assert_eq!(host.counted, [Counter::Recheck, Counter::StreamEnded]);
    // Nothing that comes later is done to it.
    host.calls.clear();
    assert!(!due(&mut exchange, &host) && exchange.call().is_none());
    exchange.recheck(&mut host);
    exchange.answered(&mut host, RETRY, &allowed(LATER));
    exchange.failed(&mut host, RETRY, 14);
    assert_eq!(exchange.request_trailers(&mut host), Flow::Pause);
    exchange.ended(&mut host);
    assert_eq!((host.replies.len(), host.calls.len()), (1, 0));
}

#[test]
fn a_lease_decides_it_where_there_is_one() {
    let plugin = leased();
    let mut host = host("GET /orders/2");
    let mut exchange = Exchange::new(Rc::clone(&plugin));
    assert_eq!(exchange.request_headers(&mut host), Flow::Continue);
    let id = host.values("x-callgate-decision").remove(0);
    // By the answer to another call, the caller has a lease at the later revision.
    let newer = v1::Terms {
        revision: LATER.to_vec(),
        ..leasing()
    };
    let mut other = Exchange::new(Rc::clone(&plugin));
    announce(&plugin, LATER, host.now);
    assert!(due(&mut exchange, &host));
    assert_eq!(other.request_headers(&mut host), Flow::Pause);
    other.answered(&mut host, CALL, &with_terms(allow(), &newer));
    let (sent, headers) = (host.sent.len(), host.headers.clone());
    host.calls.clear();
    exchange.recheck(&mut host);
    assert_eq!((host.sent.len(), &host.headers), (sent, &headers));
    assert!(host.calls.is_empty() && !due(&mut exchange, &host));
    let records = recorded(&plugin);
    let again: Vec<_> = records.iter().map(|it| it.rechecks.as_deref()).collect();
    assert_eq!(again, [None, Some(id.as_str())]);
    assert_ne!(records[1].id, id);
}

#[test]
fn a_lease_ends_what_it_refuses() {
    let plugin = leased();
    let mut host = host("GET /export");
    let mut exchange = Exchange::new(Rc::clone(&plugin));
    assert_eq!(exchange.request_headers(&mut host), Flow::Continue);
    // The exception has ended, but only the server can say so for sure.
    host.wall += MS(10_000);
    assert!(due(&mut exchange, &host));
    exchange.recheck(&mut host);
    assert_eq!((host.sent.len(), host.replies.len()), (1, 0));
    // A newer lease can.
    let mut newer = leasing();
    newer.decided_at_ms += 10_000;
    let mut other = Exchange::new(Rc::clone(&plugin));
    let mut second = FakeHost::new();
    second.connection = Some(vec![2; 8]);
    second.fingerprint = Some(vec![b'b'; 64]);
    assert_eq!(other.request_headers(&mut second), Flow::Pause);
    exchange.answered(&mut host, CALL, &with_terms(allow(), &newer));
    host.now += MS(1_000);
    announce(&plugin, REVISION, host.now);
    exchange.recheck(&mut host);
    assert_eq!(host.replies.len(), 1);
    assert_eq!(host.replies[0].details, "callgate_exception-expired");
}

#[test]
fn what_it_stood_on_ends_by_either_clock() {
    for (monotonic, wall, ended) in [
        (599_999, 599_999, false),
        (600_000, 0, true),
        (0, 600_000, true),
    ] {
        let (mut host, plugin, mut exchange) = plain_open();
        host.now += MS(monotonic);
        host.wall = MS(u64::try_from(DECIDED_AT).unwrap() + wall);
        announce(&plugin, REVISION, host.now);
        assert_eq!(due(&mut exchange, &host), ended, "{monotonic} {wall}");
    }
}

#[test]
fn a_server_that_is_behind_is_asked_again_each_second() {
    let (mut host, plugin, mut exchange) = plain_open();
    announce(&plugin, LATER, host.now);
    let mut call = 1;
    for _ in 0..20 {
        assert!(due(&mut exchange, &host));
        exchange.recheck(&mut host);
        call += 1;
        exchange.answered(&mut host, CallId(call), &allowed(REVISION));
        host.now += MS(999);
        announce(&plugin, LATER, host.now);
        assert!(!due(&mut exchange, &host));
        host.now += MS(1);
    }
    // Another revision does not wait.
    exchange.recheck(&mut host);
    exchange.answered(&mut host, CallId(call + 1), &allowed(REVISION));
    assert!(!due(&mut exchange, &host));
    announce(&plugin, [3; 32], host.now);
    assert!(due(&mut exchange, &host));
    assert_eq!(host.replies.len(), 0);
}

/// Lets time pass until it ends, and gives how long that took.
fn until_ended(
    host: &mut FakeHost,
    plugin: &Plugin,
    exchange: &mut Exchange,
    fail: fn(&mut Exchange, &mut FakeHost, CallId),
) -> Duration {
    let begun = host.now;
    while host.replies.is_empty() && host.now < begun + MS(60_000) {
        host.now += MS(100);
        announce(plugin, LATER, host.now);
        match exchange.call() {
            Some(call) => fail(exchange, host, call),
            None if due(exchange, host) => exchange.recheck(host),
            None => {}
        }
    }
    host.now - begun
}

#[test]
fn without_an_answer_it_is_ended_when_the_bound_has_passed() {
    let unavailable: fn(&mut Exchange, &mut FakeHost, CallId) =
        |exchange, host, call| exchange.failed(host, call, UNAVAILABLE);
    let denied: fn(&mut Exchange, &mut FakeHost, CallId) =
        |exchange, host, call| exchange.failed(host, call, 7);
    let nonsense: fn(&mut Exchange, &mut FakeHost, CallId) =
        |exchange, host, call| exchange.answered(host, call, &[0xff]);
    let no_policies: fn(&mut Exchange, &mut FakeHost, CallId) = |exchange, host, call| {
        let mut answer = refusal();
        answer.status.as_mut().unwrap().code = 14;
        exchange.answered(host, call, &answer.encode_to_vec());
    };
    for fail in [unavailable, denied, nonsense, no_policies] {
        let (mut host, plugin, mut exchange) = plain_open();
        let took = until_ended(&mut host, &plugin, &mut exchange, fail);
        assert!((MS(5_000)..MS(5_300)).contains(&took), "{took:?}");
        assert_eq!(host.replies[0].details, "callgate_authz-unreachable");
        assert_eq!(host.replies.len(), 1);
        let asked = host.sent.len() - 1;
        assert!((5..=10).contains(&asked), "{asked}");
        assert!(host.counted.contains(&Counter::StreamEnded));
        assert!(
            !host
                .counted
                .iter()
                .any(|it| matches!(it, Counter::Outcome(_)))
        );
    }
    let json = r#"{"cluster":"authz","danger_allow_on_error":true}"#;
    let (mut host, plugin, mut exchange) = open(json);
    until_ended(&mut host, &plugin, &mut exchange, unavailable);
    assert!(host.replies.is_empty() && host.sent.len() > 30);
    // And as soon as somebody answers, that counts.
    let call = exchange.call().unwrap_or(CallId(0));
    exchange.failed(&mut host, call, UNAVAILABLE);
    host.now += MS(1_000);
    exchange.recheck(&mut host);
    let call = exchange.call().unwrap();
    exchange.answered(&mut host, call, &with_terms(refusal(), &terms(LATER)));
    assert_eq!(host.replies.len(), 1);
}

#[test]
fn one_that_nobody_got_round_to_asking_about_is_ended_too() {
    let (mut host, plugin, mut exchange) = plain_open();
    announce(&plugin, LATER, host.now);
    assert!(due(&mut exchange, &host) && !exchange.overdue(host.now));
    host.now += MS(5_000);
    assert!(exchange.overdue(host.now));
    exchange.recheck(&mut host);
    assert_eq!((host.sent.len(), host.replies.len()), (1, 1));
}

#[test]
fn what_went_on_in_danger_is_decided_as_soon_as_it_can_be() {
    let plugin = Rc::new(Plugin::new(
        br#"{"cluster":"authz","danger_allow_on_error":true}"#,
    ));
    let mut host = host("GET /orders/1");
    host.sendable = [false, false].into();
    let mut exchange = Exchange::new(Rc::clone(&plugin));
    assert_eq!(exchange.request_headers(&mut host), Flow::Continue);
    assert!(!due(&mut exchange, &host));
    announce(&plugin, REVISION, host.now);
    assert!(due(&mut exchange, &host));
    exchange.recheck(&mut host);
    assert!(rechecks(&host).is_empty());
    let call = exchange.call().unwrap();
    exchange.answered(&mut host, call, &with_terms(refusal(), &terms(REVISION)));
    assert_eq!(host.replies.len(), 1);
}

#[test]
fn an_answer_without_terms_is_never_due() {
    let (mut host, plugin, _) = plain_open();
    let mut exchange = Exchange::new(Rc::clone(&plugin));
    assert_eq!(exchange.request_headers(&mut host), Flow::Pause);
    exchange.answered(&mut host, RETRY, &allow().encode_to_vec());
    announce(&plugin, LATER, host.now);
    assert!(!due(&mut exchange, &host));
}

#[test]
fn headers_that_are_wanted_by_now_are_looked_for() {
    let (mut host, plugin, mut exchange) = plain_open();
    announce(&plugin, LATER, host.now);
    exchange.recheck(&mut host);
    exchange.answered(
        &mut host,
        RETRY,
        &incomplete(&["x-purpose"]).encode_to_vec(),
    );
    assert_eq!(exchange.call(), Some(CallId(3)));
    let (headers, extensions) = told(&host, 2);
    assert!(headers.contains(&pair("x-purpose", "a")));
    assert!(extensions.contains(&pair("callgate.rechecks", ID)));
    exchange.answered(&mut host, CallId(3), &allowed(LATER));
    assert_eq!((host.resumed, host.replies.len()), (1, 0));
}

#[test]
fn a_request_that_is_gone_takes_its_check_along() {
    let (mut host, plugin, mut exchange) = plain_open();
    announce(&plugin, LATER, host.now);
    exchange.recheck(&mut host);
    exchange.ended(&mut host);
    assert_eq!(host.cancelled, [RETRY]);
    exchange.answered(&mut host, RETRY, &with_terms(refusal(), &terms(LATER)));
    assert!(host.replies.is_empty());
}

#[test]
fn a_proxy_that_shows_nothing_of_it_any_more_gets_time() {
    let (mut host, plugin, mut exchange) = plain_open();
    announce(&plugin, LATER, host.now);
    host.broken = vec!["attribute"];
    exchange.recheck(&mut host);
    assert_eq!((host.sent.len(), host.replies.len()), (1, 0));
    host.broken.clear();
    host.now += MS(1_000);
    announce(&plugin, LATER, host.now);
    assert!(due(&mut exchange, &host));
    exchange.recheck(&mut host);
    assert_eq!(host.sent.len(), 2);
}

proptest! {
    /// Whatever happens in whatever order: it goes on once at most and is answered once at
    /// most, nothing is done to it once it goes on but that it is ended, and nothing at all
    /// once it is.
    #[test]
    fn an_open_request_is_ended_once_and_not_touched_before(
        events in prop::collection::vec((0..8_u8, 1..6_u32, 0..17_u32, 0..900_u64), 0..40),
    ) {
        let plugin = Rc::new(Plugin::new(br#"{"cluster":"authz"}"#));
        let mut host = host("GET /orders/1");
        host.header("x-callgate-caller", "forged");
        let mut exchange = Exchange::new(Rc::clone(&plugin));
        let mut let_in = None;
        for (event, call, status, millis) in events {
            host.now += MS(millis);
            let (ended, call) = (!host.replies.is_empty(), CallId(call));
            let (calls, asked) = (host.calls.len(), host.sent.len());
            match event {
                0 => { let _ = exchange.request_headers(&mut host); }
                1 => exchange.answered(&mut host, call, &allowed(REVISION)),
                2 => exchange.answered(&mut host, call, &with_terms(refusal(), &terms(LATER))),
                3 => exchange.failed(&mut host, call, status),
                4 => announce(&plugin, REVISION, host.now),
                5 => announce(&plugin, LATER, host.now),
                6 => if due(&mut exchange, &host) { exchange.recheck(&mut host) },
                _ => exchange.answered(&mut host, call, &incomplete(&["x-purpose"]).encode_to_vec()),
            }
            prop_assert!(host.resumed <= 1 && host.replies.len() <= 1);
            prop_assert!(!ended || (calls, asked) == (host.calls.len(), host.sent.len()));
            if host.resumed == 1 {
                let headers = let_in.get_or_insert_with(|| host.headers.clone());
                prop_assert_eq!(&*headers, &host.headers);
            }
        }
    }
}
