//! The other readings of a path that a service wants kept.
//!
//! A service that keeps `%2F` or `;` has decided how it reads them, but what
//! stands before or behind it may not agree: a deny rule must hold in each reading.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::{CanonicalPath, Segments};

impl CanonicalPath<'_> {
    /// How else the path can be read: split at kept `/`, cut at kept `;`, and both
    /// in either order. Empty for nearly every path.
    pub(crate) fn other_readings(&self) -> SmallVec<[CanonicalPath<'_>; 4]> {
        if !self.several_readings {
            return SmallVec::new();
        }
        let (split, cut) = (self.split_at_slashes(), self.cut_parameters());
        let split_then_cut = split.cut_parameters().into_owned();
        let cut_then_split = cut.split_at_slashes().into_owned();
        let mut readings = SmallVec::<[CanonicalPath<'_>; 4]>::new();
        for reading in [split, cut, split_then_cut, cut_then_split] {
            if reading.segments != self.segments && !readings.contains(&reading) {
                readings.push(reading);
            }
        }
        readings
    }

    fn split_at_slashes(&self) -> CanonicalPath<'_> {
        let pieces = self.segments.iter().flat_map(|segment| segment.split('/'));
        self.reading(pieces.filter(|piece| !piece.is_empty()))
    }

    fn cut_parameters(&self) -> CanonicalPath<'_> {
        let names = self.segments.iter();
        self.reading(names.filter_map(|segment| segment.split(';').next()))
    }

    fn reading<'s>(&self, segments: impl Iterator<Item = &'s str>) -> CanonicalPath<'s> {
        CanonicalPath {
            segments: segments.map(Cow::Borrowed).collect(),
            trailing_slash: self.trailing_slash,
            several_readings: false,
        }
    }

    fn into_owned<'o>(self) -> CanonicalPath<'o> {
        let segments = self.segments.into_iter();
        let owned: Segments<'o> = segments
            .map(|segment| Cow::Owned(segment.into_owned()))
            .collect();
        CanonicalPath {
            segments: owned,
            trailing_slash: self.trailing_slash,
            several_readings: false,
        }
    }
}
