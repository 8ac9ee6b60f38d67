//! What a table says about one caller.

use std::collections::BTreeSet;

use super::{Found, FromKind, Rule, RuleTable, ToEntry, ids};
use crate::{SpiffeId, pattern::Bindings};

/// A rule, as far as it is about one caller.
pub(crate) struct Excerpt<'t> {
    pub(crate) rule: &'t Rule,
    /// Patterns in full, each once. Of those that capture nothing, only in which trust
    /// domain they matched: everybody there.
    pub(crate) from: Vec<String>,
    pub(crate) to: &'t [ToEntry],
}

impl RuleTable {
    /// The rules about a caller with these names, in the order of the document. `None` if
    /// that means to look at more than `limit` entries, or sixteen times as many ways to
    /// match.
    pub(crate) fn excerpts(&self, names: &[&SpiffeId], limit: usize) -> Option<Vec<Excerpt<'_>>> {
        let mut entries = BTreeSet::new();
        let mut looked = 0_usize;
        for (number, name) in names.iter().enumerate() {
            let candidates = self.candidates(name);
            looked = looked.saturating_add(candidates.count());
            if looked > limit.saturating_mul(16) {
                return None;
            }
            for (candidate, found) in candidates.iter() {
                if found == Found::Exactly || self.stands_for(candidate.entry, name) {
                    entries.insert((candidate.entry, number));
                }
            }
        }
        if entries.len() > limit {
            return None;
        }
        let mut excerpts: Vec<Excerpt<'_>> = Vec::new();
        let mut last = None;
        for (id, name) in entries {
            let entry = self.entry(id)?;
            let text = match &entry.kind {
                FromKind::Pattern(pattern) if entry.captures() => pattern.to_string(),
                _ => format!("spiffe://{}/**", names.get(name)?.trust_domain()),
            };
            match excerpts.last_mut() {
                Some(excerpt) if last == Some(entry.rule) => {
                    if !excerpt.from.contains(&text) {
                        excerpt.from.push(text);
                    }
                }
                _ => {
                    let rule = self.rule(entry.rule)?;
                    let from = vec![text];
                    let to = self.to.get(ids::range(&rule.to))?;
                    excerpts.push(Excerpt { rule, from, to });
                }
            }
            last = Some(entry.rule);
        }
        Some(excerpts)
    }

    fn stands_for(&self, entry: u32, name: &SpiffeId) -> bool {
        let entry = self.entry(entry);
        entry.is_some_and(|entry| entry.bind(name, &mut Bindings::default()))
    }
}
