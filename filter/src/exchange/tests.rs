mod leases;
mod rechecks;

use std::time::Duration;

use callgate_policy::Reason;
use callgate_wire::{
    envoy::{
        config::core::v3::{HeaderValue, HeaderValueOption},
        service::auth::v3::{
            CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
            check_response::HttpResponse,
        },
        r#type::v3::HttpStatus,
    },
    google::rpc::Status,
    headers, wanted,
};
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::{fake::FakeHost, inquiry::TIMER_SLACK, watch::MAX_CALLEES};

const CALL: CallId = CallId(1);
const RETRY: CallId = CallId(2);
const UNAVAILABLE: u32 = 14;

fn exchange(json: &str) -> Exchange {
    Exchange::new(Rc::new(Plugin::new(json.as_bytes())))
}

fn plain() -> Exchange {
    exchange(r#"{"cluster":"authz"}"#)
}

fn danger() -> Exchange {
    exchange(r#"{"cluster":"authz","danger_allow_on_error":true}"#)
}

fn option(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.into(),
            value: value.into(),
            raw_value: vec![],
        }),
        append: None,
        append_action: 2,
    }
}

fn allow() -> CheckResponse {
    let headers = vec![
        option("x-callgate-caller", "spiffe://example.org/ns/shop/sa/web"),
        option("x-callgate-decision", "01D"),
    ];
    CheckResponse {
        status: Some(Status {
            code: 0,
            message: String::new(),
        }),
        http_response: Some(HttpResponse::OkResponse(OkHttpResponse {
            headers,
            ..OkHttpResponse::default()
        })),
        dynamic_metadata: None,
    }
}

fn refusal() -> CheckResponse {
    CheckResponse {
        status: Some(Status {
            code: 7,
            message: String::new(),
        }),
        http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: Some(HttpStatus { code: 403 }),
            headers: vec![option("x-callgate-reason", "no-rule")],
            body: "{}".to_owned(),
        })),
        dynamic_metadata: None,
    }
}

fn keeping() -> CheckResponse {
    let text = |text: &str| prost_types::Value {
        kind: Some(Kind::StringValue(text.to_owned())),
    };
    let ours = prost_types::Struct {
        fields: [("overrideHeaders".to_owned(), text("Keep"))].into(),
    };
    let ours = prost_types::Value {
        kind: Some(Kind::StructValue(ours)),
    };
    let all = prost_types::Struct {
        fields: [("callgate".to_owned(), ours)].into(),
    };
    CheckResponse {
        dynamic_metadata: Some(all),
        ..allow()
    }
}

use prost_types::value::Kind;

/// Asks, and answers with these bytes.
fn answer_with(host: &mut FakeHost, message: &[u8]) {
    let mut exchange = plain();
    assert_eq!(exchange.request_headers(host), Flow::Pause);
    exchange.answered(host, CALL, message);
}

/// The one reason with which the filter refused by itself.
fn own_reason(host: &FakeHost) -> String {
    assert_eq!(
        (host.replies.len(), host.resumed),
        (1, 0),
        "{:?}",
        host.lines
    );
    let reply = &host.replies[0];
    assert_eq!((reply.http_status, reply.grpc_status), (503, 14));
    let value = |wanted: &str| {
        let found = reply
            .headers
            .iter()
            .find(|(name, _)| name == wanted)
            .unwrap();
        String::from_utf8(found.1.clone()).unwrap()
    };
    let decision = value("x-callgate-decision");
    assert!(
        host.lines
            .iter()
            .any(|(level, line)| *level == Level::Warn && line.contains(&decision))
    );
    let outcomes = host
        .counted
        .iter()
        .filter(|one| !matches!(one, Counter::LeaseMiss));
    assert_eq!(outcomes.count(), 1);
    value("x-callgate-reason")
}

fn check(host: &FakeHost) -> CheckRequest {
    CheckRequest::decode(host.sent[0].message.as_slice()).unwrap()
}

#[test]
fn the_check_says_who_calls_whom_and_nothing_that_is_secret() {
    let mut host = FakeHost::new();
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    host.header("traceparent", traceparent)
        .header("content-type", "application/grpc");
    host.header("upgrade", "websocket")
        .header("x-callgate-caller", "forged");
    let mut exchange = plain();
    assert_eq!(exchange.request_headers(&mut host), Flow::Pause);

    assert_eq!(host.sent[0].traceparent.as_deref(), Some(traceparent));
    assert_eq!(
        host.sent[0].timeout,
        Duration::from_millis(100) + TIMER_SLACK
    );
    assert!(
        !host.sent[0]
            .message
            .windows(6)
            .any(|bytes| bytes == b"secret")
    );
    let attributes = check(&host).attributes.unwrap();
    assert_eq!(
        attributes.source.unwrap().certificate,
        "-----BEGIN CERTIFICATE-----"
    );
    assert_eq!(
        attributes.destination.unwrap().principal,
        "spiffe://example.org/ns/shop/sa/orders"
    );
    let http = attributes.request.unwrap().http.unwrap();
    assert_eq!(
        (http.method.as_str(), http.path.as_str()),
        ("GET", "/orders/7?x=y")
    );
    assert_eq!(
        (http.host.as_str(), http.scheme.as_str()),
        ("orders", "https")
    );
    assert_eq!(
        (http.protocol.as_str(), http.id.as_str()),
        ("HTTP/2", "r-1")
    );
    let names: Vec<&str> = http.headers.keys().map(String::as_str).collect();
    assert_eq!(names, ["content-type", "traceparent", "upgrade"]);
    assert!(host.values("x-callgate-caller").is_empty());
}

#[test]
fn names_that_only_callgate_sets_are_gone_before_the_check() {
    let mut host = FakeHost::new();
    for name in [
        "x-callgate-caller",
        "x_callgate_caller",
        "x-callgate_x",
        "x-callgate-",
    ] {
        host.header(name, "forged");
    }
    let _ = plain().request_headers(&mut host);
    assert_eq!(host.sent.len(), 1);
    assert!(
        host.headers
            .iter()
            .all(|(name, _)| !name.contains("callgate"))
    );
}

#[test]
fn an_allowed_call_goes_on_with_who_called() {
    let mut host = FakeHost::new();
    host.header("x-callgate-decision", "forged");
    answer_with(&mut host, &allow().encode_to_vec());
    assert_eq!((host.resumed, host.replies.len()), (1, 0));
    assert_eq!(
        host.values("x-callgate-caller"),
        ["spiffe://example.org/ns/shop/sa/web"]
    );
    assert_eq!(host.values("x-callgate-decision"), ["01D"]);
    assert_eq!(
        host.counted,
        [Counter::LeaseMiss, Counter::Outcome(Reason::Allow)]
    );
    assert!(host.lines.is_empty());
}

#[test]
fn a_refused_call_gets_the_server_s_words() {
    let mut host = FakeHost::new();
    answer_with(&mut host, &refusal().encode_to_vec());
    assert_eq!((host.resumed, host.replies.len()), (0, 1));
    let reply = &host.replies[0];
    assert_eq!((reply.http_status, reply.grpc_status), (403, 7));
    assert_eq!(reply.details, "callgate_no-rule");
    assert_eq!(
        host.counted,
        [Counter::LeaseMiss, Counter::Outcome(Reason::NoRule)]
    );
}

#[test]
fn headers_that_override_go_unless_the_service_keeps_them() {
    for (answer, kept) in [(allow(), 0), (keeping(), 2)] {
        let mut host = FakeHost::new();
        host.header("x-http-method-override", "DELETE")
            .header("x_original_url", "/admin");
        host.trailers
            .push(("x-rewrite-url".to_owned(), b"/admin".to_vec()));
        host.trailers
            .push(("x-callgate-caller".to_owned(), b"forged".to_vec()));
        host.trailers
            .push(("x_forwarded-client-cert".to_owned(), b"URI=forged".to_vec()));
        host.trailers
            .push(("grpc-status".to_owned(), b"0".to_vec()));
        let mut exchange = plain();
        let _ = exchange.request_headers(&mut host);
        exchange.answered(&mut host, CALL, &answer.encode_to_vec());
        let left =
            host.values("x-http-method-override").len() + host.values("x_original_url").len();
        assert_eq!((host.resumed, left), (1, kept));

        assert_eq!(exchange.request_trailers(&mut host), Flow::Continue);
        let names: Vec<&str> = host
            .trailers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names.contains(&"x-rewrite-url"), kept > 0);
        assert!(!names.contains(&"x-callgate-caller") && names.contains(&"grpc-status"));
        assert!(!names.contains(&"x_forwarded-client-cert"), "{names:?}");
    }
}

#[test]
fn the_chain_is_a_hint_and_does_not_go_upstream() {
    let one = "-----BEGIN%20CERTIFICATE-----%0AMII%0A-----END%20CERTIFICATE-----%0A";
    let chain = one.repeat(2);
    let mut host = FakeHost::new();
    host.header(
        "x-forwarded-client-cert",
        &format!("By=a;Chain=\"{chain}\""),
    );
    answer_with(&mut host, &allow().encode_to_vec());
    let headers = check(&host)
        .attributes
        .unwrap()
        .request
        .unwrap()
        .http
        .unwrap()
        .headers;
    assert_eq!(
        headers["x-forwarded-client-cert"],
        format!("Chain=\"{chain}\"")
    );
    assert_eq!(host.values("x-forwarded-client-cert"), ["By=a"]);
}

#[test]
fn a_caller_without_a_certificate_is_asked_about_and_a_failed_read_is_not() {
    let mut host = FakeHost {
        leaf: None,
        callee: None,
        ..FakeHost::new()
    };
    assert_eq!(plain().request_headers(&mut host), Flow::Pause);
    assert_eq!(
        check(&host).attributes.unwrap().source.unwrap().certificate,
        ""
    );

    let mut host = FakeHost {
        broken: vec!["attribute"],
        ..FakeHost::new()
    };
    assert_eq!(danger().request_headers(&mut host), Flow::Pause);
    assert_eq!(own_reason(&host), "filter-misconfigured");
    assert!(host.sent.is_empty());
}

#[test]
fn whatever_the_proxy_fails_to_do_the_request_does_not_go_on() {
    for broken in ["fields", "remove", "set_header", "append_header", "resume"] {
        let mut host = FakeHost {
            broken: vec![broken],
            ..FakeHost::new()
        };
        host.header("x-callgate-caller", "forged")
            .header("x-http-method", "PUT");
        let mut exchange = danger();
        assert_eq!(exchange.request_headers(&mut host), Flow::Pause, "{broken}");
        let mut answer = allow();
        if let Some(HttpResponse::OkResponse(ok)) = &mut answer.http_response {
            ok.headers.push(HeaderValueOption {
                append: Some(true),
                ..option("x-more", "1")
            });
        }
        exchange.answered(&mut host, CALL, &answer.encode_to_vec());
        assert_eq!(host.resumed, 0, "{broken}");
        assert!(
            broken == "resume" || own_reason(&host) == "filter-misconfigured",
            "{broken}"
        );
    }
    let mut host = FakeHost {
        broken: vec!["reply"],
        ..FakeHost::new()
    };
    answer_with(&mut host, &refusal().encode_to_vec());
    assert_eq!((host.resumed, host.replies.len()), (0, 0));
    assert_eq!(host.lines[0].0, Level::Error);
}

#[test]
fn a_bad_configuration_refuses_every_request() {
    for json in [
        "",
        "{}",
        r#"{"cluster":"a","danger_allow_on_error":true,"x":1}"#,
    ] {
        let mut host = FakeHost::new();
        assert_eq!(exchange(json).request_headers(&mut host), Flow::Pause);
        assert_eq!(own_reason(&host), "filter-misconfigured");
        assert!(host.sent.is_empty());
    }
}

#[test]
fn unreachable_is_asked_once_more_in_the_time_that_is_left() {
    let mut host = FakeHost::new();
    let mut exchange = plain();
    let _ = exchange.request_headers(&mut host);
    host.now += Duration::from_millis(30);
    exchange.failed(&mut host, CALL, UNAVAILABLE);
    assert_eq!(host.sent.len(), 2);
    assert_eq!(
        host.sent[1].timeout,
        Duration::from_millis(70) + TIMER_SLACK
    );
    assert_eq!(host.sent[1].message, host.sent[0].message);
    assert_eq!(exchange.call(), Some(RETRY));
    // The first call is over; what still comes of it is not an answer.
    exchange.answered(&mut host, CALL, &allow().encode_to_vec());
    assert_eq!(host.resumed, 0);
    exchange.failed(&mut host, RETRY, UNAVAILABLE);
    assert_eq!(own_reason(&host), "authz-unreachable");
    assert_eq!(host.sent.len(), 2);
}

#[test]
fn a_retry_that_is_answered_decides() {
    let mut host = FakeHost::new();
    let mut exchange = plain();
    let _ = exchange.request_headers(&mut host);
    exchange.failed(&mut host, CALL, UNAVAILABLE);
    exchange.answered(&mut host, RETRY, &allow().encode_to_vec());
    assert_eq!((host.resumed, host.replies.len()), (1, 0));
}

#[test]
fn past_the_deadline_it_is_a_timeout_and_not_asked_again() {
    for attempts_before in [0, 1] {
        let mut host = FakeHost::new();
        let mut exchange = plain();
        let _ = exchange.request_headers(&mut host);
        let mut call = CALL;
        if attempts_before == 1 {
            exchange.failed(&mut host, call, UNAVAILABLE);
            call = RETRY;
        }
        host.now += Duration::from_millis(100);
        exchange.failed(&mut host, call, UNAVAILABLE);
        assert_eq!(own_reason(&host), "authz-timeout");
        assert_eq!(host.sent.len(), attempts_before + 1);
    }
}

/// As a timer that came early would be taken for a server that is not there.
#[test]
fn a_moment_before_the_deadline_it_is_a_timeout_too() {
    for (elapsed, sent) in [(93, 2), (94, 1)] {
        let mut host = FakeHost::new();
        let mut exchange = plain();
        let _ = exchange.request_headers(&mut host);
        host.now += Duration::from_millis(elapsed);
        exchange.failed(&mut host, CALL, UNAVAILABLE);
        assert_eq!(host.sent.len(), sent, "{elapsed}");
        host.now += Duration::from_millis(5);
        exchange.failed(&mut host, RETRY, UNAVAILABLE);
        assert_eq!(own_reason(&host), "authz-timeout");
    }
}

#[test]
fn nowhere_to_send_it_is_unreachable() {
    let mut host = FakeHost {
        sendable: [false, false].into(),
        ..FakeHost::new()
    };
    assert_eq!(plain().request_headers(&mut host), Flow::Pause);
    assert_eq!(own_reason(&host), "authz-unreachable");
    assert_eq!(host.sent.len(), 2);

    let mut host = FakeHost {
        sendable: [false].into(),
        ..FakeHost::new()
    };
    let mut exchange = plain();
    assert_eq!(exchange.request_headers(&mut host), Flow::Pause);
    exchange.answered(&mut host, RETRY, &allow().encode_to_vec());
    assert_eq!(host.resumed, 1);
}

#[test]
fn any_other_grpc_status_is_the_protocol_s_fault_and_not_asked_again() {
    for status in (0..=17)
        .chain([u32::MAX])
        .filter(|status| *status != UNAVAILABLE)
    {
        let mut host = FakeHost::new();
        let mut exchange = danger();
        let _ = exchange.request_headers(&mut host);
        exchange.failed(&mut host, CALL, status);
        assert_eq!(own_reason(&host), "authz-protocol", "{status}");
        assert_eq!(host.sent.len(), 1);
    }
}

#[test]
fn a_nonsense_answer_refuses_even_in_danger() {
    let nonsense = [
        CheckResponse {
            status: None,
            ..allow()
        }
        .encode_to_vec(),
        CheckResponse {
            status: None,
            ..refusal()
        }
        .encode_to_vec(),
        CheckResponse {
            http_response: refusal().http_response,
            ..allow()
        }
        .encode_to_vec(),
        CheckResponse {
            http_response: allow().http_response,
            ..refusal()
        }
        .encode_to_vec(),
        CheckResponse {
            http_response: None,
            ..refusal()
        }
        .encode_to_vec(),
        vec![],
        vec![0xff; 40],
        vec![0; crate::answer::MAX_ANSWER + 1],
    ];
    for bytes in nonsense {
        let mut host = FakeHost::new();
        let mut exchange = danger();
        let _ = exchange.request_headers(&mut host);
        exchange.answered(&mut host, CALL, &bytes);
        assert_eq!(own_reason(&host), "authz-protocol");
    }
}

#[test]
fn danger_covers_unreachable_and_timeout_and_goes_on_as_nobody() {
    for (late, reason) in [(0, Reason::AuthzUnreachable), (100, Reason::AuthzTimeout)] {
        let mut host = FakeHost::new();
        host.header("x-callgate-caller", "forged")
            .header("x-http-method", "PUT");
        host.header("x-forwarded-client-cert", "By=a;Chain=b");
        let mut exchange = danger();
        let _ = exchange.request_headers(&mut host);
        host.now += Duration::from_millis(late);
        exchange.failed(&mut host, CALL, UNAVAILABLE);
        exchange.failed(&mut host, RETRY, UNAVAILABLE);
        assert_eq!((host.resumed, host.replies.len()), (1, 0));
        assert!(
            host.headers
                .iter()
                .all(|(name, _)| !name.contains("callgate"))
        );
        assert!(host.values("x-http-method").is_empty());
        assert_eq!(host.values("x-forwarded-client-cert"), ["By=a"]);
        assert_eq!(
            host.counted,
            [
                Counter::LeaseMiss,
                Counter::Outcome(reason),
                Counter::DangerAllowed
            ]
        );
        assert!(host.lines[0].1.contains("danger_allow_on_error"));
    }
    let mut host = FakeHost {
        sendable: [false, false].into(),
        ..FakeHost::new()
    };
    assert_eq!(danger().request_headers(&mut host), Flow::Continue);
    assert_eq!(host.resumed, 0);
}

#[test]
fn a_request_that_ends_takes_its_check_along() {
    let mut host = FakeHost::new();
    let mut exchange = plain();
    let _ = exchange.request_headers(&mut host);
    exchange.ended(&mut host);
    assert_eq!(host.cancelled, [CALL]);
    exchange.answered(&mut host, CALL, &allow().encode_to_vec());
    assert_eq!((host.resumed, host.replies.len()), (0, 0));
    exchange.ended(&mut host);
    assert_eq!(host.cancelled.len(), 1);
}

#[test]
fn headers_that_come_twice_and_trailers_before_an_answer_wait() {
    let mut host = FakeHost::new();
    let mut exchange = plain();
    let _ = exchange.request_headers(&mut host);
    assert_eq!(exchange.request_trailers(&mut host), Flow::Pause);
    assert_eq!(exchange.request_headers(&mut host), Flow::Pause);
    assert_eq!((host.sent.len(), host.resumed), (1, 0));
    exchange.answered(&mut host, CALL, &allow().encode_to_vec());
    assert_eq!(host.resumed, 1);
    assert_eq!(exchange.request_headers(&mut host), Flow::Pause);
}

#[test]
fn trailers_that_cannot_be_cleaned_wait() {
    let mut host = FakeHost::new();
    host.trailers
        .push(("x-callgate-caller".to_owned(), b"forged".to_vec()));
    let mut exchange = plain();
    let _ = exchange.request_headers(&mut host);
    exchange.answered(&mut host, CALL, &allow().encode_to_vec());
    host.broken.push("remove");
    assert_eq!(exchange.request_trailers(&mut host), Flow::Pause);
}

#[test]
fn headers_set_only_where_they_are_or_are_not() {
    let mut answer = allow();
    let Some(HttpResponse::OkResponse(ok)) = &mut answer.http_response else {
        unreachable!()
    };
    ok.headers = vec![
        HeaderValueOption {
            append_action: 1,
            ..option("x-present", "new")
        },
        HeaderValueOption {
            append_action: 1,
            ..option("x-absent", "new")
        },
        HeaderValueOption {
            append_action: 3,
            ..option("x-other", "new")
        },
        HeaderValueOption {
            append_action: 3,
            ..option("x-missing", "new")
        },
        HeaderValueOption {
            append: Some(true),
            ..option("x-present", "more")
        },
        HeaderValueOption {
            append: Some(false),
            append_action: 0,
            ..option("x-plain", "new")
        },
    ];
    ok.headers_to_remove = vec!["x-gone".to_owned()];
    let mut host = FakeHost::new();
    host.header("x-present", "old")
        .header("x-other", "old")
        .header("x-gone", "old");
    host.header("x-plain", "old");
    answer_with(&mut host, &answer.encode_to_vec());
    assert_eq!(host.values("x-present"), ["old", "more"]);
    assert_eq!(host.values("x-absent"), ["new"]);
    assert_eq!(host.values("x-other"), ["new"]);
    assert_eq!(host.values("x-plain"), ["new"]);
    assert!(host.values("x-missing").is_empty() && host.values("x-gone").is_empty());
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let base = prop::sample::select(vec![
        allow().encode_to_vec(),
        refusal().encode_to_vec(),
        keeping().encode_to_vec(),
    ]);
    (
        base,
        any::<prop::sample::Index>(),
        any::<u8>(),
        any::<bool>(),
    )
        .prop_map(|(mut bytes, at, byte, cut)| {
            let at = at.index(bytes.len());
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] = byte;
            }
            bytes
        })
}

proptest! {
    /// The gate opens for an answer with status OK and for no other bytes.
    #[test]
    fn only_status_ok_opens(
        bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..80), mutated()],
    ) {
        let mut host = FakeHost::new();
        answer_with(&mut host, &bytes);
        prop_assert_eq!(host.resumed + host.replies.len(), 1);
        if host.resumed == 1 {
            let status = CheckResponse::decode(bytes.as_slice()).unwrap().status;
            prop_assert_eq!(status.unwrap().code, 0);
            for (name, value) in &host.headers {
                prop_assert!(headers::is_name(name.trim_start_matches(':').as_bytes()));
                prop_assert!(headers::is_value(value));
            }
            prop_assert_eq!(host.values(":path"), ["/orders/7?x=y"]);
            prop_assert_eq!(host.values(":method"), ["GET"]);
        }
    }

    /// Whatever the caller sends, one Check goes out and nothing of ours is left.
    #[test]
    fn any_headers_make_one_check(
        sent in prop::collection::vec(
            ("(x[-_]callgate[-_])?[a-z:_-]{0,8}", prop::collection::vec(any::<u8>(), 0..16)), 0..12),
    ) {
        let mut host = FakeHost::new();
        host.headers = sent;
        prop_assert_eq!(plain().request_headers(&mut host), Flow::Pause);
        prop_assert_eq!((host.sent.len(), host.replies.len(), host.resumed), (1, 0, 0));
        prop_assert!(host.headers.iter().all(|(name, _)| !headers::is_callgate(name.as_bytes())));
        let _ = check(&host);
    }

    /// Whatever happens in whatever order, there is at most one outcome, and the
    /// gate opens only for the answer to the call that is under way.
    #[test]
    fn at_most_one_outcome(
        events in prop::collection::vec((0..5_u8, 1..4_u32, 0..17_u32, 0..60_u64), 0..12),
    ) {
        let mut host = FakeHost::new();
        let mut exchange = plain();
        let mut allowed = false;
        for (event, call, status, millis) in events {
            host.now += Duration::from_millis(millis);
            let call = CallId(call);
            match event {
                0 => { let _ = exchange.request_headers(&mut host); }
                1 => {
                    allowed |= exchange.call() == Some(call);
                    exchange.answered(&mut host, call, &allow().encode_to_vec());
                }
                2 => exchange.answered(&mut host, call, &refusal().encode_to_vec()),
                3 => exchange.failed(&mut host, call, status),
                _ => exchange.ended(&mut host),
            }
            prop_assert!(host.resumed + host.replies.len() <= 1);
            prop_assert!(host.resumed == 0 || allowed);
        }
    }
}

/// No decision yet: these headers first.
fn incomplete(names: &[&str]) -> CheckResponse {
    let names = names.iter().map(|name| (*name).to_owned());
    CheckResponse {
        status: Some(Status {
            code: 14,
            message: String::new(),
        }),
        dynamic_metadata: Some(wanted::ask(names)),
        ..refusal()
    }
}

type Pairs = Vec<(String, String)>;

/// The headers and the context extensions of a Check that was sent.
fn told(host: &FakeHost, sent: usize) -> (Pairs, Pairs) {
    let check = CheckRequest::decode(host.sent[sent].message.as_slice()).unwrap();
    let attributes = check.attributes.unwrap();
    let http = attributes.request.unwrap().http.unwrap();
    (
        http.headers.into_iter().collect(),
        attributes.context_extensions.into_iter().collect(),
    )
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn headers_that_a_decision_reads_are_sent_when_asked_for_and_from_then_on() {
    let plugin = Rc::new(Plugin::new(br#"{"cluster":"authz"}"#));
    let mut host = FakeHost::new();
    host.header("x-purpose", "reporting").header("x-list", "a");
    host.header("x-list", "b").header("x-other", "secret");
    host.headers.push(("x-bytes".to_owned(), vec![0xff]));
    let mut first = Exchange::new(Rc::clone(&plugin));
    assert_eq!(first.request_headers(&mut host), Flow::Pause);
    assert_eq!(
        told(&host, 0),
        (
            vec![],
            vec![pair("callgate.headers", ""), pair("callgate.terms", "1")]
        )
    );

    let names = ["x-purpose", "x-list", "x-bytes", "x-absent"];
    first.answered(&mut host, CALL, &incomplete(&names).encode_to_vec());
    assert_eq!(
        (host.sent.len(), host.resumed, host.replies.len()),
        (2, 0, 0)
    );
    let full = (
        vec![pair("x-list", "a,b"), pair("x-purpose", "reporting")],
        vec![
            pair("callgate.headers", "x-purpose,x-list,x-bytes,x-absent"),
            pair("callgate.headers-not-utf8", "x-bytes"),
            pair("callgate.terms", "1"),
        ],
    );
    assert_eq!(told(&host, 1), full);
    first.answered(&mut host, RETRY, &allow().encode_to_vec());
    assert_eq!(host.resumed, 1);

    let mut second = Exchange::new(plugin);
    assert_eq!(second.request_headers(&mut host), Flow::Pause);
    assert_eq!(told(&host, 2), full, "remembered");
}

#[test]
fn a_filter_that_keeps_no_leases_says_so() {
    let plugin = Rc::new(Plugin::new(br#"{"cluster":"authz","leases":false}"#));
    let mut host = FakeHost::new();
    let _ = Exchange::new(plugin).request_headers(&mut host);
    assert_eq!(
        told(&host, 0).1,
        [
            pair("callgate.headers", ""),
            pair("callgate.leases", "false"),
            pair("callgate.terms", "1"),
        ]
    );
}

#[test]
fn what_one_service_wants_another_is_not_asked_for() {
    let plugin = Rc::new(Plugin::new(br#"{"cluster":"authz"}"#));
    let orders = "spiffe://example.org/ns/shop/sa/orders";
    let fake = &mut FakeHost::new();
    plugin
        .callee(fake, orders)
        .want(vec!["x-purpose".to_owned()]);
    let mut host = FakeHost::new();
    host.header("x-purpose", "reporting");
    host.callee = Some(b"spiffe://example.org/ns/shop/sa/mail".to_vec());
    let _ = Exchange::new(Rc::clone(&plugin)).request_headers(&mut host);
    assert_eq!(
        told(&host, 0),
        (
            vec![],
            vec![pair("callgate.headers", ""), pair("callgate.terms", "1")]
        )
    );
    assert_eq!(
        *plugin.callee(fake, orders).wanted(),
        ["x-purpose".to_owned()]
    );
}

#[test]
fn of_more_services_than_any_proxy_has_nothing_is_remembered() {
    let plugin = Plugin::new(br#"{"cluster":"authz"}"#);
    let fake = &mut FakeHost::new();
    for n in 0..=MAX_CALLEES {
        let callee = plugin.callee(fake, &format!("spiffe://example.org/{n}"));
        callee.want(vec!["x".to_owned()]);
    }
    assert_eq!(plugin.callees().len(), MAX_CALLEES);
    let wanted = |n| {
        plugin
            .callee(&mut FakeHost::new(), &format!("spiffe://example.org/{n}"))
            .wanted()
    };
    assert_eq!((wanted(0).len(), wanted(MAX_CALLEES).len()), (1, 0));
}

#[test]
fn a_server_that_asks_in_circles_or_for_secrets_gets_no_answer() {
    let mut host = FakeHost::new();
    let mut exchange = danger();
    assert_eq!(exchange.request_headers(&mut host), Flow::Pause);
    for call in [1, 2, 3] {
        exchange.answered(
            &mut host,
            CallId(call),
            &incomplete(&["x-a"]).encode_to_vec(),
        );
    }
    assert_eq!(host.sent.len(), 3);
    assert_eq!(own_reason(&host), "authz-protocol");

    for name in ["authorization", "cookie", "x-forwarded-client-cert"] {
        let mut host = FakeHost::new();
        answer_with(&mut host, &incomplete(&["x-a", name]).encode_to_vec());
        assert_eq!(own_reason(&host), "authz-protocol", "{name}");
        assert_eq!(host.sent.len(), 1);
    }
}

#[test]
fn a_check_that_is_asked_again_has_no_more_time_than_one_that_is_not() {
    let mut host = FakeHost::new();
    let mut exchange = plain();
    assert_eq!(exchange.request_headers(&mut host), Flow::Pause);
    host.now += Duration::from_millis(60);
    exchange.answered(&mut host, CALL, &incomplete(&["x-a"]).encode_to_vec());
    assert_eq!(
        host.sent[1].timeout,
        Duration::from_millis(40) + TIMER_SLACK
    );
    host.now += Duration::from_millis(40);
    exchange.answered(&mut host, RETRY, &incomplete(&["x-b"]).encode_to_vec());
    assert_eq!(own_reason(&host), "authz-timeout");
}
