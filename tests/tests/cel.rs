//! What a condition means is what CEL says it means: the crate `cel` works out the same
//! expressions over the same values.
//!
//! What differs is a list with reasons. An absent header is the one thing that both sides
//! have to be told apart: the crate has no map with a default, so here every header that an
//! expression reads is there.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test, a panic is the report"
)]

use std::collections::{BTreeMap, HashMap};

use callgate_policy::{
    Caller, PolicySet, Request, SpiffeId, Verdict,
    document::{LoadOptions, Source, load, parse_time},
};
use cel::{Context, Program, Value};
use proptest::prelude::*;

const CALLER: &str = "spiffe://example.org/ns/shop/sa/web";
const SERVICE: &str = "spiffe://example.org/ns/shop/sa/orders";
const NOW: &str = "2026-11-22T12:34:56Z";
const HEADERS: [(&str, &str); 5] = [
    ("x-purpose", "reporting"),
    ("x-empty", ""),
    ("x-level", "7"),
    ("x-list", "a,b"),
    ("x-wide", "café"),
];
const QUERY: [(&str, &str); 2] = [("k", "v"), ("n", "12")];

/// What ours makes of it: whether an allow rule with it matches, or that it has no result.
fn ours(text: &str) -> Result<bool, String> {
    let set = with(text)?;
    let (caller, service) = (
        SpiffeId::parse(CALLER).unwrap(),
        SpiffeId::parse(SERVICE).unwrap(),
    );
    let headers: BTreeMap<String, String> = HEADERS
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let request = Request {
        caller: Caller::Verified(&caller),
        service: Some(&service),
        method: "GET",
        path: "/orders/7?k=v&n=12",
        upgrade: None,
        content_type: None,
        host: Some("orders.test"),
        headers: &headers,
    };
    let decision = set.decide(&request, parse_time(NOW).unwrap());
    match decision.condition_errors.first() {
        Some(error) => Err(error.fault.to_string()),
        None => Ok(decision.verdict == Verdict::Allow),
    }
}

fn with(text: &str) -> Result<PolicySet, String> {
    let document = format!(
        "kind: ServicePolicy\nmetadata: {{name: orders}}\nspec:\n  services: ['{SERVICE}']\n  \
         allow:\n  - name: it\n    from: ['spiffe://example.org/ns/{{tenant}}/sa/*']\n    \
         to: ['GET /orders/{{order}}']\n    when: '{}'\n",
        format!("captures.tenant != \"\" && ({text})").replace('\'', "''")
    );
    let loaded = load(&[Source::new("it.yaml", document)], &LoadOptions::default());
    loaded
        .map(|loaded| loaded.policies)
        .map_err(|error| format!("does not load: {error}"))
}

/// What the crate makes of it.
fn theirs(text: &str) -> Result<bool, String> {
    let program = Program::compile(text).map_err(|error| error.to_string())?;
    let mut context = Context::default();
    let text_map = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        pairs.collect::<HashMap<String, String>>()
    };
    let time = cel_time();
    let request: HashMap<String, Value> = [
        ("method", Value::from("GET")),
        ("path", Value::from("/orders/7")),
        ("host", Value::from("orders.test")),
        ("headers", Value::from(text_map(&HEADERS))),
        ("query", Value::from(text_map(&QUERY))),
        ("time", time),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let segments: Vec<Value> = ["ns", "shop", "sa", "web"].map(Value::from).into();
    let source: HashMap<String, Value> = [
        ("id", Value::from(CALLER)),
        ("trustDomain", Value::from("example.org")),
        ("segments", Value::from(segments)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    context.add_variable_from_value("request", request);
    context.add_variable_from_value("source", source);
    context.add_variable_from_value("destination", text_map(&[("id", SERVICE)]));
    context.add_variable_from_value("captures", text_map(&[("tenant", "shop"), ("order", "7")]));
    match program.execute(&context) {
        Ok(Value::Bool(value)) => Ok(value),
        Ok(other) => panic!("{text}: {other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

/// [`NOW`], as the crate has it.
fn cel_time() -> Value {
    let program = Program::compile(&format!("timestamp('{NOW}')")).unwrap();
    program.execute(&Context::default()).unwrap()
}

/// What has a result has the same on both sides, and what has none has none.
fn agree(text: &str) {
    let (ours, theirs) = (ours(text), theirs(text));
    match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{text}"),
        (Err(_), Err(_)) => {}
        _ => panic!("{text}: ours {ours:?}, theirs {theirs:?}"),
    }
}

#[test]
fn every_operator_and_function() {
    let cases = [
        "request.method == 'GET' && request.path == '/orders/7'",
        "request.headers['x-purpose'] == \"reporting\"",
        "request.headers['x-purpose'] != 'reporting' || 'x-empty' in request.headers",
        "'x-absent' in request.headers",
        "has(request.query.k) && !has(request.query.absent)",
        "request.query.k == 'v' && request.query['n'] == '12'",
        "source.segments == ['ns', 'shop', 'sa', 'web']",
        "source.segments[1] == captures.tenant && source.segments[3] != 'api'",
        "source.segments[4] == 'x'",
        "source.segments[-1] == 'x'",
        "size(source.segments) == 4 && source.segments.size() < 5",
        "size(request.headers['x-wide']) == 4",
        "'shop' in source.segments && !('mail' in source.segments)",
        "request.method in ['HEAD', 'GET']",
        "request.path.startsWith('/orders') && request.path.endsWith('7') && request.path.contains('ers')",
        "request.headers['x-purpose'].matches('^r.*g$')",
        "request.headers['x-purpose'].matches('port')",
        "request.headers['x-wide'].matches(r'^\\w+$')",
        "int(request.headers['x-level']) + 1 == 8",
        "int(request.headers['x-purpose']) == 1",
        "int(request.headers['x-empty']) == 0",
        "int(captures.order) * 3 - 1 == 20 && int(captures.order) / 2 == 3 && int(captures.order) % 4 == 3",
        "-int(captures.order) / 2 == -3 && -int(captures.order) % 4 == -3",
        "int(captures.order) / (int(captures.order) - 7) == 0",
        "int(captures.order) + 9223372036854775807 > 0",
        "string(int(captures.order)) == captures.order",
        "'/' + captures.tenant + '/' == '/shop/'",
        "request.headers['x-purpose'] < 's' && 'a' <= captures.tenant && captures.tenant >= 'shop' && captures.tenant > 'a'",
        "captures.order == '7' ? request.method == 'GET' : request.method == 'PUT'",
        "captures.order == '8' ? int(captures.tenant) == 1 : true",
        "source.segments.exists(s, s == 'sa') && source.segments.all(s, size(s) > 1)",
        "source.segments.exists_one(s, size(s) == 2)",
        "source.segments.exists_one(s, s == 'web')",
        "source.segments.filter(s, size(s) == 2) == ['ns', 'sa']",
        "source.segments.exists(a, ['x', 'web'].exists(b, a == b))",
        "source.segments.all(s, s in ['ns', 'shop', 'sa', 'web'])",
        "int(captures.tenant) == 1 || captures.order == '7'",
        "captures.order == '7' || int(captures.tenant) == 1",
        "int(captures.tenant) == 1 && captures.order == '8'",
        "int(captures.tenant) == 1 && captures.order == '7'",
        "source.segments.exists(s, int(s) == 1 || s == 'web')",
        "source.segments.all(s, int(s) == 1 && s == 'x')",
        "source.segments.exists(s, int(s) == 1)",
        "request.time > timestamp('2026-01-01T00:00:00Z')",
        "request.time - timestamp('2026-11-22T12:00:00Z') == duration('34m56s')",
        "request.time + duration('1h') < timestamp('2026-11-22T14:34:56+01:00')",
        "request.time - duration('90s') == timestamp('2026-11-22T12:33:26Z')",
        "duration('1h') + duration('30m') == request.time - timestamp('2026-11-22T11:04:56Z')",
        "request.time.getFullYear() == 2026 && request.time.getMonth() == 10 && request.time.getDate() == 22",
        "request.time.getDayOfMonth() == 21 && request.time.getDayOfYear() == 325 && request.time.getDayOfWeek() == 0",
        "request.time.getHours() == 12 && request.time.getMinutes() == 34 && request.time.getSeconds() == 56",
        "request.time.getMilliseconds() == 0",
        "captures.tenant == '\\u0073\\x68\\157p' && captures.tenant != r'\\u0073'",
        "0x0C == int(request.query.n) && -0x0C == -int(request.query.n)",
        "!(captures.order == '7') == false",
        "!!(captures.order == '7')",
        "captures.order == '7' && captures.tenant == 'a' || request.method == 'GET'",
        "1 + 2 * int(captures.order) == 15 && (1 + 2) * int(captures.order) == 21",
    ];
    for text in cases {
        agree(text);
    }
}

/// Texts of a type, built of smaller ones.
fn text() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "captures.tenant",
        "captures.order",
        "request.headers['x-purpose']",
        "request.headers['x-empty']",
        "request.headers['x-level']",
        "request.query.n",
        "request.method",
        "source.segments[1]",
        "source.segments[5]",
        "'shop'",
        "'7'",
        "''",
    ]);
    leaf.prop_map(str::to_owned)
        .prop_recursive(2, 4, 2, |inner| {
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a} + {b})"))
        })
}

fn number() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        text().prop_map(|text| format!("int({text})")),
        text().prop_map(|text| format!("size({text})")),
        (-9_i64..9).prop_map(|n| n.to_string()),
        Just("size(source.segments)".to_owned()),
        Just("request.time.getHours()".to_owned()),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        let operator = prop::sample::select(vec!["+", "-", "*", "/", "%"]);
        (inner.clone(), operator, inner).prop_map(|(a, op, b)| format!("({a} {op} {b})"))
    })
}

fn condition() -> impl Strategy<Value = String> {
    let compare = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let search = prop::sample::select(vec!["contains", "startsWith", "endsWith"]);
    let leaf = prop_oneof![
        (text(), compare.clone(), text()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (number(), compare, number()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (text(), search, text()).prop_map(|(a, f, b)| format!("({a}).{f}({b})")),
        text().prop_map(|a| format!("{a} in source.segments")),
        (text(), text()).prop_map(|(a, b)| format!("{a} in ['7', {b}]")),
        text().prop_map(|a| format!("source.segments.exists(s, s == {a})")),
        text().prop_map(|a| format!("source.segments.all(s, s != {a} || int(s) == 1)")),
        text().prop_map(|a| format!("source.segments.exists_one(s, s.contains({a}))")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_condition_that_loads(text in condition()) {
        // What always holds or never does, and what takes too long, does not load.
        prop_assume!(with(&text).is_ok());
        agree(&text);
    }
}

/// The difference that is meant.
#[test]
fn an_absent_header_is_empty_and_no_error() {
    let text = "request.headers['x-absent'] == ''";
    assert_eq!(ours(text), Ok(true));
    assert!(theirs(text).is_err());
}
