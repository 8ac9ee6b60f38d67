//! The other readings of a path that a service wants kept.
//!
//! A service that keeps `%2F` or `;` has decided how it reads them, but what
//! stands before or behind it may not agree: a deny rule must hold in each reading.

use std::borrow::Cow;

use super::{CanonicalPath, Span};

impl CanonicalPath<'_> {
    /// How else the path can be read: split at kept `/`, cut at kept `;`, and both
    /// in either order. Empty for nearly every path.
    pub(crate) fn other_readings(&self) -> Vec<CanonicalPath<'_>> {
        if !self.several_readings {
            return Vec::new();
        }
        let (split, cut) = (self.split_at_slashes(), self.cut_parameters());
        let mut readings = Vec::with_capacity(4);
        for segments in [
            split.cut_parameters().segments,
            cut.split_at_slashes().segments,
            split.segments,
            cut.segments,
        ] {
            let reading = self.with(segments);
            if reading != *self && !readings.contains(&reading) {
                readings.push(reading);
            }
        }
        readings
    }

    /// Servers that decode before they route.
    fn split_at_slashes(&self) -> CanonicalPath<'_> {
        self.with(
            self.segments
                .iter()
                .flat_map(|segment| self.pieces(*segment)),
        )
    }

    fn pieces(&self, segment: Span) -> impl Iterator<Item = Span> {
        let text = self.text.get(segment.range()).unwrap_or_default();
        let mut at = segment.start;
        let pieces = text.split('/').map(move |piece| {
            let start = at;
            let end = start.saturating_add(length(piece));
            at = end.saturating_add(1);
            Span { start, end }
        });
        pieces.filter(|piece| piece.start < piece.end)
    }

    /// Servers that drop parameters before they route.
    fn cut_parameters(&self) -> CanonicalPath<'_> {
        self.with(self.segments.iter().map(|segment| {
            let text = self.text.get(segment.range()).unwrap_or_default();
            let name = text.split(';').next().unwrap_or_default();
            Span {
                start: segment.start,
                end: segment.start.saturating_add(length(name)),
            }
        }))
    }

    fn with(&self, segments: impl IntoIterator<Item = Span>) -> CanonicalPath<'_> {
        CanonicalPath {
            text: Cow::Borrowed(&self.text),
            segments: segments.into_iter().collect(),
            trailing_slash: self.trailing_slash,
            several_readings: false,
        }
    }
}

/// The length of a part of a segment, which has at most 65,535 bytes itself.
fn length(part: &str) -> u16 {
    u16::try_from(part.len()).unwrap_or(u16::MAX)
}
