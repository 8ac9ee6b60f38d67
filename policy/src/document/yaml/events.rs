//! The parser's events, with places in bytes and errors in words.

use saphyr_parser::{Event, Marker, Parser, StrInput};

use super::{offsets::Offsets, syntax};
use crate::document::{Source, finding::Finding, source::Span};

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
            Some(Ok((event, span))) => Ok((event, self.span(span.start, span.end))),
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

    fn span(&self, start: Marker, end: Marker) -> Span {
        Span {
            file: self.file,
            start: self.offsets.byte(start.index()),
            end: self.offsets.byte(end.index()),
        }
    }
}
