//! The other readings of a path that a service wants kept.
//!
//! A service that keeps `%2F` or `;` has decided how it reads them, but what
//! stands before or behind it may not agree: a deny rule must hold in each reading.

use std::{borrow::Cow, ops::Range};

use super::CanonicalPath;

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
                .flat_map(|segment| self.pieces(segment)),
        )
    }

    fn pieces(&self, segment: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let text = self.text.get(segment.clone()).unwrap_or_default();
        let mut at = segment.start;
        let pieces = text.split('/').map(move |piece| {
            let start = at;
            at += piece.len() + 1;
            start..start + piece.len()
        });
        pieces.filter(|piece| !piece.is_empty())
    }

    /// Servers that drop parameters before they route.
    fn cut_parameters(&self) -> CanonicalPath<'_> {
        self.with(self.segments.iter().map(|segment| {
            let text = self.text.get(segment.clone()).unwrap_or_default();
            let end = text.find(';').unwrap_or(text.len());
            segment.start..segment.start + end
        }))
    }

    fn with(&self, segments: impl IntoIterator<Item = Range<usize>>) -> CanonicalPath<'_> {
        CanonicalPath {
            text: Cow::Borrowed(&self.text),
            segments: segments.into_iter().collect(),
            trailing_slash: self.trailing_slash,
            several_readings: false,
        }
    }
}
