//! What no honest client sends: each has an answer, the filter lives on, and nothing
//! is let through by accident.

use std::sync::Arc;

use anyhow::{Result, ensure};
use callgate_tests::{
    Gate, Host,
    caller::{Call, Http, raw::Outcome},
    pki::Defect,
    suite::Suite,
};

use super::{ORDERS, caller, connect, get, order, strict};

/// Bytes of an HTTP/1.1 request, and the status and reason of the filter's answer
/// and of native ext_authz's. No reason: Envoy's own answer.
struct Row {
    name: &'static str,
    bytes: fn() -> Vec<u8>,
    filter: (u16, Option<&'static str>),
    native: (u16, Option<&'static str>),
}

const ENVOY_400: (u16, Option<&str>) = (400, None);
const NOT_FOUND: (u16, Option<&str>) = (404, None);
const AMBIGUOUS: (u16, Option<&str>) = (400, Some("path-ambiguous"));
const NO_RULE: (u16, Option<&str>) = (403, Some("no-rule"));

const ROWS: &[Row] = &[
    row(
        "100_kb_of_headers",
        || with(&format!("x-big: {}", "a".repeat(100_000))),
        (431, None),
    ),
    row(
        "100_kb_of_path",
        || line(&format!("GET /{} HTTP/1.1", "a".repeat(100_000))),
        (431, None),
    ),
    row(
        "101_headers",
        || with(&"x-many: 1\r\n".repeat(101)),
        (431, None),
    ),
    row(
        "an_unknown_method",
        || line("BREW /orders/bad HTTP/1.1"),
        ENVOY_400,
    ),
    row(
        "a_method_that_is_no_token",
        || line("G(T /orders/bad HTTP/1.1"),
        ENVOY_400,
    ),
    Row {
        name: "connect",
        bytes: || line("CONNECT orders:443 HTTP/1.1"),
        filter: AMBIGUOUS,
        native: NOT_FOUND,
    },
    row("options_asterisk", || line("OPTIONS * HTTP/1.1"), NOT_FOUND),
    row(
        "absolute_form",
        || line("GET http://elsewhere/orders/bad HTTP/1.1"),
        NOT_FOUND,
    ),
    row(
        "no_host",
        || b"GET /orders/bad HTTP/1.1\r\n\r\n".to_vec(),
        ENVOY_400,
    ),
    row("no_slash", || line("GET orders/bad HTTP/1.1"), ENVOY_400),
    row("http_1_0", || line("GET /orders/bad HTTP/1.0"), (426, None)),
    row(
        "a_fragment",
        || line("GET /orders/bad#a HTTP/1.1"),
        ENVOY_400,
    ),
    row("a_nul", || line("GET /orders/bad%00 HTTP/1.1"), ENVOY_400),
    row(
        "path_bytes_beyond_ascii",
        || line("GET /orders/b\u{e4}d HTTP/1.1"),
        ENVOY_400,
    ),
    row(
        "an_underscore",
        || with("x_callgate_caller: spiffe://example.org/admin"),
        ENVOY_400,
    ),
    row(
        "two_lengths",
        || with("content-length: 1\r\ncontent-length: 2"),
        ENVOY_400,
    ),
    row(
        "length_and_chunks",
        || with("content-length: 1\r\ntransfer-encoding: chunked"),
        ENVOY_400,
    ),
    row(
        "an_encoded_slash",
        || line("GET /orders/bad%2f1 HTTP/1.1"),
        AMBIGUOUS,
    ),
    row(
        "an_encoded_backslash",
        || line("GET /orders/bad%5c1 HTTP/1.1"),
        AMBIGUOUS,
    ),
    row(
        "an_encoded_line_end",
        || line("GET /orders/bad%0d%0a HTTP/1.1"),
        AMBIGUOUS,
    ),
    row(
        "an_overlong_encoding",
        || line("GET /orders/bad%c0%af HTTP/1.1"),
        AMBIGUOUS,
    ),
    row(
        "a_double_encoding",
        || line("GET /orders/bad%252f1 HTTP/1.1"),
        AMBIGUOUS,
    ),
    row(
        "a_parameter",
        || line("GET /orders/bad;a=1 HTTP/1.1"),
        AMBIGUOUS,
    ),
    row(
        "an_empty_segment",
        || line("GET //orders/bad HTTP/1.1"),
        AMBIGUOUS,
    ),
    row(
        "up_and_out",
        || line("GET /orders/bad/../../admin HTTP/1.1"),
        NO_RULE,
    ),
    row(
        "two_content_types",
        || {
            b"POST /shop.v1.Orders/Place HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\
          content-type: text/plain\r\ncontent-type: application/grpc\r\n\r\n"
                .to_vec()
        },
        NO_RULE,
    ),
    row(
        "a_content_type_that_is_not_utf8",
        || {
            b"POST /shop.v1.Orders/Place HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\
              content-type: application/\xff\xfegrpc\r\n\r\n"
                .to_vec()
        },
        NO_RULE,
    ),
];

const fn row(name: &'static str, bytes: fn() -> Vec<u8>, both: (u16, Option<&'static str>)) -> Row {
    Row {
        name,
        bytes,
        filter: both,
        native: both,
    }
}

pub(crate) fn add(tests: &mut Suite<Gate>, host: Host) {
    for row in ROWS {
        tests.case(format!("{}/input/{}", host.name(), row.name), move |gate| {
            answered(gate, host, row)
        });
    }
    let name = |test: &str| format!("{}/input/{test}", host.name());
    tests.case(name("header_bytes_that_are_not_utf8"), move |gate| {
        not_utf8(gate, host)
    });
    tests.case(name("http2_an_unknown_method"), move |gate| {
        brew(gate, host)
    });
    tests.case(name("http2_100_kb_of_headers"), move |gate| {
        large_http2(gate, host)
    });
}

async fn answered(gate: Arc<Gate>, host: Host, row: &Row) -> Result<()> {
    let address = gate.address(ORDERS, strict(host))?;
    let outcome = caller(&gate, Defect::None)?
        .send_raw(address, &(row.bytes)())
        .await?;
    let Outcome::Answer(answer) = outcome else {
        anyhow::bail!("closed without an answer")
    };
    let expected = if host == Host::Filter {
        row.filter
    } else {
        row.native
    };
    ensure!((answer.status, answer.reason()) == expected, "{answer:?}");
    for path in ["/orders/bad", "/admin"] {
        ensure!(
            gate.upstream.seen(path).is_empty(),
            "the service saw {path}"
        );
    }
    let path = order(host, &format!("after-{}", row.name));
    ensure!(
        get(&gate, host, &path).await?.status == 200,
        "the gate is no longer what it was"
    );
    Ok(())
}

/// In a header that nothing is decided by: it goes on, and arrives as it was sent.
async fn not_utf8(gate: Arc<Gate>, host: Host) -> Result<()> {
    let path = order(host, "not-utf8");
    let call = Call::new("GET", &path)
        .header("x-note", b"caf\xe9")
        .header("cookie", b"\xff\xfe");
    for http in [Http::One, Http::Two] {
        let answer = connect(&gate, host, http).await?.call(call.clone()).await?;
        ensure!(answer.status == 200, "{answer:?}");
    }
    Ok(())
}

async fn brew(gate: Arc<Gate>, host: Host) -> Result<()> {
    let path = order(host, "brew");
    let answer = connect(&gate, host, Http::Two)
        .await?
        .call(Call::new("BREW", &path))
        .await?;
    super::refused(&gate, &path, &answer, 403, "no-rule")
}

/// Envoy answers 431 or resets the stream, as the codec sees fit.
async fn large_http2(gate: Arc<Gate>, host: Host) -> Result<()> {
    let path = order(host, "large");
    let call = (0..100).fold(Call::new("GET", &path), |call, n| {
        call.header(&format!("x-big-{n}"), "a".repeat(1_000))
    });
    let outcome = connect(&gate, host, Http::Two).await?.call(call).await;
    ensure!(
        outcome.as_ref().map_or(true, |answer| answer.status == 431),
        "{outcome:?}"
    );
    ensure!(gate.upstream.seen(&path).is_empty(), "the service saw it");
    Ok(())
}

/// A request with that request line.
fn line(line: &str) -> Vec<u8> {
    format!("{line}\r\nhost: orders\r\n\r\n").into_bytes()
}

/// A request with that header.
fn with(header: &str) -> Vec<u8> {
    format!(
        "GET /orders/bad HTTP/1.1\r\nhost: orders\r\n{}\r\n\r\n",
        header.trim_end()
    )
    .into_bytes()
}
