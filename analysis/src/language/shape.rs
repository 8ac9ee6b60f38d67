//! Accesses as words: what stands at each place of a caller and of a path.

use std::{
    hash::{Hash, Hasher},
    ops::RangeInclusive,
};

use callgate_policy::{
    CallerPattern, CallerSegment, CanonicalPath, Operation, PathOptions, PathSegment, Side,
    SpiffeId,
};

use super::{
    solve::{solve, value_in},
    word::{Variable, Word},
};

/// Callers and paths of one access. Two that are equal mean the same, whatever their
/// captures are called.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    trust_domain: String,
    caller: Places,
    path: Places,
    /// Whether the path ends in `/`; both are meant if there is none.
    slash: Option<bool>,
    /// What is captured, by the number of its variable; nothing, of other variables.
    names: Vec<Option<String>>,
}

/// Places in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Places {
    words: Vec<Word>,
    /// Any number of further ones.
    tail: bool,
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

    /// What is meant when this one caller calls, of any caller in `trust_domain`; none if
    /// it is not meant.
    pub(crate) fn as_called_by(&self, caller: &SpiffeId, trust_domain: &str) -> Option<Self> {
        if caller.trust_domain() != self.trust_domain {
            return None;
        }
        let texts: Vec<Word> = caller.segments().map(Word::literal).collect();
        let slice = Slice {
            caller: texts.len(),
            path: self.path.words.len(),
            slash: true,
        };
        let fits = self.caller.lengths(texts.len()).contains(&texts.len());
        if !fits {
            return None;
        }
        let (words, variables) = self.at(&slice, 0);
        let equations: Vec<(Word, Word)> = words.iter().cloned().zip(texts).collect();
        // Each variable of a caller is a whole segment, so there is one solution at most.
        let solution = solve(&equations, variables, 0).list.into_iter().next()?;
        let path = self.path.words.iter().map(|word| solution.apply(word));
        Some(Self {
            path: Places {
                words: path.collect(),
                tail: self.path.tail,
            },
            slash: self.slash,
            names: self.names.clone(),
            ..Self::everything(trust_domain)
        })
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

    /// The patterns of the callers who are meant when this path is called: what the path
    /// captures stands for them too. None, if the path is not meant.
    pub(crate) fn callers_of_path(&self, path: &Self) -> Vec<String> {
        let slice = Slice {
            caller: self.caller.words.len(),
            path: path.path.words.len(),
            slash: true,
        };
        if !self.path.may_meet(&path.path) {
            return Vec::new();
        }
        let (words, variables) = self.at(&slice, 0);
        let (caller, mine) = words.split_at(slice.caller.min(words.len()));
        let theirs = path.path.words.iter().cloned();
        let equations: Vec<(Word, Word)> = mine.iter().cloned().zip(theirs).collect();
        let solutions = solve(&equations, variables, 0).list.into_iter();
        let mut patterns: Vec<String> = solutions
            .map(|solution| {
                let words = caller.iter().map(|word| solution.apply(word));
                let segments: String = words.map(|word| self.segment(&word, "*")).collect();
                let tail = if self.caller.tail { "/**" } else { "" };
                format!("spiffe://{}{segments}{tail}", self.trust_domain)
            })
            .collect();
        patterns.dedup();
        patterns
    }

    /// The path, as a rule would write it.
    pub(crate) fn path_text(&self) -> String {
        let words = self.path.words.iter();
        let segments: String = words.map(|word| self.segment(word, "{any}")).collect();
        match (self.path.tail, self.slash) {
            (true, _) => segments + "/**",
            (false, _) if segments.is_empty() => "/".to_owned(),
            (false, Some(true)) => segments + "/",
            (false, _) => segments,
        }
    }

    fn segment(&self, word: &Word, any: &str) -> String {
        let spelled = |text: &str| match text {
            "" => String::new(),
            text => CanonicalPath::spell([text], false).split_off(1),
        };
        let prefix = spelled(&word.prefix);
        match &word.unknown {
            None => format!("/{prefix}"),
            Some((variable, suffix)) => match self.name(*variable) {
                None => format!("/{prefix}{any}{}", spelled(suffix)),
                Some(name) => format!("/{prefix}{{{name}}}{}", spelled(suffix)),
            },
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

impl Places {
    fn may_meet(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.words.len(), other.words.len());
        let long_enough = (self.tail || mine >= theirs) && (other.tail || theirs >= mine);
        let mut pairs = self.words.iter().zip(&other.words);
        long_enough
            && pairs.all(|(mine, theirs)| {
                mine.unknown.is_some() || theirs.unknown.is_some() || mine.prefix == theirs.prefix
            })
    }

    /// The lengths that there are, up to `longest`.
    fn lengths(&self, longest: usize) -> RangeInclusive<usize> {
        let least = self.words.len();
        if self.tail {
            least..=longest.max(least)
        } else {
            least..=least
        }
    }

    fn at(&self, length: usize, first: Variable, next: &mut Variable) -> Vec<Word> {
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
