//! Accesses as words: what stands at each place of a caller and of a path.

use std::hash::{Hash, Hasher};

use callgate_policy::{CallerPattern, CallerSegment, Operation, PathOptions, PathSegment, Side};

use super::{
    places::{Lengths, Places, Slice},
    solve::value_in,
    word::{Variable, Word},
};

/// Callers and paths of one access. Two that are equal mean the same, whatever their
/// captures are called.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(super) trust_domain: String,
    pub(super) caller: Places,
    pub(super) path: Places,
    /// Whether the path ends in `/`; both are meant if there is none.
    pub(super) slash: Option<bool>,
    /// What is captured, by the number of its variable; nothing, of other variables.
    pub(super) names: Vec<Option<String>>,
}

impl Shape {
    pub(super) fn of(
        from: &CallerPattern,
        to: &Operation,
        side: Side,
        options: PathOptions,
    ) -> Self {
        let mut names = Vec::new();
        let caller = Places {
            words: caller_words(from, &mut names),
            tail: from.has_tail(),
        };
        let path = Places {
            words: to
                .segments()
                .map(|segment| match segment {
                    PathSegment::Literal(text) => Word::literal(text),
                    PathSegment::Any => Word::variable(unnamed(&mut names)),
                    PathSegment::Capture {
                        prefix,
                        name,
                        suffix,
                    } => Word::around(prefix, named(name, &mut names), suffix),
                })
                .collect(),
            tail: to.has_tail(),
        };
        let ignores = side == Side::Deny || options.ignore_trailing_slash || path.tail;
        Self {
            trust_domain: from.trust_domain().to_owned(),
            caller,
            path,
            slash: (!ignores).then(|| to.has_trailing_slash()),
            names,
        }
    }

    /// Every request of callers that fit `from`.
    pub(crate) fn of_callers(from: &CallerPattern) -> Self {
        let mut shape = Self::everything(from.trust_domain());
        let names = &mut shape.names;
        shape.caller = Places {
            words: caller_words(from, names),
            tail: from.has_tail(),
        };
        shape
    }

    /// Every request of callers in this trust domain.
    pub(crate) fn everything(trust_domain: &str) -> Self {
        let any = Places {
            words: Vec::new(),
            tail: true,
        };
        Self {
            trust_domain: trust_domain.to_owned(),
            caller: any.clone(),
            path: any,
            slash: None,
            names: Vec::new(),
        }
    }

    /// The same of callers with the same paths in another trust domain.
    pub(crate) fn in_domain(&self, trust_domain: &str) -> Self {
        Self {
            trust_domain: trust_domain.to_owned(),
            ..self.clone()
        }
    }

    /// Every request with this path, of callers in this trust domain.
    pub(crate) fn of_path<'s>(
        trust_domain: &str,
        segments: impl Iterator<Item = &'s str>,
        slash: bool,
    ) -> Self {
        Self {
            path: Places {
                words: segments.map(Word::literal).collect(),
                tail: false,
            },
            slash: Some(slash),
            ..Self::everything(trust_domain)
        }
    }

    /// Whether every path of `other` is one of these too, as far as a glance tells.
    pub(crate) fn has_paths_of(&self, other: &Self) -> bool {
        let (mine, theirs) = (&self.path, &other.path);
        let lengths = match (mine.tail, theirs.tail) {
            (true, _) => mine.words.len() <= theirs.words.len(),
            (false, true) => false,
            (false, false) => mine.words.len() == theirs.words.len(),
        };
        let slash = self.slash.is_none() || self.slash == other.slash;
        let repeats = |variable: &Variable| {
            let all = self.words().filter_map(|word| word.unknown.as_ref());
            all.filter(|(other, _)| other == variable).count() > 1
        };
        let mut pairs = mine.words.iter().zip(&theirs.words);
        lengths
            && slash
            && pairs.all(|(mine, theirs)| match (&mine.unknown, &theirs.unknown) {
                (None, _) => mine == theirs,
                (Some((variable, _)), _) if repeats(variable) => false,
                (Some(_), None) => value_in(mine, &theirs.prefix).is_some(),
                (Some((_, mine_after)), Some((_, after))) => {
                    theirs.prefix.starts_with(&mine.prefix) && after.ends_with(mine_after)
                }
            })
    }

    /// Whether requests may be of both, as far as a glance tells.
    pub(crate) fn may_meet(&self, other: &Self) -> bool {
        self.trust_domain == other.trust_domain
            && self.caller.may_meet(&other.caller)
            && self.path.may_meet(&other.path)
            && !matches!((self.slash, other.slash), (Some(a), Some(b)) if a != b)
    }

    pub(crate) fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// All literal texts, those around variables apart.
    pub(super) fn literals(&self) -> impl Iterator<Item = &str> {
        self.words()
            .filter(|word| word.unknown.is_none())
            .map(|word| &*word.prefix)
    }

    /// Literal texts around variables.
    pub(super) fn affixes(&self) -> impl Iterator<Item = &str> {
        self.words()
            .filter_map(|word| Some([&*word.prefix, &*word.unknown.as_ref()?.1]))
            .flatten()
            .filter(|text| !text.is_empty())
    }

    fn words(&self) -> impl Iterator<Item = &Word> {
        self.caller.words.iter().chain(&self.path.words)
    }

    pub(super) fn lengths(&self) -> Lengths {
        Lengths {
            caller: self.caller.words.len(),
            path: self.path.words.len(),
        }
    }

    /// What a variable is called.
    pub(super) fn name(&self, variable: Variable) -> Option<&str> {
        self.names.get(variable)?.as_deref()
    }

    /// How many variables the shape has of its own.
    pub(super) fn variables(&self) -> usize {
        self.names.len()
    }

    /// The words of requests of this length, with variables numbered from `first` on and
    /// new ones for the places of a tail; first those of the caller.
    pub(super) fn at(&self, slice: &Slice, first: Variable) -> (Vec<Word>, Variable) {
        let mut next = first + self.variables();
        let mut words = self.caller.at(slice.caller, first, &mut next);
        words.extend(self.path.at(slice.path, first, &mut next));
        (words, next)
    }
}

fn caller_words(from: &CallerPattern, names: &mut Vec<Option<String>>) -> Vec<Word> {
    let parts = from.parts().into_iter();
    parts
        .map(|part| match part {
            CallerSegment::Literal(text) => Word::literal(text),
            CallerSegment::Any => Word::variable(unnamed(names)),
            CallerSegment::Capture(name) => Word::variable(named(name, names)),
        })
        .collect()
}

fn unnamed(names: &mut Vec<Option<String>>) -> Variable {
    names.push(None);
    names.len() - 1
}

fn named(name: &str, names: &mut Vec<Option<String>>) -> Variable {
    let known = names.iter().position(|one| one.as_deref() == Some(name));
    known.unwrap_or_else(|| {
        names.push(Some(name.to_owned()));
        names.len() - 1
    })
}

/// What captures are called means nothing.
impl PartialEq for Shape {
    fn eq(&self, other: &Self) -> bool {
        self.trust_domain == other.trust_domain
            && self.caller == other.caller
            && self.path == other.path
            && self.slash == other.slash
    }
}

impl Eq for Shape {}

impl Hash for Shape {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.trust_domain.hash(state);
        self.caller.hash(state);
        self.path.hash(state);
        self.slash.hash(state);
    }
}
