//! Which requests a rule is about: an algebra over callers, operations and captures.
//!
//! ```text
//!  entry of `from` × line of `to` ──► Access ──► Shape: words with variables
//!                                                  │  several at once: solved together
//!                                                  ▼
//!                  of each kind and length, one Point: a request that shares with
//!                  other accesses only what every request of its kind shares
//! ```
//!
//! An access says of a request what texts stand at which place, how it comes, and which
//! of its texts are equal: never that something is *not* so. Texts are endless. So a
//! request whose free texts nobody has ever written falls into another access only if
//! all requests of its length and kind do, and one such request stands for all of them:
//! whether an access is empty, meets another or lies within many others is decided by
//! asking of finitely many points. They are requests, so whatever is found has a
//! witness.
//!
//! Exact, with one bound: the alphabet of identities has 65 letters, and rules that write
//! each of them as literal text around captures leave no text that is new. See
//! [`Language::is_exact`].

mod access;
mod called;
mod kind;
mod places;
mod point;
mod shape;
mod solve;
#[cfg(test)]
mod tests;
mod vocabulary;
mod word;

use std::collections::HashSet;

use callgate_policy::PathOptions;

pub use access::Access;
pub use point::Point;

pub(crate) use shape::Shape;

use kind::Kinds;
use places::Slice;
use vocabulary::Vocabulary;

/// The texts and kinds of requests that some accesses tell apart. What is asked about
/// accesses is answered within the language of those, and others beside them.
#[derive(Debug)]
pub struct Language {
    vocabulary: Vocabulary,
    kinds: Kinds,
}

impl Language {
    /// The language of `accesses`: of all that will be asked about.
    pub fn of<'a>(accesses: impl IntoIterator<Item = &'a Access>) -> Self {
        Self::with(accesses, [])
    }

    /// The same, and of shapes beside them.
    pub(crate) fn with<'a>(
        accesses: impl IntoIterator<Item = &'a Access>,
        shapes: impl IntoIterator<Item = &'a Shape>,
    ) -> Self {
        let (mut vocabulary, mut verbs) = (Vocabulary::default(), kind::Verbs::default());
        for access in accesses {
            vocabulary.add(access.shape());
            verbs.add(access);
        }
        for shape in shapes {
            vocabulary.add(shape);
        }
        Self {
            vocabulary,
            kinds: verbs.finish(),
        }
    }

    /// Whether all answers so far were exact. If not, points may be missing: it takes
    /// rules that write every letter of the alphabet as literal text around captures, or
    /// thousands of ways in which such texts overlap.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.vocabulary.is_exact()
    }

    /// A request that is of both.
    #[must_use]
    pub fn meet(&self, one: &Access, other: &Access) -> Option<Point> {
        if !one.shape().may_meet(other.shape()) {
            return None;
        }
        self.points(&[one, other]).into_iter().next()
    }

    /// A request of `access` that is of none of `others`; none if they cover it whole.
    #[must_use]
    pub fn beyond(&self, access: &Access, others: &[&Access]) -> Option<Point> {
        let near: Vec<&&Access> = others
            .iter()
            .filter(|other| access.shape().may_meet(other.shape()))
            .collect();
        let mut points = self.points(&[access]).into_iter();
        points.find(|point| !near.iter().any(|other| other.holds(point)))
    }

    /// Whether every request of `access` is of one of `others`.
    #[must_use]
    pub fn covers(&self, others: &[&Access], access: &Access) -> bool {
        self.beyond(access, others).is_none()
    }

    /// Of each length and kind of the requests that are of all `accesses`, one.
    #[must_use]
    pub fn points(&self, accesses: &[&Access]) -> Vec<Point> {
        let shapes: Vec<&Shape> = accesses.iter().map(|access| access.shape()).collect();
        let questions = self.questions(&shapes, accesses, &[]);
        questions.into_iter().map(|(_, point)| point).collect()
    }

    /// Of each length and kind of the requests that are of all `shapes` and come as all
    /// `accesses` want, one, with the number of its kind. And the same with what services
    /// of these `options` keep in their paths, at each place.
    pub(crate) fn questions(
        &self,
        shapes: &[&Shape],
        accesses: &[&Access],
        options: &[PathOptions],
    ) -> Vec<(usize, Point)> {
        let kinds = self.kinds.of_all(accesses);
        let mut questions = Vec::new();
        if kinds.is_empty() {
            return questions;
        }
        let mut seen = HashSet::new();
        for slice in Slice::all(shapes, self.vocabulary.lengths()) {
            for texts in self.vocabulary.texts(shapes, &slice) {
                for texts in texts.kept(options) {
                    // Two solutions may come to the same texts.
                    if seen.insert(texts.clone()) {
                        let point = |kind: &usize| texts.point(self.kinds.kind(*kind));
                        let kinds = kinds.iter();
                        questions.extend(kinds.filter_map(|kind| Some((*kind, point(kind)?))));
                    }
                }
            }
        }
        questions
    }

    /// The methods of plain requests of this kind; none if others are of it.
    pub(crate) fn methods_of(&self, kind: usize) -> &[String] {
        self.kinds.methods(kind)
    }

    /// The kinds that `access` takes.
    pub(crate) fn kinds_of(&self, access: &Access) -> Vec<usize> {
        self.kinds.of_all(&[access])
    }
}
