//! One file's text, and where things stand in it.

use std::ops::Range;

/// One file, under the name that findings and records will show.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    /// Its path relative to the directory of policies, where that is known.
    place: Option<String>,
    text: String,
    /// Byte offsets at which the lines begin; the first is 0.
    line_starts: Vec<u32>,
    /// Where the bytes stopped being UTF-8; `text` then has U+FFFD from there on.
    not_utf8_at: Option<u32>,
}

/// A place in a text, as people count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Counted from 1.
    pub line: u32,
    /// In characters, counted from 1. A tab is one character.
    pub column: u32,
}

/// A range of bytes of one source's text, on character boundaries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The index of the source among those that are loaded.
    pub(super) file: u32,
    /// The first byte.
    pub(super) start: u32,
    /// The byte after the last.
    pub(super) end: u32,
}

impl Source {
    /// A file's bytes under `name`, for example `orders.yaml`: its path relative to
    /// the directory of policies.
    ///
    /// Bytes that are not UTF-8 are a finding of [`load`](super::load), not an error
    /// here, so that one such file does not hide the findings in others. A leading
    /// byte order mark is dropped (YAML 1.2, section 5.2).
    #[must_use]
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        let (mut text, not_utf8_at) = match String::from_utf8(bytes.into()) {
            Ok(text) => (text, None),
            Err(error) => {
                let valid = offset(error.utf8_error().valid_up_to());
                (
                    String::from_utf8_lossy(error.as_bytes()).into_owned(),
                    Some(valid),
                )
            }
        };
        let name = name.into();
        let mut dropped = 0;
        if let Some(rest) = text.strip_prefix('\u{feff}') {
            dropped = offset(text.len().saturating_sub(rest.len()));
            text = rest.to_owned();
        }
        Self {
            place: Some(name.clone()),
            name,
            line_starts: line_starts(&text),
            text,
            not_utf8_at: not_utf8_at.map(|at| at.saturating_sub(dropped)),
        }
    }

    /// The same file, shown under another name.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..self
        }
    }

    /// The same file, which was found by itself: where it is among the policies nobody
    /// knows, so it is held to no directory.
    #[must_use]
    pub fn found_alone(self) -> Self {
        Self {
            place: None,
            ..self
        }
    }

    /// Its path relative to the directory of policies, where that is known.
    pub(super) fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// The name under which the file was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text, without a byte order mark.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A line's text without its line break; lines are counted from 1.
    #[must_use]
    pub fn line(&self, number: u32) -> Option<&str> {
        let line = self.text.get(self.lines(number..number.checked_add(1)?)?)?;
        let line = line.strip_suffix('\n').unwrap_or(line);
        Some(line.strip_suffix('\r').unwrap_or(line))
    }

    /// The bytes of some lines with their line breaks; lines are counted from 1.
    pub(super) fn lines(&self, lines: Range<u32>) -> Option<Range<usize>> {
        let line_start = |line: u32| self.line_starts.get((line as usize).checked_sub(1)?);
        let start = *line_start(lines.start)? as usize;
        let end = line_start(lines.end).map_or(self.text.len(), |&start| start as usize);
        Some(start..end)
    }

    /// Where the byte at `offset` stands; the end of the text if it is beyond.
    #[must_use]
    pub fn position(&self, offset: u32) -> Position {
        let line = self.line_at(offset);
        let start = self
            .lines(line..line)
            .map_or(0, |range| self::offset(range.start));
        let end = (offset as usize).min(self.text.len());
        let before = self.text.get(start as usize..end).unwrap_or_default();
        Position {
            line,
            column: count(before.chars().count()),
        }
    }

    /// The line, counted from 1, in which the byte at `offset` stands.
    pub(super) fn line_at(&self, offset: u32) -> u32 {
        let after = self.line_starts.partition_point(|&start| start <= offset);
        self::offset(after.max(1))
    }

    /// The text of `span`; empty if it is not on character boundaries.
    pub(super) fn slice(&self, span: Span) -> &str {
        let end = (span.end as usize).min(self.text.len());
        self.text.get(span.start as usize..end).unwrap_or_default()
    }

    /// `span` up to the end of the line that it begins on: what an excerpt underlines.
    pub(super) fn first_line(&self, span: Span) -> Span {
        let rest = self.slice(span);
        let length = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let kept = rest.get(..length).unwrap_or_default().trim_end().len();
        Span {
            end: span.start.saturating_add(offset(kept)),
            ..span
        }
    }

    pub(super) const fn not_utf8_at(&self) -> Option<u32> {
        self.not_utf8_at
    }
}

impl Span {
    /// Bytes of the `file`th of the sources that are read together.
    #[must_use]
    pub fn of(file: usize, bytes: Range<usize>) -> Self {
        Self {
            file: offset(file),
            start: offset(bytes.start),
            end: offset(bytes.end),
        }
    }

    /// The index of the source among those that are read together.
    #[must_use]
    pub const fn file(self) -> usize {
        self.file as usize
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// From the beginning of `self` to the end of `other`.
    pub(super) fn to(self, other: Self) -> Self {
        Self {
            end: other.end.max(self.start),
            ..self
        }
    }

    /// Whether `other` begins within, or right at the end.
    pub(super) const fn holds(self, other: Self) -> bool {
        self.file == other.file && self.start <= other.start && other.start <= self.end
    }

    /// The empty range at the end.
    pub(super) const fn after(self) -> Self {
        Self {
            start: self.end,
            ..self
        }
    }
}

fn line_starts(text: &str) -> Vec<u32> {
    let breaks = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
    std::iter::once(0)
        .chain(breaks.map(|(at, _)| offset(at).saturating_add(1)))
        .collect()
}

/// A byte offset. `load` refuses files long before 4 GiB, so saturating loses nothing
/// but the position in a file that is refused for its size.
pub(super) fn offset(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A number counted from 1, from one counted from 0.
fn count(n: usize) -> u32 {
    offset(n).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters() {
        let source = Source::new("a.yaml", "ab\nüx\r\n\n");
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position(5), Position { line: 2, column: 2 });
        assert_eq!(source.position(9), Position { line: 4, column: 1 });
        assert_eq!(source.position(99), Position { line: 4, column: 1 });
    }

    #[test]
    fn lines_lose_their_break() {
        let source = Source::new("a.yaml", "ab\nüx\r\n\n");
        let lines: Vec<_> = (0..6).map(|n| source.line(n)).collect();
        assert_eq!(
            lines,
            [None, Some("ab"), Some("üx"), Some(""), Some(""), None]
        );
    }

    #[test]
    fn a_leading_byte_order_mark_is_not_part_of_the_text() {
        let source = Source::new("a.yaml", "\u{feff}kind: X");
        assert_eq!(source.text(), "kind: X");
        let broken = Source::new("a.yaml", b"\xef\xbb\xbfab\xff".to_vec());
        assert_eq!(broken.not_utf8_at(), Some(2));
    }
}
