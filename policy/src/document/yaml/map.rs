//! A mapping while it is built: its keys are unique.

use std::{borrow::Cow, collections::HashMap};

use super::{Entry, Value};
use crate::document::source::Span;

/// Keys up to which a mapping is searched for a repetition one by one: enough for every
/// mapping of the language, labels apart.
const FEW_KEYS: usize = 16;

/// A mapping while it is built.
#[derive(Default)]
pub(super) struct Map<'s> {
    entries: Vec<Entry<'s>>,
    /// Where the keys are, once there are more than a few.
    index: HashMap<Cow<'s, str>, usize>,
    /// Where the last value ends.
    pub(super) last: Option<Span>,
    /// Whether it takes fields from another mapping, so that nobody knows what it has.
    pub(super) is_merged: bool,
}

impl<'s> Map<'s> {
    /// The whole mapping.
    pub(super) fn value(self) -> Value<'s> {
        if self.is_merged {
            Value::Refused
        } else {
            Value::Map(self.entries)
        }
    }

    /// Where `key` stands already.
    pub(super) fn first(&self, key: &str) -> Option<Span> {
        let entry = if self.index.is_empty() {
            self.entries.iter().find(|entry| entry.key == key)
        } else {
            self.index.get(key).and_then(|&at| self.entries.get(at))
        };
        entry.map(|entry| entry.key_span)
    }

    pub(super) fn push(&mut self, entry: Entry<'s>) {
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
