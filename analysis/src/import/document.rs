//! Documents of other systems: YAML, and JSON, which is YAML too, with the place of each
//! value.
//!
//! Stricter than the systems' own readers where two readers differ (duplicate keys), and
//! where a value is not what it looks like (tags, aliases). Nulls are taken for absent, as
//! they do.

use std::collections::HashSet;

use callgate_policy::document::{Limits, Source};
use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};

use super::{
    hcl,
    report::{Finding, Kind, Report},
};

/// Lists and mappings within each other. An Envoy configuration with its filter chains
/// takes some 25.
const DEPTH: usize = 64;

/// Values of one file: an export of a large cluster has some 100,000.
const VALUES: usize = 2_000_000;

/// A range of bytes of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Span {
    /// The index of the source.
    pub(super) file: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
}

/// What a value is. Numbers and booleans are texts until a field wants them.
#[derive(Debug)]
pub(super) enum Value {
    /// `null`, in any spelling.
    Null,
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file; no key stands twice.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) value: Node,
}

/// The documents of every source; what cannot be read is reported.
pub(super) fn documents(sources: &[Source], report: &mut Report) -> Vec<Node> {
    let mut documents = Vec::new();
    for (file, source) in sources.iter().enumerate() {
        let text = source.text();
        let read = if text.len() > Limits::FILE_BYTES {
            let message = format!("the file is longer than {} bytes", Limits::FILE_BYTES);
            let span = Span {
                file,
                ..Span::default()
            };
            Err(Finding::error(span, message))
        } else if let Some(start) = text.find(char::REPLACEMENT_CHARACTER) {
            // What is not UTF-8 was read as that.
            let end = start.saturating_add(char::REPLACEMENT_CHARACTER.len_utf8());
            let span = Span { file, start, end };
            Err(Finding::error(span, "this is not UTF-8"))
        } else if hcl::is_hcl(source) {
            hcl::document(file, source).map(|node| documents.push(node))
        } else {
            Builder::new(file, source).documents(&mut documents)
        };
        if let Err(finding) = read {
            report.push(finding);
        }
    }
    documents
}

type Read<T> = Result<T, Finding>;

struct Builder<'s> {
    parser: Parser<'s, StrInput<'s>>,
    file: usize,
    /// The byte at which each character begins; empty for ASCII, where they agree.
    bytes: Vec<usize>,
    length: usize,
    depth: usize,
    values: usize,
}

impl<'s> Builder<'s> {
    fn new(file: usize, source: &'s Source) -> Self {
        let text = source.text();
        let bytes = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().map(|(at, _)| at).collect()
        };
        Self {
            parser: Parser::new_from_str(text),
            file,
            bytes,
            length: text.len(),
            depth: 0,
            values: 0,
        }
    }

    fn documents(mut self, documents: &mut Vec<Node>) -> Read<()> {
        loop {
            match self.event()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::DocumentStart(_), _) => {
                    let first = self.event()?;
                    let node = self.node(first)?;
                    if !matches!(node.value, Value::Null) {
                        documents.push(node);
                    }
                }
                _ => {}
            }
        }
    }

    fn event(&mut self) -> Read<(Event<'s>, Span)> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.span(span.start.index(), span.end.index()))),
            Some(Err(error)) => {
                let at = self.span(error.marker().index(), error.marker().index());
                let message = format!("this is neither YAML nor JSON: {}", error.info());
                Err(Finding::error(at, message))
            }
            None => Ok((Event::StreamEnd, self.span(usize::MAX, usize::MAX))),
        }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        let byte = |at: usize| {
            let known = self.bytes.get(at).copied();
            let ascii = self.bytes.is_empty().then_some(at.min(self.length));
            known.or(ascii).unwrap_or(self.length)
        };
        Span {
            file: self.file,
            start: byte(start),
            end: byte(end),
        }
    }

    fn node(&mut self, (event, span): (Event<'s>, Span)) -> Read<Node> {
        self.values = self.values.saturating_add(1);
        if self.values > VALUES {
            let message = format!("more than {VALUES} values in one file");
            return Err(Finding::error(span, message));
        }
        match event {
            Event::Scalar(text, style, 0, None) => {
                let null = style == ScalarStyle::Plain && is_null(&text);
                let value = if null {
                    Value::Null
                } else {
                    Value::Text(text.into_owned())
                };
                Ok(Node { span, value })
            }
            Event::SequenceStart(0, None) => self.nested(span, Self::list),
            Event::MappingStart(0, None) => self.nested(span, Self::map),
            _ => {
                let message = "YAML tags, anchors and aliases are not read: write the value out";
                Err(Finding::error(span, message))
            }
        }
    }

    fn nested(&mut self, span: Span, read: fn(&mut Self, Span) -> Read<Node>) -> Read<Node> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > DEPTH {
            let message = format!("more than {DEPTH} lists and mappings within each other");
            return Err(Finding::error(span, message));
        }
        let node = read(self, span);
        self.depth = self.depth.saturating_sub(1);
        node
    }

    fn list(&mut self, start: Span) -> Read<Node> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.event()?;
            if event == Event::SequenceEnd {
                let span = Span {
                    end: span.end.max(start.end),
                    ..start
                };
                return Ok(Node {
                    span,
                    value: Value::List(items),
                });
            }
            items.push(self.node((event, span))?);
        }
    }

    fn map(&mut self, start: Span) -> Read<Node> {
        let (mut entries, mut seen) = (Vec::new(), HashSet::new());
        loop {
            let (event, span) = self.event()?;
            let key = match event {
                Event::MappingEnd => {
                    let span = Span {
                        end: span.end.max(start.end),
                        ..start
                    };
                    return Ok(Node {
                        span,
                        value: Value::Map(entries),
                    });
                }
                Event::Scalar(text, _, 0, None) => text.into_owned(),
                _ => return Err(Finding::error(span, "a key that is not a text")),
            };
            if !seen.insert(key.clone()) {
                let message =
                    format!("the key `{key}` stands twice: readers differ in which they take");
                return Err(Finding::error(span, message));
            }
            let first = self.event()?;
            let value = self.node(first)?;
            entries.push(Entry {
                key,
                key_span: span,
                value,
            });
        }
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

impl Node {
    /// The value of that key, if this is a mapping and it is not null.
    pub(super) fn field(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        let entry = entries.iter().find(|entry| entry.key == key)?;
        (!matches!(entry.value.value, Value::Null)).then_some(&entry.value)
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of that key.
    pub(super) fn field_text(&self, key: &str) -> Option<&str> {
        self.field(key)?.text()
    }

    /// The items, if it is a list.
    pub(super) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The entries, if it is a mapping.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// What kind of value, for messages.
    pub(super) const fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

impl Finding {
    fn error(at: Span, message: impl Into<String>) -> Self {
        Self::new(Kind::Unreadable, at, message)
    }
}
