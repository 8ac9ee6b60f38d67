//! `metadata`: the name, and what `kubectl` wants beside it.

use super::{
    super::{
        Code,
        finding::{Finding, Quoted, Sink},
        raw::Written,
        yaml::{Node, Value},
    },
    Fields, Shape, What, text,
    values::{label_value, wrong_type},
};

/// `namespace`, `labels` and `annotations` are checked and otherwise left to
/// Kubernetes. What only its API server writes (`uid`, `managedFields`, …) is unknown:
/// a policy is written by people, not exported from a cluster.
pub(super) const SHAPE: Shape = Shape {
    name: "`metadata`",
    known: &["name", "namespace", "labels", "annotations"],
    required: &["name"],
};

/// Characters of a DNS subdomain (RFC 1123, section 2.1), which is what Kubernetes
/// takes for the name of an object.
const LONGEST_NAME: usize = 253;

/// What a document is called.
#[derive(Default)]
pub(super) struct Metadata<'s> {
    pub(super) name: Option<Written<'s>>,
    pub(super) namespace: Option<Written<'s>>,
}

/// Reads `metadata`.
pub(super) fn read<'s>(node: Node<'s>, sink: &mut Sink) -> Metadata<'s> {
    let what = What::Field("metadata");
    let Some(mut fields) = Fields::open(node, what, &SHAPE, sink) else {
        return Metadata::default();
    };
    for field in ["labels", "annotations"] {
        if let Some(entry) = fields.take(field) {
            labels(entry.value, field, sink);
        }
    }
    let mut take = |field| checked(fields.take(field)?.value, field, sink);
    let (namespace, name) = (take("namespace"), take("name"));
    Metadata { name, namespace }
}

/// A text that may be the name of something.
pub(super) fn checked<'s>(node: Node<'s>, field: &str, sink: &mut Sink) -> Option<Written<'s>> {
    let name = text(node, What::Field(field), sink)?;
    let Some(fault) = fault(&name.text) else {
        return Some(name);
    };
    let message = format!("`{}` is not a name: {fault}", Quoted(&name.text));
    let help = "a name has lower-case letters, digits, `-` and `.`, and begins and ends with a letter or digit";
    sink.push(Finding::new(Code::InvalidName, name.span, message).help(help));
    None
}

/// What keeps `name` from being a DNS subdomain.
pub(in super::super) fn fault(name: &str) -> Option<&'static str> {
    let is_inner = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    let is_outer = |label: &str| {
        let outer = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        label.bytes().next().is_some_and(outer) && label.bytes().last().is_some_and(outer)
    };
    if name.len() > LONGEST_NAME {
        Some("it is longer than 253 characters")
    } else if name.bytes().any(|b| b.is_ascii_uppercase()) {
        Some("it has upper-case letters")
    } else if !name.bytes().all(is_inner) {
        Some("it has other characters")
    } else if !name.split('.').all(is_outer) {
        Some("a part of it begins or ends with `-` or is empty")
    } else {
        None
    }
}

/// Labels and annotations: texts by name, with values that may be empty.
fn labels(node: Node<'_>, field: &str, sink: &mut Sink) {
    match node.value {
        Value::Map(entries) => {
            for entry in entries {
                label_value(entry.value, &entry.key, sink);
            }
        }
        Value::Refused => {}
        other => sink.push(wrong_type(
            node.span,
            What::Field(field),
            "a mapping",
            &other,
        )),
    }
}
