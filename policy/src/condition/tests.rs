use std::collections::BTreeMap;

use super::{ConditionFindingKind as K, *};
use crate::{PathOptions, testing::id};

/// 2026-11-22T12:30:00Z, a Sunday.
const NOW: Timestamp = Timestamp::from_secs(1_795_350_600);

#[derive(Debug)]
struct Seen(BTreeMap<&'static str, Header<'static>>);

impl Headers for Seen {
    fn header(&self, name: &str) -> Header<'_> {
        self.0.get(name).cloned().unwrap_or(Header::Absent)
    }
}

fn seen() -> Seen {
    let text = |text: &'static str| Header::Text(text.into());
    Seen(BTreeMap::from([
        ("x-purpose", text("reporting")),
        ("x-empty", text("")),
        ("x-level", text("7")),
        ("x-several", text("a,b")),
        ("x-bytes", Header::Unreadable(Unreadable::NotUtf8)),
        ("x-unseen", Header::Unreadable(Unreadable::Unknown)),
    ]))
}

/// What comes of a condition, and what it read.
fn told(text: &str) -> (Result<bool, ConditionFault>, Inputs) {
    let condition = Condition::parse(text).unwrap_or_else(|f| panic!("{text}: {f:?}"));
    let headers = seen();
    let (caller, service) = (id("/ns/shop/sa/web"), id("/ns/shop/sa/orders"));
    let target = "/orders/7?k=v&two=1&two=2&n=12";
    let request = Request {
        host: Some("orders.test"),
        headers: &headers,
        ..crate::testing::request(&caller, &service, "GET /")
    };
    let request = Request {
        path: target,
        ..request
    };
    let path = CanonicalPath::parse(target, PathOptions::default()).unwrap();
    let notes = Notes::default();
    let holds = condition.holds(&Scene {
        request: &request,
        caller: &caller,
        path: &path,
        bindings: &[("order", "7"), ("tenant", "shop")],
        now: NOW,
        notes: &notes,
    });
    (holds.unwrap(), notes.inputs.into_inner())
}

#[test]
fn every_part_of_a_request() {
    let holds = [
        "request.method == 'GET'",
        "request.path == '/orders/7'",
        "request.host == \"orders.test\"",
        "request.headers[\"x-purpose\"] == \"reporting\"",
        "request.headers['x-absent'] == ''",
        "!('x-absent' in request.headers)",
        "'x-empty' in request.headers && request.headers['x-empty'] == ''",
        "'x-bytes' in request.headers",
        "has(request.headers.origin) == false",
        "request.query.k == 'v' && request.query['none'] == ''",
        "'two' in request.query",
        "source.id == 'spiffe://example.org/ns/shop/sa/web'",
        "source.trustDomain == 'example.org'",
        "source.segments == ['ns', 'shop', 'sa', 'web']",
        "source.segments[1] == captures.tenant",
        "destination.id.endsWith('/orders')",
        "captures.order == '7' && captures['tenant'] != 'mail'",
        "request.time > timestamp('2026-01-01T00:00:00Z')",
        "request.time - timestamp('2026-11-22T12:00:00Z') == duration('30m')",
        "request.time + duration('-30m') == timestamp('2026-11-22T13:00:00+01:00')",
        "request.time.getDayOfWeek() == 0 && request.time.getHours() in [12, 13]",
        "request.time.getHours('+02:00') == 14 && request.time.getHours('-05:30') == 7",
        "int(request.headers['x-level']) >= 7 && int(request.query.n) % 5 == 2",
        "request.headers['x-several'].contains(',')",
        "request.headers['x-purpose'].matches(r'^[a-z]+$')",
        "size(request.headers['x-purpose']) == 9 && source.segments.size() == 4",
        "source.segments.exists(s, s == 'shop') && source.segments.all(s, s != 'mail')",
        "source.segments.exists_one(s, s.startsWith('w'))",
        "source.segments.filter(s, s.size() == 2) == ['ns', 'sa']",
        "source.segments.exists(a, ['x', 'shop'].exists(b, a == b))",
        "request.method in ['GET', 'HEAD'] ? captures.order == '7' : false",
        "'/tenants/' + captures.tenant == '/tenants/shop'",
        "-1 < int(captures.order) && 2 + 3 * 4 == 14 + 0 * int(captures.order) && 0x10 == 16 + 0 * size(captures.order)",
        "string(int(captures.order) + 1) == '8'",
    ];
    for text in holds {
        assert_eq!(told(text).0, Ok(true), "{text}");
    }
}

#[test]
fn errors_settle_what_they_can() {
    use ConditionFault as F;
    let unreadable = |part, name: &str, why| F::Unreadable {
        part,
        name: name.to_owned(),
        why,
    };
    let bytes = || unreadable(InputPart::Header, "x-bytes", Unreadable::NotUtf8);
    let cases = [
        ("request.headers['x-bytes'] == 'a'", Err(bytes())),
        (
            "request.headers['x-bytes'] == 'a' || captures.order == '7'",
            Ok(true),
        ),
        (
            "request.headers['x-bytes'] == 'a' || captures.order == '8'",
            Err(bytes()),
        ),
        (
            "request.headers['x-bytes'] == 'a' && captures.order == '8'",
            Ok(false),
        ),
        (
            "captures.order == '7' && request.headers['x-bytes'] == 'a'",
            Err(bytes()),
        ),
        (
            "!(request.headers['x-bytes'] == 'a' && captures.order == '8')",
            Ok(true),
        ),
        (
            "source.segments.exists(s, s == 'shop' || request.headers['x-bytes'] == s)",
            Ok(true),
        ),
        (
            "source.segments.exists_one(s, s == 'shop' || request.headers['x-bytes'] == s)",
            Err(bytes()),
        ),
        (
            "request.headers['x-unseen'] == ''",
            Err(unreadable(
                InputPart::Header,
                "x-unseen",
                Unreadable::Unknown,
            )),
        ),
        (
            "'x-unseen' in request.headers",
            Err(unreadable(
                InputPart::Header,
                "x-unseen",
                Unreadable::Unknown,
            )),
        ),
        (
            "request.query['two'] == '1'",
            Err(unreadable(InputPart::Query, "two", Unreadable::Repeated)),
        ),
        (
            "int(captures.tenant) == 1",
            Err(F::NotANumber("shop".to_owned())),
        ),
        (
            "source.segments[9] == 'a'",
            Err(F::NoSuchElement { index: 9, len: 4 }),
        ),
        (
            "source.segments[-1] == 'a'",
            Err(F::NoSuchElement { index: -1, len: 4 }),
        ),
        ("1 / (int(captures.order) - 7) == 0", Err(F::DivisionByZero)),
        ("1 % (int(captures.order) - 7) == 0", Err(F::DivisionByZero)),
        (
            "int(captures.order) + 9223372036854775807 > 0",
            Err(F::Overflow),
        ),
        (
            "-9223372036854775808 - int(captures.order) < 0",
            Err(F::Overflow),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(told(text).0, expected, "{text}");
    }
}

#[test]
fn a_text_grows_only_so_far() {
    let long = "x".repeat(4_000);
    let text = format!("captures.order + '{long}'");
    let doubled = (0..3).fold(text, |text, _| format!("({text} + {text})"));
    // Larger than a condition may be, so it is put together from a shorter one.
    assert!(Condition::parse(&format!("{doubled} == ''")).is_err());
    let text = format!("captures.order + '{}'", "x".repeat(300));
    let doubled = (0..3).fold(text, |text, _| format!("({text} + {text})"));
    assert_eq!(told(&format!("{doubled} == ''")).0, Ok(false));
}

#[test]
fn what_was_read_is_noted_once_and_only_what_was_read() {
    let noted = |text: &str| {
        let (_, inputs) = told(text);
        let list = inputs.iter().map(|(part, name, input)| {
            let what = match input {
                Input::Absent => "absent".to_owned(),
                Input::Text(text) => format!("={text}"),
                Input::Unreadable(why) => why.as_str().to_owned(),
            };
            format!("{part} {name} {what}")
        });
        list.collect::<Vec<_>>().join("; ")
    };
    let cases = [
        ("captures.order == '7'", ""),
        (
            "request.headers['x-purpose'] == 'reporting' && request.query.k == 'v'",
            "header x-purpose =reporting; query parameter k =v",
        ),
        (
            "request.headers['x-none'] == 'a' && request.headers['x-purpose'] == 'b'",
            "header x-none absent",
        ),
        (
            "request.headers['x-none'] in ['a', ''] && request.headers['x-none'] == ''",
            "header x-none absent",
        ),
        (
            "'two' in request.query || request.headers['x-bytes'] == ''",
            "query parameter two repeated",
        ),
        (
            "request.headers['x-unseen'] == ''",
            "header x-unseen unknown",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(noted(text), expected, "{text}");
    }
    let unknown = told("request.headers['x-unseen'] == '' && captures.order == '7'").1;
    let unknown: Vec<_> = unknown.unknown().collect();
    assert_eq!(unknown, [(InputPart::Header, "x-unseen")]);
}

/// What a decision read is all it takes to make it again; what it did not read is not
/// taken for absent.
#[test]
fn decided_again_from_what_was_read() {
    let (caller, service) = (id("/ns/shop/sa/web"), id("/ns/shop/sa/orders"));
    let path = CanonicalPath::parse("/orders/7", PathOptions::default()).unwrap();
    let again = |text: &str, inputs: &Inputs| {
        let request = Request {
            headers: inputs,
            ..crate::testing::request(&caller, &service, "GET /orders/7")
        };
        let condition = Condition::parse(text).unwrap();
        let holds = condition.holds(&Scene {
            request: &request,
            caller: &caller,
            path: &path,
            bindings: &[("order", "7")],
            now: NOW,
            notes: &Notes::default(),
        });
        holds.unwrap()
    };
    for text in [
        "request.headers['x-purpose'] == 'reporting' && request.query.k == 'v'",
        "request.headers['x-none'] == 'a' || 'x-empty' in request.headers",
        "request.query.two == '1'",
        "request.headers['x-bytes'] == '1' && request.query.none == ''",
    ] {
        let (told, inputs) = told(text);
        assert_eq!(again(text, &inputs), told, "{text}");
    }
    let (_, inputs) = told("request.headers['x-purpose'] == 'a' && request.query.k == 'v'");
    let fault = again("request.query.k == 'v'", &inputs).unwrap_err();
    assert_eq!(fault.unknown(), Some((InputPart::Query, "k")));
}

#[test]
fn what_it_may_read_is_known_before() {
    let condition = Condition::parse(
        "request.headers['x-a'] == '' || ('x-b' in request.headers && request.query.q == request.headers['x-a'] && captures.t == captures.u && captures.t == '')",
    )
    .unwrap();
    assert_eq!(condition.headers(), ["x-a", "x-b"]);
    assert_eq!(condition.parameters(), ["q"]);
    let captures: Vec<&str> = condition
        .captures()
        .iter()
        .map(|(name, _)| &**name)
        .collect();
    assert_eq!(captures, ["t", "u"]);
    assert!(!condition.reads_time());
    assert!(
        Condition::parse("request.time > timestamp('2026-01-01T00:00:00Z')")
            .unwrap()
            .reads_time()
    );
}

/// The kind, the text that is pointed at, the message, and the help.
#[test]
fn findings() {
    let cases: &[(&str, K, &str, &str)] = &[
        ("", K::Syntax, "", "the condition is empty"),
        (
            "captures.a ==",
            K::Syntax,
            "",
            "ends where more is expected",
        ),
        ("captures.a = 'b'", K::Syntax, "=", "CEL compares with `==`"),
        (
            "captures.a == 'b' and true",
            K::Syntax,
            "and",
            "CEL says `&&`",
        ),
        ("not captures.a", K::Syntax, "captures", "not expected here"),
        ("captures.a == \"b", K::Syntax, "\"", "not closed"),
        (
            "captures.a == \"\"\"b\"\"\"",
            K::Syntax,
            "\"\"\"",
            "triple quotes",
        ),
        ("captures.a == '\\d'", K::Syntax, "\\d", "no escape"),
        ("captures.a == 'b' // why", K::Syntax, "//", "a comment"),
        ("captures.a == 1.5", K::Type, "1.5", "such as a double"),
        ("captures.a == null", K::Type, "null", "such as null"),
        ("captures.a == b'x'", K::Type, "b'x'", "such as bytes"),
        ("captures.?a == ''", K::Syntax, "?", "no optional values"),
        (
            "(captures.a == 'b'",
            K::Syntax,
            "",
            "ends where more is expected (a `)` is missing)",
        ),
        ("captures.a == 'b')", K::Syntax, ")", "`)` is not expected"),
        ("{'a': 1} == {}", K::Syntax, "{", "no maps"),
        (
            "captures.a == 99999999999999999999",
            K::Syntax,
            "99999999999999999999",
            "64 bits",
        ),
        (
            "captures.a ~ 'b'",
            K::Syntax,
            "~",
            "`~` is not expected here",
        ),
        (
            "requets.path == '/'",
            K::Unknown,
            "requets",
            "did you mean `request`?",
        ),
        (
            "request.pth == '/'",
            K::Unknown,
            "pth",
            "did you mean `request.path`?",
        ),
        ("request.body == ''", K::Unknown, "body", "it has `method`"),
        (
            "path == '/'",
            K::Unknown,
            "path",
            "did you mean `request.path`?",
        ),
        (
            "now > request.time",
            K::Unknown,
            "now",
            "did you mean `request.time`?",
        ),
        (
            "reporting == request.method",
            K::Unknown,
            "reporting",
            "a text stands in quotes",
        ),
        (
            "request.path.startswith('/')",
            K::Unknown,
            "startswith",
            "did you mean `startsWith`?",
        ),
        (
            "request.path.lowerAscii() == '/'",
            K::Unknown,
            "lowerAscii",
            "list the spellings",
        ),
        (
            "request.path.split('/')[1] == 'a'",
            K::Unknown,
            "split",
            "`contains`",
        ),
        (
            "request.headers.x-purpose == 'a'",
            K::Unknown,
            "x-purpose",
            "write `[\"x-purpose\"]`",
        ),
        (
            "request.headers == ''",
            K::Type,
            "request.headers",
            "is read by name",
        ),
        (
            "request.headers.exists(h, h == '')",
            K::Type,
            "request.headers",
            "name those that count",
        ),
        (
            "request.headers[captures.a] == ''",
            K::Type,
            "captures.a",
            "must stand here",
        ),
        ("request == ''", K::Type, "request", "say which part"),
        (
            "request.method",
            K::Type,
            "request.method",
            "a condition is true or false, but this is a string",
        ),
        (
            "captures.a == 7",
            K::Type,
            "captures.a == 7",
            "put the number in quotes",
        ),
        (
            "request.headers['x-level'] > 3",
            K::Type,
            "request.headers['x-level'] > 3",
            "`int(…)`",
        ),
        (
            "request.headers['x-on'] == true",
            K::Type,
            "request.headers['x-on'] == true",
            "in quotes",
        ),
        (
            "request.time > '2026-01-01T00:00:00Z'",
            K::Type,
            "request.time > '2026-01-01T00:00:00Z'",
            "timestamp(",
        ),
        (
            "captures.a && true",
            K::Type,
            "captures.a",
            "a condition is true or false",
        ),
        (
            "captures.a == '' || captures.b",
            K::Type,
            "captures.b",
            "`||` takes a bool",
        ),
        ("!captures.a", K::Type, "captures.a", "`!` takes a bool"),
        (
            "captures.a + 1 == ''",
            K::Type,
            "+",
            "no meaning between a string and an int",
        ),
        (
            "'a' in captures.a",
            K::Type,
            "captures.a",
            "`in` takes a list",
        ),
        (
            "captures.a in ['a', 1]",
            K::Type,
            "1",
            "a list is of one type",
        ),
        (
            "1 in source.segments",
            K::Type,
            "1 in source.segments",
            "never in a list",
        ),
        ("source.segments['a'] == ''", K::Type, "'a'", "takes an int"),
        (
            "captures.a[0] == 'a'",
            K::Type,
            "captures.a",
            "has no elements",
        ),
        (
            "request.path.matches(captures.a)",
            K::Type,
            "captures.a",
            "takes a text in quotes",
        ),
        (
            "request.path.matches('(')",
            K::Syntax,
            "'('",
            "not a regular expression",
        ),
        (
            "request.time.getHours('Europe/Berlin') == 1",
            K::Type,
            "'Europe/Berlin'",
            "write `+01:00`",
        ),
        (
            "timestamp('2026-01-01') < request.time",
            K::Type,
            "'2026-01-01'",
            "is not a time",
        ),
        (
            "duration('1d') < request.time - request.time",
            K::Type,
            "'1d'",
            "is not a duration",
        ),
        (
            "request.path.startsWith('/a', '/b')",
            K::Type,
            "startsWith",
            "takes 1 argument, not 2",
        ),
        ("captures.a == '' ? 1 : ''", K::Type, "1 : ''", "one side"),
        (
            "source.segments.all(1, true)",
            K::Syntax,
            "1",
            "a name for the element",
        ),
        (
            "request.headers['authorization'] == 'x'",
            K::Header,
            "'authorization'",
            "may not read `authorization`",
        ),
        (
            "'Cookie' in request.headers",
            K::Header,
            "'Cookie'",
            "may not read `cookie`",
        ),
        (
            "has(request.headers.cookie)",
            K::Header,
            "cookie",
            "may not read",
        ),
        (
            "request.headers['x-forwarded-client-cert'] == ''",
            K::Header,
            "'x-forwarded-client-cert'",
            "may not read",
        ),
        (
            "request.headers['X-Purpose'] == 'a'",
            K::Header,
            "'X-Purpose'",
            "write `x-purpose`",
        ),
        (
            "request.headers['x_callgate_caller'] == 'a'",
            K::Header,
            "'x_callgate_caller'",
            "the proxy removes it",
        ),
        (
            "request.headers[':path'] == '/'",
            K::Header,
            "':path'",
            "read `request.path`",
        ),
        (
            "request.headers['host'] == 'a'",
            K::Header,
            "'host'",
            "read `request.host`",
        ),
        (
            "request.headers['a b'] == 'a'",
            K::Header,
            "'a b'",
            "not the name of a header",
        ),
        ("1 == 1", K::Constant, "1 == 1", "always the same"),
        (
            "captures.a == '' && true",
            K::Constant,
            "true",
            "always the same",
        ),
        (
            "source.id == '/ns/shop/sa/web'",
            K::Constant,
            "'/ns/shop/sa/web'",
            "a whole SPIFFE ID",
        ),
        (
            "source.id in ['spiffe://a/b', 'web']",
            K::Constant,
            "'web'",
            "a whole SPIFFE ID",
        ),
        (
            "source.id.startsWith('/ns')",
            K::Constant,
            "'/ns'",
            "begins with `spiffe://`",
        ),
        (
            "'get' == request.method",
            K::Constant,
            "'get'",
            "in upper case",
        ),
        (
            "request.path == '/a?b=1'",
            K::Constant,
            "'/a?b=1'",
            "no query",
        ),
        (
            "source.trustDomain == 'Example.org'",
            K::Constant,
            "'Example.org'",
            "lower case",
        ),
        ("captures.a in []", K::Constant, "[]", "empty list"),
        ("has(captures.a)", K::Constant, "a", "always there"),
        (
            "source.segments.all(a, source.segments.all(b, a != b))",
            K::TooCostly,
            "source.segments.all(a, source.segments.all(b, a != b))",
            "steps",
        ),
    ];
    for (text, kind, pointed, told) in cases {
        let findings = Condition::parse(text)
            .err()
            .unwrap_or_else(|| panic!("{text} loads"));
        let finding = &findings[0];
        assert_eq!(finding.kind, *kind, "{text}: {finding}");
        assert_eq!(&text[finding.range.clone()], *pointed, "{text}: {finding}");
        assert!(finding.to_string().contains(told), "{text}: {finding}");
    }
}

#[test]
fn everything_wrong_is_told_at_once() {
    let findings = Condition::parse("request.pth == '' && requst.path == '' && captures.a == 1");
    assert_eq!(findings.unwrap_err().len(), 3);
}

#[test]
fn depth_and_size_are_bounded() {
    let chain = |one: &str, by: &str, n: usize| vec![one; n].join(by);
    let nested = |open: &str, inner: &str, close: &str, n: usize| {
        format!("{}{inner}{}", open.repeat(n), close.repeat(n))
    };
    let fine = [
        chain("captures.a == 'b'", " && ", 100),
        chain("captures.a == 'b'", " || ", 100),
        nested("(", "captures.a == 'b'", ")", 20),
        format!("captures.a in ['{}']", chain("a", "','", 900)),
    ];
    for text in fine {
        assert!(Condition::parse(&text).is_ok(), "{text}");
    }
    let costly = [
        chain("captures.a == 'b'", " && ", 1_000),
        nested("(", "captures.a == 'b'", ")", 40),
        nested("!(", "captures.a == 'b'", ")", 40),
        nested("[", "1", "]", 40) + " == []",
        chain("captures.a", " + ", 40) + " == ''",
        chain("captures", ".", 400),
        format!("{}captures.a == 'b'", "!".repeat(2_000)),
        format!("1{} == 1", "- 1".repeat(1_000)),
        format!("{}true", "captures.a == '' ? true : ".repeat(100)),
        format!("captures.a{} == ''", "[0]".repeat(1_000)),
        format!("captures.a{} == ''", ".f()".repeat(800)),
        format!("captures.a.matches('{}')", r"\\w{1,999}".repeat(9)),
    ];
    for text in costly {
        let findings = Condition::parse(&text).unwrap_err();
        assert_eq!(findings[0].kind, K::TooCostly, "{text}: {findings:?}");
    }
}
