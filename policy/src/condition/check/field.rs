//! What of the request a condition may read.

use std::ops::Range;

use super::{
    super::{
        ConditionFinding as Finding, ConditionFindingKind as Kind,
        node::{Field, Node},
        syntax::{Expr, ExprKind, Word},
        types::Type,
    },
    Checker, Typed,
};
use crate::document::nearest;

/// The variables, and the fields of each.
const VARIABLES: [(&str, &[&str]); 4] = [
    (
        "request",
        &["method", "path", "host", "headers", "query", "time"],
    ),
    ("source", &["id", "trustDomain", "segments"]),
    ("destination", &["id"]),
    ("captures", &[]),
];

/// Names that people try first, and what is meant.
const MEANT: [(&str, &str); 12] = [
    ("method", "request.method"),
    ("path", "request.path"),
    ("host", "request.host"),
    ("headers", "request.headers"),
    ("header", "request.headers"),
    ("query", "request.query"),
    ("now", "request.time"),
    ("time", "request.time"),
    ("caller", "source.id"),
    ("principal", "source.id"),
    ("service", "destination.id"),
    ("req", "request"),
];

/// Headers that are secrets, or that say who calls where the connection does.
const SECRET: [&str; 4] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-forwarded-client-cert",
];

/// Bytes of a header's name; registered ones have up to 40.
const LONGEST_NAME: usize = 128;

/// A map of the request that is read by name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Map {
    Headers,
    Query,
    Captures,
}

impl Checker {
    /// A name alone.
    pub(super) fn name(&mut self, name: &str, range: &Range<usize>) -> Typed {
        let locals = self.locals.iter().rev().enumerate();
        let mut named = locals.filter(|(_, (local, _))| local == name);
        if let Some((depth, (_, of))) = named.next() {
            return Some((Node::Local(depth), of.clone()));
        }
        if let Some((variable, fields)) = VARIABLES.iter().find(|(known, _)| *known == name) {
            let message = format!("`{variable}` is no value: say which part of it");
            let example = fields.first().unwrap_or(&"name");
            let finding = Finding::new(Kind::Type, range.clone(), message);
            return self.refuse(finding.help(format!("for example `{variable}.{example}`")));
        }
        let help = match MEANT.iter().find(|(tried, _)| *tried == name) {
            Some((_, meant)) => Some(format!("did you mean `{meant}`?")),
            None => {
                let locals = self.locals.iter().map(|(local, _)| local.as_str());
                let known = VARIABLES.iter().map(|(known, _)| *known).chain(locals);
                nearest(name, known.collect::<Vec<_>>()).map(|one| format!("did you mean `{one}`?"))
            }
        };
        let help = help.or_else(|| {
            let known = "there are `request`, `source`, `destination` and `captures`; a text stands in quotes";
            Some(known.to_owned())
        });
        self.unknown(range, format!("unknown variable `{name}`"), help)
    }

    /// `operand.name`.
    pub(super) fn select(&mut self, operand: &Expr, name: &Word, all: &Range<usize>) -> Typed {
        if let Some(map) = self.map(operand) {
            return self.entry(map, &name.text, &name.range);
        }
        let ExprKind::Name(variable) = &operand.kind else {
            return self.field_of_value(operand, name);
        };
        let Some((_, fields)) = VARIABLES.iter().find(|(known, _)| known == variable) else {
            return self.field_of_value(operand, name);
        };
        match (field(variable, &name.text), &*name.text) {
            (Some((field, of)), _) => Some((Node::Field(field), of)),
            (None, "headers" | "query") if variable == "request" => {
                let message = format!("`request.{}` is read by name", name.text);
                let finding = Finding::new(Kind::Type, all.clone(), message);
                self.refuse(
                    finding.help(format!("for example `request.{}[\"x-name\"]`", name.text)),
                )
            }
            (None, _) => self.unknown_field(variable, fields, name),
        }
    }

    fn unknown_field(&mut self, variable: &str, fields: &[&str], name: &Word) -> Typed {
        let tried = &*name.text;
        let help = match tried {
            "principal" | "spiffe" | "identity" => Some("did you mean `source.id`?".to_owned()),
            "body" | "size" | "ip" | "port" | "protocol" | "scheme" => None,
            _ => nearest(tried, fields.iter().copied())
                .map(|meant| format!("did you mean `{variable}.{meant}`?")),
        };
        let help = help.unwrap_or_else(|| {
            let known: Vec<String> = fields.iter().map(|one| format!("`{one}`")).collect();
            format!("it has {}", known.join(", "))
        });
        let message = format!("`{variable}` has no `{tried}`");
        self.unknown(&name.range, message, Some(help))
    }

    fn field_of_value(&mut self, operand: &Expr, name: &Word) -> Typed {
        let (_, of) = self.expression(operand)?;
        let message = format!("{of} has no parts, so no `{}`", name.text);
        self.unknown(&name.range, message, None)
    }

    /// `map[key]` or `list[place]`.
    pub(super) fn index(&mut self, operand: &Expr, key: &Expr) -> Typed {
        if let Some(map) = self.map(operand) {
            let name = self.literal_name(key)?;
            return self.entry(map, &name, &key.range);
        }
        let (list, of) = self.expression(operand)?;
        let place = self.typed(key, &Type::Int, "a place in a list")?;
        match of {
            Type::List(element) => Some((Node::Index(Box::new([list, place])), *element)),
            other => {
                let message = format!("{other} has no elements");
                self.refuse(Finding::new(Kind::Type, operand.range.clone(), message))
            }
        }
    }

    /// `key in map` and `has(map.key)`.
    pub(super) fn presence(&mut self, map: Map, name: &str, range: &Range<usize>) -> Typed {
        let (node, _) = self.entry(map, name, range)?;
        let has = match node {
            Node::Header(name) => Node::HasHeader(name),
            Node::Query(name) => Node::HasQuery(name),
            _ => {
                let message = format!("`captures.{name}` is always there");
                return self.refuse(Finding::new(Kind::Constant, range.clone(), message));
            }
        };
        Some((has, Type::Bool))
    }

    /// The map that an expression names.
    pub(super) fn map(&self, expression: &Expr) -> Option<Map> {
        let shadowed = |name: &str| self.locals.iter().any(|(local, _)| local == name);
        match &expression.kind {
            ExprKind::Name(name) if name == "captures" && !shadowed(name) => Some(Map::Captures),
            ExprKind::Select(operand, field) => match (&operand.kind, &*field.text) {
                (ExprKind::Name(name), _) if name != "request" || shadowed(name) => None,
                (ExprKind::Name(_), "headers") => Some(Map::Headers),
                (ExprKind::Name(_), "query") => Some(Map::Query),
                _ => None,
            },
            _ => None,
        }
    }

    /// A name that stands in the condition itself: which headers it reads is known before
    /// there is a request.
    pub(super) fn literal_name(&mut self, key: &Expr) -> Option<String> {
        if let ExprKind::Text(name) = &key.kind {
            return Some(name.clone());
        }
        let (_, of) = self.expression(key)?;
        let message = match of {
            Type::Text => "the name must stand here, as a text in quotes".to_owned(),
            _ => format!("a name is a string, but this is {of}"),
        };
        self.refuse(Finding::new(Kind::Type, key.range.clone(), message))
    }

    fn entry(&mut self, map: Map, name: &str, range: &Range<usize>) -> Typed {
        let node = match map {
            Map::Captures => {
                if !self.captures.iter().any(|(known, _)| known == name) {
                    self.captures.push((name.to_owned(), range.clone()));
                }
                Node::Capture(name.into())
            }
            Map::Query if name.is_empty() => {
                let finding = Finding::new(Kind::Unknown, range.clone(), "a parameter has a name");
                return self.refuse(finding);
            }
            Map::Query => Node::Query(name.into()),
            Map::Headers => match refused_header(name, range) {
                Some(finding) => return self.refuse(finding),
                None => Node::Header(name.into()),
            },
        };
        Some((node, Type::Text))
    }
}

fn field(variable: &str, name: &str) -> Option<(Field, Type)> {
    Some(match (variable, name) {
        ("request", "method") => (Field::Method, Type::Text),
        ("request", "path") => (Field::Path, Type::Text),
        ("request", "host") => (Field::Host, Type::Text),
        ("request", "time") => (Field::Time, Type::Time),
        ("source", "id") => (Field::SourceId, Type::Text),
        ("source", "trustDomain") => (Field::SourceTrustDomain, Type::Text),
        ("source", "segments") => (Field::SourceSegments, Type::list(Type::Text)),
        ("destination", "id") => (Field::DestinationId, Type::Text),
        _ => return None,
    })
}

/// Why a header may not be read.
fn refused_header(name: &str, range: &Range<usize>) -> Option<Finding> {
    let finding = |message: String, help: &str| {
        let finding = Finding::new(Kind::Header, range.clone(), message);
        Some(finding.help(help))
    };
    let lower = name.to_ascii_lowercase();
    if lower.is_empty() || lower.len() > LONGEST_NAME || !lower.bytes().all(is_token) {
        return match lower.as_str() {
            ":authority" => finding(format!("`{name}` is no header here"), "read `request.host`"),
            ":path" => finding(format!("`{name}` is no header here"), "read `request.path`"),
            ":method" => finding(
                format!("`{name}` is no header here"),
                "read `request.method`",
            ),
            _ => finding(
                format!("`{}` is not the name of a header", name.escape_debug()),
                "a name has letters, digits and `-`",
            ),
        };
    }
    let folded = lower.replace('_', "-");
    if SECRET.contains(&folded.as_str()) {
        return finding(
            format!("conditions may not read `{lower}`"),
            "who calls is known by `from`; a secret in a header decides nothing here",
        );
    }
    if lower == "host" {
        return finding("`host` is no header here".to_owned(), "read `request.host`");
    }
    if folded.starts_with("x-callgate-") {
        return finding(
            format!("`{lower}` is never there: the proxy removes it before it asks"),
            "who calls is `source.id`",
        );
    }
    if lower != name {
        let help = format!("names of headers arrive in lower case: write `{lower}`");
        return finding(format!("no request has the header `{name}`"), &help);
    }
    None
}

/// A character of a header's name (RFC 9110 section 5.6.2).
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'_'
                | b'.'
                | b'!'
                | b'#'
                | b'$'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'^'
                | b'`'
                | b'|'
                | b'~'
                | b'%'
        )
}
