//! A few likely rules out of many, by their bits alone.

use smallvec::SmallVec;

use crate::table::{Bits, Found};

/// How many are looked at closely. A rule that shares more literal text with the
/// request than all others is always among them.
const LENGTH: usize = 8;

/// A line of `to`, perhaps with the entry of `from` that may stand for the caller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Likely {
    rank: u64,
    line: u32,
    from: Option<(u32, Found)>,
}

impl Likely {
    pub(super) const fn new(
        bits: Bits,
        wants: Bits,
        line: u32,
        from: Option<(u32, Found)>,
    ) -> Self {
        Self {
            rank: rank(bits, wants, line),
            line,
            from,
        }
    }

    pub(super) const fn line(&self) -> u32 {
        self.line
    }

    pub(super) const fn from(&self) -> Option<(u32, Found)> {
        self.from
    }
}

/// First what lacks nothing, then what shares more, then what lacks less, then what
/// stands first in the document. One number, because hundreds are compared.
const fn rank(bits: Bits, wants: Bits, line: u32) -> u64 {
    let (shared, lacking) = bits.compare(wants);
    let lacks_nothing = (lacking == 0) as u64;
    // Both counts are at most 64, so they and their complements fit in a byte.
    lacks_nothing << 48 | (shared as u64) << 40 | (64 - lacking as u64) << 32 | !line as u64
}

/// The likeliest of `all`, likeliest first; of those alike, the first in the document.
pub(super) fn likeliest(all: impl Iterator<Item = Likely>) -> impl Iterator<Item = Likely> {
    let mut kept: SmallVec<[Likely; LENGTH]> = SmallVec::new();
    for likely in all {
        if kept.len() == LENGTH {
            if kept.last().is_some_and(|least| likely.rank <= least.rank) {
                continue;
            }
            kept.pop();
        }
        let place = kept.partition_point(|other| other.rank >= likely.rank);
        kept.insert(place, likely);
    }
    kept.into_iter()
}
