use callgate_wire::envoy::r#type::v3::HttpStatus;

use super::*;

fn status(code: i32) -> Option<Status> {
    Some(Status {
        code,
        message: String::new(),
    })
}

fn header(name: &str, value: &str) -> HeaderValueOption {
    let header = HeaderValue {
        key: name.into(),
        value: value.into(),
        raw_value: vec![],
    };
    HeaderValueOption {
        header: Some(header),
        append: None,
        append_action: 2,
    }
}

fn allow(headers: Vec<HeaderValueOption>) -> CheckResponse {
    let ok = OkHttpResponse {
        headers,
        ..OkHttpResponse::default()
    };
    CheckResponse {
        status: status(0),
        http_response: Some(HttpResponse::OkResponse(ok)),
        dynamic_metadata: None,
    }
}

fn deny(grpc: i32, http: i32, headers: Vec<HeaderValueOption>) -> CheckResponse {
    let denied = DeniedHttpResponse {
        status: Some(HttpStatus { code: http }),
        headers,
        body: "no".to_owned(),
    };
    CheckResponse {
        status: status(grpc),
        http_response: Some(HttpResponse::DeniedResponse(denied)),
        dynamic_metadata: None,
    }
}

fn metadata(name: &str, value: Kind) -> Option<prost_types::Struct> {
    let value = prost_types::Value { kind: Some(value) };
    let ours = prost_types::Struct {
        fields: [(name.to_owned(), value)].into(),
    };
    let ours = prost_types::Value {
        kind: Some(Kind::StructValue(ours)),
    };
    Some(prost_types::Struct {
        fields: [("callgate".to_owned(), ours)].into(),
    })
}

fn fault(response: CheckResponse) -> AnswerFault {
    Answer::try_from(response).unwrap_err()
}

#[test]
fn forbidden_names_make_the_whole_answer_a_fault() {
    for name in [
        ":path",
        ":method",
        ":authority",
        "host",
        "Connection",
        "te",
        "upgrade",
        "content-length",
    ] {
        let off_limits = AnswerFault::OffLimits(name.to_owned());
        assert_eq!(fault(allow(vec![header(name, "x")])), off_limits, "{name}");
        assert_eq!(
            fault(deny(7, 403, vec![header(name, "x")])),
            off_limits,
            "{name}"
        );
        let mut response = allow(vec![]);
        let Some(HttpResponse::OkResponse(ok)) = &mut response.http_response else {
            unreachable!()
        };
        ok.headers_to_remove.push(name.to_owned());
        assert_eq!(fault(response), off_limits, "{name}");
    }
}

#[test]
fn names_and_values_that_could_split_a_message_are_a_fault() {
    for (name, value) in [
        ("x y", "v"),
        ("", "v"),
        ("x\r\ny", "v"),
        ("é", "v"),
        ("x", "v\r\nh: w"),
        ("x", "\0"),
    ] {
        let invalid = AnswerFault::InvalidHeader(name.to_owned());
        assert_eq!(
            fault(allow(vec![header(name, value)])),
            invalid,
            "{name:?} {value:?}"
        );
        assert_eq!(
            fault(deny(7, 403, vec![header(name, value)])),
            invalid,
            "{name:?} {value:?}"
        );
    }
    let raw = HeaderValue {
        key: "x".into(),
        value: String::new(),
        raw_value: b"\r\n".to_vec(),
    };
    let option = HeaderValueOption {
        header: Some(raw),
        append: None,
        append_action: 2,
    };
    assert_eq!(
        fault(allow(vec![option])),
        AnswerFault::InvalidHeader("x".to_owned())
    );
}

#[test]
fn header_options_that_are_not_clear_are_a_fault() {
    let both = HeaderValue {
        key: "x".into(),
        value: "a".into(),
        raw_value: b"b".to_vec(),
    };
    let option = HeaderValueOption {
        header: Some(both),
        append: None,
        append_action: 2,
    };
    assert_eq!(
        fault(allow(vec![option])),
        AnswerFault::UnclearHeader("x".to_owned())
    );
    let unknown = HeaderValueOption {
        append_action: 9,
        ..header("x", "a")
    };
    assert_eq!(
        fault(allow(vec![unknown])),
        AnswerFault::UnclearHeader("x".to_owned())
    );
    let none = HeaderValueOption {
        header: None,
        append: None,
        append_action: 2,
    };
    assert_eq!(fault(allow(vec![none])), AnswerFault::NoHeader);
}

#[test]
fn a_refusal_has_an_http_status_that_refuses() {
    for http in [0, 99, 100, 200, 204, 302, 399, 600, 70_000, -403] {
        assert_eq!(
            fault(deny(7, http, vec![])),
            AnswerFault::HttpStatus(http),
            "{http}"
        );
    }
    for http in [400, 403, 429, 503, 599] {
        assert!(
            matches!(Answer::try_from(deny(7, http, vec![])), Ok(Answer::Deny(_))),
            "{http}"
        );
    }
}

#[test]
fn a_refusal_has_a_grpc_status_that_exists() {
    for code in [-1, 17, i32::MAX, i32::MIN] {
        assert_eq!(
            fault(deny(code, 403, vec![])),
            AnswerFault::UnknownStatus(code)
        );
    }
    for code in 1..=16 {
        let Ok(Answer::Deny(deny)) = Answer::try_from(deny(code, 403, vec![])) else {
            panic!("{code}")
        };
        assert_eq!(deny.reply.grpc_status, code.unsigned_abs());
    }
}

#[test]
fn a_reason_is_counted_only_if_it_is_known() {
    for (value, wanted) in [
        ("no-rule", Some(Reason::NoRule)),
        ("No-Rule", None),
        ("made-up", None),
        ("allow", None),
        ("authz-timeout", None),
        ("policy-unavailable", Some(Reason::PolicyUnavailable)),
    ] {
        let response = deny(7, 403, vec![header("X-Callgate-Reason", value)]);
        let Ok(Answer::Deny(deny)) = Answer::try_from(response) else {
            panic!("{value}")
        };
        assert_eq!(deny.reason, wanted);
    }
}

#[test]
fn only_the_word_keep_keeps_override_headers() {
    let with = |metadata| {
        let response = CheckResponse {
            dynamic_metadata: metadata,
            ..allow(vec![])
        };
        Answer::try_from(response).map(|answer| match answer {
            Answer::Allow(allow) => allow.keep_overrides,
            Answer::Deny(_) | Answer::Incomplete(_) => unreachable!(),
        })
    };
    let text = |text: &str| Kind::StringValue(text.to_owned());
    assert_eq!(with(metadata("overrideHeaders", text("Keep"))), Ok(true));
    assert_eq!(with(metadata("overrideheaders", text("Keep"))), Ok(false));
    assert_eq!(with(None), Ok(false));
    for other in [
        text("keep"),
        text(""),
        Kind::BoolValue(true),
        Kind::NullValue(0),
    ] {
        assert_eq!(
            with(metadata("overrideHeaders", other)),
            Err(AnswerFault::OverrideHeaders)
        );
    }
}

#[test]
fn an_answer_has_bounds() {
    let many = |count| (0..count).map(|_| header("x", "a")).collect();
    assert_eq!(fault(allow(many(65))), AnswerFault::TooManyHeaders);
    assert_eq!(fault(deny(7, 403, many(65))), AnswerFault::TooManyHeaders);
    assert!(Answer::try_from(allow(many(64))).is_ok());
    let long = deny(7, 403, vec![header("x", &"a".repeat(MAX_ANSWER))]).encode_to_vec();
    assert_eq!(Answer::parse(&long), Err(AnswerFault::TooLong));
}

#[test]
fn headers_for_the_response_are_not_dropped_but_refused() {
    let mut response = allow(vec![]);
    let Some(HttpResponse::OkResponse(ok)) = &mut response.http_response else {
        unreachable!()
    };
    ok.response_headers_to_add.push(header("x", "a"));
    assert_eq!(fault(response), AnswerFault::ResponseHeaders);
}

#[test]
fn every_cut_of_an_answer_is_read_as_less_or_refused() {
    let whole = deny(7, 403, vec![header("x-callgate-reason", "no-rule")]).encode_to_vec();
    for end in 0..whole.len() {
        assert!(Answer::parse(&whole[..end]).is_err(), "{end}");
    }
}
