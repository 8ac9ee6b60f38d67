//! Numbers of rules, entries and lines: 32 bits, half the memory of a pointer.

use std::ops::Range;

use crate::BuildError;

/// The number of the next element of a list with `len` elements.
pub(super) fn next(len: usize) -> Result<u32, BuildError> {
    // The highest number stays free, so that `0..next` can always be written.
    u32::try_from(len)
        .ok()
        .filter(|id| *id < u32::MAX)
        .ok_or(BuildError::TooLarge)
}

/// A number as an index; every target that this is built for has 32 bits or more.
pub(super) const fn index(id: u32) -> usize {
    id as usize
}

pub(super) const fn range(ids: &Range<u32>) -> Range<usize> {
    index(ids.start)..index(ids.end)
}
