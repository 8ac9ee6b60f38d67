//! Permissions and principals (`envoy.config.rbac.v3`).

use crate::import::{
    document::{Entry, Node, Value},
    fields::{Fields, Keys},
    formula::{Atom, Formula},
    report::{Finding, Kind, Report},
    text,
};

use super::matchers::{self, header, url_path};

/// Reads one of the two.
pub(super) type Read = fn(&Node, &mut Report) -> Formula;

/// Something in what could not be read; the finding has been made.
const UNREAD: Formula = Formula::Any(Vec::new());

/// A `Permission`: what is called.
pub(super) fn permission(node: &Node, report: &mut Report) -> Formula {
    let Some(entry) = one_of(node, "a permission", report) else {
        return UNREAD;
    };
    let value = &entry.value;
    match &*folded(&entry.key) {
        "andrules" => Formula::All(set(value, "rules", permission, report)),
        "orrules" => Formula::any(set(value, "rules", permission, report)),
        "notrule" => permission(value, report).not(),
        "any" => any(entry, report),
        "header" => header(value, report),
        "urlpath" => url_path(value, report),
        "uritemplate" => gap(
            entry,
            Kind::Path,
            "a URI template",
            "write the path as a rule has it: `{name}` is one segment",
        ),
        "destinationip" => address(entry),
        "destinationport" | "destinationportrange" => gap(
            entry,
            Kind::Port,
            "a port of the service",
            "give what listens there an identity of its own, and a policy",
        ),
        "metadata" | "sourcedmetadata" => matchers::metadata(entry),
        "requestedservername" => gap(
            entry,
            Kind::Condition,
            "the server name of the handshake (SNI)",
            "leave it out: it proves nothing about who calls",
        ),
        "matcher" => gap(
            entry,
            Kind::Condition,
            "an extension",
            "write what it decides as rules, if they can say it",
        ),
        _ => unknown(entry, "a permission", report),
    }
}

/// A `Principal`: who calls.
pub(super) fn principal(node: &Node, report: &mut Report) -> Formula {
    let Some(entry) = one_of(node, "a principal", report) else {
        return UNREAD;
    };
    let value = &entry.value;
    match &*folded(&entry.key) {
        "andids" => Formula::All(set(value, "ids", principal, report)),
        "orids" => Formula::any(set(value, "ids", principal, report)),
        "notid" => principal(value, report).not(),
        "any" => any(entry, report),
        "authenticated" => authenticated(value, report),
        "header" => header(value, report),
        "urlpath" => url_path(value, report),
        "sourceip" | "directremoteip" | "remoteip" => address(entry),
        "metadata" | "sourcedmetadata" => matchers::metadata(entry),
        "filterstate" => gap(
            entry,
            Kind::Condition,
            "a state of another filter",
            "leave it out: only the connection's identity decides",
        ),
        "custom" | "mtlsauthenticated" => gap(
            entry,
            Kind::Condition,
            "an extension",
            "name the callers by their SPIFFE IDs",
        ),
        _ => unknown(entry, "a principal", report),
    }
}

/// `authenticated`: a certificate, and perhaps whose.
fn authenticated(node: &Node, report: &mut Report) -> Formula {
    let known = ["principal_name"];
    let Some(fields) = Fields::open(node, "`authenticated`", Keys::Folded, &known, report) else {
        return UNREAD;
    };
    let Some(name) = fields.get("principal_name") else {
        return Formula::Is(node.span, Atom::Identified);
    };
    let Some(matcher) = matchers::string(name, report) else {
        return UNREAD;
    };
    if matcher.ignore_case {
        let message = "identities without regard to case";
        let instead = "write them as they are: SPIFFE IDs compare exactly";
        return Formula::gap(Finding::new(Kind::Wildcard, name.span, message).instead(instead));
    }
    text::identity(matcher.text, matcher.how, matcher.span)
}

/// `any: true`.
fn any(entry: &Entry, report: &mut Report) -> Formula {
    if entry.value.text() == Some("true") {
        return Formula::always();
    }
    let message = "`any` is always `true`";
    report.push(Finding::new(Kind::Unreadable, entry.value.span, message));
    UNREAD
}

/// The parts of `and_rules` and their kin.
fn set(node: &Node, name: &str, read: Read, report: &mut Report) -> Vec<Formula> {
    let what = format!("a set of `{name}`");
    let Some(fields) = Fields::open(node, &what, Keys::Folded, &[name], report) else {
        return Vec::new();
    };
    let items = fields.list(name, report);
    if items.is_empty() {
        let message = format!("{what} without any");
        report.push(Finding::new(Kind::Unreadable, node.span, message));
    }
    items.iter().map(|item| read(item, report)).collect()
}

/// The one field that a message with a choice has.
fn one_of<'n>(node: &'n Node, what: &str, report: &mut Report) -> Option<&'n Entry> {
    if let Value::Map(entries) = &node.value
        && let [only] = entries.as_slice()
    {
        return Some(only);
    }
    let message = format!("{what} has exactly one field");
    report.push(Finding::new(Kind::Unreadable, node.span, message));
    None
}

fn folded(key: &str) -> String {
    key.replace('_', "").to_ascii_lowercase()
}

fn gap(entry: &Entry, kind: Kind, what: &str, instead: &str) -> Formula {
    let message = format!("`{}`: {what}", entry.key);
    Formula::gap(Finding::new(kind, entry.key_span, message).instead(instead))
}

fn address(entry: &Entry) -> Formula {
    gap(
        entry,
        Kind::Address,
        "an IP address",
        "name the callers by their SPIFFE IDs: an address proves nothing",
    )
}

fn unknown(entry: &Entry, what: &str, report: &mut Report) -> Formula {
    let message = format!("unknown field `{}` in {what}", entry.key);
    report.push(Finding::new(Kind::Unreadable, entry.key_span, message));
    UNREAD
}
