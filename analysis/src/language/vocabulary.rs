//! The texts that a language knows, and new ones that it does not.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicBool, Ordering},
};

use callgate_policy::{PathOptions, SpiffeId};

use super::{
    Point, Shape,
    kind::Kind,
    places::{Lengths, Slice},
    solve::{Solution, solve},
    word::{Variable, Word},
};

/// Letters that both identities and paths have.
pub(super) const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

/// What texts begin with that stand for any other.
const UNKNOWN: &str = "any";

/// Ways to keep slashes and parameters in one path that are looked at.
const MAX_KEPT: usize = 500;

/// Places in one text at which they are looked for.
const MAX_SPLITS: usize = 8;

/// What the accesses of a language write.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    literals: HashSet<String>,
    /// The letters of texts around variables.
    letters: HashSet<char>,
    lengths: Lengths,
    /// Bytes of the longest text.
    longest: usize,
    /// Some accesses meet in more ways than were looked at.
    cut: AtomicBool,
}

/// The texts of one caller and one path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Texts {
    trust_domain: String,
    caller: Vec<String>,
    path: Vec<String>,
    slash: bool,
}

impl Vocabulary {
    pub(super) fn add(&mut self, shape: &Shape) {
        for text in shape.literals() {
            self.longest = self.longest.max(text.len());
            if !self.literals.contains(text) {
                self.literals.insert(text.to_owned());
            }
        }
        for text in shape.affixes() {
            self.longest = self.longest.max(text.len());
            self.letters.extend(text.chars());
            self.literals.insert(text.to_owned());
        }
        let lengths = shape.lengths();
        self.lengths.caller = self.lengths.caller.max(lengths.caller);
        self.lengths.path = self.lengths.path.max(lengths.path);
    }

    pub(super) const fn lengths(&self) -> Lengths {
        self.lengths
    }

    /// Whether what was answered so far holds for all texts: some letter stands nowhere
    /// around a variable, so that a text that begins and ends with it has no part in any
    /// of them, and every solution was looked at.
    pub(super) fn is_exact(&self) -> bool {
        self.new_letters().next().is_some() && !self.cut.load(Ordering::Relaxed)
    }

    fn new_letters(&self) -> impl Iterator<Item = char> {
        LETTERS
            .chars()
            .filter(|letter| !self.letters.contains(letter))
    }

    /// For each way in which requests of this length are of all `shapes`, the texts of
    /// one whose unknown parts are new.
    pub(super) fn texts(&self, shapes: &[&Shape], slice: &Slice) -> Vec<Texts> {
        let Some((first, others)) = shapes.split_first() else {
            return Vec::new();
        };
        let (words, mut next) = first.at(slice, 0);
        let mut equations = Vec::new();
        for shape in others {
            let (theirs, after) = shape.at(slice, next);
            equations.extend(words.iter().cloned().zip(theirs));
            next = after;
        }
        let solutions = solve(&equations, next, self.longest);
        if solutions.cut {
            self.cut.store(true, Ordering::Relaxed);
        }
        solutions
            .list
            .into_iter()
            .map(|solution| self.instance(first, slice, &words, &solution))
            .collect()
    }

    fn instance(&self, shape: &Shape, slice: &Slice, words: &[Word], known: &Solution) -> Texts {
        let mut new = NewTexts {
            vocabulary: self,
            given: HashMap::new(),
        };
        let mut texts = words.iter().map(|word| {
            let hint = match &word.unknown {
                Some((variable, _)) => shape.name(*variable),
                None => None,
            };
            let word = known.apply(word);
            if let Some((variable, _)) = &word.unknown {
                new.give(*variable, hint);
            }
            word.text(|variable| new.given.get(&variable).cloned().unwrap_or_default())
        });
        Texts {
            trust_domain: shape.trust_domain().to_owned(),
            caller: texts.by_ref().take(slice.caller).collect(),
            path: texts.collect(),
            slash: slice.slash,
        }
    }

    /// Whether no rule of the language has anything of `text`.
    fn is_new(&self, text: &str) -> bool {
        let ends = [text.chars().next(), text.chars().next_back()];
        ends.iter()
            .flatten()
            .all(|letter| !self.letters.contains(letter))
            && !self.literals.iter().any(|literal| literal.contains(text))
    }
}

/// Variables and their texts, one after the other.
struct NewTexts<'v> {
    vocabulary: &'v Vocabulary,
    given: HashMap<Variable, String>,
}

impl NewTexts<'_> {
    /// Gives `variable` a new text that says what it stands for.
    fn give(&mut self, variable: Variable, hint: Option<&str>) {
        if self.given.contains_key(&variable) {
            return;
        }
        let hint = hint.map(|name| name.trim_start_matches('_'));
        let speaking = match hint.filter(|name| !name.is_empty()) {
            Some(name) => format!("{UNKNOWN}-{name}"),
            None => UNKNOWN.to_owned(),
        };
        let numbered = (2..100).map(|number| format!("{speaking}{number}"));
        let mut speaking = std::iter::once(speaking.clone()).chain(numbered);
        let text = speaking
            .find(|text| self.is_free(text))
            .unwrap_or_else(|| self.spelled());
        self.given.insert(variable, text);
    }

    /// A text that says nothing, but is new.
    fn spelled(&self) -> String {
        let letters: Vec<char> = self.vocabulary.new_letters().collect();
        let letter = letters.first().copied().unwrap_or('a');
        let mut lengths = 1..=self.vocabulary.longest.saturating_add(self.given.len() + 2);
        lengths
            .find_map(|length| {
                let text: String = std::iter::repeat_n(letter, length).collect();
                self.is_free(&text).then_some(text)
            })
            .unwrap_or_else(|| format!("any{}", self.given.len()))
    }

    fn is_free(&self, text: &str) -> bool {
        self.vocabulary.is_new(text) && !self.given.values().any(|given| given == text)
    }
}

/// `text` with `mark` in its unknown part, so that what a pattern has before and behind that
/// part stays as it is. Where that part is does not show unless it says so: then anywhere.
fn split(text: &str, mark: char) -> Vec<String> {
    let places: Vec<usize> = match text.find(UNKNOWN) {
        Some(at) => vec![at + UNKNOWN.len()],
        None => text
            .char_indices()
            .map(|(at, _)| at)
            .skip(1)
            .take(MAX_SPLITS)
            .collect(),
    };
    let split = places
        .into_iter()
        .filter_map(|at| text.split_at_checked(at));
    let split = split.filter(|(_, behind)| !behind.is_empty());
    split
        .map(|(before, behind)| format!("{before}{mark}{UNKNOWN}{behind}"))
        .collect()
}

impl Texts {
    /// These texts and, if some of `options` keep slashes or parameters, others with them
    /// in each segment or between segments, once and twice over: what other readers would
    /// read in another way.
    pub(super) fn kept(self, options: &[PathOptions]) -> Vec<Self> {
        let slashes = options.iter().any(|options| options.keep_encoded_slash);
        let parameters = options.iter().any(|options| options.keep_parameters);
        let kept = [(slashes, '/'), (parameters, ';')].into_iter();
        let marks: Vec<char> = kept
            .filter(|(kept, _)| *kept)
            .map(|(_, mark)| mark)
            .collect();
        let mut all = vec![self];
        if marks.is_empty() {
            return all;
        }
        for _ in 0..2 {
            let more: Vec<Self> = all.iter().flat_map(|texts| texts.marked(&marks)).collect();
            for texts in more {
                if all.len() < MAX_KEPT && !all.contains(&texts) {
                    all.push(texts);
                }
            }
        }
        all
    }

    /// The same with one of `marks` in or behind a text, wherever that stands, or instead
    /// of some slashes.
    fn marked(&self, marks: &[char]) -> Vec<Self> {
        let mut all = Vec::new();
        for mark in marks {
            for (place, text) in self.path.iter().enumerate() {
                if !self.path.iter().take(place).any(|before| before == text) {
                    let behind = format!("{text}{mark}{UNKNOWN}");
                    for with in std::iter::once(behind).chain(split(text, *mark)) {
                        let mut more = self.clone();
                        for same in more.path.iter_mut().filter(|same| *same == text) {
                            same.clone_from(&with);
                        }
                        all.push(more);
                    }
                }
            }
            for count in 2..=self.path.len() {
                for place in 0..=(self.path.len() - count) {
                    let mut more = self.clone();
                    let joined: Vec<String> = more.path.drain(place..place + count).collect();
                    more.path.insert(place, joined.join(&mark.to_string()));
                    all.push(more);
                }
            }
        }
        all
    }

    /// The request of this kind; none if no identity is spelled so.
    pub(super) fn point(&self, kind: &Kind) -> Option<Point> {
        let id = format!("spiffe://{}/{}", self.trust_domain, self.caller.join("/"));
        let caller = SpiffeId::parse(&id).ok()?;
        Some(Point::new(caller, kind.clone(), &self.path, self.slash))
    }
}
