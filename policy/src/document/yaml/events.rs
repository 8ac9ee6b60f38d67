//! The parser's events, with places in bytes and errors in words.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, StrInput};

use super::{offsets::Offsets, syntax};
use crate::document::{
    Source,
    finding::Finding,
    source::{Span, offset},
};

/// An event with its place.
pub(super) type Spanned<'s> = (Event<'s>, Span);

/// The events of one file.
pub(super) struct Events<'s> {
    parser: Parser<'s, StrInput<'s>>,
    offsets: Offsets<'s>,
    source: &'s Source,
    file: u32,
}

impl<'s> Events<'s> {
    pub(super) fn new(file: u32, source: &'s Source) -> Self {
        Self {
            parser: Parser::new_from_str(source.text()),
            offsets: Offsets::new(source.text()),
            source,
            file,
        }
    }

    /// The next event; after the last, `StreamEnd` for ever.
    pub(super) fn next(&mut self) -> Result<Spanned<'s>, Finding> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                let span = self.span(span.start, span.end);
                let span = self.without_what_follows(&event, span);
                Ok((event, span))
            }
            Some(Err(error)) => {
                let place = self.span(*error.marker(), *error.marker());
                Err(syntax::explain(self.source, place, error.info()))
            }
            None => Ok((
                Event::StreamEnd,
                Span {
                    file: self.file,
                    ..Span::default()
                },
            )),
        }
    }

    /// After a quote or a bracket the parser goes on to the next word, past a comment too.
    fn without_what_follows(&self, event: &Event<'_>, span: Span) -> Span {
        let written = self.source.slice(span);
        let length = match event {
            Event::Scalar(_, ScalarStyle::SingleQuoted, ..) => single_quoted(written),
            Event::Scalar(_, ScalarStyle::DoubleQuoted, ..) => double_quoted(written),
            Event::SequenceEnd | Event::MappingEnd => written.len().min(1),
            _ => written.len(),
        };
        Span {
            end: span.start.saturating_add(offset(length)),
            ..span
        }
    }

    fn span(&self, start: Marker, end: Marker) -> Span {
        Span {
            file: self.file,
            start: self.offsets.byte(start.index()),
            end: self.offsets.byte(end.index()),
        }
    }
}

/// The length of the text in single quotes that `written` begins with; `''` is a quote.
fn single_quoted(written: &str) -> usize {
    let mut bytes = written.bytes().enumerate().skip(1).peekable();
    while let Some((at, byte)) = bytes.next() {
        if byte == b'\'' && bytes.next_if(|(_, next)| *next == b'\'').is_none() {
            return at.saturating_add(1);
        }
    }
    written.len()
}

/// The length of the text in double quotes that `written` begins with.
fn double_quoted(written: &str) -> usize {
    let mut bytes = written.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return at.saturating_add(1),
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    written.len()
}
