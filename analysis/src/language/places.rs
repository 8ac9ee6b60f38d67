//! Places in a caller or in a path, and how many there are.

use std::ops::RangeInclusive;

use super::{
    Shape,
    word::{Variable, Word},
};

/// Places in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Places {
    pub(super) words: Vec<Word>,
    /// Any number of further ones.
    pub(super) tail: bool,
}

/// Requests of one length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    pub(super) caller: usize,
    pub(super) path: usize,
    pub(super) slash: bool,
}

/// The lengths that a language tells apart.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lengths {
    pub(super) caller: usize,
    pub(super) path: usize,
}

impl Places {
    pub(super) fn may_meet(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.words.len(), other.words.len());
        let long_enough = (self.tail || mine >= theirs) && (other.tail || theirs >= mine);
        let mut pairs = self.words.iter().zip(&other.words);
        long_enough
            && pairs.all(|(mine, theirs)| {
                mine.unknown.is_some() || theirs.unknown.is_some() || mine.prefix == theirs.prefix
            })
    }

    /// The lengths that there are, up to `longest`.
    pub(super) fn lengths(&self, longest: usize) -> RangeInclusive<usize> {
        let least = self.words.len();
        if self.tail {
            least..=longest.max(least)
        } else {
            least..=least
        }
    }

    pub(super) fn at(&self, length: usize, first: Variable, next: &mut Variable) -> Vec<Word> {
        let own = self.words.iter().map(|word| Word {
            unknown: word
                .unknown
                .as_ref()
                .map(|(variable, suffix)| (variable + first, suffix.clone())),
            ..word.clone()
        });
        let mut words: Vec<Word> = own.collect();
        while words.len() < length {
            words.push(Word::variable(*next));
            *next += 1;
        }
        words
    }
}

impl Slice {
    /// Every slice in which there may be requests of all `shapes`. What is longer than
    /// `longest` by one is like everything longer.
    pub(super) fn all(shapes: &[&Shape], longest: Lengths) -> Vec<Self> {
        let common = |ranges: Vec<RangeInclusive<usize>>| {
            let start = ranges.iter().map(|range| *range.start()).max().unwrap_or(0);
            let end = ranges.iter().map(|range| *range.end()).min().unwrap_or(0);
            start..=end
        };
        let callers = common(
            shapes
                .iter()
                .map(|shape| shape.caller.lengths(longest.caller + 1))
                .collect(),
        );
        let paths = common(
            shapes
                .iter()
                .map(|shape| shape.path.lengths(longest.path + 1))
                .collect(),
        );
        let slash_fits = |slash: bool| {
            shapes
                .iter()
                .all(|shape| shape.slash.is_none_or(|wanted| wanted == slash))
        };
        let mut slices = Vec::new();
        for caller in callers.filter(|length| *length > 0) {
            for path in paths.clone() {
                for slash in [false, true] {
                    // `/` ends in a slash and has no segment.
                    if slash_fits(slash) && (slash || path > 0) {
                        slices.push(Self {
                            caller,
                            path,
                            slash,
                        });
                    }
                }
            }
        }
        slices
    }
}
