//! The text of a pattern while it is parsed.

use std::ops::Range;

use super::{PatternError, PatternErrorKind};

/// A part of a pattern's text, which knows where in the whole it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'t> {
    whole: &'t str,
    pub(super) text: &'t str,
    pub(super) start: usize,
}

impl<'t> Part<'t> {
    pub(super) const fn new(whole: &'t str) -> Self {
        Self {
            whole,
            text: whole,
            start: 0,
        }
    }

    /// The bytes `range` of this part; nothing if they are not in it.
    pub(super) fn part(&self, range: Range<usize>) -> Self {
        Self {
            whole: self.whole,
            start: self.start + range.start,
            text: self.text.get(range).unwrap_or_default(),
        }
    }

    pub(super) fn from(&self, start: usize) -> Self {
        self.part(start..self.text.len())
    }

    pub(super) const fn span(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    /// The pieces between `separator`s.
    pub(super) fn split(&self, separator: char) -> impl Iterator<Item = Self> + use<'t> {
        let mut part = Some(*self);
        std::iter::from_fn(move || {
            let rest = part?;
            let end = rest.text.find(separator);
            part = end.map(|end| rest.from(end + separator.len_utf8()));
            Some(rest.part(0..end.unwrap_or(rest.text.len())))
        })
    }

    /// An error about all of this part.
    pub(super) const fn error(&self, kind: PatternErrorKind) -> PatternError {
        PatternError::new(kind, self.span())
    }

    /// An error about the character at byte `at` of the whole text.
    pub(super) fn error_at(&self, kind: PatternErrorKind, at: usize) -> PatternError {
        let rest = self.whole.get(at..).unwrap_or_default();
        let len = rest.chars().next().map_or(0, char::len_utf8);
        PatternError::new(kind, at..at + len)
    }

    /// The whole text with this part replaced.
    pub(super) fn replaced(&self, with: &str) -> String {
        let Range { start, end } = self.span();
        let before = self.whole.get(..start).unwrap_or_default();
        let after = self.whole.get(end..).unwrap_or_default();
        format!("{before}{with}{after}")
    }
}
