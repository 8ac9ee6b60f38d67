use super::{CallerPattern, Operation, PatternErrorKind as K};
use crate::{PathError, PathOptions, SpiffeIdError, TrustDomain, testing::id};

const KEEP: PathOptions = PathOptions {
    keep_encoded_slash: true,
    keep_parameters: true,
    ignore_trailing_slash: false,
};

fn caller(text: &str) -> Result<CallerPattern, super::PatternError> {
    let domain = TrustDomain::parse("example.org").unwrap();
    CallerPattern::parse(text, Some(&domain))
}

#[test]
fn callers_match() {
    let web = "/ns/shop/sa/web";
    let cases = [
        ("/ns/shop/sa/web", web, true),
        ("spiffe://example.org/ns/shop/sa/web", web, true),
        ("/ns/shop/sa/Web", web, false),
        ("spiffe://other.org/ns/shop/sa/web", web, false),
        ("/ns/shop/sa/*", web, true),
        ("/*/*/*/*", web, true),
        ("/*/*/*", web, false),
        ("/ns/{n}/sa/{s}", web, true),
        ("/ns/shop/**", web, true),
        ("/ns/shop/sa/web/**", web, true),
        ("/ns/shop/sa/web/x/**", web, false),
        ("/**", web, true),
        ("spiffe://other.org/**", web, false),
        ("/{x}/{x}", "/a/a", true),
        ("/{x}/{x}", "/a/b", false),
    ];
    for (pattern, text, matches) in cases {
        let parsed = caller(pattern).unwrap();
        assert_eq!(parsed.matches(&id(text)), matches, "{pattern} {text}");
        let full = if pattern.starts_with('/') {
            format!("spiffe://example.org{pattern}")
        } else {
            pattern.to_owned()
        };
        assert_eq!(parsed.to_string(), full);
        assert_eq!(CallerPattern::parse(&full, None).unwrap(), parsed);
    }
}

#[test]
fn captures_are_told_once_in_order() {
    let pattern = caller("/{b}/{a}/*/{b}").unwrap();
    assert!(pattern.captures().eq(["b", "a"]));
    let operation = Operation::parse("GET /{b}/x-{a}.js/{b}/**", PathOptions::default()).unwrap();
    assert!(operation.captures().eq(["b", "a"]));
    assert_eq!(caller("/a").unwrap().exact(), Some(&id("/a")));
    assert_eq!(caller("/*").unwrap().exact(), None);
}

#[test]
fn callers_that_cannot_mean_what_they_say() {
    use SpiffeIdError as E;
    let identity = K::Identity;
    let cases = [
        ("", K::Empty, "", None),
        ("web", K::NotAnIdentity, "web", None),
        (
            "ns/shop/sa/web",
            K::NotAnIdentity,
            "ns/shop/sa/web",
            Some("/ns/shop/sa/web"),
        ),
        (
            "SPIFFE://a/b",
            K::NotAnIdentity,
            "SPIFFE://a/b",
            Some("spiffe://a/b"),
        ),
        ("*", K::NotAnIdentity, "*", None),
        ("spiffe://*/a", K::TrustDomainWildcard, "*", None),
        ("spiffe://{td}/a", K::TrustDomainWildcard, "{td}", None),
        ("spiffe://a.*/**", K::TrustDomainWildcard, "a.*", None),
        ("spiffe:///a", identity(E::TrustDomainEmpty), "", None),
        (
            "spiffe://A.org/a",
            identity(E::TrustDomainUpperCase { at: 9 }),
            "A.org",
            Some("spiffe://a.org/a"),
        ),
        (
            "spiffe://a.org",
            identity(E::PathMissing),
            "spiffe://a.org",
            None,
        ),
        ("/", identity(E::TrailingSlash), "/", None),
        ("/ns/", identity(E::TrailingSlash), "/", Some("/ns")),
        ("/ns//a", identity(E::EmptySegment { at: 4 }), "/", None),
        ("/ns/../a", identity(E::DotSegment { at: 4 }), "..", None),
        (
            "/ns/a b",
            identity(E::PathCharacter { at: 5, found: ' ' }),
            " ",
            None,
        ),
        (
            "/ns/a%20",
            identity(E::PercentEncoding { at: 5 }),
            "%",
            None,
        ),
        (
            "/ns/é",
            identity(E::PathCharacter { at: 4, found: 'é' }),
            "é",
            None,
        ),
        ("/ns/web-*", K::PartialWildcard, "web-*", None),
        ("/ns/**/sa", K::DoubleStarInside, "**", None),
        ("/ns/**/", K::DoubleStarInside, "**", None),
        ("/ns/a**", K::DoubleStarInside, "a**", None),
        ("/ns/{a}-x", K::PartialCapture, "{a}-x", None),
        ("/ns/{a}{b}", K::SeveralCaptures, "{b}", None),
        ("/ns/{}", K::EmptyCapture, "{}", None),
        ("/ns/{a", K::UnbalancedBrace, "{", None),
        ("/ns/a}", K::UnbalancedBrace, "}", None),
        ("/ns/{{a}}", K::UnbalancedBrace, "{{a}", None),
        ("/ns/{a-b}", K::CaptureName, "a-b", Some("/ns/{a}")),
        ("/ns/{1}", K::CaptureName, "1", None),
    ];
    for (text, kind, span, suggestion) in cases {
        let error = caller(text).unwrap_err();
        assert_eq!((error.kind(), &text[error.span()]), (kind, span), "{text}");
        assert_eq!(error.suggestion(), suggestion, "{text}");
        if let Some(suggestion) = suggestion {
            assert!(caller(suggestion).is_ok(), "{suggestion}");
        }
    }
    let error = CallerPattern::parse("/ns/a", None).unwrap_err();
    assert_eq!(error.kind(), K::NoTrustDomain);
    let long = format!("/{}", "a".repeat(2_048));
    assert!(matches!(
        caller(&long).unwrap_err().kind(),
        K::Identity(E::TooLong { .. })
    ));
    // Too long only together with the trust domain.
    let error = caller(&long[..2_040]).unwrap_err();
    assert!(matches!(error.kind(), K::Identity(E::TooLong { .. })));
}

#[test]
fn operations_parse() {
    for text in [
        "GET /",
        "GET /orders",
        "GET,POST,HEAD /orders/{order}/**",
        "PROPFIND,X-Y_1 /dav/**"
            .to_uppercase()
            .replace("/DAV", "/dav")
            .as_str(),
        "ANY /**",
        "POST /orders/{order}:cancel",
        "GET /a:b@c/!$&'()+,=-._~",
        "GET /caf%C3%A9/with%20space/{id}.js",
        "GET /[",
        "GRPC shop.v1.Orders/Watch",
        "GRPC Health/*",
        "WEBSOCKET /ui/live/",
    ] {
        let parsed = Operation::parse(text, PathOptions::default());
        assert_eq!(parsed.is_ok(), text != "GET /[", "{text}");
    }
    for text in ["GET /a;b/c%2Fd", "GET /{x};y/a%2f{z}"] {
        assert!(
            Operation::parse(text, PathOptions::default()).is_err(),
            "{text}"
        );
        assert!(Operation::parse(text, KEEP).is_ok(), "{text}");
    }
}

#[test]
fn operations_that_cannot_mean_what_they_say() {
    let path = K::Path;
    let needless = |at, found| path(PathError::NeedlessEncoding { at, found });
    let regex = |found| K::Regex { found };
    let cases = [
        ("", K::Empty, "", None),
        ("GET", K::NoPath, "", None),
        ("/orders", K::NoMethod, "", Some("GET /orders")),
        (
            "get /orders",
            K::LowerCaseMethod,
            "get",
            Some("GET /orders"),
        ),
        (
            "Get,post /orders",
            K::LowerCaseMethod,
            "Get",
            Some("GET,POST /orders"),
        ),
        ("G@T /orders", K::Method, "G@T", None),
        ("GET, /orders", K::Method, "", None),
        ("* /orders", K::Method, "*", None),
        ("GET,GET /orders", K::RedundantMethod, "GET", None),
        (
            "GET,ANY /orders",
            K::RedundantMethod,
            "ANY",
            Some("ANY /orders"),
        ),
        ("GET,GRPC /orders", K::VerbInList, "GRPC", None),
        ("CONNECT /orders", K::Connect, "CONNECT", None),
        (
            "GET  /orders",
            K::Space,
            "GET  /orders",
            Some("GET /orders"),
        ),
        (
            " GET /orders",
            K::Space,
            " GET /orders",
            Some("GET /orders"),
        ),
        (
            "GET /orders ",
            K::Space,
            "GET /orders ",
            Some("GET /orders"),
        ),
        (
            "GET, POST /orders",
            K::Space,
            "GET, POST /orders",
            Some("GET,POST /orders"),
        ),
        (
            "GET POST /orders",
            K::Space,
            "GET POST /orders",
            Some("GET,POST /orders"),
        ),
        ("GET\t/orders", K::NoMethod, "", None),
        ("GET /a b", K::Space, "GET /a b", None),
        ("GET orders", K::RelativePath, "orders", Some("GET /orders")),
        ("GET http://h/a", K::RelativePath, "http://h/a", None),
        ("GET ^/orders$", regex('^'), "^", Some("GET /orders")),
        ("GET /orders$", regex('$'), "$", Some("GET /orders")),
        ("GET /orders/.*", regex('.'), ".", None),
        ("GET /orders/.+", regex('.'), ".", None),
        ("GET /orders/[0-9]+", regex('['), "[", None),
        ("GET /orders/a|b", regex('|'), "|", None),
        (
            "GET /orders/\\d",
            path(PathError::Backslash { at: 12 }),
            "\\",
            None,
        ),
        (
            "GET /orders/*",
            K::PathWildcard,
            "*",
            Some("GET /orders/{id}"),
        ),
        (
            "GET /{id}/*.js",
            K::PathWildcard,
            "*",
            Some("GET /{id}/{id2}.js"),
        ),
        ("GET /a/**/b", K::DoubleStarInside, "**", None),
        ("GET /a/**/", K::DoubleStarInside, "**", None),
        ("GET /a/b**", K::DoubleStarInside, "**", None),
        (
            "GET /orders/:id",
            K::Placeholder,
            ":id",
            Some("GET /orders/{id}"),
        ),
        (
            "GET /orders/<int:id>",
            K::Placeholder,
            "<int:id>",
            Some("GET /orders/{id}"),
        ),
        ("GET /a/{}", K::EmptyCapture, "{}", None),
        ("GET /a/{b", K::UnbalancedBrace, "{", None),
        ("GET /a/b}", K::UnbalancedBrace, "}", None),
        ("GET /a/{b}}", K::UnbalancedBrace, "}", None),
        ("GET /{a}-{b}", K::SeveralCaptures, "{b}", None),
        (
            "GET /{id:[0-9]+}",
            K::CaptureName,
            "id:[0-9]+",
            Some("GET /{id}"),
        ),
        ("GET /{*rest}", K::CaptureName, "*rest", Some("GET /{rest}")),
        ("GET /a?b=c", K::Query, "?b=c", Some("GET /a")),
        ("GET /a#b", path(PathError::Fragment { at: 6 }), "#b", None),
        (
            "GET /a//b",
            path(PathError::EmptySegment { at: 7 }),
            "//",
            Some("GET /a/b"),
        ),
        (
            "GET /a/../b",
            path(PathError::DotSegment { at: 7 }),
            "..",
            None,
        ),
        ("GET /%61", needless(5, 'a'), "%61", Some("GET /a")),
        (
            "GET /a%2Fb",
            path(PathError::EncodedSlash { at: 6 }),
            "%2F",
            None,
        ),
        (
            "GET /a%252Fb",
            path(PathError::DoubleEncoding { at: 6 }),
            "%25",
            None,
        ),
        (
            "GET /a%4",
            path(PathError::BrokenEncoding { at: 6 }),
            "%",
            None,
        ),
        ("GET /%C3", path(PathError::NotUtf8 { at: 5 }), "%C3", None),
        ("GET /a;b", path(PathError::Parameters { at: 6 }), ";", None),
        (
            "GRPC /shop.v1.Orders/Watch",
            K::Grpc,
            "/shop.v1.Orders/Watch",
            Some("GRPC shop.v1.Orders/Watch"),
        ),
        (
            "GRPC shop.v1.Orders",
            K::Grpc,
            "shop.v1.Orders",
            Some("GRPC shop.v1.Orders/*"),
        ),
        ("GRPC */Watch", K::Grpc, "*/Watch", None),
        ("GRPC a.B/C/D", K::Grpc, "a.B/C/D", None),
        ("GRPC a..B/C", K::Grpc, "a..B/C", None),
        ("GRPC a.B/{m}", K::Grpc, "a.B/{m}", None),
        ("GRPC a.B/**", K::Grpc, "a.B/**", None),
    ];
    for (text, kind, span, suggestion) in cases {
        let error = Operation::parse(text, PathOptions::default()).unwrap_err();
        assert_eq!((error.kind(), &text[error.span()]), (kind, span), "{text}");
        assert_eq!(error.suggestion(), suggestion, "{text}");
        if let Some(suggestion) = suggestion {
            let parsed = Operation::parse(suggestion, PathOptions::default());
            assert!(parsed.is_ok(), "{suggestion}");
        }
        assert!(!error.to_string().ends_with('.'), "{error}");
    }
    let long = format!("GET /{}", "a".repeat(8_000));
    let error = Operation::parse(&long, PathOptions::default()).unwrap_err();
    assert_eq!(error.kind(), K::TooLong);
}

mod any_text {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Errors point into the text, and what they suggest can be read.
        #[test]
        fn errors_can_be_shown(text in "(GET|any|GRPC|WEBSOCKET|)[ ,]{0,2}[/a-bA-B{}*.:%25;?#é$ -]{0,12}") {
            let strict = PathOptions::default();
            if let Err(error) = Operation::parse(&text, strict) {
                prop_assert!(text.get(error.span()).is_some(), "{error:?}");
                let suggestion = error.suggestion();
                prop_assert!(suggestion.is_none_or(|text| Operation::parse(text, strict).is_ok()));
            }
            if let Err(error) = caller(&text) {
                prop_assert!(text.get(error.span()).is_some(), "{error:?}");
                prop_assert!(error.suggestion().is_none_or(|text| caller(text).is_ok()));
            }
        }
    }
}
