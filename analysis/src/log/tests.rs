//! Logs as they are found: packed, torn, mixed with other things.

use std::io::{Cursor, Write as _};

use callgate_policy::{
    Input, InputPart, PolicySet, Reason, Unreadable, Verdict,
    document::{LoadOptions, Source as Document, load, parse_time},
};
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{LogReader, Odd, Record, Recorded, Undecidable, read};

const ORDERS: &str = "spiffe://example.org/ns/shop/sa/orders";
const CHECKOUT: &str = "spiffe://example.org/ns/shop/sa/checkout";
const GATEWAY: &str = "spiffe://example.org/ns/edge/sa/gateway";

fn record() -> Value {
    json!({
        "time": "2027-01-01T12:00:00.250Z",
        "id": "01MB78QN0034HNN2TFXAVGGFD1",
        "verdict": "Allow", "reason": "allow", "rule": "reads", "policy": "orders.yaml:7",
        "nearestMiss": null, "enforced": true, "leased": false,
        "source": {
            "id": CHECKOUT, "certificateSha256": "ab", "notBefore": "2027-01-01T11:30:00.000Z",
            "notAfter": "2027-01-01T12:30:00.000Z", "issuer": "O=SPIRE,C=US",
        },
        "destination": ORDERS, "method": "GET", "path": "/orders/7", "inputs": {},
        "host": "orders", "grpc": false, "traceparent": null, "proxy": ORDERS, "revision": "r1",
    })
}

/// A record with `fields` instead of its own.
fn with(fields: &[(&str, Value)]) -> Value {
    let mut record = record();
    for (name, value) in fields {
        record[*name] = value.clone();
    }
    record
}

/// Number and path of every record, number and cause of every other line.
type Seen = (Vec<(u64, String)>, Vec<(u64, Odd)>);

fn seen(log: &[u8]) -> Seen {
    let (mut records, mut odd) = Seen::default();
    read(Cursor::new(log.to_vec()), |line| match line.content {
        Ok(record) => records.push((line.number, record.path.into_owned())),
        Err(why) => odd.push((line.number, why)),
    })
    .unwrap();
    (records, odd)
}

fn path(path: &str) -> String {
    with(&[("path", json!(path))]).to_string()
}

fn three() -> String {
    format!("{}\n{}\n{}\n", path("/a"), path("/b"), path("/c"))
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text).unwrap();
    packed.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 1).unwrap()
}

fn numbered(paths: &[&str]) -> Vec<(u64, String)> {
    let paths = paths.iter().map(|path| (*path).to_owned());
    (1..).zip(paths).collect()
}

#[test]
fn a_record_is_read_whole() {
    let line = with(&[
        ("path", json!("/caf\u{e9}/\"x\"")),
        ("forwarder", json!({"id": GATEWAY})),
        ("upgrade", json!("websocket")),
        (
            "inputs",
            json!({"headers": {"x-purpose": "reporting", "x-gone": null, "x-bytes": {"unreadable": "not-utf8"}}, "query": {"k": "v"}}),
        ),
    ])
    .to_string();
    let record = Record::parse(line.as_bytes()).unwrap();
    assert_eq!(record.time, parse_time("2027-01-01T12:00:00.25Z").unwrap());
    assert_eq!(
        (record.verdict, record.reason),
        (Verdict::Allow, Reason::Allow)
    );
    assert_eq!(record.path, "/caf\u{e9}/\"x\"");
    assert_eq!(record.rule.as_deref(), Some("reads"));
    assert_eq!(record.source.id.as_deref(), Some(CHECKOUT));
    assert_eq!(
        record.source.not_after(),
        parse_time("2027-01-01T12:30:00Z").ok()
    );
    assert_eq!(record.forwarder.unwrap().id.as_deref(), Some(GATEWAY));
    assert_eq!(record.upgrade.as_deref(), Some("websocket"));
    let inputs = record.inputs.read();
    let read: Vec<_> = inputs.iter().collect();
    let text = |text: &str| Input::Text(text.to_owned());
    assert!(
        read.contains(&(InputPart::Header, "x-purpose", &text("reporting"))),
        "{read:?}"
    );
    assert!(
        read.contains(&(InputPart::Query, "k", &text("v"))),
        "{read:?}"
    );
    assert!(
        read.contains(&(InputPart::Header, "x-gone", &Input::Absent)),
        "{read:?}"
    );
    let bytes = Input::Unreadable(Unreadable::NotUtf8);
    assert!(
        read.contains(&(InputPart::Header, "x-bytes", &bytes)),
        "{read:?}"
    );
    assert_eq!(record.revision, "r1");
}

#[test]
fn plain_and_packed_logs_are_the_same() {
    let text = three();
    let expected = (numbered(&["/a", "/b", "/c"]), vec![]);
    let half = text.len() / 2;
    let (head, tail) = text.as_bytes().split_at(half);
    let cases = [
        ("plain", text.clone().into_bytes()),
        ("gzip", gzip(text.as_bytes())),
        ("zstd", zstd(text.as_bytes())),
        ("gzip of two parts", [gzip(head), gzip(tail)].concat()),
        ("zstd of two parts", [zstd(head), zstd(tail)].concat()),
    ];
    for (name, log) in cases {
        assert_eq!(seen(&log), expected, "{name}");
    }
    for empty in [vec![], gzip(b""), zstd(b""), b"\n\n  \n".to_vec()] {
        assert_eq!(seen(&empty), Seen::default());
    }
}

#[test]
fn foreign_lines_are_told_apart_and_end_nothing() {
    let text = format!(
        "listening check=127.0.0.1:9191\n{}\n\n{}\n{{\"verdict\":\"Allow\"}}\n{}\n{}\n",
        path("/a"),
        with(&[("reason", json!("newer-than-this"))]),
        with(&[("time", json!("2027-01-01"))]),
        path("/b"),
    );
    let (records, odd) = seen(text.as_bytes());
    assert_eq!(records, [(2, "/a".to_owned()), (7, "/b".to_owned())]);
    let told: Vec<String> = odd
        .iter()
        .map(|(line, odd)| format!("{line}: {odd}"))
        .collect();
    assert_eq!(
        told[0],
        "1: not a decision record: expected value at column 1"
    );
    assert!(told[1].starts_with("4: not a decision record: `reason` is none of this release"));
    assert!(told[2].starts_with("5: not a decision record: missing field"));
    assert!(told[3].starts_with("6: not a decision record: `time`: a date without a time"));
}

#[test]
fn a_record_is_text_in_every_member() {
    let mut line = with(&[("nobody-reads-this", json!("?"))])
        .to_string()
        .into_bytes();
    let at = line.iter().position(|byte| *byte == b'?').unwrap();
    line[at] = 0x9c;
    line.push(b'\n');
    let (records, odd) = seen(&line);
    assert!(records.is_empty());
    assert!(odd[0].1.to_string().contains("invalid utf-8"), "{odd:?}");
}

#[test]
fn a_torn_end_is_counted() {
    let text = three();
    let torn = &text.as_bytes()[..text.len() - 20];
    let (records, odd) = seen(torn);
    assert_eq!(records, numbered(&["/a", "/b"]));
    assert_eq!(odd, [(3, Odd::Torn)]);
    // Only the end of the line is missing: nothing is lost.
    let whole = seen(text.trim_end().as_bytes());
    assert_eq!(whole, (numbered(&["/a", "/b", "/c"]), vec![]));
}

#[test]
fn a_packed_log_that_is_cut_off_is_read_as_far_as_it_goes() {
    let text = three().repeat(2_000);
    for packed in [gzip(text.as_bytes()), zstd(text.as_bytes())] {
        let (records, odd) = seen(&packed[..packed.len() - 12]);
        let told: Vec<Odd> = odd.into_iter().map(|(_, odd)| odd).collect();
        assert_eq!(told, [Odd::Torn]);
        assert!(records.len() <= 6_000);
    }
    // Two parts, the second one cut off: the first one counts.
    let mut log = gzip(text.as_bytes());
    let part = gzip(text.as_bytes());
    log.extend(&part[..part.len() / 2]);
    let (records, odd) = seen(&log);
    assert!(records.len() >= 6_000, "{}", records.len());
    assert_eq!(odd.len(), 1);
}

#[test]
fn a_damaged_packed_log_is_an_error() {
    let mut log = gzip(three().repeat(100).as_bytes());
    let middle = log.len() / 2;
    log[middle] ^= 0xff;
    log[middle + 1] ^= 0xff;
    assert!(read(Cursor::new(log), |_| ()).is_err());
}

#[test]
fn a_line_that_is_too_long_is_passed_over() {
    let long = "x".repeat(3 << 20);
    let text = format!(
        "{}\n{long}\n{}\n{long}\n{}",
        path("/a"),
        path("/b"),
        path("/c")
    );
    let (records, odd) = seen(text.as_bytes());
    let paths: Vec<_> = [(1, "/a"), (3, "/b"), (5, "/c")]
        .map(|(line, path)| (line, path.to_owned()))
        .into();
    assert_eq!(records, paths);
    assert_eq!(odd, [(2, Odd::TooLong), (4, Odd::TooLong)]);
    let (records, odd) = seen(format!("{}\n{long}", path("/a")).as_bytes());
    assert_eq!((records.len(), odd), (1, vec![(2, Odd::TooLong)]));
}

#[test]
fn lines_are_whole_and_numbered_whatever_the_blocks_are() {
    let paths: Vec<String> = (0..9_000).map(|n| format!("/{n}")).collect();
    let text: String = paths.iter().map(|one| path(one) + "\n").collect();
    assert!(text.len() > 4 << 20, "several blocks");
    let mut log = LogReader::new(Cursor::new(text.into_bytes())).unwrap();
    let mut found = Vec::new();
    while let Some(block) = log.next_block().unwrap() {
        found.extend(
            block
                .lines()
                .map(|line| (line.number, line.content.unwrap().path.into_owned())),
        );
    }
    let expected: Vec<(u64, String)> = (1..).zip(paths).collect();
    assert_eq!(found, expected);
}

proptest! {
    /// Whatever is in a log, reading it ends, and every line that has text is told once.
    #[test]
    fn nothing_in_a_log_stops_it(lines in prop::collection::vec("[^\n]{0,40}", 0..40)) {
        let text = lines.join("\n");
        let (records, odd) = seen(text.as_bytes());
        let expected = lines.iter().filter(|line| !line.as_bytes().trim_ascii().is_empty()).count();
        prop_assert_eq!(records.len() + odd.len(), expected);
    }
}

fn set(mesh: &str, orders: &str) -> PolicySet {
    let text = format!(
        "kind: MeshPolicy\nmetadata: {{name: mesh}}\nspec:\n  trustDomain: example.org\n{mesh}\n---\n\
         kind: ServicePolicy\nmetadata: {{name: orders}}\nspec:\n  services: [/ns/shop/sa/orders]\n\
         {orders}\n  allow:\n    - name: reads\n      from: [/ns/shop/sa/checkout]\n      \
         to: [\"GET /orders/**\"]\n"
    );
    let sources = [Document::new("all.yaml", text)];
    load(&sources, &LoadOptions::default()).unwrap().policies
}

/// Verdict, cause and enforcement by `set`, or why not.
fn again(set: &PolicySet, record: &Value) -> Result<(Reason, bool), Undecidable> {
    let line = record.to_string();
    let record = Record::parse(line.as_bytes()).unwrap();
    let recorded = Recorded::of(&record)?;
    let decision = recorded.decide(set)?;
    Ok((decision.reason, decision.enforced))
}

#[test]
fn a_recorded_call_is_decided_again_at_its_own_time() {
    let plain = set("", "");
    let anonymous = json!({"id": null, "certificateSha256": "ab"});
    let refused = |reason: &str| ("reason", json!(reason));
    let cases = [
        ("as it was", with(&[]), Ok(Reason::Allow)),
        (
            "another method",
            with(&[("method", json!("POST"))]),
            Ok(Reason::NoRule),
        ),
        (
            "an upgrade",
            with(&[("upgrade", json!("websocket"))]),
            Ok(Reason::NoRule),
        ),
        (
            "a service without a policy",
            with(&[("destination", json!("outbound|8080"))]),
            Ok(Reason::NoPolicy),
        ),
        (
            "a fault of the identity is one",
            with(&[refused("identity-invalid"), ("source", anonymous.clone())]),
            Ok(Reason::IdentityInvalid),
        ),
        (
            "expired",
            with(&[refused("identity-expired")]),
            Ok(Reason::IdentityExpired),
        ),
        (
            "revoked",
            with(&[refused("identity-revoked")]),
            Ok(Reason::IdentityRevoked),
        ),
        (
            "untrusted by its certificate",
            with(&[refused("identity-untrusted"), ("source", anonymous.clone())]),
            Ok(Reason::IdentityUntrusted),
        ),
        (
            "untrusted by rules",
            with(&[refused("identity-untrusted")]),
            Ok(Reason::Allow),
        ),
        (
            "no identity, let pass, and then no policy",
            with(&[refused("no-policy"), ("source", anonymous)]),
            Ok(Reason::IdentityUntrusted),
        ),
        (
            "expired, let pass, and then no policy",
            with(&[
                refused("no-policy"),
                ("time", json!("2027-01-01T12:31:00Z")),
            ]),
            Ok(Reason::IdentityExpired),
        ),
        (
            "ambiguous",
            with(&[refused("path-ambiguous"), ("path", json!("/orders//7"))]),
            Ok(Reason::PathAmbiguous),
        ),
        (
            "ambiguous by its query",
            with(&[refused("path-ambiguous")]),
            Err(Undecidable::Query),
        ),
        (
            "nobody asked",
            with(&[refused("policy-unavailable"), ("source", json!({}))]),
            Err(Undecidable::NobodyAsked),
        ),
        (
            "not an identity",
            with(&[("source", json!({"id": "checkout"}))]),
            Err(Undecidable::NotAnIdentity),
        ),
    ];
    for (name, record, expected) in cases {
        let got = again(&plain, &record).map(|(reason, _)| reason);
        assert_eq!(got, expected, "{name}");
    }
    let keeps = set("", "  paths: {encodedSlash: Keep}");
    let encoded = with(&[refused("path-ambiguous"), ("path", json!("/orders/a%2Fb"))]);
    assert_eq!(again(&keeps, &encoded), Ok((Reason::Allow, true)));
    let shadow = set("", "  enforcement: Shadow");
    let post = with(&[("method", json!("POST"))]);
    assert_eq!(again(&shadow, &post), Ok((Reason::NoRule, false)));
}

#[test]
fn forwarded_calls_are_decided_as_the_server_would_hear_them() {
    let forwarders = "  forwarders:\n    - {id: /ns/edge/sa/gateway, mayAssert: [/ns/shop/**], \
                      forServices: [/ns/shop/sa/*]}";
    let (plain, listening) = (set("", ""), set(forwarders, ""));
    let gateway = json!({"id": GATEWAY});
    let forwarded = with(&[("forwarder", gateway.clone())]);
    assert_eq!(again(&listening, &forwarded), Ok((Reason::Allow, true)));
    // Nobody listens: it is the gateway that calls.
    assert_eq!(again(&plain, &forwarded), Ok((Reason::NoRule, true)));
    let unnamed = with(&[
        ("forwarder", gateway.clone()),
        ("source", json!({"certificateSha256": "ab"})),
        ("reason", json!("identity-untrusted")),
    ]);
    assert_eq!(
        again(&listening, &unnamed),
        Err(Undecidable::ForwardedForUnknown)
    );
    assert_eq!(again(&plain, &unnamed), Ok((Reason::NoRule, true)));
    let own = with(&[("source", gateway.clone())]);
    assert_eq!(again(&listening, &own), Err(Undecidable::MayHaveForwarded));
    assert_eq!(again(&plain, &own), Ok((Reason::NoRule, true)));
    let misunderstood = with(&[
        ("forwarder", gateway),
        ("source", json!({})),
        ("reason", json!("identity-invalid")),
    ]);
    assert_eq!(
        again(&listening, &misunderstood),
        Ok((Reason::IdentityInvalid, true))
    );
}

#[test]
fn conditions_hold_for_what_was_recorded() {
    let orders = "  allow:\n    - name: reports\n      from: [/ns/shop/sa/checkout]\n      \
                  to: [\"GET /reports/**\"]\n      when: request.headers[\"x-purpose\"] == \"reporting\" \
                  && request.query[\"k\"] == \"v\"\n";
    let text = format!(
        "kind: MeshPolicy\nmetadata: {{name: mesh}}\nspec: {{trustDomain: example.org}}\n---\n\
         kind: ServicePolicy\nmetadata: {{name: orders}}\nspec:\n  services: [/ns/shop/sa/orders]\n\
         {orders}"
    );
    let set = load(&[Document::new("all.yaml", text)], &LoadOptions::default())
        .unwrap()
        .policies;
    let with_inputs = |inputs: Value| with(&[("path", json!("/reports/7")), ("inputs", inputs)]);
    let not_recorded = |part, name: &str| {
        Err(Undecidable::NotRecorded {
            part,
            name: name.to_owned(),
        })
    };
    let header = |value: Value| json!({"headers": {"x-purpose": value}});
    let both = |value: &str| json!({"headers": {"x-purpose": "reporting"}, "query": {"k": value}});
    let cases = [
        (both("v"), Ok((Reason::Allow, true))),
        (both("w"), Ok((Reason::NoRule, true))),
        (header(json!("curiosity")), Ok((Reason::NoRule, true))),
        (header(json!(null)), Ok((Reason::NoRule, true))),
        (
            header(json!({"unreadable": "not-utf8"})),
            Ok((Reason::NoRule, true)),
        ),
        (
            header(json!("reporting")),
            not_recorded(InputPart::Query, "k"),
        ),
        (json!({}), not_recorded(InputPart::Header, "x-purpose")),
    ];
    for (inputs, expected) in cases {
        let got = again(&set, &with_inputs(inputs.clone()));
        assert_eq!(got, expected, "{inputs}");
    }
    // A rule with a condition elsewhere makes no other call undecided.
    assert_eq!(again(&set, &with(&[])), Ok((Reason::NoRule, true)));
    let why = Undecidable::NotRecorded {
        part: InputPart::Header,
        name: "x-purpose".to_owned(),
    };
    assert_eq!(why.to_string(), "header x-purpose is not recorded");
}
