//! The algebra against cases that people can check, and against brute force.

use callgate_policy::{
    CallerPattern, CanonicalPath, Operation, PathOptions, Side, SpiffeId, TrustDomain,
};
use proptest::{collection::vec, prelude::*, sample::select};

use super::{Access, Language, Point, kind::Kind};

fn caller(text: &str) -> CallerPattern {
    let domain = TrustDomain::parse("example.org").unwrap();
    CallerPattern::parse(text, Some(&domain)).unwrap()
}

/// `/ns/shop/sa/* GET /orders`, in a rule that allows.
fn access(text: &str) -> Access {
    on(Side::Allow, text)
}

fn on(side: Side, text: &str) -> Access {
    let (from, to) = text.split_once(' ').unwrap();
    let options = PathOptions::default();
    let to = Operation::parse(to, options).unwrap();
    Access::new(&caller(from), &to, side, options)
}

fn shown(point: Option<Point>) -> String {
    match point {
        None => "-".to_owned(),
        Some(point) => {
            let id = point.caller().to_string();
            let path = id.strip_prefix("spiffe://example.org").unwrap_or(&id);
            format!("{path} {point}")
        }
    }
}

#[test]
fn where_two_meet() {
    let cases = [
        ("/a GET /x", "/a GET /x", "/a GET /x"),
        ("/a GET /x", "/a POST /x", "-"),
        ("/a GET,POST /x", "/a POST /x", "/a POST /x"),
        ("/a GET /x", "/b GET /x", "-"),
        ("/a GET /x", "spiffe://other.org/a GET /x", "-"),
        ("/a GET /x/**", "/a GET /{y}/z", "/a GET /x/z"),
        ("/a/** GET /x", "/*/b GET /x", "/a/b GET /x"),
        // A capture quietly takes what another rule has a word for.
        (
            "/a POST /orders/{order}",
            "/a POST /orders/{order}:refund",
            "/a POST /orders/any-order2:refund",
        ),
        ("/a GET /ab{x}", "/a GET /{y}ba", "/a GET /abcba"),
        ("/a GET /{x}.js", "/a GET /{y}.css", "-"),
        // Captures bind.
        ("/{t}/a GET /{t}", "/b/* GET /{u}", "/b/a GET /b"),
        ("/{t} GET /{t}", "/b GET /c", "-"),
        ("/{t} GET /x-{t}", "/{u} GET /{u}-x", "/x GET /x-x"),
        ("/{t} GET /x-{t}", "/{u} GET /{u}-y", "-"),
        ("/{t} GET /aba{t}", "/{u} GET /{u}aba", "/aba GET /abaaba"),
        ("/{t} GET /{t}/{t}", "/* GET /{u}/b", "/b GET /b/b"),
        // What opens a WebSocket is no plain request.
        ("/a WEBSOCKET /x", "/a GET /x", "-"),
        ("/a WEBSOCKET /x", "/a WEBSOCKET /x", "/a WEBSOCKET /x"),
        ("/a GRPC a.B/*", "/a POST /a.B/C", "/a GRPC a.B/C"),
        ("/a GET /x", "/a GET /x/", "-"),
        ("/a GET /**", "/a GET /", "/a GET /"),
    ];
    for (one, other, wanted) in cases {
        let (one, other) = (access(one), access(other));
        let language = Language::of([&one, &other]);
        let found = language.meet(&one, &other);
        if let Some(point) = &found {
            assert!(one.holds(point) && other.holds(point), "{one:?} {other:?}");
        }
        assert_eq!(shown(found), wanted, "{:?} {:?}", one.to(), other.to());
    }
}

#[test]
fn what_lies_beyond_others() {
    let cases: [(&str, &[&str], &str); 12] = [
        ("/a GET /x", &["/a GET /x"], "-"),
        ("/a GET /x", &["/* GET /{y}"], "-"),
        ("/* GET /{y}", &["/a GET /x"], "/any GET /any-y"),
        ("/a GET /x/**", &["/a GET /x/{y}"], "/a GET /x"),
        (
            "/a GET /x/**",
            &["/a GET /x", "/a GET /x/", "/a GET /x/{y}"],
            "/a GET /x/any/",
        ),
        (
            "/a GET /x/**",
            &["/a GET /x", "/a GET /x/", "/a GET /x/{y}/**"],
            "-",
        ),
        ("/a ANY /x", &["/a GET,POST,PUT /x"], "/a PATCH /x"),
        ("/a GET /x", &["/a HEAD /x"], "/a GET /x"),
        ("/{t} GET /{t}", &["/* GET /{y}"], "-"),
        ("/* GET /{y}", &["/{t} GET /{t}"], "/any GET /any-y"),
        ("/{t} GET /{t}/{u}", &["/{v} GET /{v}/{w}"], "-"),
        ("/{t}/a GET /a/{t}", &["/{t}/{u} GET /{u}/{t}"], "-"),
    ];
    for (one, others, wanted) in cases {
        let one = access(one);
        let others: Vec<Access> = others.iter().map(|text| access(text)).collect();
        let language = Language::of(others.iter().chain([&one]));
        let found = language.beyond(&one, &others.iter().collect::<Vec<_>>());
        assert_eq!(shown(found), wanted, "{:?}", one.to());
    }
}

#[test]
fn deny_rules_reach_further() {
    let cases = [
        ("/a GRPC a.B/C", "/a GRPC a.B/C", "-"),
        ("/a POST /a.B/C", "/a GRPC a.B/C", "-"),
        ("/a GET /x/", "/a GET /x", "-"),
        ("/a WEBSOCKET /x", "/a GET /x", "-"),
        ("/a WEBSOCKET /x", "/a POST /x", "/a WEBSOCKET /x"),
    ];
    for (allowed, denied, wanted) in cases {
        let (allowed, denied) = (access(allowed), on(Side::Deny, denied));
        let language = Language::of([&allowed, &denied]);
        let found = language.beyond(&allowed, &[&denied]);
        assert_eq!(shown(found), wanted, "{:?}", allowed.to());
    }
}

#[test]
fn when_every_letter_is_taken_it_says_so() {
    let letters = super::vocabulary::LETTERS.chars();
    let all: Vec<Access> = letters
        .map(|letter| access(&format!("/a GET /{letter}{{x}}")))
        .collect();
    assert!(Language::of(&all[1..]).is_exact());
    assert!(!Language::of(&all).is_exact());
}

/// Small alphabets, so that much meets.
fn any_access(side: Side) -> impl Strategy<Value = Access> {
    let caller = (
        vec(select(vec!["a", "b", "ab", "*", "{s}"]), 1..3),
        select(vec!["", "", "/**"]),
    );
    let segments = select(vec![
        "a", "b", "aba", "{s}", "{u}", "{v}", "a{u}", "{u}a", "ab{s}", "{s}ba", "b{v}a", "ba{v}",
    ]);
    let path = (vec(segments, 0..3), select(vec!["", "", "/", "/**"]));
    let verb = select(vec!["GET", "POST", "GET,PUT", "ANY", "WEBSOCKET"]);
    (caller, verb, path).prop_map(move |((caller, caller_tail), verb, (path, tail))| {
        let path: String = path.iter().map(|segment| format!("/{segment}")).collect();
        let path = match &*path {
            "" if tail == "/**" => "/**".to_owned(),
            "" => "/".to_owned(),
            _ => path + tail,
        };
        on(
            side,
            &format!("/{}{caller_tail} {verb} {path}", caller.join("/")),
        )
    })
}

/// Texts in which the patterns above can differ, and more.
fn texts() -> Vec<String> {
    let mut texts = vec![String::new()];
    let mut all = vec!["c".to_owned(), "cbc".to_owned()];
    for _ in 0..5 {
        let longer = |text: &String| ["a", "b"].map(|letter| format!("{text}{letter}"));
        texts = texts.iter().flat_map(longer).collect();
        all.extend(texts.iter().cloned());
    }
    all
}

fn any_point() -> impl Strategy<Value = Point> {
    let kinds = select(vec![
        Kind::example("GET", None),
        Kind::example("PUT", None),
        Kind::example("BREW", None),
        Kind::example("GET", Some("websocket")),
    ]);
    let caller = vec(select(texts()), 1..3);
    let path = vec(select(texts()), 0..4);
    (caller, kinds, path, any::<bool>()).prop_map(|(caller, kind, path, slash)| {
        let id = format!("spiffe://example.org/{}", caller.join("/"));
        Point::new(SpiffeId::parse(&id).unwrap(), kind, &path, slash)
    })
}

/// Every request with one segment in the caller and two in the path, and those with one.
fn every_point(mut ask: impl FnMut(&Point)) {
    let kinds = [Kind::example("GET", None), Kind::example("POST", None)];
    let texts: Vec<String> = texts().into_iter().filter(|text| text.len() < 5).collect();
    for caller in ["a", "ab", "aba", "c"] {
        let caller = SpiffeId::parse(&format!("spiffe://example.org/{caller}")).unwrap();
        for first in &texts {
            for kind in &kinds {
                let one = std::slice::from_ref(first);
                ask(&Point::new(caller.clone(), kind.clone(), one, false));
                for second in &texts {
                    let both = [first.clone(), second.clone()];
                    ask(&Point::new(caller.clone(), kind.clone(), &both, false));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// What is found is there; where nothing is found, no request is.
    #[test]
    fn agrees_with_random_requests(
        one in any_access(Side::Allow),
        others in vec(any_access(Side::Allow), 0..5),
        denied in vec(any_access(Side::Deny), 0..2),
        points in vec(any_point(), 200),
    ) {
        let others: Vec<&Access> = others.iter().chain(&denied).collect();
        let language = Language::of(others.iter().copied().chain([&one]));
        let beyond = language.beyond(&one, &others);
        let is_beyond = |point: &Point| {
            one.holds(point) && !others.iter().any(|other| other.holds(point))
        };
        if let Some(point) = &beyond {
            prop_assert!(is_beyond(point), "{}", point);
        }
        for point in &points {
            prop_assert!(beyond.is_some() || !is_beyond(point), "{}", point);
        }
        for other in others {
            let meet = language.meet(&one, other);
            if let Some(point) = &meet {
                prop_assert!(one.holds(point) && other.holds(point), "{}", point);
            }
            for point in &points {
                let both = one.holds(point) && other.holds(point);
                prop_assert!(meet.is_some() || !both, "{}", point);
            }
        }
        prop_assert!(language.is_exact());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_every_small_request(
        one in any_access(Side::Allow),
        other in any_access(Side::Allow),
        third in any_access(Side::Deny),
    ) {
        let language = Language::of([&one, &other, &third]);
        let (meet, beyond) = (language.meet(&one, &other), language.beyond(&one, &[&other, &third]));
        let mut wrong = None;
        every_point(|point| {
            if one.holds(point) {
                let in_other = other.holds(point);
                if (in_other && meet.is_none())
                    || (!in_other && beyond.is_none() && !third.holds(point))
                {
                    wrong = Some(point.clone());
                }
            }
        });
        prop_assert_eq!(wrong, None);
    }

    /// A path that is spelled from its segments is read as them.
    #[test]
    fn paths_are_spelled_as_they_are_read(
        segments in vec("[a-z%/; é+]{1,6}", 0..4),
        slash in any::<bool>(),
    ) {
        let spelled = CanonicalPath::spell(segments.iter().map(String::as_str), slash);
        let options = PathOptions { keep_encoded_slash: true, keep_parameters: true, ..PathOptions::default() };
        if let Ok(path) = CanonicalPath::parse(&spelled, options) {
            prop_assert!(path.segments().eq(segments.iter().map(String::as_str)));
            prop_assert_eq!(path.has_trailing_slash(), slash || segments.is_empty());
        }
    }
}
