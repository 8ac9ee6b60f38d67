//! A mapping while it is built: its keys are unique.

use std::{borrow::Cow, collections::HashMap};

use saphyr_parser::{Event, ScalarStyle};

use super::{
    Entry, Node, Value,
    build::{Builder, Stopped, whole},
    events::Spanned,
    plain, refusal, syntax,
};
use crate::document::{
    Code,
    finding::{Finding, Quoted},
    source::Span,
};

/// Keys up to which a mapping is searched for a repetition one by one: enough for every
/// mapping of the language, labels apart.
const FEW_KEYS: usize = 16;

impl<'s> Builder<'s, '_> {
    pub(super) fn map(&mut self, start: Span) -> Result<Node<'s>, Stopped> {
        let mut map = Map::default();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                let span = whole(start, map.last, span);
                let value = map.value();
                return Ok(Node { span, value });
            }
            let key = self.key((event, span))?;
            let value = self.next()?;
            let about = key.as_ref().map(|(text, span)| (text.as_ref(), *span));
            let value = self.node(value, about)?;
            map.last = Some(value.span);
            if let Some((key, key_span)) = key {
                if key == "<<" {
                    self.sink.push(refusal::merge_key(key_span));
                    map.is_merged = true;
                }
                self.insert(
                    &mut map,
                    Entry {
                        key,
                        key_span,
                        value,
                    },
                );
            }
        }
    }

    /// A key, if it is one.
    fn key(&mut self, (event, span): Spanned<'s>) -> Result<Option<(Cow<'s, str>, Span)>, Stopped> {
        match event {
            Event::Scalar(text, style, 0, None) => {
                let other = (style == ScalarStyle::Plain)
                    .then(|| plain::read_as(&text))
                    .flatten();
                match other {
                    Some(other) => self.sink.push(syntax::key_not_text(span, &text, other)),
                    None => return Ok(Some((text, span))),
                }
                Ok(None)
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if let Some(template) = syntax::template(self.source, span) {
                    return Err(self.stop(template));
                }
                self.sink.push(syntax::key_is_collection(span));
                self.node((event, span), None).map(|_| None)
            }
            event => self.node((event, span), None).map(|_| None),
        }
    }

    fn insert(&mut self, map: &mut Map<'s>, entry: Entry<'s>) {
        match map.first(&entry.key) {
            Some(first) => {
                let message = format!("the key `{}` stands twice", Quoted(&entry.key));
                let finding = Finding::new(Code::DuplicateKey, entry.key_span, message);
                let finding = finding.label("again here").related(first, "first here");
                self.sink.push(
                    finding.help("remove one; readers of YAML differ in which of them they take"),
                );
            }
            None => map.push(entry),
        }
    }
}

/// A mapping while it is built.
#[derive(Default)]
struct Map<'s> {
    entries: Vec<Entry<'s>>,
    /// Where the keys are, once there are more than a few.
    index: HashMap<Cow<'s, str>, usize>,
    /// Where the last value ends.
    last: Option<Span>,
    /// Whether it takes fields from another mapping, so that nobody knows what it has.
    is_merged: bool,
}

impl<'s> Map<'s> {
    /// The whole mapping.
    fn value(self) -> Value<'s> {
        if self.is_merged {
            Value::Refused
        } else {
            Value::Map(self.entries)
        }
    }

    /// Where `key` stands already.
    fn first(&self, key: &str) -> Option<Span> {
        let entry = if self.index.is_empty() {
            self.entries.iter().find(|entry| entry.key == key)
        } else {
            self.index.get(key).and_then(|&at| self.entries.get(at))
        };
        entry.map(|entry| entry.key_span)
    }

    fn push(&mut self, entry: Entry<'s>) {
        if self.entries.len() >= FEW_KEYS {
            if self.index.is_empty() {
                let keys = self.entries.iter().enumerate();
                self.index = keys.map(|(at, entry)| (entry.key.clone(), at)).collect();
            }
            self.index.insert(entry.key.clone(), self.entries.len());
        }
        self.entries.push(entry);
    }
}
