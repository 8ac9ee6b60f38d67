//! Calls that are decided by leases.

use callgate_policy::Timestamp;
use callgate_wire::{
    callgate::v1::{self, RecordRequest},
    terms,
};

use super::*;
use crate::{
    Attribute, Revision,
    lease::testing::{DECIDED_AT, LEAF, MS, ORDERS, REVISION, WEB, announce, lease},
};

/// An answer with these terms.
pub(super) fn with_terms(answer: CheckResponse, terms: &v1::Terms) -> Vec<u8> {
    let mut answer = answer;
    terms::add(&mut answer.dynamic_metadata, terms);
    answer.encode_to_vec()
}

pub(super) fn leasing() -> v1::Terms {
    v1::Terms {
        revision: REVISION.to_vec(),
        decided_at_ms: DECIDED_AT,
        ends_at_ms: DECIDED_AT + 600_000,
        lease: Some(lease(WEB, &LEAF)),
    }
}

/// A proxy with a request for this.
pub(super) fn host(line: &str) -> FakeHost {
    let (method, path) = line.split_once(' ').unwrap();
    let mut host = FakeHost::new();
    host.headers = vec![];
    host.header(":method", method).header(":path", path);
    host.header(":authority", "orders");
    host.wall = MS(u64::try_from(DECIDED_AT).unwrap());
    host
}

/// A plugin that holds a lease, and the moment at which it was asked for.
pub(super) fn leased() -> Rc<Plugin> {
    leased_with(&allow(), &leasing(), REVISION)
}

fn leased_with(answer: &CheckResponse, terms: &v1::Terms, announced: Revision) -> Rc<Plugin> {
    let plugin = Rc::new(Plugin::new(br#"{"cluster":"authz"}"#));
    let mut host = host("GET /orders/1");
    let mut exchange = Exchange::new(Rc::clone(&plugin));
    assert_eq!(exchange.request_headers(&mut host), Flow::Pause);
    announce(&plugin, announced, host.now);
    host.now += MS(1);
    exchange.answered(&mut host, CALL, &with_terms(answer.clone(), terms));
    plugin
}

fn asks(plugin: &Rc<Plugin>, host: &mut FakeHost) {
    assert_eq!(ask(plugin, host).0, Flow::Pause);
}

fn ask(plugin: &Rc<Plugin>, host: &mut FakeHost) -> (Flow, Exchange) {
    let mut exchange = Exchange::new(Rc::clone(plugin));
    let flow = exchange.request_headers(host);
    assert_eq!(
        flow == Flow::Pause && host.replies.is_empty(),
        exchange.call().is_some()
    );
    (flow, exchange)
}

/// The decisions that wait to be recorded.
pub(super) fn recorded(plugin: &Plugin) -> Vec<v1::Decided> {
    let mut all = Vec::new();
    for callee in plugin.callees() {
        for batch in callee.ledger().drain() {
            all.extend(RecordRequest::decode(batch.as_slice()).unwrap().decisions);
        }
    }
    all
}

#[test]
fn the_second_call_asks_nobody_and_few_things_of_the_proxy() {
    let plugin = leased();
    let mut host = host("GET /orders/2?x=y");
    let (flow, _) = ask(&plugin, &mut host);
    assert_eq!(
        (flow, host.sent.len(), host.resumed),
        (Flow::Continue, 0, 0)
    );
    assert_eq!(host.values("x-callgate-caller"), [WEB]);
    let id = host.values("x-callgate-decision");
    let calls = ["attribute", "fields", "set_header", "set_header"];
    assert_eq!(host.calls, calls);
    assert_eq!(host.asked, [Attribute::ConnectionId]);
    assert_eq!(
        host.counted,
        [Counter::LeaseHit, Counter::Outcome(Reason::Allow)]
    );
    let records = recorded(&plugin);
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!(record.id, id[0]);
    assert_eq!((&*record.method, &*record.path), ("GET", "/orders/2"));
    assert_eq!((&*record.reason, record.rule), ("allow", 1));
    assert_eq!(
        (record.time_ms, &*record.revision),
        (DECIDED_AT, &REVISION[..])
    );
}

#[test]
fn a_refusal_by_a_lease_is_the_server_s() {
    let plugin = leased();
    let told = "\"owner\":\"team-orders\",\"help\":\"#team-orders\"}";
    for (line, status, reason) in [
        ("GET /other", (403, 7), "no-rule"),
        ("GET /admin/x", (403, 7), "deny-rule"),
        ("GET /a//b", (400, 3), "path-ambiguous"),
    ] {
        let mut host = host(line);
        let (flow, mut exchange) = ask(&plugin, &mut host);
        assert_eq!((flow, host.sent.len(), host.resumed), (Flow::Pause, 0, 0));
        let [reply] = &host.replies[..] else { panic!() };
        assert_eq!((reply.http_status, reply.grpc_status), status);
        assert_eq!(reply.details, format!("callgate_{reason}"));
        let names: Vec<&str> = reply
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(
            names,
            ["x-callgate-reason", "x-callgate-decision", "content-type"]
        );
        assert!(reply.body.ends_with(told), "{}", reply.body);
        assert!(host.values("x-callgate-caller").is_empty());
        assert!(!exchange.due(host.now, host.wall));
    }
    let mut grpc = host("POST /other");
    grpc.header("content-type", "application/grpc");
    let _ = ask(&plugin, &mut grpc);
    assert_eq!(grpc.replies[0].body, "orders does not allow this call");
    let records = recorded(&plugin);
    let reasons: Vec<&str> = records.iter().map(|it| it.reason.as_str()).collect();
    assert_eq!(
        reasons,
        ["no-rule", "deny-rule", "path-ambiguous", "no-rule"]
    );
}

#[test]
fn a_refusal_leases_as_well() {
    let plugin = leased_with(&refusal(), &leasing(), REVISION);
    let mut host = host("GET /orders/2");
    assert_eq!(ask(&plugin, &mut host).0, Flow::Continue);
}

#[test]
fn what_a_caller_may_not_send_goes_by_a_lease_too() {
    let plugin = leased();
    let mut host = host("GET /orders/2");
    for name in [
        "x-callgate-caller",
        "x_callgate_x",
        "x-http-method-override",
    ] {
        host.header(name, "forged");
    }
    host.header("x-forwarded-client-cert", "By=a;Chain=\"c\";URI=u");
    assert_eq!(ask(&plugin, &mut host).0, Flow::Continue);
    assert_eq!(host.values("x-callgate-caller"), [WEB]);
    assert!(host.values("x_callgate_x").is_empty());
    assert!(host.values("x-http-method-override").is_empty());
    assert_eq!(host.values("x-forwarded-client-cert"), ["By=a;URI=u"]);
}

#[test]
fn whoever_fails_to_clean_a_request_lets_it_go_on_by_no_lease() {
    for broken in ["fields", "remove", "set_header"] {
        let mut host = host("GET /orders/2");
        host.header("x-callgate-caller", "forged");
        host.broken = vec![broken];
        let (flow, _) = ask(&leased(), &mut host);
        assert_eq!((flow, host.resumed, host.sent.len()), (Flow::Pause, 0, 0));
        assert_eq!(host.replies[0].details, "callgate_filter-misconfigured");
    }
}

/// A case, and what makes it one.
type Case = (&'static str, fn(&mut FakeHost));

#[test]
fn what_a_lease_does_not_cover_is_asked_about() {
    let cases: [Case; 9] = [
        ("another certificate", |host| {
            host.connection = Some(vec![2; 8]);
            host.fingerprint = Some(vec![b'b'; 64]);
        }),
        ("no fingerprint", |host| {
            host.connection = None;
            host.fingerprint = None;
        }),
        ("another service", |host| {
            host.connection = Some(vec![2; 8]);
            host.callee = Some(b"spiffe://example.org/x".to_vec());
        }),
        ("someone else's word", |host| {
            host.header("x-forwarded-client-cert", "By=x;URI=y,By=a");
        }),
        ("a header that nobody can read", |host| {
            host.header("x-forwarded-client-cert", "nonsense");
        }),
        ("a path that is no text", |host| {
            host.headers[1].1 = vec![b'/', 0xff];
        }),
        ("its time is up", |host| host.now += MS(60_000)),
        ("the certificate has ended by the proxy's clock", |host| {
            host.wall += MS(600_000);
        }),
        ("a condition", |host| {
            host.headers[1].1 = b"/reports/7".to_vec();
        }),
    ];
    for (name, change) in cases {
        let plugin = leased();
        let mut host = host("GET /orders/2");
        change(&mut host);
        if name == "its time is up" {
            announce(&plugin, REVISION, host.now);
        }
        asks(&plugin, &mut host);
        assert_eq!((host.sent.len(), host.replies.len()), (1, 0), "{name}");
        assert!(recorded(&plugin).is_empty(), "{name}");
        let missed = host.fingerprint.is_some();
        assert_eq!(host.counted.contains(&Counter::LeaseMiss), missed, "{name}");
    }
}

#[test]
fn a_clock_that_is_set_back_makes_no_lease_longer() {
    let plugin = leased();
    let mut host = host("GET /orders/2");
    host.wall = Duration::ZERO;
    assert_eq!(ask(&plugin, &mut host).0, Flow::Continue);
    let mut short = leasing();
    short.lease.as_mut().unwrap().valid_until_ms = DECIDED_AT + 500;
    let plugin = leased_with(&allow(), &short, REVISION);
    host.now += MS(499);
    assert_eq!(ask(&plugin, &mut host).0, Flow::Continue);
    host.now += MS(1);
    asks(&plugin, &mut host);
    assert_eq!(host.sent.len(), 1);
}

#[test]
fn silence_and_another_revision_end_it() {
    let plugin = leased();
    let mut host = host("GET /orders/2");
    host.now += MS(4_999);
    assert_eq!(ask(&plugin, &mut host).0, Flow::Continue);
    host.now += MS(1);
    asks(&plugin, &mut host);
    assert_eq!(host.sent.len(), 1, "maxStale");

    let plugin = leased();
    announce(&plugin, [2; 32], host.now);
    asks(&plugin, &mut host);
    assert_eq!(host.sent.len(), 2, "another revision");
    announce(&plugin, REVISION, host.now);
    asks(&plugin, &mut host);
    assert_eq!(host.sent.len(), 3, "gone is gone");
}

#[test]
fn nothing_is_leased_but_at_the_revision_that_is_announced() {
    let plugin = leased_with(&allow(), &leasing(), [2; 32]);
    let mut host = host("GET /orders/2");
    asks(&plugin, &mut host);
    assert_eq!(host.sent.len(), 1);

    // The Watch is over by the time that the answer is there.
    let plugin = Rc::new(Plugin::new(br#"{"cluster":"authz"}"#));
    let (_, mut first) = ask(&plugin, &mut host);
    announce(&plugin, REVISION, host.now);
    plugin
        .watches()
        .closed(crate::lease::testing::WATCH, host.now);
    first.answered(&mut host, RETRY, &with_terms(allow(), &leasing()));
    assert_eq!(host.resumed, 1);
    asks(&plugin, &mut host);
    assert_eq!(host.sent.len(), 3);
}

#[test]
fn a_lease_counts_from_when_it_was_asked_for_and_not_from_the_answer() {
    let plugin = Rc::new(Plugin::new(br#"{"cluster":"authz","timeout":"10s"}"#));
    let mut host = host("GET /orders/1");
    let (_, mut first) = ask(&plugin, &mut host);
    host.now += MS(9_000);
    announce(&plugin, REVISION, host.now);
    let mut short = leasing();
    short.lease.as_mut().unwrap().ttl_ms = 10_000;
    first.answered(&mut host, CALL, &with_terms(allow(), &short));
    host.now += MS(999);
    assert_eq!(ask(&plugin, &mut host).0, Flow::Continue);
    host.now += MS(1);
    assert_eq!(ask(&plugin, &mut host).0, Flow::Pause);
}

#[test]
fn leases_can_be_turned_off() {
    let plugin = Rc::new(Plugin::new(br#"{"cluster":"authz","leases":false}"#));
    for call in [CALL, RETRY] {
        let mut host = host("GET /orders/1");
        host.sent = vec![];
        let (_, mut exchange) = ask(&plugin, &mut host);
        announce(&plugin, REVISION, host.now);
        assert!(!host.asked.contains(&Attribute::PeerFingerprint));
        exchange.answered(&mut host, CALL, &with_terms(allow(), &leasing()));
        assert_eq!((host.sent.len(), host.resumed), (1, 1), "{call:?}");
        assert_eq!(host.counted, [Counter::Outcome(Reason::Allow)]);
    }
}

#[test]
fn a_lease_that_cannot_be_used_is_told_and_asked_for_again() {
    let mut broken = leasing();
    broken.lease.as_mut().unwrap().slice = vec![0xff];
    let plugin = Rc::new(Plugin::new(br#"{"cluster":"authz"}"#));
    let mut host = host("GET /orders/1");
    let (_, mut first) = ask(&plugin, &mut host);
    announce(&plugin, REVISION, host.now);
    first.answered(&mut host, CALL, &with_terms(allow(), &broken));
    assert_eq!(host.resumed, 1);
    assert!(host.lines[0].1.contains("a lease is not taken"));
    assert!(!host.counted.contains(&Counter::Lease));
    asks(&plugin, &mut host);
    assert_eq!(host.sent.len(), 2);
}

#[test]
fn terms_that_make_no_sense_make_no_answer() {
    for revision in [vec![], vec![1; 31]] {
        let mut host = host("GET /orders/1");
        let nonsense = v1::Terms {
            revision,
            ..leasing()
        };
        answer_with(&mut host, &with_terms(allow(), &nonsense));
        assert_eq!(own_reason(&host), "authz-protocol");
    }
}

#[test]
fn a_lease_s_decision_is_timed_by_the_later_clock() {
    let plugin = leased();
    let mut host = host("GET /orders/2");
    host.now += MS(300);
    host.wall = Duration::ZERO;
    let _ = ask(&plugin, &mut host);
    host.wall = MS(u64::try_from(DECIDED_AT).unwrap() + 5_000);
    let _ = ask(&plugin, &mut host);
    let times: Vec<i64> = recorded(&plugin).iter().map(|it| it.time_ms).collect();
    assert_eq!(times, [DECIDED_AT + 300, DECIDED_AT + 5_000]);
    assert!(Timestamp::from_millis(times[0]) > Timestamp::from_millis(DECIDED_AT));
}

#[test]
fn each_service_has_its_own() {
    let plugin = leased();
    assert_eq!(plugin.callees().len(), 1);
    let other = Rc::new(Plugin::new(br#"{"cluster":"authz"}"#));
    let mut host = host("GET /orders/2");
    announce(&other, REVISION, host.now);
    asks(&other, &mut host);
    assert_eq!(host.sent.len(), 1, "another plugin of the same VM");
    assert_eq!(other.callees()[0].name(), ORDERS);
}
