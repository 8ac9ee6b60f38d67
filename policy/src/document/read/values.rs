//! The values of fields: texts, lists, words.

use std::fmt;

use super::super::{
    Code,
    finding::{Finding, Quoted, Sink, is_hidden},
    raw::Written,
    source::Span,
    suggest::{nearest, one_of},
    yaml::{Node, Style, Text, Value, plain, quote},
};

/// What a value is, for messages.
#[derive(Clone, Copy)]
pub(super) enum What<'a> {
    /// A whole document.
    Document,
    /// The value of a field.
    Field(&'a str),
    /// One of a field's list.
    Entry(&'a str),
}

/// A text that no reader of YAML takes for anything else, and not an empty one.
pub(super) fn text<'s>(node: Node<'s>, what: What<'_>, sink: &mut Sink) -> Option<Written<'s>> {
    let text = scalar(node.value, node.span, what, sink)?;
    let read_as = (text.style == Style::Plain)
        .then(|| plain::read_as(&text.text))
        .flatten();
    if let Some(other) = read_as {
        let message = format!(
            "{what} must be text, but `{}` is {other} to readers of YAML",
            Quoted(&text.text)
        );
        let finding = Finding::new(Code::NotQuoted, node.span, message);
        sink.push(
            finding
                .label(format!("read as {other}"))
                .help(format!("quote it: `{}`", quote(&text.text))),
        );
        return None;
    }
    Some(Written {
        text: text.text,
        span: node.span,
    })
}

/// A text however it is written, as where a time is meant anyway.
pub(super) fn unquoted<'s>(node: Node<'s>, what: What<'_>, sink: &mut Sink) -> Option<Written<'s>> {
    let text = scalar(node.value, node.span, what, sink)?;
    Some(Written {
        text: text.text,
        span: node.span,
    })
}

/// A text as [`text`], or an empty one in quotes, as a header may have.
pub(super) fn maybe_empty_text<'s>(
    node: Node<'s>,
    what: What<'_>,
    sink: &mut Sink,
) -> Option<Written<'s>> {
    match &node.value {
        Value::Text(empty) if empty.text.is_empty() => Some(Written {
            text: "".into(),
            span: node.span,
        }),
        _ => text(node, what, sink),
    }
}

/// The value of a label or an annotation, which may be empty but not anything but text.
pub(super) fn label_value(node: Node<'_>, key: &str, sink: &mut Sink) {
    let is_empty = matches!(&node.value, Value::Text(text) if text.text.is_empty());
    if !is_empty {
        text(node, What::Field(key), sink);
    }
}

/// A text for people, of at most `longest` characters.
pub(super) fn prose(
    node: Node<'_>,
    what: What<'_>,
    longest: usize,
    sink: &mut Sink,
) -> Option<String> {
    let written = text(node, what, sink)?;
    let text = written.text.trim_end_matches('\n');
    let fault = if text.chars().count() > longest {
        format!("{what} has more than {longest} characters")
    } else if let Some(c) = text
        .chars()
        .find(|&c| (c.is_control() && c != '\n') || is_hidden(c))
    {
        format!("{what} has the hidden character U+{:04X}", u32::from(c))
    } else {
        return Some(text.to_owned());
    };
    sink.push(Finding::new(Code::InvalidText, written.span, fault));
    None
}

/// A list with something in it.
pub(super) fn list<'s>(node: Node<'s>, field: &str, sink: &mut Sink) -> Vec<Node<'s>> {
    let span = node.span;
    let Some(items) = maybe_empty(node, field, sink) else {
        return Vec::new();
    };
    if items.is_empty() {
        let message = format!("`{field}` is empty");
        sink.push(Finding::new(Code::Empty, span, message).label("nothing in it"));
    }
    items
}

/// A list; `None` if it is none.
pub(super) fn maybe_empty<'s>(
    node: Node<'s>,
    field: &str,
    sink: &mut Sink,
) -> Option<Vec<Node<'s>>> {
    match node.value {
        Value::List(items) => Some(items),
        Value::Refused => None,
        other => {
            let finding = wrong_type(node.span, What::Field(field), "a list", &other);
            sink.push(match other {
                Value::Text(text) => {
                    finding.help(format!("write `{field}: [{}]`", in_brackets(&text.text)))
                }
                _ => finding.help("begin each entry with `- `"),
            });
            None
        }
    }
}

/// A list of texts with something in it.
pub(super) fn texts<'s>(node: Node<'s>, field: &str, sink: &mut Sink) -> Vec<Written<'s>> {
    let items = list(node, field, sink).into_iter();
    items
        .filter_map(|item| text(item, What::Entry(field), sink))
        .collect()
}

/// One of a few words, by its value; a finding is made of any other.
pub(super) fn word<T: Copy>(
    node: Node<'_>,
    field: &str,
    words: &[(&str, T)],
    sink: &mut Sink,
) -> Option<T> {
    let written = text(node, What::Field(field), sink)?;
    let found = words.iter().find(|(word, _)| *word == written.text);
    if found.is_none() {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("`{field}` cannot be `{}`", Quoted(&written.text));
        let finding = Finding::new(Code::UnknownValue, written.span, message);
        sink.push(match nearest(&written.text, known.iter().copied()) {
            Some(meant) => finding.label(format!("did you mean `{meant}`?")),
            None if known.len() == 1 => finding.help(format!(
                "it can only be {}; leave the field out otherwise",
                one_of(&known)
            )),
            None => finding.help(format!("it is {}", one_of(&known))),
        });
    }
    found.map(|(_, value)| *value)
}

/// The finding for a value of another type than it must be.
pub(super) fn wrong_type(span: Span, what: What<'_>, expected: &str, found: &Value<'_>) -> Finding {
    let message = format!("{what} must be {expected}, not {}", found.kind());
    Finding::new(Code::WrongType, span, message).label(format!("this is {}", found.kind()))
}

fn scalar<'s>(value: Value<'s>, span: Span, what: What<'_>, sink: &mut Sink) -> Option<Text<'s>> {
    match value {
        Value::Text(text) if text.text.trim().is_empty() => {
            sink.push(Finding::new(Code::Empty, span, format!("{what} is empty")));
            None
        }
        Value::Text(text) => Some(text),
        Value::Refused => None,
        other => {
            let finding = wrong_type(span, what, "text", &other);
            sink.push(match &other {
                Value::Map(_) => {
                    finding.help("`: ` or `{` makes a mapping; if it is meant as text, quote it")
                }
                _ => finding,
            });
            None
        }
    }
}

/// `text` as an entry of a list in brackets.
fn in_brackets(text: &str) -> String {
    let special = |c: char| {
        matches!(
            c,
            '{' | '}' | '[' | ']' | ',' | '#' | ':' | '\'' | '"' | '*' | '&' | '!'
        )
    };
    if text.contains(special) {
        quote(text)
    } else {
        Quoted(text).to_string()
    }
}

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document => f.write_str("a document"),
            Self::Field(field) => write!(f, "`{field}`"),
            Self::Entry(field) => write!(f, "an entry of `{field}`"),
        }
    }
}
