use crate::{
    Addition, Caller, Clause, IdentityFault, PathOptions, Reason, Request, Timestamp, Verdict,
    spec::{Enforcement, RuleSpec, ServiceSpec},
    testing::{NOW, id, mesh, orders, request, rule, rule_with, set},
};

/// The answer's reason, whether it is enforced, and the rule it names.
fn answer(set: &crate::PolicySet, request: &Request<'_>) -> (Reason, bool, Option<String>) {
    let decision = set.decide(request, NOW);
    let goes_on = decision.verdict == Verdict::Allow || !decision.enforced;
    assert_eq!(
        decision.permit().is_some(),
        goes_on,
        "permit of {request:?}"
    );
    assert_eq!(
        decision.verdict == Verdict::Allow,
        decision.reason == Reason::Allow
    );
    let rule = decision.rule.map(|rule| rule.name.to_owned());
    (decision.reason, decision.enforced, rule)
}

fn shop() -> ServiceSpec {
    orders(
        vec![
            rule(
                "checkout-places-orders",
                10,
                &["/ns/shop/sa/checkout"],
                &[
                    "POST /orders",
                    "GET /orders/{order}",
                    "POST /orders/{order}:cancel",
                ],
            ),
            rule(
                "watch",
                20,
                &["spiffe://partner.example/depot/*"],
                &["GRPC shop.v1.Orders/Watch", "WEBSOCKET /ui/live"],
            ),
            rule(
                "tenants",
                30,
                &["/ns/{tenant}/sa/*"],
                &["GET /tenants/{tenant}/**"],
            ),
        ],
        vec![rule("no-admin", 40, &["/ns/batch/**"], &["ANY /admin/**"])],
    )
}

#[test]
fn decides_by_caller_method_and_path() {
    let set = set(None, vec![shop()]);
    let orders = id("/ns/shop/sa/orders");
    let cases = [
        (
            "/ns/shop/sa/checkout",
            "POST /orders",
            Some("checkout-places-orders"),
        ),
        (
            "/ns/shop/sa/checkout",
            "GET /orders/7?x=/../",
            Some("checkout-places-orders"),
        ),
        (
            "/ns/shop/sa/checkout",
            "HEAD /orders/7",
            Some("checkout-places-orders"),
        ),
        (
            "/ns/shop/sa/checkout",
            "POST /orders/7:cancel",
            Some("checkout-places-orders"),
        ),
        ("/ns/shop/sa/checkout", "POST /orders/:cancel", None),
        ("/ns/shop/sa/checkout", "GET /orders/", None),
        ("/ns/shop/sa/checkout", "get /orders/7", None),
        ("/ns/shop/sa/web", "POST /orders", None),
        ("/ns/a/sa/web", "GET /tenants/a", Some("tenants")),
        ("/ns/a/sa/web", "GET /tenants/a/x/", Some("tenants")),
        ("/ns/a/sa/web", "GET /tenants/b/x", None),
    ];
    for (from, line, rule) in cases {
        let from = id(from);
        let reason = rule.map_or(Reason::NoRule, |_| Reason::Allow);
        let expected = (reason, true, rule.map(ToOwned::to_owned));
        assert_eq!(
            answer(&set, &request(&from, &orders, line)),
            expected,
            "{from} {line}"
        );
    }
}

#[test]
fn verbs_admit_only_their_own_requests() {
    let set = set(None, vec![shop()]);
    let (from, to) = (
        id("spiffe://partner.example/depot/7"),
        id("/ns/shop/sa/orders"),
    );
    let grpc = "POST /shop.v1.Orders/Watch";
    let cases = [
        (grpc, None, Some("application/grpc"), true),
        (grpc, None, Some("application/grpc+proto"), true),
        (grpc, None, Some("application/grpc-web"), false),
        (grpc, None, Some("application/grpc+"), false),
        (grpc, None, Some("application/grpc;x"), false),
        (grpc, None, Some("application/grpc+proto,text/html"), false),
        (grpc, None, Some("Application/grpc"), false),
        (grpc, None, None, false),
        (grpc, Some("websocket"), Some("application/grpc"), false),
        (
            "PUT /shop.v1.Orders/Watch",
            None,
            Some("application/grpc"),
            false,
        ),
        ("GET /ui/live", Some("websocket"), None, true),
        ("GET /ui/live", Some("WebSocket"), None, true),
        ("POST /ui/live", Some("websocket"), None, false),
        ("GET /ui/live", Some("websocket, h2c"), None, false),
        ("GET /ui/live", Some(""), None, false),
        ("GET /ui/live", None, None, false),
    ];
    for (line, upgrade, content_type, allowed) in cases {
        let request = Request {
            upgrade,
            content_type,
            ..request(&from, &to, line)
        };
        let reason = if allowed {
            Reason::Allow
        } else {
            Reason::NoRule
        };
        assert_eq!(answer(&set, &request).0, reason, "{request:?}");
    }
}

#[test]
fn nothing_the_caller_sends_takes_it_out_of_a_deny_rule() {
    let everything = ["ANY /**", "WEBSOCKET /**", "GRPC a.B/C"];
    let allow = || vec![rule("all", 1, &["/**"], &everything)];
    let cases = [
        ("ANY /admin/**", "GET /admin", None, None),
        ("ANY /admin/**", "GET /admin/", None, None),
        ("ANY /admin/**", "GET /admin/x", Some("websocket"), None),
        ("GET /admin", "HEAD /admin/", None, None),
        ("GET /admin/", "GET /admin", None, None),
        ("GET /admin", "GET /admin", Some("websocket"), None),
        ("WEBSOCKET /admin", "GET /admin", Some("websocket"), None),
        ("GRPC a.B/C", "POST /a.B/C", None, Some("application/json")),
        ("GRPC a.B/*", "GET /a.B/C/", None, None),
    ];
    for (denied, line, upgrade, content_type) in cases {
        let deny = rule("no", 9, &["/ns/shop/**"], &[denied]);
        let set = set(None, vec![orders(allow(), vec![deny])]);
        let (from, to) = (id("/ns/shop/sa/web"), id("/ns/shop/sa/orders"));
        let request = Request {
            upgrade,
            content_type,
            ..request(&from, &to, line)
        };
        let expected = (Reason::DenyRule, true, Some("no".to_owned()));
        assert_eq!(answer(&set, &request), expected, "{denied}: {request:?}");
        let (from, line) = (id("/ns/else/sa/web"), "GET /admin");
        let other = crate::testing::request(&from, &to, line);
        assert_eq!(answer(&set, &other).0, Reason::Allow, "{denied}");
    }
}

#[test]
fn kept_bytes_do_not_hide_a_path_from_deny_rules() {
    let options = PathOptions {
        keep_encoded_slash: true,
        keep_parameters: true,
        ..PathOptions::default()
    };
    let mut service = orders(
        vec![rule_with(options, "all", 1, &["/**"], &["ANY /**"])],
        vec![rule_with(
            options,
            "no",
            9,
            &["/**"],
            &["ANY /a/b/**", "GET /x%2Fy", "GET /p;q"],
        )],
    );
    service.paths = options;
    let set = set(None, vec![service]);
    let (from, to) = (id("/ns/shop/sa/web"), id("/ns/shop/sa/orders"));
    let cases = [
        ("/a/b", Reason::DenyRule),
        ("/a%2Fb", Reason::DenyRule),
        ("/a%2f%2fb/c", Reason::DenyRule),
        ("/%2Fa/b", Reason::DenyRule),
        ("/a;v=1/b;w", Reason::DenyRule),
        ("/a;v=1%2Fb", Reason::DenyRule),
        ("/a/b;v=%2F", Reason::DenyRule),
        ("/a;v%2Fw/b", Reason::DenyRule),
        ("/x%2Fy", Reason::DenyRule),
        ("/p;q", Reason::DenyRule),
        ("/x/y", Reason::Allow),
        ("/p", Reason::Allow),
        ("/a;b", Reason::Allow),
        ("/;b/a", Reason::PathAmbiguous),
        ("/a/..;/b", Reason::PathAmbiguous),
        ("/a%2F..%2Fb", Reason::PathAmbiguous),
        ("/a%2F.;x%2Fb", Reason::PathAmbiguous),
        ("/a%3Bb", Reason::PathAmbiguous),
        ("/a%5Cb", Reason::PathAmbiguous),
    ];
    for (path, reason) in cases {
        let line = format!("GET {path}");
        assert_eq!(
            answer(&set, &request(&from, &to, &line)).0,
            reason,
            "{path}"
        );
    }
}

#[test]
fn ambiguous_requests_reach_no_rule() {
    let set = set(
        None,
        vec![orders(vec![rule("all", 1, &["/**"], &["ANY /**"])], vec![])],
    );
    let (from, to) = (id("/ns/shop/sa/web"), id("/ns/shop/sa/orders"));
    let long = "A".repeat(33);
    let cases = [
        ("CONNECT", "/orders"),
        ("", "/orders"),
        ("GE T", "/orders"),
        ("GET\u{e9}", "/orders"),
        (&*long, "/orders"),
        ("OPTIONS", "*"),
        ("GET", "http://orders/orders"),
        ("GET", ""),
        ("GET", "/a#b"),
        ("GET", "/a?b#c"),
    ];
    for (method, path) in cases {
        let request = Request {
            method,
            path,
            ..request(&from, &to, "GET /")
        };
        assert_eq!(
            answer(&set, &request),
            (Reason::PathAmbiguous, true, None),
            "{request:?}"
        );
        assert!(set.decide(&request, NOW).ambiguity.is_some());
    }
}

/// What a rule that would let everybody in gives a caller without identity.
#[test]
fn identity_faults() {
    let open = || rule("all", 1, &["/**"], &["ANY /**"]);
    let faults = [
        (IdentityFault::Missing, Reason::IdentityMissing),
        (IdentityFault::Invalid, Reason::IdentityInvalid),
        (IdentityFault::Expired, Reason::IdentityExpired),
        (IdentityFault::Untrusted, Reason::IdentityUntrusted),
        (IdentityFault::Revoked, Reason::IdentityRevoked),
    ];
    let mut shadow = mesh(vec![open()], vec![]);
    shadow.identity = Enforcement::Shadow;
    let enforced = set(None, vec![orders(vec![open()], vec![])]);
    let shadowed = set(Some(shadow), vec![orders(vec![open()], vec![])]);
    let (from, to, other) = (id("/a"), id("/ns/shop/sa/orders"), id("/ns/shop/sa/none"));
    for (fault, reason) in faults {
        let request = |to, line| Request {
            caller: Caller::Unverified(fault),
            ..request(&from, to, line)
        };
        assert_eq!(
            answer(&enforced, &request(&to, "GET /%61")),
            (reason, true, None)
        );
        assert_eq!(enforced.decide(&request(&to, "GET /"), NOW).owner, None);
        let revoked = fault == IdentityFault::Revoked;
        assert_eq!(
            answer(&shadowed, &request(&to, "GET /a")),
            (reason, revoked, None)
        );
        let ambiguous = if revoked {
            reason
        } else {
            Reason::PathAmbiguous
        };
        assert_eq!(
            answer(&shadowed, &request(&to, "GET /%61")),
            (ambiguous, true, None)
        );
        let unpolicied = if revoked { reason } else { Reason::NoPolicy };
        assert_eq!(
            answer(&shadowed, &request(&other, "GET /a")),
            (unpolicied, true, None)
        );
    }
}

#[test]
fn shadow_passes_only_what_its_own_document_refuses() {
    let expired = || rule("late", 5, &["/late"], &["GET /a"]).expires(NOW);
    let guard = rule("guard", 7, &["/**"], &["GET /guarded"]);
    let mesh = mesh(vec![], vec![guard]);
    let mut service = orders(
        vec![rule("a", 1, &["/ns/a"], &["GET /a"]), expired()],
        vec![rule("b", 3, &["/ns/b"], &["GET /a"])],
    );
    service.enforcement = Enforcement::Shadow;
    let set = set(Some(mesh), vec![service]);
    let to = id("/ns/shop/sa/orders");
    let cases = [
        ("/ns/a", "GET /a", Reason::Allow, true),
        ("/ns/b", "GET /a", Reason::DenyRule, false),
        ("/ns/c", "GET /a", Reason::NoRule, false),
        ("/late", "GET /a", Reason::ExceptionExpired, false),
        ("/ns/a", "GET /guarded", Reason::DenyRule, true),
        ("/ns/a", "GET /a/./b", Reason::PathAmbiguous, true),
    ];
    for (from, line, reason, enforced) in cases {
        let from = id(from);
        let (seen, seen_enforced, _) = answer(&set, &request(&from, &to, line));
        assert_eq!((seen, seen_enforced), (reason, enforced), "{from} {line}");
    }
}

#[test]
fn services_without_a_policy() {
    let allow = || vec![rule("metrics", 1, &["/ns/mon"], &["GET /metrics"])];
    let deny = || vec![rule("guard", 5, &["/ns/bad"], &["ANY /**"])];
    let denies = set(Some(mesh(allow(), deny())), vec![]);
    let mut shadow = mesh(allow(), deny());
    shadow.unpolicied = Enforcement::Shadow;
    let shadows = set(Some(shadow), vec![]);
    let to = id("/ns/shop/sa/orders");
    let cases = [
        ("/ns/mon", Reason::Allow, true),
        ("/ns/bad", Reason::DenyRule, true),
        ("/ns/web", Reason::NoPolicy, false),
    ];
    for (from, reason, always_enforced) in cases {
        let from = id(from);
        for service in [Some(&to), None] {
            let request = Request {
                service,
                ..request(&from, &to, "GET /metrics")
            };
            let (seen, enforced, _) = answer(&denies, &request);
            assert_eq!((seen, enforced), (reason, true), "{request:?}");
            let (seen, enforced, _) = answer(&shadows, &request);
            assert_eq!((seen, enforced), (reason, always_enforced), "{request:?}");
        }
    }
}

#[test]
fn an_exception_ends_when_it_says() {
    let expires = Timestamp::from_millis(1_000);
    let late = |name, line| rule(name, line, &["/a"], &["GET /x"]).expires(expires);
    let orders = orders(vec![late("one", 1), late("two", 11)], vec![]);
    let set = set(None, vec![orders]);
    let (from, to) = (id("/a"), id("/ns/shop/sa/orders"));
    let request = request(&from, &to, "GET /x");
    let before = set.decide(&request, Timestamp::from_millis(999));
    assert_eq!(before.reason, Reason::Allow);
    let after = set.decide(&request, expires);
    assert_eq!(after.reason, Reason::ExceptionExpired);
    assert_eq!(after.rule.map(|rule| rule.name), Some("one"));
    let miss = after.nearest_miss.unwrap();
    assert_eq!(
        (miss.clause, miss.location.to_string()),
        (Clause::Exception, "orders.yaml:10".into())
    );
    assert_eq!(miss.expected, "before 1970-01-01T00:00:01Z");
    assert_eq!(miss.actual, "1970-01-01T00:00:01Z");
}

#[test]
fn a_trailing_slash_is_ignored_where_the_service_says_so() {
    let rules = || vec![rule("a", 1, &["/a"], &["GET /orders", "GET /x/"])];
    let strict = set(None, vec![orders(rules(), vec![])]);
    let mut service: ServiceSpec = orders(rules(), vec![]);
    service.paths.ignore_trailing_slash = true;
    let lax = set(None, vec![service]);
    let (from, to) = (id("/a"), id("/ns/shop/sa/orders"));
    let cases = [
        ("GET /orders", Reason::Allow),
        ("GET /orders/", Reason::NoRule),
        ("GET /x/", Reason::Allow),
        ("GET /x", Reason::NoRule),
    ];
    for (line, reason) in cases {
        assert_eq!(
            answer(&strict, &request(&from, &to, line)).0,
            reason,
            "{line}"
        );
        assert_eq!(
            answer(&lax, &request(&from, &to, line)).0,
            Reason::Allow,
            "{line}"
        );
    }
}

#[test]
fn the_nearest_miss_is_told_as_documents_have_it() {
    let set = set(None, vec![shop()]);
    let (from, to) = (id("/ns/shop/sa/checkout"), id("/ns/shop/sa/orders"));
    let request = request(&from, &to, "DELETE /orders/7");
    let decision = set.decide(&request, NOW);
    let miss = decision.nearest_miss.unwrap();
    let story = miss.story(&request, NOW).unwrap();
    assert_eq!(decision.owner, Some("team-orders"));
    assert_eq!(miss.rule.name, "checkout-places-orders");
    assert_eq!(miss.rule.location.to_string(), "orders.yaml:10");
    assert_eq!(
        (miss.clause, &*miss.expected, &*miss.actual),
        (Clause::Method, "GET", "DELETE")
    );
    assert_eq!(miss.location.to_string(), "orders.yaml:13");
    assert_eq!(miss.from.location.to_string(), "orders.yaml:11");
    assert_eq!(miss.to.text, "GET /orders/{order}");
    assert_eq!(story.captures, [("order".to_owned(), "7".to_owned())]);
    assert_eq!(
        story.addition,
        Some(Addition::To("DELETE /orders/{order}".to_owned()))
    );
    let passed: Vec<_> = story.checks.iter().map(|c| (c.clause, c.passed)).collect();
    let expected = [
        (Clause::From, true),
        (Clause::Method, false),
        (Clause::Path, true),
    ];
    assert_eq!(passed, expected);
}

#[test]
fn one_service_has_one_policy() {
    let rules = |name: &str| -> Vec<RuleSpec> { vec![rule(name, 1, &["/a"], &["GET /"])] };
    let spec = crate::spec::PolicySetSpec {
        mesh: None,
        services: vec![orders(rules("a"), vec![]), orders(rules("b"), vec![])],
    };
    let error = crate::PolicySet::build(spec).unwrap_err();
    assert!(
        matches!(error, crate::BuildError::DuplicateService { .. }),
        "{error}"
    );
}
