//! Nodes and comments, printed.

mod lines;

use std::iter::Peekable;

use callgate_policy::document::{
    Source,
    syntax::{Comment, Entry, Node, Style, Syntax, Text, Value},
};

use super::scalar::{self, Block};

/// Characters of a line with a list or a mapping in brackets; what is longer is written
/// one entry a line.
const LINE: usize = 100;

/// Columns by which what belongs to something stands further right.
const STEP: usize = 2;

/// What `syntax` says, in the one form.
pub(super) fn print(source: &Source, syntax: &Syntax<'_>) -> String {
    let mut printer = Printer {
        source: source.text(),
        comments: syntax.comments.iter().peekable(),
        text: String::new(),
        done: 0,
    };
    printer.documents(&syntax.documents);
    printer.text
}

struct Printer<'s, C: Iterator<Item = &'s Comment<'s>>> {
    source: &'s str,
    /// Those that are still to be printed.
    comments: Peekable<C>,
    text: String,
    /// How much of the source has been printed, in bytes.
    done: usize,
}

impl<'s, C: Iterator<Item = &'s Comment<'s>>> Printer<'s, C> {
    fn documents(&mut self, documents: &[Node<'_>]) {
        let starts = documents.iter().skip(1).map(|node| node.span.bytes().start);
        let ends = starts.chain([self.source.len()]);
        for (index, (node, end)) in documents.iter().zip(ends).enumerate() {
            // What stands before the last `---` belongs to the document above.
            let marker = self.last_marker(node.span.bytes().start);
            if index > 0 {
                self.comments_to(marker, 0);
                self.line(0, "---");
                self.done = marker;
            }
            self.comments_to(node.span.bytes().start, 0);
            self.block(node, 0, end);
            self.end_line();
        }
        self.comments_to(self.source.len(), 0);
    }

    /// Where the `---` before `at` begins; `at` if there is none.
    fn last_marker(&self, at: usize) -> usize {
        let before = self.source.get(self.done..at).unwrap_or_default();
        let mut from = self.done;
        let mut found = at;
        for line in before.split_inclusive('\n') {
            if line.starts_with("---") {
                found = from;
            }
            from += line.len();
        }
        found
    }

    /// A value that begins on a line of its own, or after `- `.
    fn block(&mut self, node: &Node<'_>, indent: usize, end: usize) {
        match &node.value {
            Value::Map(entries) if !entries.is_empty() && self.is_long(node, indent) => {
                self.map(node, entries, indent, end);
            }
            Value::List(items) if !items.is_empty() && self.is_long(node, indent) => {
                self.list(node, items, indent, end);
            }
            _ => {
                self.start_line(indent);
                self.inline_or_block(node, indent, None);
            }
        }
    }

    fn map(&mut self, node: &Node<'_>, entries: &[Entry<'_>], indent: usize, end: usize) {
        let nexts = entries
            .iter()
            .skip(1)
            .map(|entry| entry.key_span.bytes().start);
        for (entry, end) in entries.iter().zip(nexts.chain([end])) {
            self.before(entry.key_span.bytes().start, indent);
            self.start_line(indent);
            self.text.push_str(&scalar::key(&entry.key, false));
            self.text.push(':');
            self.done = entry.key_span.bytes().end;
            self.value(entry, indent, end);
        }
        self.comments_within(node, end, indent);
    }

    /// The value of a key whose `:` has been written.
    fn value(&mut self, entry: &Entry<'_>, indent: usize, end: usize) {
        let value = &entry.value;
        let inner = indent + STEP;
        let prefix = indent + entry.key.len() + 2;
        match &value.value {
            Value::Map(entries) if !entries.is_empty() && self.is_long(value, prefix) => {
                self.end_line();
                self.map(value, entries, inner, end);
            }
            Value::List(items) if !items.is_empty() && self.is_long(value, prefix) => {
                self.end_line();
                self.list(value, items, inner, end);
            }
            _ => {
                self.text.push(' ');
                self.inline_or_block(value, indent, Some(&entry.key));
            }
        }
    }

    fn list(&mut self, node: &Node<'_>, items: &[Node<'_>], indent: usize, end: usize) {
        let nexts = items.iter().skip(1).map(|item| item.span.bytes().start);
        for (item, end) in items.iter().zip(nexts.chain([end])) {
            // Not between the `-` and what it is for.
            self.before(first(item), indent);
            self.start_line(indent);
            self.text.push_str("- ");
            self.block(item, indent + STEP, end);
        }
        self.comments_within(node, end, indent);
    }

    /// A text, or something in brackets, and the end of its line.
    fn inline_or_block(&mut self, node: &Node<'_>, indent: usize, key: Option<&str>) {
        let block = match &node.value {
            Value::Text(text) => self.block_text(node, text, key),
            _ => None,
        };
        match block {
            Some(block) => {
                self.text.push_str(&block.header);
                if !matches!(&node.value, Value::Text(text) if text.style == Style::Block) {
                    self.done = node.span.bytes().end;
                }
                self.comment_here();
                self.end_line();
                let depth = indent + STEP;
                for line in &block.lines {
                    let line = if line.is_empty() {
                        String::new()
                    } else {
                        format!("{}{line}", " ".repeat(depth))
                    };
                    self.text.push_str(&line);
                    self.text.push('\n');
                }
                // An empty line after a block is of the block to YAML, and not to its author.
                let written = self.source.get(node.span.bytes()).unwrap_or_default();
                self.done = node.span.bytes().start + written.trim_end().len();
            }
            None => {
                self.text.push_str(&inline(node));
                self.done = node.span.bytes().end;
                self.end_line();
            }
        }
    }

    fn block_text(&self, node: &Node<'_>, text: &Text<'_>, key: Option<&str>) -> Option<Block> {
        let written = self.source.get(node.span.bytes()).unwrap_or_default();
        if key == Some("when") {
            return scalar::condition(text, written);
        }
        if text.style != Style::Block {
            return None;
        }
        let before = self.source.get(self.done..node.span.bytes().start)?;
        let from = before.find(['|', '>'])?;
        let header = before.get(from..)?.split(char::is_whitespace).next()?;
        scalar::block(text, written, header)
    }

    /// Whether a collection is written one entry a line: it was, it has comments within, or
    /// it does not fit. `prefix` is what stands before it on its line.
    fn is_long(&mut self, node: &Node<'_>, prefix: usize) -> bool {
        let bytes = node.span.bytes();
        let opens = self.is_bracketed(node);
        let has_comment = self.comments.peek().is_some_and(|next| {
            let at = next.span.bytes().start;
            at < bytes.end && at >= bytes.start
        });
        !opens || has_comment || has_long_text(node) || prefix + inline(node).chars().count() > LINE
    }
}

/// Where the first text of a value begins.
fn first(node: &Node<'_>) -> usize {
    match &node.value {
        Value::List(items) => items.first().map_or(node.span.bytes().start, first),
        Value::Map(entries) => {
            let key = entries.first().map(|entry| entry.key_span.bytes().start);
            key.unwrap_or(node.span.bytes().start)
        }
        Value::Text(_) | Value::Refused => node.span.bytes().start,
    }
}

/// A value on one line.
fn inline(node: &Node<'_>) -> String {
    match &node.value {
        Value::Text(text) => scalar::inline(text, false),
        Value::List(_) | Value::Map(_) => bracketed(node),
        Value::Refused => String::new(),
    }
}

fn bracketed(node: &Node<'_>) -> String {
    match &node.value {
        Value::Text(text) => scalar::inline(text, true),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(bracketed).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(entries) => {
            let entries = entries.iter();
            let entries: Vec<String> = entries
                .map(|entry| {
                    format!(
                        "{}: {}",
                        scalar::key(&entry.key, true),
                        bracketed(&entry.value)
                    )
                })
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Refused => String::new(),
    }
}

/// Whether something within is better read as a block: a condition, a text of several lines.
fn has_long_text(node: &Node<'_>) -> bool {
    match &node.value {
        Value::Text(text) => text.text.contains('\n'),
        Value::List(items) => items.iter().any(has_long_text),
        Value::Map(entries) => entries
            .iter()
            .any(|entry| entry.key == "when" || has_long_text(&entry.value)),
        Value::Refused => false,
    }
}
