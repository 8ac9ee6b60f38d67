//! The ways into the rules that decide about one service together.

use callgate_policy::{CallerSegment, PathOptions, PathSegment, Request, Side, SpiffeId};

use super::set::{Rule, Rules, Set};
use crate::language::{Access, Language, Point};

/// Ways that are held against each other. Each is compared with each: of more than these,
/// which a rule has by a large group, nobody would wait for the answer.
const MOST_WAYS: usize = 2_000;

/// The rules of one document with those of the mesh that hold beside it; or the mesh's own.
pub(super) struct Scope<'a> {
    /// The rules of the document itself.
    pub(super) allow: Vec<&'a Rule<'a>>,
    pub(super) deny: Vec<&'a Rule<'a>>,
    /// All ways, those of the mesh's rules last.
    pub(super) allowed: Vec<Way<'a>>,
    pub(super) denied: Vec<Way<'a>>,
    pub(super) language: Language,
}

/// One way into a rule.
pub(super) struct Way<'a> {
    pub(super) rule: &'a Rule<'a>,
    /// The entry of `from`, and the line of `to`.
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) access: Access,
    options: PathOptions,
}

impl<'a> Scope<'a> {
    /// Those of a set; without documents that stand for too many ways.
    pub(super) fn all(set: &'a Set<'a>) -> impl Iterator<Item = Self> {
        let mesh = set.mesh.as_ref().map(|(_, rules)| rules);
        let services = set.services.iter();
        let services = services.filter_map(move |(spec, rules)| Self::of(rules, mesh, spec.paths));
        let own = mesh.and_then(|rules| Self::of(rules, None, PathOptions::default()));
        services.chain(own)
    }

    fn of(rules: &'a Rules<'a>, mesh: Option<&'a Rules<'a>>, options: PathOptions) -> Option<Self> {
        let ways = |list: fn(&'a Rules<'a>) -> &'a Vec<Rule<'a>>, side| {
            let rules = list(rules).iter().chain(mesh.into_iter().flat_map(list));
            let ways = rules.flat_map(move |rule| ways(rule, side, options));
            ways.take(MOST_WAYS + 1).collect::<Vec<_>>()
        };
        let allowed = ways(|rules| &rules.allow, Side::Allow);
        let denied = ways(|rules| &rules.deny, Side::Deny);
        if allowed.len() + denied.len() > MOST_WAYS {
            return None;
        }
        let language = Language::of(allowed.iter().chain(&denied).map(|way| &way.access));
        Some(Self {
            allow: rules.allow.iter().collect(),
            deny: rules.deny.iter().collect(),
            allowed,
            denied,
            language,
        })
    }

    /// Whether every request of `ways` is of one of `others`. Nothing is covered by nothing.
    pub(super) fn covers(&self, others: &[&Way<'_>], ways: &[&Way<'_>]) -> bool {
        let others: Vec<&Access> = others.iter().map(|way| &way.access).collect();
        !others.is_empty()
            && ways
                .iter()
                .all(|way| self.language.covers(&others, &way.access))
            && self.language.is_exact()
    }

    /// Those of `others` that a request of one of `ways` may be of.
    pub(super) fn near<'w>(&self, others: &[&'w Way<'a>], ways: &[&Way<'_>]) -> Vec<&'w Way<'a>> {
        let shapes: Vec<_> = ways.iter().map(|way| way.access.shape()).collect();
        let is_near = |other: &&&Way<'_>| {
            shapes
                .iter()
                .any(|shape| shape.may_meet(other.access.shape()))
        };
        others.iter().filter(is_near).copied().collect()
    }

    /// Whether any request is of `way`.
    pub(super) fn is_live(&self, way: &Way<'_>) -> bool {
        // What asks for no two equal texts asks for nothing that cannot be.
        !way.compares() || self.language.meet(&way.access, &way.access).is_some()
    }
}

impl Way<'_> {
    /// Whether it is a way into this rule.
    pub(super) fn is_of(&self, rule: &Rule<'_>) -> bool {
        std::ptr::eq(self.rule.spec, rule.spec)
    }

    /// Whether such a request takes this way, with `path` instead of its own.
    pub(super) fn takes(&self, point: &Point, path: &str) -> bool {
        let request = Request {
            path,
            ..point.request(None)
        };
        let (from, to) = (self.access.from(), self.access.to());
        let caller: &SpiffeId = point.caller();
        to.is_about(from, caller, &request, self.access.side(), self.options)
    }

    /// Whether some capture stands twice, so that two texts must be equal.
    fn compares(&self) -> bool {
        let (from, to) = (self.access.from(), self.access.to());
        let captured = |segment: &PathSegment<'_>| matches!(segment, PathSegment::Capture { .. });
        let is_named = |part: &CallerSegment<'_>| matches!(part, CallerSegment::Capture(_));
        to.segments().filter(captured).count() > to.captures().count()
            || from.parts().iter().any(is_named)
    }

    /// The line as it is written.
    pub(super) fn line(&self) -> &str {
        let line = self.rule.spec.to.get(self.to);
        line.map_or("", |line| &line.text)
    }

    /// The entry as it is written.
    pub(super) fn caller(&self) -> &str {
        let entry = self.rule.spec.from.get(self.from);
        entry.map_or("", |entry| &entry.text)
    }
}

fn ways<'a>(rule: &'a Rule<'a>, side: Side, options: PathOptions) -> impl Iterator<Item = Way<'a>> {
    let entries = rule.spec.from.iter().enumerate();
    let patterns = entries.flat_map(|(from, entry)| {
        let patterns = entry.callers.patterns().iter();
        patterns.map(move |pattern| (from, pattern))
    });
    patterns.flat_map(move |(from, pattern)| {
        let lines = rule.spec.to.iter().enumerate();
        lines.map(move |(to, line)| Way {
            rule,
            from,
            to,
            access: Access::new(pattern, &line.operation, side, options),
            options,
        })
    })
}
