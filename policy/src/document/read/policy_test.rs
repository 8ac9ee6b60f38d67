//! `PolicyTest`: calls, and what is expected of them.

use std::collections::HashMap;

use super::{
    super::{
        Code,
        finding::{Finding, Quoted, Sink},
        raw::{PolicyTest, TestCase, Written},
        request::{Header, RequestError, RequestLine},
        source::Span,
        time::parse_time,
        yaml::{Node, Value},
    },
    Fields, Shape, What,
    exception::invalid_time,
    expectation,
    rules::name,
    text,
    values::{list, maybe_empty_text, unquoted, wrong_type},
};
use crate::Timestamp;

pub(super) const SHAPE: Shape = Shape {
    name: "a `PolicyTest`",
    known: &["now", "cases"],
    required: &["cases"],
};

pub(super) const CASE: Shape = Shape {
    name: "a case",
    known: &[
        "name",
        "from",
        "forwarder",
        "to",
        "headers",
        "requests",
        "now",
        "expect",
    ],
    required: &["name", "from", "to", "requests", "expect"],
};

/// Reads `spec`; `None` if nothing can be said of it.
pub(super) fn read<'s>(
    name: Option<Written<'s>>,
    span: Span,
    spec: Node<'s>,
    sink: &mut Sink,
) -> Option<PolicyTest<'s>> {
    let mut fields = Fields::open(spec, What::Field("spec"), &SHAPE, sink)?;
    let now = now(&mut fields, sink);
    let cases = fields.take("cases");
    let cases = cases.map_or_else(Vec::new, |entry| list(entry.value, "cases", sink));
    let cases: Vec<_> = cases
        .into_iter()
        .filter_map(|node| case(node, sink))
        .collect();
    refuse_duplicates(&cases, sink);
    Some(PolicyTest {
        name,
        span,
        now,
        cases,
    })
}

fn case<'s>(node: Node<'s>, sink: &mut Sink) -> Option<TestCase<'s>> {
    let mut fields = Fields::open(node, What::Entry("cases"), &CASE, sink)?;
    let span = fields.start();
    let name = fields
        .take("name")
        .and_then(|entry| name(entry.value, sink));
    let from = fields.take("from");
    let from = from.map_or_else(Vec::new, |entry| one_or_several(entry.value, sink));
    let mut one = |field| text(fields.take(field)?.value, What::Field(field), sink);
    let (forwarder, to) = (one("forwarder"), one("to"));
    let headers = fields.take("headers");
    let headers = headers.map_or_else(Vec::new, |entry| headers_of(entry.value, sink));
    let requests = fields.take("requests");
    let requests = requests.map_or_else(Vec::new, |entry| requests_of(entry.value, sink));
    Some(TestCase {
        name,
        span,
        from,
        forwarder,
        to,
        headers,
        requests,
        now: now(&mut fields, sink),
        expect: fields
            .take("expect")
            .and_then(|entry| expectation::read(entry, sink)),
    })
}

fn now(fields: &mut Fields<'_>, sink: &mut Sink) -> Option<Timestamp> {
    let written = unquoted(fields.take("now")?.value, What::Field("now"), sink)?;
    parse_time(&written.text)
        .map_err(|error| sink.push(invalid_time(&written, error)))
        .ok()
}

/// `from`: one caller, or a list of them.
fn one_or_several<'s>(node: Node<'s>, sink: &mut Sink) -> Vec<Written<'s>> {
    if matches!(node.value, Value::Text(_)) {
        return text(node, What::Field("from"), sink).into_iter().collect();
    }
    let items = list(node, "from", sink).into_iter();
    items
        .filter_map(|item| text(item, What::Entry("from"), sink))
        .collect()
}

fn requests_of(node: Node<'_>, sink: &mut Sink) -> Vec<(RequestLine, Span)> {
    let items = list(node, "requests", sink).into_iter();
    items.filter_map(|item| request(item, sink)).collect()
}

fn request(node: Node<'_>, sink: &mut Sink) -> Option<(RequestLine, Span)> {
    let written = text(node, What::Entry("requests"), sink)?;
    let error = match written.text.parse::<RequestLine>() {
        Ok(request) => return Some((request, written.span)),
        Err(error) => error,
    };
    let (fault, help) = match error {
        RequestError::SeveralMethods => (
            "a request has one method",
            "write one entry for each: that is what callers send",
        ),
        RequestError::Grpc => (
            "a gRPC request is `GRPC package.Service/Method`",
            "write the method as its service does, without a `/` before it",
        ),
        _ => (
            "it is a method and a path",
            "write a method, one space, and a path: `GET /orders/7`",
        ),
    };
    let message = format!("`{}` is not a request: {fault}", Quoted(&written.text));
    sink.push(Finding::new(Code::InvalidRequest, written.span, message).help(help));
    None
}

/// Names with a value or, where a header is repeated, a list of them.
fn headers_of(node: Node<'_>, sink: &mut Sink) -> Vec<Header> {
    let entries = match node.value {
        Value::Map(entries) => entries,
        Value::Refused => return Vec::new(),
        other => {
            let what = What::Field("headers");
            sink.push(wrong_type(node.span, what, "a mapping", &other));
            return Vec::new();
        }
    };
    let mut headers: Vec<Header> = Vec::new();
    let mut seen: HashMap<String, Span> = HashMap::new();
    for entry in entries {
        let first = *seen
            .entry(entry.key.to_ascii_lowercase())
            .or_insert(entry.key_span);
        if first != entry.key_span {
            let name = Quoted(&entry.key);
            let message = format!("the header `{name}` stands twice, in another case");
            let finding = Finding::new(Code::InvalidHeader, entry.key_span, message);
            let finding = finding.label("again here").related(first, "first here");
            sink.push(finding.help("give a repeated header a list of values"));
        }
        for value in values(entry.value, &entry.key, sink) {
            match Header::new(&entry.key, &value.text) {
                Ok(header) => headers.push(header),
                Err(error) => {
                    let span = match error {
                        RequestError::HeaderName => entry.key_span,
                        _ => value.span,
                    };
                    let message = format!("`{}` is not a header: {error}", Quoted(&entry.key));
                    sink.push(Finding::new(Code::InvalidHeader, span, message));
                }
            }
        }
    }
    headers
}

fn values<'s>(node: Node<'s>, key: &str, sink: &mut Sink) -> Vec<Written<'s>> {
    if !matches!(node.value, Value::List(_)) {
        return maybe_empty_text(node, What::Field(key), sink)
            .into_iter()
            .collect();
    }
    let items = list(node, key, sink).into_iter();
    items
        .filter_map(|item| maybe_empty_text(item, What::Entry(key), sink))
        .collect()
}

fn refuse_duplicates(cases: &[TestCase<'_>], sink: &mut Sink) {
    let mut names: HashMap<&str, Span> = HashMap::new();
    for name in cases.iter().filter_map(|case| case.name.as_ref()) {
        let first = *names.entry(&name.text).or_insert(name.span);
        if first != name.span {
            let message = format!("a second case with the name `{}`", Quoted(&name.text));
            let finding = Finding::new(Code::DuplicateCase, name.span, message);
            let finding = finding.label("again here").related(first, "first here");
            sink.push(finding.help("a report tells cases by their names"));
        }
    }
}
