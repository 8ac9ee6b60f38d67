//! Lines, and the comments between and behind them.

use callgate_policy::document::syntax::{Comment, Node};

use super::Printer;

impl<'s, C: Iterator<Item = &'s Comment<'s>>> Printer<'s, C> {
    /// An empty line where the author left some, and the comments before `at`.
    pub(super) fn before(&mut self, at: usize, indent: usize) {
        self.comments_to(at, indent);
        self.empty_line(at);
    }

    /// Every comment before `at`, each on a line of its own.
    pub(super) fn comments_to(&mut self, at: usize, indent: usize) {
        while let Some(comment) = self.comments.next_if(|next| next.span.bytes().start < at) {
            self.comment(comment, indent);
        }
    }

    /// Comments after the last entry of `node` that belong to it: before its bracket; or before
    /// `end` and as far right as its entries.
    pub(super) fn comments_within(&mut self, node: &Node<'_>, end: usize, indent: usize) {
        let bytes = node.span.bytes();
        let (end, column) = if self.is_bracketed(node) {
            (bytes.end, 0)
        } else {
            (
                self.marker_before(end).unwrap_or(end),
                self.column(bytes.start),
            )
        };
        while let Some(next) = self.comments.peek() {
            let at = next.span.bytes().start;
            if at >= end || self.column(at) < column {
                return;
            }
            if let Some(comment) = self.comments.next() {
                self.comment(comment, indent);
            }
        }
    }

    pub(super) fn is_bracketed(&self, node: &Node<'_>) -> bool {
        let text = self.source.get(node.span.bytes().start..);
        text.is_some_and(|text| text.starts_with(['[', '{']))
    }

    pub(super) fn marker_before(&self, end: usize) -> Option<usize> {
        let marker = self.last_marker(end);
        (marker < end).then_some(marker)
    }

    pub(super) fn comment(&mut self, comment: &Comment<'_>, indent: usize) {
        let at = comment.span.bytes().start;
        self.empty_line(at);
        self.start_line(indent);
        self.text.push_str(comment.text);
        self.done = comment.span.bytes().end;
        self.text.push('\n');
    }

    /// One empty line, if the author left any between what is done and `at`.
    pub(super) fn empty_line(&mut self, at: usize) {
        let between = self.source.get(self.done..at).unwrap_or_default();
        let is_first =
            self.text.is_empty() || self.text.ends_with("---\n") || self.text.ends_with("\n\n");
        // The first piece is the rest of a line, and the last one what `at` is indented by.
        let lines: Vec<&str> = between.split('\n').collect();
        let whole = lines
            .get(1..lines.len().saturating_sub(1))
            .unwrap_or_default();
        let has_empty = whole.iter().any(|line| line.trim().is_empty());
        if has_empty && !is_first && self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// The comment that stands on the line of what was printed last.
    pub(super) fn comment_here(&mut self) {
        let Some(next) = self.comments.peek() else {
            return;
        };
        let start = next.span.bytes().start;
        let between = self.source.get(self.done..start).unwrap_or("\n");
        let is_next = |c: char| c != '\n' && (c.is_whitespace() || ",:[]{}|>-+".contains(c));
        if next.alone || !between.chars().all(is_next) {
            return;
        }
        // Columns of comments are the author's: they are often aligned.
        let gap = between.len() - between.trim_end_matches([' ', '\t']).len();
        if let Some(comment) = self.comments.next() {
            self.text.push_str(&" ".repeat(gap.max(1)));
            self.text.push_str(comment.text);
            self.done = comment.span.bytes().end;
        }
    }

    /// Ends the line, unless it is at its end, with the comment that belongs to it.
    pub(super) fn end_line(&mut self) {
        if self.text.is_empty() || self.text.ends_with('\n') {
            return;
        }
        self.comment_here();
        while self.text.ends_with(' ') {
            self.text.pop();
        }
        self.text.push('\n');
    }

    /// Indents, unless something stands on the line already.
    pub(super) fn start_line(&mut self, indent: usize) {
        if self.text.is_empty() || self.text.ends_with('\n') {
            self.text.push_str(&" ".repeat(indent));
        }
    }

    pub(super) fn line(&mut self, indent: usize, text: &str) {
        self.start_line(indent);
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// The column of the byte at `at`, counted from 0.
    pub(super) fn column(&self, at: usize) -> usize {
        let before = self.source.get(..at).unwrap_or_default();
        at - before.rfind('\n').map_or(0, |line| line + 1)
    }
}
