//! Compiling rules into a table.

use super::{
    FromEntry, FromKind, Rule, RuleTable, ToEntry,
    bits::Bits,
    callers::{CallerIndex, CallerIndexBuilder},
    candidates::Candidate,
    ids,
    trie::{SegmentTrie, Step, TrieBuilder},
};
use crate::{
    BuildError,
    pattern::PathSegment,
    spec::{Callers, RuleSpec},
};

/// Ruling out this many candidates one by one is as fast as finding lines by path.
pub(super) const FEW_CANDIDATES: usize = 256;

/// Ruling out this many lines for the one that came closest is fast enough for a
/// refusal; more of them are indexed.
pub(crate) const MANY_LINES: usize = 1_024;

impl RuleTable {
    /// Compiles `rules`, whose captures bind.
    pub(crate) fn build(rules: Vec<RuleSpec>) -> Result<Self, BuildError> {
        let mut lists = Lists::default();
        for rule in rules {
            lists.push(rule)?;
        }
        let lines = lists.to.iter();
        let wants: Box<[Bits]> = lines
            .map(|line| Bits::wanted_by_path(&line.operation.path))
            .collect();
        let callers = index_callers(&lists, &wants)?;
        let many = callers.most_candidates() > FEW_CANDIDATES || lists.to.len() > MANY_LINES;
        let paths = if many {
            Some(index_paths(&lists.to)?)
        } else {
            None
        };
        Ok(Self {
            rules: lists.rules.into(),
            from: lists
                .from
                .into_iter()
                .map(FromEntry::without_members)
                .collect(),
            to: lists.to.into(),
            wants,
            callers,
            paths: paths.map(Box::new),
        })
    }
}

/// The lists of a table while they grow.
#[derive(Default)]
struct Lists {
    rules: Vec<Rule>,
    from: Vec<FromEntry>,
    to: Vec<ToEntry>,
}

impl Lists {
    fn push(&mut self, spec: RuleSpec) -> Result<(), BuildError> {
        let rule = ids::next(self.rules.len())?;
        let (first_from, first_to) = (ids::next(self.from.len())?, ids::next(self.to.len())?);
        self.from
            .extend(spec.from.into_iter().map(|from| FromEntry {
                rule,
                line: from.line,
                text: from.text.into(),
                kind: match from.callers {
                    Callers::Pattern(pattern) => FromKind::Pattern(pattern),
                    Callers::Group(members) => FromKind::Group(members.into()),
                },
            }));
        self.to.extend(spec.to.into_iter().map(|to| ToEntry {
            rule,
            line: to.line,
            text: to.text.into(),
            operation: to.operation,
        }));
        self.rules.push(Rule {
            name: spec.name.into(),
            line: spec.line,
            from: first_from..ids::next(self.from.len())?,
            to: first_to..ids::next(self.to.len())?,
            when: spec.when.map(Box::new),
            exception: spec.exception,
        });
        Ok(())
    }
}

fn index_callers(lists: &Lists, wants: &[Bits]) -> Result<CallerIndex, BuildError> {
    let mut index = CallerIndexBuilder::default();
    for (id, entry) in lists.from.iter().enumerate() {
        let patterns = match &entry.kind {
            FromKind::Pattern(pattern) => std::slice::from_ref(pattern),
            FromKind::Group(members) => members,
        };
        let id = ids::next(id)?;
        patterns
            .iter()
            .for_each(|pattern| index.insert(pattern, id));
    }
    index.finish(|entry| {
        let rule = lists.from.get(ids::index(entry)).map(|entry| entry.rule);
        let beside = rule.and_then(|rule| lists.rules.get(ids::index(rule)));
        let lines = beside.map_or(0..0, |rule| rule.to.clone());
        lines.filter_map(move |line| {
            Some(Candidate {
                wants: *wants.get(ids::index(line))?,
                rule: rule?,
                entry,
                line,
            })
        })
    })
}

fn index_paths(lines: &[ToEntry]) -> Result<SegmentTrie, BuildError> {
    let mut index = TrieBuilder::default();
    for (id, line) in lines.iter().enumerate() {
        let path = &line.operation.path;
        let steps = path.segments().map(|segment| match segment {
            PathSegment::Literal(text) => Step::Literal(text),
            PathSegment::Any => Step::Any,
            PathSegment::Capture { prefix, suffix, .. } => match (prefix, suffix) {
                ("", "") => Step::Any,
                _ => Step::Partial(prefix, suffix),
            },
        });
        index.insert(steps, path.has_tail(), ids::next(id)?)?;
    }
    index.finish()
}

impl FromEntry {
    /// Forgets the members of a group that the index answers for: groups are large,
    /// and many rules name the same one.
    fn without_members(mut self) -> Self {
        if let FromKind::Group(members) = self.kind {
            let wild = members
                .into_iter()
                .filter(|member| member.exact().is_none());
            self.kind = FromKind::Group(wild.collect());
        }
        self
    }
}
