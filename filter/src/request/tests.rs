use super::*;
use crate::fake::FakeHost;

fn seen() -> Seen {
    Seen::new(Rc::new(Connection::unknown()))
}

#[test]
fn grpc_as_envoy_sees_it() {
    for (value, wanted) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpc-web", false),
        ("application/grpc;charset=utf-8", false),
        ("application/grpc,text/plain", false),
        ("Application/grpc", false),
    ] {
        let mut seen = seen();
        seen.note(b"content-type", value.as_bytes());
        assert_eq!(seen.is_grpc(), wanted, "{value}");
    }
    assert!(!seen().is_grpc());
}

#[test]
fn repeated_headers_are_joined() {
    let mut seen = seen();
    for value in ["application/grpc", "text/plain", "x/y"] {
        seen.note(b"content-type", value.as_bytes());
        seen.note(b"x-other", b"between");
    }
    let line = seen.line().unwrap();
    assert_eq!(line.content_type, Some("application/grpc,text/plain,x/y"));
}

fn read(headers: &[(&str, &str)]) -> Seen {
    let mut host = FakeHost::default();
    for (name, value) in headers {
        host.header(name, value);
    }
    Seen::read(&mut host, &Plugin::new(br#"{"cluster":"authz"}"#)).unwrap()
}

#[test]
fn a_client_cert_header_in_another_spelling_is_forged() {
    let seen = read(&[
        ("x_forwarded_client_cert", "By=x"),
        (headers::CLIENT_CERT, "By=y"),
    ]);
    let forged: Vec<&[u8]> = seen.forged().collect();
    assert_eq!(forged, [b"x_forwarded_client_cert"]);
    assert_eq!(seen.client_cert().text(), Some(&b"By=y"[..]));
}

#[test]
fn repeated_client_cert_headers_are_joined_whatever_was_known() {
    let connection = Connection::unknown();
    for _ in 0..2 {
        let mut shown = Shown::Nothing;
        assert!(!shown.clone().read(&connection).is_forwarded());
        shown.add(&connection, b"By=x");
        let one = shown.clone().read(&connection);
        assert_eq!(one.text(), Some(&b"By=x"[..]));
        for value in [b"By=y", b"By=z"] {
            shown.add(&connection, value);
        }
        let all = shown.read(&connection);
        assert_eq!(all.text(), Some(&b"By=x,By=y,By=z"[..]));
        assert!(all.is_forwarded());
        let _ = connection.read(b"By=x".to_vec());
    }
}

#[test]
fn bytes_that_are_not_text_are_spelled_out() {
    assert_eq!(text(b"/caf\xe9/\xc3\xa9"), "/caf%E9/é");
    assert_eq!(text(b"/plain"), "/plain");
}

#[test]
fn a_trace_that_could_not_be_metadata_stays_behind() {
    for (value, kept) in [
        (&b"00-ab-cd-01"[..], true),
        (b"a\x01", false),
        (b"\xff", false),
    ] {
        let mut seen = seen();
        seen.note(b"traceparent", value);
        assert_eq!(seen.traceparent().is_some(), kept, "{value:?}");
    }
    let mut seen = seen();
    seen.note(b"traceparent", &[b'0'; MAX_TRACEPARENT + 1]);
    assert_eq!(seen.traceparent(), None);
}

#[test]
fn a_lease_is_asked_about_text_of_a_bounded_length() {
    let of = |headers: &[(&str, &[u8])]| {
        let mut seen = seen();
        for (name, value) in headers {
            seen.note(name.as_bytes(), value);
        }
        seen.line().map(|line| (line.path.len(), line.host.len()))
    };
    assert_eq!(
        of(&[(":path", b"/a?b"), (":authority", b"h")]),
        Some((4, 1))
    );
    for name in [":method", ":path", ":authority", "upgrade", "content-type"] {
        assert_eq!(of(&[(name, b"\xff")]), None, "{name}");
    }
    let long = vec![b'/'; MAX_LINE];
    assert_eq!(of(&[(":path", &long)]), Some((MAX_LINE, 0)));
    assert_eq!(of(&[(":path", &long), ("upgrade", b"x")]), None);
    assert_eq!(of(&[(":authority", &long)]), Some((0, MAX_HOST)));
    let wide = "é".repeat(MAX_HOST);
    let (_, host) = of(&[(":authority", format!("a{wide}").as_bytes())]).unwrap();
    assert_eq!(host, MAX_HOST - 1);
}
