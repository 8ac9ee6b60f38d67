use proptest::prelude::*;

use super::*;

fn client_cert(header: &[u8]) -> (ClientCert, Option<String>) {
    split_client_cert(Some(header.to_owned()))
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
        let mut seen = Seen::default();
        seen.note(b"content-type", value.as_bytes());
        assert_eq!(seen.is_grpc(), wanted, "{value}");
    }
    assert!(!Seen::default().is_grpc());
}

#[test]
fn repeated_headers_are_joined() {
    let mut seen = Seen::default();
    seen.note(b"content-type", b"application/grpc");
    seen.note(b"content-type", b"text/plain");
    assert_eq!(seen.content_type.unwrap(), b"application/grpc,text/plain");
}

#[test]
fn a_chain_is_a_hint_only_beyond_the_leaf_and_never_goes_upstream() {
    let one = "-----BEGIN%20CERTIFICATE-----%0AMII%3D%0A-----END%20CERTIFICATE-----%0A";
    let two = format!("{one}{one}");
    assert_eq!(
        client_cert(format!("By=x;Chain=\"{one}\"").as_bytes()),
        (ClientCert::Replace("By=x".to_owned()), None)
    );
    assert_eq!(
        client_cert(format!("Chain=\"{two}\"").as_bytes()),
        (ClientCert::Remove, Some(format!("Chain=\"{two}\"")))
    );
    assert_eq!(client_cert(b"By=x;URI=y"), (ClientCert::Keep, None));
    assert_eq!(
        client_cert(format!("Chain=\"{}\"", two.repeat(200)).as_bytes()),
        (ClientCert::Remove, None)
    );
    assert_eq!(
        client_cert(format!("Chain=\"{two}\\\"\"").as_bytes()),
        (ClientCert::Remove, None)
    );
}

#[test]
fn a_client_cert_header_that_cannot_be_read_is_removed_and_the_server_told() {
    for header in [
        &b"Chain=\"open"[..],
        b"nonsense",
        b"",
        b"By=\xff;Chain=x",
        b"A=1,,B=2",
        b"A=1,",
    ] {
        assert_eq!(
            client_cert(header),
            (ClientCert::Remove, Some("unreadable".to_owned())),
            "{header:?}"
        );
    }
}

#[test]
fn what_others_say_of_a_certificate_goes_to_the_server_and_not_to_the_service() {
    let (change, told) = client_cert(b"A=0,By=g;Chain=\"x\",By=s;Hash=1;Chain=y;URI=g");
    assert_eq!(change, ClientCert::Replace("By=s;Hash=1;URI=g".to_owned()));
    let told = told.unwrap();
    assert_eq!(told, "By=g;Chain=\"x\",By=s;Hash=1;Chain=y;URI=g");
    assert_eq!(
        client_cert(b"By=g,Chain=y"),
        (ClientCert::Remove, Some("By=g,Chain=y".to_owned()))
    );
}

#[test]
fn a_client_cert_header_in_another_spelling_is_forged() {
    let mut seen = Seen::default();
    seen.note(b"x_forwarded_client_cert", b"By=x");
    seen.note(b"x-forwarded-client-cert", b"By=y");
    assert_eq!(seen.forged(), [b"x_forwarded_client_cert".to_vec()]);
    assert_eq!(seen.client_cert.unwrap(), b"By=y");
}

#[test]
fn bytes_that_are_not_text_are_spelled_out() {
    assert_eq!(text(b"/caf\xe9/\xc3\xa9".to_vec()), "/caf%E9/é");
    assert_eq!(text(b"/plain".to_vec()), "/plain");
}

#[test]
fn a_trace_that_could_not_be_metadata_stays_behind() {
    for (value, kept) in [
        (&b"00-ab-cd-01"[..], true),
        (b"a\x01", false),
        (b"\xff", false),
    ] {
        let mut seen = Seen::default();
        seen.note(b"traceparent", value);
        assert_eq!(seen.traceparent().is_some(), kept, "{value:?}");
    }
    let mut seen = Seen::default();
    seen.note(b"traceparent", &[b'0'; MAX_TRACEPARENT + 1]);
    assert_eq!(seen.traceparent(), None);
}

proptest! {
    #[test]
    fn no_chain_survives(header in prop::collection::vec(any::<u8>(), 0..64)) {
        match client_cert(&header).0 {
            ClientCert::Remove => {}
            ClientCert::Replace(rest) => {
                prop_assert_eq!(client_cert(rest.as_bytes()).0, ClientCert::Keep);
            }
            ClientCert::Keep => {
                let text = String::from_utf8(header).unwrap();
                prop_assert_eq!(Xfcc::parse(&text).unwrap().chain(), None);
            }
        }
    }
}
