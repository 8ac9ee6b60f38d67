//! Routes: `HTTPRoute` and `GRPCRoute` of a server.

use std::collections::BTreeSet;

use crate::import::{
    document::{Node, Span},
    fields::{Fields, Keys},
    formula::{Atom, Formula},
    kubernetes::Object,
    report::{Finding, Kind, Report},
    shape::{End, Segment, Shape},
    text::{self, Match},
};

use super::{authorizations::is_route, identities::UNREAD};

/// A route and what it takes.
#[derive(Clone, Debug)]
pub(super) struct Route<'n> {
    pub(super) kind: &'n str,
    /// Its namespace and name.
    pub(super) key: (&'n str, &'n str),
    /// The servers that it is of.
    pub(super) servers: Vec<(&'n str, &'n str)>,
    pub(super) matches: Vec<Matching>,
}

/// What a route takes: one of its matches.
#[derive(Clone, Debug)]
pub(super) struct Matching {
    pub(super) at: Span,
    pub(super) formula: Formula,
    /// What the order among routes goes by: for HTTP, the length of the path that it asks for
    /// and then whether it asks for a method; for gRPC, the lengths of service and method.
    weight: (usize, usize),
}

impl Matching {
    /// Whether a call that fits both is, or may be, for this one alone.
    pub(super) fn precedes(&self, other: &Self) -> bool {
        self.at != other.at && self.weight >= other.weight
    }
}

/// Every route of a server among `objects`.
pub(super) fn read<'n>(objects: &[Object<'n>], report: &mut Report) -> Vec<Route<'n>> {
    let routes = objects.iter().filter(|object| is_route(object));
    let routes = routes.filter_map(|object| route(object, report));
    routes.filter(|route| !route.servers.is_empty()).collect()
}

fn route<'n>(object: &Object<'n>, report: &mut Report) -> Option<Route<'n>> {
    let known = ["parentRefs", "hostnames", "rules"];
    let spec = object.node.field("spec")?;
    let fields = Fields::open(spec, "a route", Keys::Exact, &known, report)?;
    let mut servers = Vec::new();
    for parent in fields.list("parentRefs", report) {
        // Routes of services are for clients, and authorize nothing.
        if parent.field_text("kind") == Some("Server") {
            let namespace = parent.field_text("namespace").unwrap_or(object.namespace);
            servers.push((namespace, parent.field_text("name").unwrap_or_default()));
        }
    }
    let mut matches = Vec::new();
    for rule in fields.list("rules", report) {
        matches.extend(rule_matches(object.kind, rule, report));
    }
    let host = fields.entry("hostnames");
    if let Some(host) = host.filter(|entry| !entry.value.items().is_empty()) {
        for one in &mut matches {
            let message = "`hostnames`: the host of the request";
            let finding = Finding::new(Kind::Host, host.key_span, message);
            let gap = Formula::gap(finding.instead("in the rule, a `when` over `request.host`"));
            one.formula = Formula::All(vec![one.formula.clone(), gap]);
        }
    }
    Some(Route {
        kind: object.kind,
        key: (object.namespace, object.name),
        servers,
        matches,
    })
}

const RULE: [&str; 7] = [
    "name",
    "matches",
    "filters",
    "backendRefs",
    "timeouts",
    "retry",
    "sessionPersistence",
];

/// What a rule takes: some match, or everything.
fn rule_matches(kind: &str, rule: &Node, report: &mut Report) -> Vec<Matching> {
    let Some(fields) = Fields::open(rule, "a rule", Keys::Exact, &RULE, report) else {
        return Vec::new();
    };
    let is_grpc = kind == "GRPCRoute";
    let matches = fields.list("matches", report);
    if matches.is_empty() {
        let formula = if is_grpc {
            grpc(None, None)
        } else {
            Formula::always()
        };
        return vec![Matching {
            at: rule.span,
            formula,
            weight: (0, 0),
        }];
    }
    let read = if is_grpc { grpc_match } else { http_match };
    let matches = matches.iter().filter_map(|one| read(one, report));
    matches.collect()
}

fn http_match(node: &Node, report: &mut Report) -> Option<Matching> {
    let known = ["path", "headers", "queryParams", "method"];
    let fields = Fields::open(node, "a match", Keys::Exact, &known, report)?;
    let (path, length) = match fields.get("path") {
        None => (Formula::always(), 1),
        Some(path) => http_path(path, report)?,
    };
    let mut parts = vec![path];
    let method = fields.word("method", report);
    parts.extend(method.map(|method| text::method(method.text, Match::Exact, method.span)));
    for (name, what) in [
        ("headers", "a header"),
        ("queryParams", "a query parameter"),
    ] {
        parts.extend(header(&fields, name, what));
    }
    Some(Matching {
        at: node.span,
        formula: Formula::All(parts),
        weight: (length, usize::from(method.is_some())),
    })
}

fn header(fields: &Fields<'_>, name: &str, what: &str) -> Option<Formula> {
    let entry = fields
        .entry(name)
        .filter(|entry| !entry.value.items().is_empty())?;
    let message = format!("`{name}`: {what} of the request");
    let finding = Finding::new(Kind::Header, entry.key_span, message);
    Some(Formula::gap(
        finding.instead("in the rule, a `when` over it"),
    ))
}

/// A path, and how many characters of it count for the order among routes.
fn http_path(node: &Node, report: &mut Report) -> Option<(Formula, usize)> {
    let fields = Fields::open(node, "a path", Keys::Exact, &["type", "value"], report)?;
    let value = fields.word("value", report);
    let text = value.map_or("/", |value| value.text);
    let span = value.map_or(node.span, |value| value.span);
    let kind = fields
        .word("type", report)
        .map_or("PathPrefix", |word| word.text);
    Some(match kind {
        "Exact" => (text::path(text, Match::Exact, span), text.len()),
        "PathPrefix" => {
            let trimmed = text.trim_end_matches('/');
            (segments_below(trimmed, span), trimmed.len().max(1))
        }
        // It is as long as the path that fits.
        "RegularExpression" => (text::path(text, Match::Regex, span), usize::MAX),
        other => {
            let message = format!("`{other}` is no type of paths");
            report.push(Finding::new(Kind::Unreadable, node.span, message));
            return None;
        }
    })
}

/// A path and all that is below it, by whole segments.
fn segments_below(text: &str, span: Span) -> Formula {
    if text.is_empty() {
        return Formula::always();
    }
    match text::path(text, Match::Exact, span) {
        Formula::Is(span, Atom::Paths(paths)) => {
            let below = paths.into_iter().map(|path| path.ending(End::More));
            Formula::Is(span, Atom::Paths(below.collect()))
        }
        other => other,
    }
}

fn grpc_match(node: &Node, report: &mut Report) -> Option<Matching> {
    let fields = Fields::open(node, "a match", Keys::Exact, &["method", "headers"], report)?;
    let mut parts = Vec::new();
    let mut weight = (0, 0);
    match fields.get("method") {
        None => parts.push(grpc(None, None)),
        Some(method) => {
            let known = ["type", "service", "method"];
            let fields = Fields::open(method, "a method", Keys::Exact, &known, report)?;
            let (service, name) = (
                fields.word("service", report),
                fields.word("method", report),
            );
            let texts = (service.map(|word| word.text), name.map(|word| word.text));
            weight = (texts.0.map_or(0, str::len), texts.1.map_or(0, str::len));
            parts.push(match fields.word("type", report).map(|word| word.text) {
                None | Some("Exact") => checked(grpc(texts.0, texts.1), texts, method.span),
                Some("RegularExpression") => {
                    weight = (usize::MAX, usize::MAX);
                    let message = "regular expressions over gRPC methods";
                    let instead =
                        "name the methods, as `GRPC package.Service/Method` or `package.Service/*`";
                    Formula::gap(Finding::new(Kind::Regex, method.span, message).instead(instead))
                }
                Some(other) => {
                    let message = format!("`{other}` is no type of methods");
                    report.push(Finding::new(Kind::Unreadable, method.span, message));
                    UNREAD
                }
            });
        }
    }
    parts.extend(header(&fields, "headers", "a header"));
    Some(Matching {
        at: node.span,
        formula: Formula::All(parts),
        weight,
    })
}

/// A gRPC method: `POST`, and the first two segments of the path, as the proxy looks at them.
fn grpc(service: Option<&str>, method: Option<&str>) -> Formula {
    let segment =
        |text: Option<&str>| text.map_or(Segment::Any, |text| Segment::Literal(text.to_owned()));
    let service = Shape::exact([]).then(segment(service));
    let mut paths = vec![service.clone().then(segment(method)).ending(End::More)];
    if method.is_none() {
        // The method may be empty, as in `/package.Service/`.
        paths.push(service.ending(End::Slash));
    }
    let post = BTreeSet::from(["POST".to_owned()]);
    let at = Span::default();
    Formula::All(vec![
        Formula::Is(at, Atom::Methods(post)),
        Formula::Is(at, Atom::Paths(paths)),
    ])
}

/// The same, if the names can be written in a path.
fn checked(formula: Formula, (service, method): (Option<&str>, Option<&str>), at: Span) -> Formula {
    for name in [service, method].into_iter().flatten() {
        if let Formula::Is(_, Atom::Gap(gap)) = text::path(&format!("/{name}"), Match::Exact, at) {
            return Formula::gap(*gap);
        }
    }
    formula
}
