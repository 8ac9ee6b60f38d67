//! What another system asks of a call, as a formula, and the cases that it comes to.
//!
//! Systems nest "and", "or" and "not" as they like; a Callgate rule is one `from` and one
//! `to`. So a formula becomes cases: conjunctions, each with its callers, methods and paths.
//! A case that holds something that cannot be said is not a case but a list of gaps, under
//! a negation too: leaving one condition out of "not" would change the others.

use std::collections::BTreeSet;

use super::{
    condition,
    document::Span,
    report::{Finding, Kind},
    shape::{Shape, distinct, meet, without},
};

/// Cases that one formula may come to. Hand-written policies have a few dozen.
const CASES: usize = 4_096;

/// A condition on a call.
#[derive(Clone, Debug)]
pub(super) enum Formula {
    /// Every one holds; true if there is none.
    All(Vec<Self>),
    /// Some one holds; false if there is none.
    Any(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// One condition, and where it stands.
    Is(Span, Atom),
}

/// One condition.
#[derive(Clone, Debug)]
pub(super) enum Atom {
    /// The caller has an identity, any.
    Identified,
    /// The caller is one of these.
    Callers(Vec<Shape>),
    /// The method is one of these.
    Methods(BTreeSet<String>),
    /// The path is one of these.
    Paths(Vec<Shape>),
    /// A condition in CEL, for `when`.
    When(String),
    /// Something that no rule can say.
    Gap(Box<Finding>),
}

/// A conjunction that a rule can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    /// Everybody if `None`.
    pub(super) callers: Option<Vec<Shape>>,
    /// Only callers without an identity.
    pub(super) anonymous: bool,
    /// Every method if `None`.
    pub(super) methods: Option<BTreeSet<String>>,
    /// Every path if `None`.
    pub(super) paths: Option<Vec<Shape>>,
    /// What else has to hold, in CEL.
    pub(super) when: Option<String>,
}

/// Conditions that have to hold, or not to hold, together.
type Term<'f> = Vec<(bool, Span, &'f Atom)>;

impl Formula {
    /// True.
    pub(super) const fn always() -> Self {
        Self::All(Vec::new())
    }

    /// Something that no rule can say.
    pub(super) fn gap(finding: Finding) -> Self {
        Self::Is(finding.span, Atom::Gap(Box::new(finding)))
    }

    /// Some one holds; conditions of one kind become one, so that long lists stay few cases.
    pub(super) fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut merged: Vec<Self> = Vec::new();
        for part in parts {
            if !merged.iter_mut().any(|before| before.absorb(&part)) {
                merged.push(part);
            }
        }
        match merged.pop() {
            Some(only) if merged.is_empty() => only,
            last => {
                merged.extend(last);
                Self::Any(merged)
            }
        }
    }

    /// Adds what `other` admits, if both are lists of one kind.
    fn absorb(&mut self, other: &Self) -> bool {
        let (Self::Is(_, this), Self::Is(_, other)) = (self, other) else {
            return false;
        };
        match (this, other) {
            (Atom::Callers(these), Atom::Callers(those))
            | (Atom::Paths(these), Atom::Paths(those)) => {
                *these = distinct(these.drain(..).chain(those.iter().cloned()));
            }
            (Atom::Methods(these), Atom::Methods(those)) => these.extend(those.iter().cloned()),
            (Atom::When(this), Atom::When(other)) => *this = format!("{this} || {other}"),
            _ => return false,
        }
        true
    }

    /// It does not hold.
    pub(super) fn not(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// The cases that it comes to, and what keeps others from being cases.
    pub(super) fn cases(&self, at: Span) -> (Vec<Case>, Vec<Finding>) {
        let Some(terms) = self.terms(true) else {
            let message = format!("this comes to more than {CASES} combinations");
            let finding = Finding::new(Kind::Condition, at, message);
            return (
                Vec::new(),
                vec![finding.instead("split it into several policies")],
            );
        };
        let (mut cases, mut gaps) = (Vec::new(), Vec::new());
        for term in &terms {
            match case(term) {
                Ok(Some(case)) => cases.push(case),
                Ok(None) => {}
                Err(more) => gaps.extend(more),
            }
        }
        (cases, gaps)
    }

    /// The formula, or its negation, as a union of conjunctions; `None` if there are too
    /// many.
    fn terms(&self, holds: bool) -> Option<Vec<Term<'_>>> {
        match (self, holds) {
            (Self::Is(span, atom), _) => Some(vec![vec![(holds, *span, atom)]]),
            (Self::Not(inner), _) => inner.terms(!holds),
            (Self::Any(parts), true) | (Self::All(parts), false) => {
                let mut union = Vec::new();
                for part in parts {
                    union.extend(part.terms(holds)?);
                }
                (union.len() <= CASES).then_some(union)
            }
            (Self::All(parts), true) | (Self::Any(parts), false) => {
                let mut product: Vec<Term<'_>> = vec![Vec::new()];
                for part in parts {
                    let more = part.terms(holds)?;
                    if product.len().saturating_mul(more.len()) > CASES {
                        return None;
                    }
                    let pairs = product
                        .iter()
                        .flat_map(|one| more.iter().map(move |other| (one, other)));
                    product = pairs
                        .map(|(one, other)| [one.as_slice(), other].concat())
                        .collect();
                }
                Some(product)
            }
        }
    }
}

/// What a conjunction comes to: nothing, if no call fits it.
fn case(term: &Term<'_>) -> Result<Option<Case>, Vec<Finding>> {
    let gaps: Vec<Finding> = term
        .iter()
        .filter_map(|(_, _, atom)| match atom {
            Atom::Gap(gap) => Some((**gap).clone()),
            _ => None,
        })
        .collect();
    if !gaps.is_empty() {
        return Err(gaps);
    }
    let mut case = positive(term);
    for (_, span, atom) in term.iter().filter(|(holds, ..)| !holds) {
        case.exclude(*span, atom).map_err(|gap| vec![gap])?;
    }
    let is_empty = |shapes: &Option<Vec<Shape>>| shapes.as_ref().is_some_and(Vec::is_empty);
    let nothing = is_empty(&case.callers)
        || is_empty(&case.paths)
        || case.methods.as_ref().is_some_and(BTreeSet::is_empty)
        || (case.anonymous && case.callers.is_some());
    if nothing {
        return Ok(None);
    }
    case.when = when(term).map_err(|gap| vec![gap])?;
    Ok(Some(case))
}

/// The conditions of a conjunction together, if the language takes them.
fn when(term: &Term<'_>) -> Result<Option<String>, Finding> {
    let (mut parts, mut first) = (BTreeSet::new(), None);
    for (holds, span, atom) in term {
        if let Atom::When(text) = atom {
            first.get_or_insert(*span);
            parts.insert((holds, text.as_str()));
        }
    }
    let Some(span) = first else {
        return Ok(None);
    };
    let lone = parts.len() == 1;
    let parts = parts.into_iter().map(|(holds, text)| match holds {
        false => format!("!({text})"),
        true if lone || !text.contains(" || ") => text.to_owned(),
        true => format!("({text})"),
    });
    let text = parts.collect::<Vec<_>>().join(" && ");
    match condition::check(&text) {
        Ok(()) => Ok(Some(text)),
        Err(message) => Err(Finding::new(Kind::Header, span, message)),
    }
}

/// The conditions that have to hold.
fn positive(term: &Term<'_>) -> Case {
    let mut case = Case {
        callers: None,
        anonymous: false,
        methods: None,
        paths: None,
        when: None,
    };
    for (_, _, atom) in term.iter().filter(|(holds, ..)| *holds) {
        match atom {
            Atom::Callers(callers) => narrow(&mut case.callers, callers),
            Atom::Paths(paths) => narrow(&mut case.paths, paths),
            Atom::Methods(methods) => {
                case.methods = Some(match &case.methods {
                    Some(before) => before & methods,
                    None => methods.clone(),
                });
            }
            Atom::Identified | Atom::When(_) | Atom::Gap(_) => {}
        }
    }
    case
}

fn narrow(these: &mut Option<Vec<Shape>>, those: &[Shape]) {
    *these = Some(match these {
        Some(these) => meet(these, those),
        None => those.to_vec(),
    });
}

impl Case {
    /// Takes out what must not hold, where what is left can be said.
    fn exclude(&mut self, span: Span, atom: &Atom) -> Result<(), Finding> {
        let left = match atom {
            Atom::Identified => {
                self.anonymous = true;
                return Ok(());
            }
            Atom::When(_) | Atom::Gap(_) => return Ok(()),
            Atom::Callers(those) => shapes_without(&mut self.callers, those),
            Atom::Paths(those) => shapes_without(&mut self.paths, those),
            Atom::Methods(those) => match &mut self.methods {
                Some(methods) => {
                    methods.retain(|method| !those.contains(method));
                    Some(())
                }
                None => None,
            },
        };
        left.ok_or_else(|| negative(span, atom))
    }
}

fn shapes_without(these: &mut Option<Vec<Shape>>, those: &[Shape]) -> Option<()> {
    let left = without(these.as_ref()?, those)?;
    *these = Some(left);
    Some(())
}

fn negative(span: Span, atom: &Atom) -> Finding {
    let (message, instead) = match atom {
        Atom::Callers(_) => (
            "everyone but some: rules have no negative matches",
            "name the callers that are let in; who is not named is refused",
        ),
        Atom::Paths(_) => (
            "every path but some: rules have no negative matches",
            "name the paths that are let in; or allow the wider path, and keep these out by a \
             `deny` rule if no other rule is to allow them",
        ),
        _ => (
            "every method but some: rules have no negative matches",
            "name the methods that are let in",
        ),
    };
    Finding::new(Kind::NegativeMatch, span, message).instead(instead)
}
