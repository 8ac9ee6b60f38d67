//! Which literal texts stand where, as bits: a cheap no.
//!
//! Each literal segment of a pattern wants two of 64 bits, chosen by its place and
//! its text; a request has the bits of all its segments. If it lacks a bit that a
//! pattern wants, the pattern cannot match, and its text need not be looked at. A
//! service's rules mostly differ in their literal texts, so nearly all are ruled out
//! by one comparison of integers that stand side by side in memory.

use crate::{
    CallerPattern,
    pattern::{IdSegment, PathPattern, PathSegment},
};

/// Bits that a request has, or that a pattern wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits(u64);

/// Paths take the low bits, callers the others.
const PATH: Share = Share {
    first: 0,
    count: 40,
};
const CALLER: Share = Share {
    first: 40,
    count: 24,
};

struct Share {
    first: u64,
    count: u64,
}

/// Places beyond these have no bits: few patterns are longer, and a request with
/// thousands of segments would have every bit.
const PLACES: u32 = 16;

impl Bits {
    /// What a request with these path segments and caller segments has.
    pub(crate) fn of(path: &[&str], caller: &[&str]) -> Self {
        let path = PATH.bits(path.iter().map(|text| Some(*text)));
        let caller = CALLER.bits(caller.iter().map(|text| Some(*text)));
        Self(path | caller)
    }

    pub(super) fn wanted_by_path(pattern: &PathPattern) -> Self {
        let texts = pattern.segments().map(|segment| match segment {
            PathSegment::Literal(text) => Some(text),
            PathSegment::Any | PathSegment::Capture { .. } => None,
        });
        Self(PATH.bits(texts))
    }

    pub(super) fn wanted_by_caller(pattern: &CallerPattern) -> Self {
        let segments = pattern.segments().iter().map(|segment| match segment {
            IdSegment::Literal(text) => Some(&**text),
            IdSegment::Any | IdSegment::Capture(_) => None,
        });
        Self(CALLER.bits(std::iter::once(Some(pattern.trust_domain())).chain(segments)))
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
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
    fn bits<'t>(&self, texts: impl Iterator<Item = Option<&'t str>>) -> u64 {
        let texts = (0..PLACES).zip(texts);
        let bits = texts.filter_map(|(place, text)| Some(self.pair(place, text?)));
        bits.fold(0, |bits, pair| bits | pair)
    }

    fn pair(&self, place: u32, text: &str) -> u64 {
        let hash = hash(place, text);
        self.bit(hash) | self.bit(hash.rotate_left(16))
    }

    const fn bit(&self, hash: u32) -> u64 {
        1 << (self.first + ((hash as u64 * self.count) >> 32))
    }
}

/// FNV-1a, from a start that depends on the place, then mixed: texts such as `a` and
/// `b` would otherwise differ in their low bits only.
fn hash(place: u32, text: &str) -> u32 {
    let hash = text.bytes().fold(0x811c_9dc5 ^ place, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash ^ (hash >> 13)
}
