//! Where conditions cannot be read, as in the filter, every one is for others to decide.

use std::ops::Range;

use super::{Account, ConditionFault as Fault, Scene};

/// The condition of a rule, which is for others to decide.
#[derive(Clone, Debug, Hash)]
pub struct Condition {
    captures: Box<[(String, Range<usize>)]>,
}

impl Condition {
    pub(crate) fn elsewhere(captures: impl Iterator<Item = String>) -> Self {
        Self {
            captures: captures.map(|name| (name, 0..0)).collect(),
        }
    }

    /// The captures that it reads, each with where it stands first in the text.
    #[must_use]
    pub const fn captures(&self) -> &[(String, Range<usize>)] {
        &self.captures
    }

    /// The headers that it may read here: none.
    #[must_use]
    pub const fn headers(&self) -> Vec<&str> {
        Vec::new()
    }

    pub(crate) const fn uses_captures(&self) -> bool {
        !self.captures.is_empty()
    }

    pub(crate) const fn holds(&self, _: &Scene<'_>) -> Option<Result<bool, Fault>> {
        None
    }

    pub(crate) const fn account(&self, _: &Scene<'_>) -> Account {
        Account {
            passed: false,
            expected: String::new(),
            actual: String::new(),
        }
    }
}
