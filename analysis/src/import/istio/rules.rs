//! Rules: sources, operations and conditions.

use callgate_policy::TrustDomain;

use crate::import::{
    Options, condition,
    document::{Node, Span},
    fields::{Fields, Keys, Word},
    formula::{Atom, Formula},
    report::{Finding, Kind, Report},
    shape::{Segment, Shape},
    text::{self, Match},
};

/// In policies, the mesh's own trust domain, whatever it is.
pub(super) const LOCAL: &str = "cluster.local";

/// What could not be read; the finding has been made.
const UNREAD: Formula = Formula::Any(Vec::new());

/// Where a rule stands, as far as its meaning depends on it.
#[derive(Clone, Copy)]
struct Context<'a> {
    /// The namespace of the policy.
    namespace: &'a str,
    options: &'a Options,
}

/// Values of one attribute, and what each of them asks.
type Attribute = fn(Word<'_>, Context<'_>) -> Formula;

/// A rule: some source, some operation, and every condition.
pub(super) fn rule(
    node: &Node,
    namespace: &str,
    options: &Options,
    report: &mut Report,
) -> Formula {
    let context = Context { namespace, options };
    let known = ["from", "to", "when"];
    let Some(fields) = Fields::open(node, "a rule", Keys::Exact, &known, report) else {
        return UNREAD;
    };
    let mut parts = Vec::new();
    for (list, field, attributes) in [
        ("from", "source", &SOURCE[..]),
        ("to", "operation", &OPERATION),
    ] {
        let items = fields.list(list, report);
        let some = items
            .iter()
            .map(|item| entry(item, (list, field), attributes, context, report));
        let some: Vec<Formula> = some.collect();
        if !some.is_empty() {
            parts.push(Formula::any(some));
        }
    }
    let conditions = fields.list("when", report);
    parts.extend(
        conditions
            .iter()
            .map(|item| condition(item, context, report)),
    );
    Formula::All(parts)
}

/// The attributes of a source, in pairs with their negation.
const SOURCE: [(&str, &str, Attribute); 6] = [
    ("principals", "notPrincipals", principal),
    ("requestPrincipals", "notRequestPrincipals", jwt),
    ("namespaces", "notNamespaces", namespace),
    ("serviceAccounts", "notServiceAccounts", account),
    ("ipBlocks", "notIpBlocks", address),
    ("remoteIpBlocks", "notRemoteIpBlocks", address),
];

/// The same of an operation.
const OPERATION: [(&str, &str, Attribute); 4] = [
    ("hosts", "notHosts", host),
    ("ports", "notPorts", port),
    ("methods", "notMethods", method),
    ("paths", "notPaths", path),
];

/// One entry of `from` or `to`: every attribute that it has.
fn entry(
    node: &Node,
    (list, field): (&str, &str),
    attributes: &[(&str, &str, Attribute)],
    context: Context<'_>,
    report: &mut Report,
) -> Formula {
    let what = format!("an entry of `{list}`");
    let inner = Fields::open(node, &what, Keys::Exact, &[field], report)
        .and_then(|fields| fields.get(field));
    let Some(inner) = inner else {
        let message = format!("{what} without `{field}`");
        report.push(Finding::new(Kind::Unreadable, node.span, message));
        return UNREAD;
    };
    let known: Vec<&str> = attributes
        .iter()
        .flat_map(|(name, not, _)| [*name, *not])
        .collect();
    let Some(fields) = Fields::open(inner, &format!("`{field}`"), Keys::Exact, &known, report)
    else {
        return UNREAD;
    };
    let mut parts = Vec::new();
    for (name, not, attribute) in attributes {
        parts.extend(some(&fields.words(name, report), *attribute, context));
        parts.extend(some(&fields.words(not, report), *attribute, context).map(Formula::not));
    }
    if parts.is_empty() {
        let message = format!("`{field}` names nothing, which Istio does not take");
        report.push(Finding::new(Kind::Unreadable, inner.span, message));
    }
    Formula::All(parts)
}

/// Some one of the values; nothing if there is none.
fn some(values: &[Word<'_>], attribute: Attribute, context: Context<'_>) -> Option<Formula> {
    let any = values.iter().map(|value| attribute(*value, context));
    (!values.is_empty()).then(|| Formula::any(any))
}

/// One entry of `when`.
fn condition(node: &Node, context: Context<'_>, report: &mut Report) -> Formula {
    let known = ["key", "values", "notValues"];
    let Some(fields) = Fields::open(node, "a condition", Keys::Exact, &known, report) else {
        return UNREAD;
    };
    let Some(key) = fields.word("key", report) else {
        let message = "a condition without `key`";
        report.push(Finding::new(Kind::Unreadable, node.span, message));
        return UNREAD;
    };
    let values = fields.words("values", report);
    let not = fields.words("notValues", report);
    let attribute: Attribute = match key.text {
        "source.principal" => principal,
        "source.namespace" => namespace,
        "source.serviceAccount" => account,
        text if text.starts_with("request.headers[") => return header(key, &values, &not),
        _ => return other_condition(key, context, report),
    };
    let some_of = some(&values, attribute, context);
    let none_of = some(&not, attribute, context).map(Formula::not);
    Formula::All(some_of.into_iter().chain(none_of).collect())
}

/// What a condition asks that no rule can.
fn other_condition(key: Word<'_>, context: Context<'_>, report: &mut Report) -> Formula {
    match key.text {
        "source.ip" | "remote.ip" | "destination.ip" => address(key, context),
        "destination.port" => port(key, context),
        "connection.sni" => {
            let instead = "leave it out: it proves nothing about who calls";
            let what = "the server name of the handshake (SNI)";
            gap(Kind::Condition, key, what, instead)
        }
        text if text.starts_with("request.auth.") => jwt(key, context),
        text if text.starts_with("request.experimental.") => {
            let instead = "in the rule, a `when` over it";
            gap(Kind::Header, key, "one of the values of a header", instead)
        }
        text if text.starts_with("experimental.") => {
            let instead = "leave it out: only the connection's identity and the request decide";
            gap(Kind::Condition, key, "what another filter said", instead)
        }
        other => {
            let message = format!("`{other}` is no attribute that Istio knows");
            report.push(Finding::new(Kind::Unreadable, key.span, message));
            UNREAD
        }
    }
}

fn gap(kind: Kind, word: Word<'_>, what: &str, instead: &str) -> Formula {
    let message = format!("`{}`: {what}", word.text);
    Formula::gap(Finding::new(kind, word.span, message).instead(instead))
}

/// Istio's wildcards: one `*`, at the beginning or at the end.
fn wildcard(text: &str) -> (&str, Match) {
    match (text.strip_prefix('*'), text.strip_suffix('*')) {
        (Some(end), _) => (end, Match::Suffix),
        (None, Some(beginning)) => (beginning, Match::Prefix),
        (None, None) => (text, Match::Exact),
    }
}

/// A SPIFFE ID without its scheme.
fn principal(word: Word<'_>, context: Context<'_>) -> Formula {
    if word.text == "*" {
        return Formula::Is(word.span, Atom::Identified);
    }
    if word.text.starts_with("spiffe://") {
        let instead = "take the policy as it is meant, and write the SPIFFE ID in the rule";
        return gap(
            Kind::Identity,
            word,
            "principals are written without `spiffe://`, so this is nobody there",
            instead,
        );
    }
    let (text, how) = wildcard(word.text);
    if how == Match::Suffix {
        let path = word.text.trim_start_matches('*');
        let instead = format!(
            "name the trust domain: `spiffe://DOMAIN{path}`, or `{path}` in the mesh's own"
        );
        return gap(
            Kind::Wildcard,
            word,
            "an identity of any trust domain",
            &instead,
        );
    }
    let (domain, path) = text
        .split_once('/')
        .map_or((text, None), |(domain, path)| (domain, Some(path)));
    let Some(path) = path else {
        let message = format!("`{}` leaves the trust domain open", word.text);
        let instead = "name the trust domain: it is always literal";
        return Formula::gap(Finding::new(Kind::Wildcard, word.span, message).instead(instead));
    };
    let own = context
        .options
        .trust_domain
        .as_ref()
        .map_or(LOCAL, TrustDomain::as_str);
    let domain = if domain == LOCAL { own } else { domain };
    if !domains(context).any(|known| known == domain) {
        let message = format!(
            "`{}`: `{domain}` is not a trust domain of the mesh",
            word.text
        );
        let instead =
            format!("give `--accept {domain}` if the mesh believes it; otherwise this is nobody");
        return Formula::gap(Finding::new(Kind::Identity, word.span, message).instead(instead));
    }
    text::identity(&format!("spiffe://{domain}/{path}"), how, word.span)
}

/// The trust domains whose callers Istio would authenticate.
fn domains(context: Context<'_>) -> impl Iterator<Item = &str> {
    let own = context
        .options
        .trust_domain
        .as_ref()
        .map_or(LOCAL, TrustDomain::as_str);
    let others = context.options.accepted.iter().map(TrustDomain::as_str);
    std::iter::once(own).chain(others)
}

/// Everybody in a namespace. Istio's identities are `/ns/NAMESPACE/sa/ACCOUNT` always.
fn namespace(word: Word<'_>, context: Context<'_>) -> Formula {
    if word.text == "*" {
        return Formula::Is(word.span, Atom::Identified);
    }
    if word.text.contains('*') {
        return gap(
            Kind::Wildcard,
            word,
            "a part of a namespace",
            "list the namespaces, as `/ns/NAME/sa/*` each",
        );
    }
    let shape = |domain| Shape::exact([domain, "ns", word.text, "sa"]).then(Segment::Any);
    callers(word.span, domains(context).map(shape).collect())
}

/// A service account, of the policy's namespace unless it names another.
fn account(word: Word<'_>, context: Context<'_>) -> Formula {
    let (namespace, account) = word
        .text
        .split_once('/')
        .unwrap_or((context.namespace, word.text));
    if word.text.contains('*') {
        return gap(
            Kind::Wildcard,
            word,
            "a part of a service account",
            "list the accounts",
        );
    }
    let shape = |domain| Shape::exact([domain, "ns", namespace, "sa", account]);
    callers(word.span, domains(context).map(shape).collect())
}

/// Callers, unless no SPIFFE ID has such names.
fn callers(span: Span, shapes: Vec<Shape>) -> Formula {
    let valid = |shape: &Shape| {
        let text = crate::import::draft::caller(shape, None);
        callgate_policy::CallerPattern::parse(&text, None).is_ok()
    };
    if shapes.iter().all(valid) {
        return Formula::Is(span, Atom::Callers(shapes));
    }
    let message = "no identity has such a name";
    Formula::gap(Finding::new(Kind::Identity, span, message))
}

fn jwt(word: Word<'_>, _: Context<'_>) -> Formula {
    let instead = "leave tokens to the service: Callgate decides by the identity of the connection";
    gap(Kind::Jwt, word, "who a JSON Web Token speaks for", instead)
}

fn address(word: Word<'_>, _: Context<'_>) -> Formula {
    let instead = "name the callers by their SPIFFE IDs: an address proves nothing";
    gap(Kind::Address, word, "an IP address", instead)
}

fn host(word: Word<'_>, _: Context<'_>) -> Formula {
    let instead = format!("in the rule, `when: request.host == {:?}`", word.text);
    gap(Kind::Host, word, "the host of the request", &instead)
}

fn port(word: Word<'_>, _: Context<'_>) -> Formula {
    let instead = "give what listens there an identity of its own, and a policy";
    gap(Kind::Port, word, "a port of the service", instead)
}

fn method(word: Word<'_>, _: Context<'_>) -> Formula {
    let (text, how) = wildcard(word.text);
    if word.text == "*" {
        return Formula::always();
    }
    text::method(text, how, word.span)
}

fn path(word: Word<'_>, _: Context<'_>) -> Formula {
    if word.text == "*" {
        return Formula::always();
    }
    if word.text.contains("{*}") || word.text.contains("{**}") {
        let meant = word.text.replace("{*}", "{any}").replace("{**}", "**");
        let instead =
            format!("write the path as a rule has it: `{meant}` or so; `/**` only at the end");
        return gap(
            Kind::Path,
            word,
            "a template, whose segments take fewer characters than here",
            &instead,
        );
    }
    let (text, how) = wildcard(word.text);
    text::path(text, how, word.span)
}

/// A header, by the rule's `when`.
fn header(key: Word<'_>, values: &[Word<'_>], not: &[Word<'_>]) -> Formula {
    let name = key
        .text
        .split_once('[')
        .map_or("", |(_, rest)| rest.trim_end_matches(']'));
    let one = |word: &Word<'_>| match wildcard(word.text) {
        _ if word.text == "*" => condition::header_present(name, word.span),
        (text, how) => condition::header(name, text, how, word.span),
    };
    let some = (!values.is_empty()).then(|| Formula::any(values.iter().map(one)));
    let none = (!not.is_empty()).then(|| Formula::any(not.iter().map(one)).not());
    Formula::All(some.into_iter().chain(none).collect())
}
