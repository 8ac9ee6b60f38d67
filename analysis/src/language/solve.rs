//! Equations between words.
//!
//! A word has one variable at most, and stays so: an equation of two words is solved by
//! putting a word in the place of a variable. `/{x}:a` and `/b{y}` meet in `b…:a`;
//! where their literal texts can overlap, as `ab{x}` and `{y}ba` do in `aba`, that is a
//! solution apart.

use super::word::{Variable, Word};

/// Solutions of one system. Each literal text that may overlap doubles them; documents
/// have one or two.
const MAX_SOLUTIONS: usize = 4_096;

/// What variables stand for; those without a word are free.
#[derive(Clone, Debug, Default)]
pub(super) struct Solution {
    words: Vec<Option<Word>>,
}

/// All solutions of a system of equations.
#[derive(Debug, Default)]
pub(super) struct Solutions {
    pub(super) list: Vec<Solution>,
    /// There are more than are kept.
    pub(super) cut: bool,
}

impl Solution {
    /// One with this many variables, all free.
    pub(super) fn free(variables: usize) -> Self {
        Self {
            words: vec![None; variables],
        }
    }

    /// `word` with everything in it that is known.
    pub(super) fn apply(&self, word: &Word) -> Word {
        let mut word = word.clone();
        while let Some((variable, _)) = &word.unknown
            && let Some(value) = self.words.get(*variable).and_then(Option::as_ref)
        {
            word = word.with(value);
        }
        word
    }

    fn bind(&self, variable: Variable, word: Word) -> Self {
        let mut bound = self.clone();
        if let Some(place) = bound.words.get_mut(variable) {
            *place = Some(word);
        }
        bound
    }

    /// The same with one more variable.
    fn with_new(&self) -> (Self, Variable) {
        let mut more = self.clone();
        more.words.push(None);
        (more, self.words.len())
    }
}

/// Solves `equations`, in which variables are numbered below `variables`. Solutions in
/// which a variable takes ever longer values in turn are listed up to `longest` bytes.
pub(super) fn solve(equations: &[(Word, Word)], variables: usize, longest: usize) -> Solutions {
    let mut solutions = Solutions::default();
    step(
        equations,
        &Solution::free(variables),
        longest,
        &mut solutions,
    );
    solutions
}

fn step(equations: &[(Word, Word)], known: &Solution, longest: usize, out: &mut Solutions) {
    let Some(((left, right), rest)) = equations.split_first() else {
        if out.list.len() < MAX_SOLUTIONS {
            out.list.push(known.clone());
        } else {
            out.cut = true;
        }
        return;
    };
    for solution in equal(&known.apply(left), &known.apply(right), known, longest) {
        if out.cut {
            return;
        }
        step(rest, &solution, longest, out);
    }
}

/// Every way in which two words are equal.
fn equal(left: &Word, right: &Word, known: &Solution, longest: usize) -> Vec<Solution> {
    match (&left.unknown, &right.unknown) {
        (None, None) if left.prefix == right.prefix => vec![known.clone()],
        (None, None) => Vec::new(),
        (None, Some((variable, _))) => value_in(right, &left.prefix)
            .map(|value| known.bind(*variable, Word::literal(value)))
            .into_iter()
            .collect(),
        (Some(_), None) => equal(right, left, known, longest),
        (Some((a, after_a)), Some((b, after_b))) => {
            let Some((before_a, before_b)) = strip_prefix(&left.prefix, &right.prefix) else {
                return Vec::new();
            };
            let Some((after_a, after_b)) = strip_suffix(after_a, after_b) else {
                return Vec::new();
            };
            if a == b {
                let (before, after) = (
                    before_a.len() + after_a.len(),
                    before_b.len() + after_b.len(),
                );
                return match (before == after, before_a, after_b) {
                    (false, ..) => Vec::new(),
                    (true, "", "") if before_b.is_empty() => vec![known.clone()],
                    (true, "", _) => rotations(*a, before_b, after_a, known, longest),
                    (true, ..) => rotations(*a, before_a, after_b, known, longest),
                };
            }
            match (before_a, after_a, before_b, after_b) {
                (_, _, "", "") => vec![known.bind(*b, Word::around(before_a, *a, after_a))],
                ("", "", ..) => vec![known.bind(*a, Word::around(before_b, *b, after_b))],
                ("", ..) => crossing((*b, before_b), (*a, after_a), known),
                _ => crossing((*a, before_a), (*b, after_b), known),
            }
        }
    }
}

/// What the variable of `word` is, if the word is `text`.
pub(super) fn value_in<'t>(word: &Word, text: &'t str) -> Option<&'t str> {
    let (_, suffix) = word.unknown.as_ref()?;
    let value = text.strip_prefix(&*word.prefix)?.strip_suffix(&**suffix)?;
    (!value.is_empty()).then_some(value)
}

/// What is left of two beginnings of one text: of one of them nothing.
fn strip_prefix<'t>(a: &'t str, b: &'t str) -> Option<(&'t str, &'t str)> {
    match (a.strip_prefix(b), b.strip_prefix(a)) {
        (Some(rest), _) => Some((rest, "")),
        (None, Some(rest)) => Some(("", rest)),
        (None, None) => None,
    }
}

fn strip_suffix<'t>(a: &'t str, b: &'t str) -> Option<(&'t str, &'t str)> {
    match (a.strip_suffix(b), b.strip_suffix(a)) {
        (Some(rest), _) => Some((rest, "")),
        (None, Some(rest)) => Some(("", rest)),
        (None, None) => None,
    }
}

/// `before a` = `b after`: the two texts stand side by side, with anything or nothing
/// between them, or they overlap.
fn crossing(
    (a, before): (Variable, &str),
    (b, after): (Variable, &str),
    known: &Solution,
) -> Vec<Solution> {
    let (more, between) = known.with_new();
    let mut solutions = vec![
        more.bind(a, Word::around("", between, after))
            .bind(b, Word::around(before, between, "")),
    ];
    // Where the later text begins within the earlier one; at its end they only touch.
    let starts = before
        .char_indices()
        .map(|(at, _)| at)
        .chain([before.len()]);
    for start in starts.filter(|start| *start > 0) {
        let (Some(only_before), Some(shared)) = (before.get(..start), before.get(start..)) else {
            continue;
        };
        if let Some(only_after) = after.strip_prefix(shared).filter(|rest| !rest.is_empty()) {
            solutions.push(
                known
                    .bind(a, Word::literal(only_after))
                    .bind(b, Word::literal(only_before)),
            );
        }
    }
    solutions
}

/// `before v` = `v after`, both of one length: `v` repeats `before` some times, and then
/// begins it once more.
fn rotations(
    variable: Variable,
    before: &str,
    after: &str,
    known: &Solution,
    longest: usize,
) -> Vec<Solution> {
    let mut solutions = Vec::new();
    let mut value = String::new();
    for next in before.chars().cycle() {
        value.push(next);
        if value.len() > longest.saturating_add(2 * before.len()) {
            break;
        }
        if format!("{before}{value}") == format!("{value}{after}") {
            solutions.push(known.bind(variable, Word::literal(value.clone())));
        }
    }
    solutions
}
