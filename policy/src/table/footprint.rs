//! How much memory a table takes: for who keeps many within a bound.

use std::mem::size_of_val;

use super::{FromKind, RuleTable};
use crate::CallerPattern;

/// What an allocator adds to what is asked for: its own words, and rounding up.
const PER_ALLOCATION: usize = 24;

/// What `bytes` on the heap take, if they are allocated as one piece.
pub(crate) const fn allocated(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        bytes => bytes + PER_ALLOCATION,
    }
}

impl RuleTable {
    /// About how many bytes it takes beyond its own size; rather more than fewer.
    pub(crate) fn footprint(&self) -> usize {
        let rules = self.rules.iter().map(|rule| {
            let when = rule.when.as_ref().map_or(0, |when| {
                let names = when.condition.captures().iter();
                let names = names.map(|name| size_of_val(name) + allocated(name.0.len()));
                allocated(size_of_val(&**when)) + allocated(names.sum())
            });
            allocated(rule.name.len()) + when
        });
        let from = self.from.iter().map(|entry| {
            let patterns = match &entry.kind {
                FromKind::Pattern(pattern) => pattern.footprint(),
                FromKind::Group(members) => {
                    let of_members = members.iter().map(CallerPattern::footprint);
                    allocated(size_of_val(&**members)) + of_members.sum::<usize>()
                }
            };
            allocated(entry.text.len()) + patterns
        });
        let to = self.to.iter();
        let to = to.map(|line| allocated(line.text.len()) + line.operation.footprint());
        let lists = [
            size_of_val(&*self.rules),
            size_of_val(&*self.from),
            size_of_val(&*self.to),
            size_of_val(&*self.wants),
        ];
        let lists: usize = lists.into_iter().map(allocated).sum();
        let paths = self.paths.as_ref().map_or(0, |paths| paths.footprint());
        let parts = rules.chain(from).chain(to).sum::<usize>();
        lists + parts + self.callers.footprint() + paths
    }
}
