use crate::{
    Addition, Clause, NearestMiss, PolicySet, Request,
    spec::RuleSpec,
    testing::{NOW, id, mesh, orders, request, rule, set},
};

fn miss<'p>(set: &'p PolicySet, from: &str, line: &str) -> NearestMiss<'p> {
    let (from, to) = (id(from), id("/ns/shop/sa/orders"));
    let decision = set.decide(&request(&from, &to, line), NOW);
    *decision.nearest_miss.unwrap()
}

fn addition(set: &PolicySet, from: &str, line: &str) -> Option<Addition> {
    let (from, to) = (id(from), id("/ns/shop/sa/orders"));
    let request = request(&from, &to, line);
    let miss = set.decide(&request, NOW).nearest_miss.unwrap();
    miss.story(&request, NOW).unwrap().addition
}

fn shop() -> Vec<RuleSpec> {
    vec![
        rule("health", 1, &["/ns/shop/sa/*"], &["GET /api/v1/health"]),
        rule(
            "orders",
            4,
            &["/ns/shop/sa/checkout"],
            &["POST /api/v1/orders", "GET /api/v1/orders/{order}"],
        ),
        rule("ops", 8, &["/ns/ops/sa/admin"], &["ANY /**"]),
        rule(
            "purge",
            11,
            &["/ns/ops/sa/purge"],
            &["DELETE /api/v1/orders/**"],
        ),
        rule("tenants", 14, &["/tenant/{t}"], &["GET /tenants/{t}/**"]),
        rule(
            "calls",
            17,
            &["/ns/shop/sa/*"],
            &["GRPC shop.v1.Orders/Watch", "WEBSOCKET /live"],
        ),
    ]
}

/// Caller and request; the rule, the clause, what it wants and what it saw.
#[test]
fn the_closest_rule_and_its_first_failed_clause() {
    let set = set(None, vec![orders(shop(), vec![])]);
    let (checkout, web) = (
        "spiffe://example.org/ns/shop/sa/checkout",
        "/ns/shop/sa/web",
    );
    let cases = [
        (
            checkout,
            "DELETE /api/v1/orders/7",
            "orders",
            Clause::Method,
            "GET",
            "DELETE",
        ),
        (
            checkout,
            "GET /api/v1/orders",
            "orders",
            Clause::Method,
            "POST",
            "GET",
        ),
        (
            checkout,
            "GET /api/v1/orders/7/items",
            "orders",
            Clause::Path,
            "/api/v1/orders/{order}",
            "/api/v1/orders/7/items",
        ),
        (
            checkout,
            "GET /api/v1/orders/7/",
            "orders",
            Clause::Path,
            "/api/v1/orders/{order}",
            "/api/v1/orders/7/",
        ),
        (
            web,
            "GET /api/v1/orders/7?x=y",
            "orders",
            Clause::From,
            checkout,
            "spiffe://example.org/ns/shop/sa/web",
        ),
        (
            web,
            "POST /api/v1/health",
            "health",
            Clause::Method,
            "GET",
            "POST",
        ),
        (
            "/ns/else/sa/web",
            "PATCH /api/v1/orders/7",
            "orders",
            Clause::From,
            checkout,
            "spiffe://example.org/ns/else/sa/web",
        ),
        (
            "/tenant/a",
            "GET /tenants/b/x",
            "tenants",
            Clause::Captures,
            "t=a",
            "t=b",
        ),
        (
            web,
            "POST /shop.v1.Orders/Watch",
            "calls",
            Clause::Method,
            "GRPC",
            "POST without a content type",
        ),
        (
            web,
            "GET /live",
            "calls",
            Clause::Method,
            "WEBSOCKET",
            "GET without `upgrade`",
        ),
    ];
    for (from, line, rule, clause, expected, actual) in cases {
        let miss = miss(&set, from, line);
        assert_eq!(
            (miss.rule.name, miss.clause),
            (rule, clause),
            "{from} {line}"
        );
        assert_eq!(
            (&*miss.expected, &*miss.actual),
            (expected, actual),
            "{from} {line}"
        );
    }
}

#[test]
fn one_line_that_would_be_enough() {
    let set = set(None, vec![orders(shop(), vec![])]);
    let (checkout, web) = ("/ns/shop/sa/checkout", "/ns/shop/sa/web");
    let to = |text: &str| Some(Addition::To(text.to_owned()));
    let cases = [
        (
            checkout,
            "DELETE /api/v1/orders/7",
            to("DELETE /api/v1/orders/{order}"),
        ),
        (
            checkout,
            "GET /api/v1/orders/7/%7Bx%7D",
            to("GET /api/v1/orders/7/%7Bx%7D"),
        ),
        (web, "GET /live", to("GET /live")),
        // The rule's own line has an open end: this call is less than that.
        (
            "/ns/ops/sa/purge",
            "PUT /api/v1/orders/7/lines",
            to("PUT /api/v1/orders/7/lines"),
        ),
        (
            web,
            "GET /api/v1/orders/7",
            Some(Addition::From(
                "spiffe://example.org/ns/shop/sa/web".to_owned(),
            )),
        ),
        // Two things are wrong, or a line would have to do without the capture, or no
        // line can say it.
        ("/ns/else", "PATCH /api/v1/orders/7", None),
        ("/tenant/a", "GET /tenants/b/x", None),
        (checkout, "GET /api/v1/orders/7/*", None),
        (checkout, "get /api/v1/orders/7", None),
    ];
    for (from, line, expected) in cases {
        assert_eq!(addition(&set, from, line), expected, "{from} {line}");
    }
}

/// A line for a gRPC method has no place for a name, so where `from` captures one it
/// would make the rule one that does not load.
#[test]
fn no_line_that_would_skip_a_capture() {
    let set = set(None, vec![orders(shop(), vec![])]);
    let (from, to) = (id("/tenant/a"), id("/ns/shop/sa/orders"));
    let grpc = Request {
        content_type: Some("application/grpc"),
        ..request(&from, &to, "POST /tenants/a")
    };
    let miss = set.decide(&grpc, NOW).nearest_miss.unwrap();
    assert_eq!((miss.rule.name, miss.clause), ("tenants", Clause::Method));
    assert_eq!(miss.story(&grpc, NOW).unwrap().addition, None);
}

#[test]
fn a_header_of_the_caller_is_told_short_and_plain() {
    let set = set(None, vec![orders(shop(), vec![])]);
    let (from, to) = (id("/ns/shop/sa/web"), id("/ns/shop/sa/orders"));
    let upgrade = format!("a\n{}", "b".repeat(100));
    let request = Request {
        upgrade: Some(&upgrade),
        ..request(&from, &to, "GET /live")
    };
    let actual = set.decide(&request, NOW).nearest_miss.unwrap().actual;
    assert_eq!(
        actual,
        format!("GET with `upgrade: a\\n{}…`", "b".repeat(62))
    );
}

#[test]
fn many_entries_are_told_short() {
    let from = ["/a", "/b", "/c", "/d", "/e", "/f", "/g"];
    let set = set(
        None,
        vec![orders(vec![rule("r", 1, &from, &["GET /x"])], vec![])],
    );
    let miss = miss(&set, "/z", "GET /x");
    assert!(
        miss.expected
            .starts_with("spiffe://example.org/a, spiffe://example.org/b, ")
    );
    assert!(
        miss.expected.ends_with("/e and 2 more"),
        "{}",
        miss.expected
    );
    assert_eq!(miss.location.to_string(), "orders.yaml:2");
}

#[test]
fn a_rule_of_the_mesh_is_told_if_it_is_closer() {
    let metrics = rule("metrics", 1, &["/ns/mon"], &["GET /metrics"]);
    let set = set(
        Some(mesh(vec![metrics], vec![])),
        vec![orders(shop(), vec![])],
    );
    let closer = miss(&set, "/ns/mon", "POST /metrics");
    assert_eq!((closer.rule.policy, closer.rule.name), ("mesh", "metrics"));
    assert_eq!(closer.location.to_string(), "mesh.yaml:3");
    let farther = miss(&set, "/ns/shop/sa/checkout", "DELETE /api/v1/orders");
    assert_eq!(farther.rule.policy, "orders");
}

/// So many rules that they are found by index, for one caller and for ten thousand.
#[test]
fn the_closest_of_ten_thousand() {
    for callers in [1, 10_000] {
        let rules = (0..10_000).map(|number| {
            let from = format!("/caller/{}", number % callers);
            let name = format!("rule-{number}");
            rule(
                &name,
                1,
                &[&from],
                &[&format!("GET /v1/things-{number}/{{id}}/parts")],
            )
        });
        let set = set(None, vec![orders(rules.collect(), vec![])]);
        let from = format!("/caller/{}", 7_777 % callers);
        let cases = [
            (&*from, "DELETE /v1/things-7777/1/parts", Clause::Method),
            (&*from, "GET /v1/things-7777/1/part", Clause::Path),
            ("/caller/x", "GET /v1/things-7777/1/parts", Clause::From),
        ];
        for (from, line, clause) in cases {
            let miss = miss(&set, from, line);
            assert_eq!(
                (miss.rule.name, miss.clause),
                ("rule-7777", clause),
                "{from} {line}"
            );
        }
    }
}
