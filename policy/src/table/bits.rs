//! Which literal texts stand where, as bits: a cheap no.
//!
//! Each literal segment of a pattern wants three of 64 bits, chosen by its place and
//! its text; a request has the bits of all its segments. If it lacks a bit that a
//! pattern wants, the pattern cannot match, and its text need not be looked at. A
//! service's rules mostly differ in their literal texts, so nearly all are ruled out
//! by one comparison of integers that stand side by side in memory.

use crate::{
    CallerPattern, CanonicalPath, SpiffeId,
    pattern::{IdSegment, PathPattern, PathSegment},
};

/// Bits that a request has, or that a pattern wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits(u64);

/// Paths take the low bits, callers the others. Paths have more, because most
/// candidates are found by the caller's whole ID.
const PATH: Share = Share {
    first: 0,
    count: 48,
};
const CALLER: Share = Share {
    first: 48,
    count: 16,
};

struct Share {
    first: u64,
    count: u64,
}

/// Places beyond these have no bits: few patterns are longer, and a request with
/// thousands of segments would have every bit.
const PLACES: u32 = 16;

impl Bits {
    pub(crate) fn of_path(path: &CanonicalPath<'_>) -> Self {
        Self(PATH.bits(path.segments_as_bytes().map(Some)))
    }

    pub(crate) fn of_caller(id: &SpiffeId) -> Self {
        let texts = std::iter::once(id.trust_domain()).chain(id.segments());
        Self(CALLER.bits(texts.map(|text| Some(text.as_bytes()))))
    }

    pub(super) fn wanted_by_path(pattern: &PathPattern) -> Self {
        let texts = pattern.segments().map(|segment| match segment {
            PathSegment::Literal(text) => Some(text.as_bytes()),
            PathSegment::Any | PathSegment::Capture { .. } => None,
        });
        Self(PATH.bits(texts))
    }

    pub(super) fn wanted_by_caller(pattern: &CallerPattern) -> Self {
        let segments = pattern.segments().iter().map(|segment| match segment {
            IdSegment::Literal(text) => Some(text.as_bytes()),
            IdSegment::Any | IdSegment::Capture(_) => None,
        });
        Self(CALLER.bits(std::iter::once(Some(pattern.trust_domain().as_bytes())).chain(segments)))
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The bits of paths that are not here.
    pub(super) const fn lacking_of_path(self) -> Self {
        Self(!self.0 & ((1 << PATH.count) - 1))
    }

    pub(super) const fn some_of(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// Whether a request with these bits may match a pattern that wants `wanted`.
    pub(crate) const fn cover(self, wanted: Self) -> bool {
        wanted.0 & !self.0 == 0
    }

    /// How many of the bits that `wanted` has are here, and how many are not.
    pub(crate) const fn compare(self, wanted: Self) -> (u32, u32) {
        (
            (wanted.0 & self.0).count_ones(),
            (wanted.0 & !self.0).count_ones(),
        )
    }
}

impl Share {
    fn bits<'t>(&self, texts: impl Iterator<Item = Option<&'t [u8]>>) -> u64 {
        let texts = (0..PLACES).zip(texts);
        let bits = texts.filter_map(|(place, text)| Some(self.three(hash(place, text?))));
        bits.fold(0, |bits, three| bits | three)
    }

    const fn three(&self, hash: u32) -> u64 {
        self.bit(hash) | self.bit(hash.rotate_left(11)) | self.bit(hash.rotate_left(22))
    }

    const fn bit(&self, hash: u32) -> u64 {
        1 << (self.first + ((hash as u64 * self.count) >> 32))
    }
}

/// A hash of the place, the length and both ends of a text, without a loop over its
/// bytes: every segment of every request is hashed, and a text that differs in its
/// middle only costs a look at one more pattern.
fn hash(place: u32, bytes: &[u8]) -> u32 {
    let (first, last) = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => ends_of_short(bytes),
    };
    let place = u64::from(place) << 56 ^ (bytes.len() as u64) << 48;
    let mixed = (first ^ place).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ last.rotate_left(29);
    // The high half of a product depends on all of its factors.
    (mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) as u32
}

/// Both ends of less than eight bytes, which overlap.
fn ends_of_short(bytes: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return (
            u32::from_le_bytes(*first).into(),
            u32::from_le_bytes(*last).into(),
        );
    }
    let byte = |at: usize| bytes.get(at).copied().map_or(0, u64::from);
    (byte(0) | byte(1) << 8, byte(2))
}
