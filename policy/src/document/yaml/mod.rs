//! YAML, as far as documents need it: texts, lists and mappings, each with its place.
//!
//! What makes one text mean two things to two readers is refused here, before anybody
//! asks what a document says: tags, anchors and aliases, keys that repeat or are not
//! strings, nulls, characters that cannot be seen. Numbers and booleans do not exist:
//! a plain `yes` stays the text that it is, and the field that wants a text says what
//! another reader would make of it ([`plain`]).

mod build;
mod characters;
mod events;
mod map;
mod offsets;
pub(super) mod plain;
mod refusal;
mod syntax;

use std::borrow::Cow;

pub(super) use refusal::quote;

use super::{Limits, Source, finding::Sink, source::Span};

/// A value and where it stands.
#[derive(Debug)]
pub struct Node<'s> {
    /// From its first character to its last; of a block text from its `|` or `>`.
    pub span: Span,
    /// What it is.
    pub value: Value<'s>,
}

/// What a value is.
#[derive(Debug)]
pub enum Value<'s> {
    /// A text, quoted or not.
    Text(Text<'s>),
    /// A list.
    List(Vec<Node<'s>>),
    /// A mapping, in the order of the file; no key stands twice.
    Map(Vec<Entry<'s>>),
    /// Something that was refused. The finding has been made, so readers pass over it.
    Refused,
}

/// A text as its reader gets it.
#[derive(Clone, Debug)]
pub struct Text<'s> {
    /// What is read.
    pub text: Cow<'s, str>,
    /// How it is written.
    pub style: Style,
}

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes: other readers may take it for something else.
    Plain,
    /// In single or double quotes.
    Quoted,
    /// After `|` or `>`.
    Block,
}

/// A key of a mapping and its value.
#[derive(Debug)]
pub struct Entry<'s> {
    /// The key.
    pub key: Cow<'s, str>,
    /// Where the key stands.
    pub key_span: Span,
    /// Its value.
    pub value: Node<'s>,
}

/// What one file holds.
#[derive(Debug)]
pub(super) struct Parsed<'s> {
    /// The documents, without empty ones.
    pub(super) documents: Vec<Node<'s>>,
    /// False if the file was not read to its end.
    pub(super) whole: bool,
}

/// Reads every document of `source`, which is the `file`th.
pub(super) fn parse<'s>(
    file: u32,
    source: &'s Source,
    limits: &Limits,
    sink: &mut Sink,
) -> Parsed<'s> {
    if let Some(finding) = characters::check(file, source, limits) {
        sink.push(finding);
        return Parsed {
            documents: Vec::new(),
            whole: false,
        };
    }
    build::documents(file, source, limits, sink)
}

impl Value<'_> {
    /// The kind of value, for messages.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
            Self::Refused => "nothing",
        }
    }
}

#[cfg(test)]
mod tests;
