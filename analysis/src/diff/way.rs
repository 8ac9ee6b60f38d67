//! Ways into the rules that decide about one service.

use callgate_policy::{
    CallerPattern, PathOptions, Side, SpiffeId, Timestamp,
    spec::{Enforcement, FromSpec, MeshSpec, RuleSpec, ServiceSpec, ToSpec},
};

use crate::language::{Access, Point, Shape};

use super::{RulePlace, condition::Predicate};

/// A pattern of `from` with a line of `to`, and where they stand.
#[derive(Debug)]
pub(crate) struct Way<'v> {
    pub(crate) rule: &'v RuleSpec,
    pub(crate) file: &'v str,
    pub(crate) from: &'v FromSpec,
    pub(crate) pattern: &'v CallerPattern,
    pub(crate) to: &'v ToSpec,
    pub(crate) of_mesh: bool,
    pub(crate) access: Access,
    /// What must hold besides.
    pub(crate) predicate: Option<Predicate>,
    /// What callers have to be besides: by an alias, another name of theirs fits.
    pub(crate) alias: Option<Alias>,
}

/// An alias under which a rule is about somebody.
#[derive(Debug)]
pub(crate) struct Alias {
    /// The rule's own shape, in the trust domain of the caller.
    shape: Shape,
    /// The callers who have the alias.
    callers: Shape,
    pub(crate) trust_domain: String,
}

/// What makes two ways the same, wherever they stand.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key<'w> {
    /// Deny rules of the mesh and of a service differ in what they do.
    rank: u8,
    verb: String,
    shapes: Vec<&'w Shape>,
    expires: Option<Timestamp>,
    predicate: Option<&'w Predicate>,
}

/// The rules of one document on one side.
struct Rules<'v> {
    rules: &'v [RuleSpec],
    file: &'v str,
    side: Side,
    of_mesh: bool,
}

impl<'v> Way<'v> {
    /// Every way into the rules that decide about a service of this policy.
    pub(crate) fn all(mesh: Option<&'v MeshSpec>, policy: Option<&'v ServiceSpec>) -> Vec<Self> {
        let options = policy.map_or_else(PathOptions::default, |policy| policy.paths);
        let of_mesh = mesh.map(|mesh| (&mesh.allow, &mesh.deny, &*mesh.file, true));
        let of_service = policy.map(|one| (&one.allow, &one.deny, &*one.file, false));
        let mut ways = Vec::new();
        for (allow, deny, file, of_mesh) in of_service.into_iter().chain(of_mesh) {
            for (rules, side) in [(allow, Side::Allow), (deny, Side::Deny)] {
                let rules = Rules {
                    rules,
                    file,
                    side,
                    of_mesh,
                };
                rules.ways(options, mesh, &mut ways);
            }
        }
        ways
    }

    /// What all requests that go this way have in common.
    pub(crate) fn shapes(&self) -> Vec<&Shape> {
        match &self.alias {
            None => vec![self.access.shape()],
            Some(alias) => vec![&alias.shape, &alias.callers],
        }
    }

    /// What requests have in common that this one caller makes, whoever is said to be the
    /// caller.
    pub(crate) fn called_by(&self, caller: &SpiffeId, trust_domain: &str) -> Option<Shape> {
        if let Some(alias) = &self.alias {
            alias.callers.as_called_by(caller, trust_domain)?;
            return alias.shape.as_called_by(caller, trust_domain);
        }
        self.access.shape().as_called_by(caller, trust_domain)
    }

    pub(crate) fn key(&self) -> Key<'_> {
        Key {
            rank: match (self.side(), self.of_mesh) {
                (Side::Allow, _) => 0,
                (Side::Deny, false) => 1,
                (Side::Deny, true) => 2,
            },
            verb: self.access.to().verb(),
            shapes: self.shapes(),
            expires: self.expires(),
            predicate: self.predicate.as_ref(),
        }
    }

    /// Whether the rule may be about a request; of other names of the caller, not all is
    /// looked at.
    pub(crate) fn may_hold(&self, point: &Point) -> bool {
        match &self.alias {
            None => self.access.holds(point),
            Some(alias) => alias.trust_domain == point.caller().trust_domain(),
        }
    }

    pub(crate) fn expires(&self) -> Option<Timestamp> {
        self.rule.exception.map(|exception| exception.expires)
    }

    pub(crate) const fn side(&self) -> Side {
        self.access.side()
    }

    /// The path of the line, as written.
    pub(crate) fn path(&self) -> &'v str {
        self.to.text.split_once(' ').map_or("", |(_, path)| path)
    }

    pub(crate) fn place(&self, is_new: bool) -> RulePlace {
        RulePlace {
            is_new,
            denies: self.side() == Side::Deny,
            name: self.rule.name.clone(),
            file: self.file.to_owned(),
            line: self.to.line,
        }
    }
}

impl<'v> Rules<'v> {
    fn ways(&self, options: PathOptions, mesh: Option<&MeshSpec>, ways: &mut Vec<Way<'v>>) {
        // A rule in Shadow decides nothing.
        let live = self.rules.iter();
        for rule in live.filter(|rule| rule.enforcement == Enforcement::Enforce) {
            for from in &rule.from {
                for pattern in from.callers.patterns() {
                    for to in &rule.to {
                        let access = Access::new(pattern, &to.operation, self.side, options);
                        let aliases = aliases(&access, mesh);
                        let predicate = rule.when.as_ref().map(|when| {
                            Predicate::of(when, self.side, &pattern.to_string(), &to.text)
                        });
                        let way = |alias| Way {
                            rule,
                            file: self.file,
                            from,
                            pattern,
                            to,
                            of_mesh: self.of_mesh,
                            access: access.clone(),
                            predicate: predicate.clone(),
                            alias,
                        };
                        ways.push(way(None));
                        ways.extend(aliases.into_iter().map(|alias| way(Some(alias))));
                    }
                }
            }
        }
    }
}

/// The aliases under which a rule is about somebody else.
fn aliases(access: &Access, mesh: Option<&MeshSpec>) -> Vec<Alias> {
    let aliases = mesh.map_or(&[][..], |mesh| &mesh.trust.aliases).iter();
    let own = access.shape().trust_domain();
    let aliases = aliases.filter(|alias| alias.other.as_str() == own);
    let callers = aliases.flat_map(|alias| &alias.callers);
    callers
        .map(|callers| Alias {
            shape: access.shape().in_domain(callers.trust_domain()),
            callers: Shape::of_callers(callers),
            trust_domain: callers.trust_domain().to_owned(),
        })
        .filter(|alias| alias.shape.may_meet(&alias.callers))
        .collect()
}
