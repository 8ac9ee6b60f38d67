//! What is generated loads, allows what passed, and no more than its evidence says.

use std::{fmt::Write as _, io::Cursor};

use callgate_policy::{
    Caller, NoHeaders, PolicySet, Reason, Request, SpiffeId, Timestamp,
    document::{LoadOptions, Source, load},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Documents, GenerateOptions, Generator, LeftOut};
use crate::{
    log,
    replay::{Direction, Replay, Window},
};

const SHOP: &str = "spiffe://example.org/ns/shop/sa/";
const UUID: &str = "0190a1f2-7c3d-7e4f-8a5b-6c7d8e9f0a1";

/// A call that a rule allowed.
fn call(caller: &str, method: &str, path: &str) -> Value {
    json!({
        "time": "2027-01-01T12:00:00.000Z", "id": "01MB78QN0034HNN2TFXAVGGFD1",
        "verdict": "Allow", "reason": "allow", "rule": "old", "policy": "old.yaml:3",
        "enforced": true, "leased": false, "source": {"id": format!("{SHOP}{caller}")},
        "destination": format!("{SHOP}orders"), "method": method, "path": path, "inputs": {},
        "host": "", "grpc": false, "proxy": format!("{SHOP}orders"), "revision": "r",
    })
}

fn with(mut record: Value, fields: &[(&str, Value)]) -> Value {
    for (name, value) in fields {
        record[*name] = value.clone();
    }
    record
}

fn text(records: &[Value]) -> Vec<u8> {
    let mut text = String::new();
    for record in records {
        let _ = writeln!(text, "{record}");
    }
    text.into_bytes()
}

fn generate_with(options: GenerateOptions, records: &[Value]) -> Documents {
    let mut generator = Generator::new(options);
    log::read(Cursor::new(text(records)), |line| {
        generator.add(&line.content.unwrap());
    })
    .unwrap();
    generator.finish("decisions.jsonl")
}

fn generate(records: &[Value]) -> Documents {
    generate_with(
        GenerateOptions {
            services: Vec::new(),
            words: 30,
            mesh: None,
        },
        records,
    )
}

/// Its lines of `to`, without the evidence.
fn lines(records: &[Value]) -> Vec<String> {
    let documents = generate(records);
    let lines = documents.documents.iter().flat_map(|one| one.text.lines());
    lines
        .filter_map(|line| line.strip_prefix("        - "))
        .filter(|line| !line.starts_with("spiffe://"))
        .map(|line| line.split("  #").next().unwrap().trim_end().to_owned())
        .collect()
}

fn gets(paths: &[&str]) -> Vec<String> {
    let calls: Vec<Value> = paths.iter().map(|path| call("web", "GET", path)).collect();
    lines(&calls)
}

/// What was generated, as if it had been enforced.
fn enforced(documents: &Documents) -> PolicySet {
    let texts = documents.documents.iter().map(|one| &one.text);
    let sources: Vec<Source> = (0..)
        .zip(texts)
        .map(|(n, text): (u32, _)| {
            let text = text.replace("enforcement: Shadow", "enforcement: Enforce");
            Source::new(format!("{n}.yaml"), text)
        })
        .collect();
    match load(&sources, &LoadOptions::default()) {
        Ok(loaded) => loaded.policies,
        Err(error) => panic!("{error}\n{}", documents.documents[0].text),
    }
}

fn decide(set: &PolicySet, caller: &str, method: &str, path: &str) -> Reason {
    let caller = SpiffeId::parse(&format!("{SHOP}{caller}")).unwrap();
    let service = SpiffeId::parse(&format!("{SHOP}orders")).unwrap();
    let request = Request {
        caller: Caller::Verified(&caller),
        service: Some(&service),
        method,
        path,
        upgrade: None,
        content_type: None,
        host: None,
        headers: &NoHeaders,
    };
    set.decide(&request, Timestamp::default()).reason
}

#[test]
fn paths_become_templates() {
    let uuid = |n: u32| format!("/orders/{UUID}{n}");
    let cases: [(&str, &[&str], &[&str]); 14] = [
        (
            "plain",
            &["/orders", "/health"],
            &["GET /health", "GET /orders"],
        ),
        ("the root", &["/"], &["GET /"]),
        ("one number may be a version", &["/v/2"], &["GET /v/2"]),
        (
            "two are ids",
            &["/orders/7", "/orders/8"],
            &["GET /orders/{order}"],
        ),
        ("one UUID is one", &[&uuid(1)], &["GET /orders/{order}"]),
        (
            "digits and UUIDs in one place are one capture",
            &["/orders/7", &uuid(1)],
            &["GET /orders/{order}"],
        ),
        (
            "words beside ids stay",
            &["/orders/7", "/orders/8", "/orders/search"],
            &["GET /orders/search", "GET /orders/{order}"],
        ),
        (
            "actions",
            &[
                "/orders/7:cancel",
                "/orders/8:cancel",
                "/orders/7",
                "/orders/8",
            ],
            &["GET /orders/{order}", "GET /orders/{order}:cancel"],
        ),
        (
            "below ids",
            &["/orders/7/items/1", "/orders/8/items/2", "/orders/9/items"],
            &[
                "GET /orders/{order}/items",
                "GET /orders/{order}/items/{item}",
            ],
        ),
        (
            "two of one name",
            &["/orders/7/orders/1", "/orders/8/orders/2"],
            &["GET /orders/{order}/orders/{order2}"],
        ),
        (
            "a trailing slash is another path",
            &["/orders/", "/orders", "/orders/7/", "/orders/8/"],
            &["GET /orders", "GET /orders/", "GET /orders/{order}/"],
        ),
        (
            "text with a number behind it",
            &[
                "/t/order-1",
                "/t/order-2",
                "/t/order-3",
                "/t/order-4",
                "/t/order-5",
            ],
            &["GET /t/order-{order}"],
        ),
        (
            "few of those",
            &["/t/api-1", "/t/api-2"],
            &["GET /t/api-1", "GET /t/api-2"],
        ),
        ("a star is no wildcard", &["/a/*"], &["GET /a/{a}"]),
    ];
    for (name, paths, expected) in cases {
        assert_eq!(gets(paths), expected, "{name}");
    }
}

#[test]
fn many_words_alike_become_a_capture() {
    let users = |count: u32, below: &str| -> Vec<String> {
        (0..count)
            .map(|n| {
                let name: String = n.to_string().bytes().map(|b| char::from(b + 49)).collect();
                format!("/users/{name}x{below}")
            })
            .collect()
    };
    let lines_of = |paths: Vec<String>| gets(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(lines_of(users(29, "/profile")).len(), 29);
    assert_eq!(
        lines_of(users(30, "/profile")),
        ["GET /users/{user}/profile"]
    );
    let mut mixed = users(40, "/profile");
    mixed.push("/users/search".to_owned());
    assert_eq!(
        lines_of(mixed),
        ["GET /users/search", "GET /users/{user}/profile"]
    );
    // More than anybody would write down, whatever is below them.
    let mut many = users(900, "/profile");
    many.extend((0..200).map(|n| format!("/users/y{n}z/page{n}z")));
    assert!(lines_of(many).len() <= 202);
}

#[test]
fn verbs_are_those_of_the_language() {
    let grpc =
        |caller: &str, path: &str| with(call(caller, "POST", path), &[("grpc", json!(true))]);
    let upgrade = |to: &str| with(call("web", "GET", "/live"), &[("upgrade", json!(to))]);
    let cases: [(&str, Vec<Value>, &[&str]); 8] = [
        (
            "methods of one path",
            ["DELETE", "PUT", "GET"]
                .map(|method| call("web", method, "/a"))
                .into(),
            &["GET,PUT,DELETE /a"],
        ),
        (
            "GET covers HEAD",
            ["HEAD", "GET"]
                .map(|method| call("web", method, "/a"))
                .into(),
            &["GET /a"],
        ),
        ("HEAD alone", vec![call("web", "HEAD", "/a")], &["HEAD /a"]),
        (
            "gRPC",
            vec![
                grpc("web", "/shop.v1.Orders/Get"),
                grpc("web", "/shop.v1.Orders/List"),
            ],
            &["GRPC shop.v1.Orders/Get", "GRPC shop.v1.Orders/List"],
        ),
        (
            "gRPC that is none",
            vec![grpc("web", "/a/b/c")],
            &["POST /a/b/c"],
        ),
        (
            "a WebSocket",
            vec![upgrade("WebSocket")],
            &["WEBSOCKET /live"],
        ),
        (
            "a method that no rule can name",
            vec![call("web", "purge", "/a"), call("web", "GET", "/a")],
            &["ANY /a"],
        ),
        (
            "a method that is a verb of rules",
            vec![call("web", "WEBSOCKET", "/a")],
            &["ANY /a"],
        ),
    ];
    for (name, records, expected) in cases {
        assert_eq!(lines(&records), expected, "{name}");
    }
}

#[test]
fn what_did_not_pass_is_left_out_and_counted() {
    let refused = |reason: &str| {
        with(
            call("web", "GET", "/secret"),
            &[("verdict", json!("Deny")), ("reason", json!(reason))],
        )
    };
    let shadow = |fields: &[(&str, Value)]| {
        with(
            with(refused("no-rule"), &[("enforced", json!(false))]),
            fields,
        )
    };
    let records = [
        call("web", "GET", "/a"),
        refused("no-rule"),
        refused("no-rule"),
        refused("path-ambiguous"),
        shadow(&[("path", json!("/let/pass"))]),
        shadow(&[("reason", json!("identity-missing")), ("source", json!({}))]),
        shadow(&[("reason", json!("no-policy")), ("source", json!({}))]),
        with(call("web", "GET", "/up"), &[("upgrade", json!("h2c"))]),
        call("web", "GET", &"/x".repeat(33)),
        call("web", "", "/b"),
        with(
            call("web", "GET", "/b"),
            &[("destination", json!("outbound|80"))],
        ),
    ];
    let documents = generate(&records);
    assert_eq!(documents.beyond, 1);
    let orders = &documents.documents[0];
    assert_eq!((orders.calls, orders.callers, orders.rules), (2, 1, 1));
    let left_out: Vec<_> = orders.left_out.iter().map(|(why, n)| (*why, *n)).collect();
    assert_eq!(
        left_out,
        [
            (LeftOut::Refused(Reason::PathAmbiguous), 1),
            (LeftOut::Refused(Reason::NoRule), 2),
            (LeftOut::NoIdentity, 2),
            (LeftOut::Upgrade, 1),
            (LeftOut::Path, 1),
            (LeftOut::Method, 1),
        ]
    );
    for told in [
        "#   2 calls refused: no-rule",
        "#   1 call refused: path-ambiguous",
    ] {
        assert!(orders.text.contains(told), "{}", orders.text);
    }
    assert!(!orders.text.contains("/secret"), "{}", orders.text);
    assert_eq!(lines(&records), ["GET /a", "GET /let/pass"]);
}

#[test]
fn only_the_services_that_are_asked_for() {
    let billing = json!(format!("{SHOP}billing"));
    let records = [
        call("web", "GET", "/a"),
        with(call("web", "GET", "/b"), &[("destination", billing)]),
    ];
    assert_eq!(generate(&records).documents.len(), 2);
    let id = |name: &str| SpiffeId::parse(&format!("{SHOP}{name}")).unwrap();
    let options = GenerateOptions {
        services: vec![id("orders"), id("nobody")],
        words: 30,
        mesh: None,
    };
    let documents = generate_with(options, &records);
    assert_eq!((documents.documents.len(), documents.elsewhere), (1, 1));
    assert_eq!(documents.documents[0].service, id("orders"));
    assert_eq!(documents.empty, [(id("nobody"), [].into())]);
}

#[test]
fn what_the_mesh_allows_is_left_to_it() {
    let mesh = "kind: MeshPolicy\nmetadata: {name: mesh}\nspec:\n  trustDomain: example.org\n  \
                allow:\n    - {name: metrics, from: [/ns/shop/sa/prometheus], to: [GET /metrics]}\n";
    let loaded = load(&[Source::new("mesh.yaml", mesh)], &LoadOptions::default()).unwrap();
    let options = GenerateOptions {
        services: Vec::new(),
        words: 30,
        mesh: Some(loaded.policies),
    };
    let records = [
        call("prometheus", "GET", "/metrics"),
        call("web", "GET", "/metrics"),
    ];
    let documents = generate_with(options, &records);
    assert_eq!(documents.documents[0].left_out[&LeftOut::Mesh], 1);
    let set = enforced(&documents);
    assert_eq!(decide(&set, "web", "GET", "/metrics"), Reason::Allow);
    assert_eq!(
        decide(&set, "prometheus", "GET", "/metrics"),
        Reason::NoRule
    );
}

#[test]
fn callers_with_equal_access_are_one_rule_and_many_a_group() {
    let mut records: Vec<Value> = (0..6)
        .map(|n| call(&format!("app-{n}"), "GET", "/flags"))
        .collect();
    records.extend(["a", "b"].map(|caller| call(caller, "POST", "/orders")));
    records.push(call("c", "POST", "/orders"));
    records.push(call("c", "GET", "/orders"));
    let documents = generate(&records);
    let orders = &documents.documents[0];
    assert_eq!((orders.rules, orders.callers), (3, 9));
    for told in [
        "    - name: a-and-1-more\n      from:\n        - spiffe://example.org/ns/shop/sa/a\n        \
         - spiffe://example.org/ns/shop/sa/b\n      to:\n        - POST /orders  # 2 calls\n",
        "    - name: orders-callers\n      from: [orders-callers]\n      to:\n        - GET /flags  # 6 calls\n",
        "kind: CallerGroup\nmetadata: {name: orders-callers}\nspec:\n  owner: TODO\n  members:\n    \
         - spiffe://example.org/ns/shop/sa/app-0\n",
    ] {
        assert!(orders.text.contains(told), "{told}\n{}", orders.text);
    }
    let set = enforced(&documents);
    assert_eq!(decide(&set, "app-3", "GET", "/flags"), Reason::Allow);
    assert_eq!(decide(&set, "app-3", "POST", "/orders"), Reason::NoRule);
    assert_eq!(decide(&set, "a", "GET", "/orders"), Reason::NoRule);
    assert_eq!(decide(&set, "c", "GET", "/orders"), Reason::Allow);
}

#[test]
fn paths_that_a_service_keeps_are_kept() {
    let records = [
        call("web", "GET", "/files/a%2Fb"),
        call("web", "GET", "/files/a;v=1"),
        call("web", "GET", "/caf%C3%A9/%7Bx%7D"),
    ];
    let documents = generate(&records);
    let text = &documents.documents[0].text;
    assert!(
        text.contains("  paths: {encodedSlash: Keep, parameters: Keep}\n"),
        "{text}"
    );
    let set = enforced(&documents);
    for record in &records {
        let path = record["path"].as_str().unwrap();
        assert_eq!(decide(&set, "web", "GET", path), Reason::Allow, "{path}");
    }
}

#[test]
fn evidence_stands_beside_its_line() {
    let mut records: Vec<Value> = (0..1_200)
        .map(|n| call("web", "GET", &format!("/orders/{n}")))
        .collect();
    records.push(call("web", "PUT", &format!("/tenants/{UUID}1/orders/7")));
    records.push(call("web", "GET", "/v/2"));
    let text = generate(&records).documents.remove(0).text;
    for told in [
        "- GET /orders/{order}           # 1,200 calls, 1,200 values, all digits\n",
        "- GET /v/2                      # 1 call, always 2\n",
        "- PUT /tenants/{tenant}/orders/7  # 1 call, 1 value, UUIDs, always 7\n",
    ] {
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&told), "{told}\n{text}");
    }
    assert!(!text.contains("without mutual TLS"), "{text}");
    let unproven = with(call("web", "GET", "/a"), &[("proxy", json!(null))]);
    let documents = generate(&[unproven]);
    assert_eq!(documents.documents[0].unproven, 1);
    assert!(documents.documents[0].text.contains("mutual TLS"));
}

#[test]
fn a_flood_of_paths_stays_within_bounds() {
    let mut generator = Generator::new(GenerateOptions {
        services: Vec::new(),
        words: 30,
        mesh: None,
    });
    for n in 0..30_000_u32 {
        let word =
            |n: u32| -> String { n.to_string().bytes().map(|b| char::from(b + 49)).collect() };
        let path = format!("/{}/{}/{}", word(n % 997), word(n % 991), word(n));
        let record = call("web", "GET", &path).to_string();
        log::read(Cursor::new(record.into_bytes()), |line| {
            generator.add(&line.content.unwrap());
        })
        .unwrap();
    }
    let service = generator.services.values().next().unwrap();
    let left_out = service.left_out.get(&LeftOut::TooManyPaths).copied();
    assert_eq!(service.calls + left_out.unwrap_or(0), 30_000);
}

/// Segments as services have them.
fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-c]{1,2}",
        3 => "[0-9]{1,2}",
        1 => "[0-9]:(cancel|refund)",
        1 => "x-[0-9]",
        1 => Just(format!("{UUID}1")),
        1 => "[a-f0-9]{8}",
        1 => "[a*:;=@%!$&'()+,~_.-]{1,3}",
        1 => Just("caf%C3%A9".to_owned()),
        1 => Just("a%2Fb".to_owned()),
    ]
}

fn calls() -> impl Strategy<Value = Vec<Value>> {
    let path = (prop::collection::vec(segment(), 0..4), any::<bool>());
    let method = prop::sample::select(vec!["GET", "HEAD", "POST", "PURGE", "get", "ANY"]);
    let caller = prop::sample::select(vec!["a", "b", "c", "1.0", "-x", "d", "e", "f", "g"]);
    let outcome = 0..4_u8;
    let one = (caller, method, path, outcome, any::<bool>()).prop_map(
        |(caller, method, (segments, slash), outcome, grpc)| {
            let slash = if slash { "/" } else { "" };
            let path = format!("/{}{slash}", segments.join("/"));
            let path = path.replace("//", "/");
            let deny = outcome == 0;
            with(
                call(caller, method, &path),
                &[
                    ("verdict", json!(if deny { "Deny" } else { "Allow" })),
                    ("reason", json!(if deny { "no-rule" } else { "allow" })),
                    ("grpc", json!(grpc)),
                ],
            )
        },
    );
    prop::collection::vec(one, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Replaying the log against what was generated from it, enforced, refuses nothing
    /// that was allowed, unless that was left out and counted.
    #[test]
    fn nothing_that_was_allowed_is_refused(records in calls(), words in 2..40_usize) {
        let options = GenerateOptions { services: Vec::new(), words, mesh: None };
        let documents = generate_with(options, &records);
        if let Some(orders) = documents.documents.first() {
            let set = enforced(&documents);
            let mut replay = Replay::new(&set, Window::default());
            replay.read(Cursor::new(text(&records))).unwrap();
            let replayed = replay.finish();
            let narrowed: u64 = replayed
                .counts
                .iter()
                .filter(|(change, _)| change.direction() == Direction::Narrowed)
                .map(|(_, count)| count)
                .sum();
            let left_out: u64 = orders
                .left_out
                .iter()
                .filter(|(why, _)| !matches!(why, LeftOut::Refused(_)))
                .map(|(_, count)| count)
                .sum();
            prop_assert_eq!(narrowed, left_out, "{}\n{:?}", orders.text, replayed.changes);
        }
    }

    /// Nobody may call with a method, or as deep, as they never did.
    #[test]
    fn nobody_gets_what_nobody_used(records in calls()) {
        let documents = generate(&records);
        if documents.documents.is_empty() {
            return Ok(());
        }
        let set = enforced(&documents);
        let shape = |path: &str| (path.matches('/').count(), path.ends_with('/'));
        let text = |record: &Value, field: &str| record[field].as_str().unwrap().to_owned();
        for record in &records {
            let path = text(record, "path");
            for caller in ["a", "b", "1.0"] {
                for method in ["GET", "HEAD", "POST", "DELETE"] {
                    if decide(&set, caller, method, &path) != Reason::Allow {
                        continue;
                    }
                    let used = records.iter().any(|one| {
                        let own = text(one, "method");
                        one["source"]["id"] == json!(format!("{SHOP}{caller}"))
                            && one["verdict"] == json!("Allow")
                            && shape(&text(one, "path")) == shape(&path)
                            && (own == method
                                || own == "GET" && method == "HEAD"
                                || own == "get" || own == "ANY")
                    });
                    prop_assert!(used, "{caller} {method} {path}\n{}", documents.documents[0].text);
                }
            }
        }
    }
}
