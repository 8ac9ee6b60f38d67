//! Where conditions cannot be read, as in the filter, no rule has one.

use std::ops::Range;

use super::{Account, ConditionFault as Fault, Scene};

/// The condition of a rule. Without the feature `documents` there is none.
#[derive(Clone, Debug)]
pub enum Condition {}

impl Condition {
    /// The captures that it reads, each with where it stands first in the text.
    #[must_use]
    pub const fn captures(&self) -> &[(String, Range<usize>)] {
        match *self {}
    }

    /// The headers that it may read, each once.
    #[must_use]
    pub const fn headers(&self) -> Vec<&str> {
        match *self {}
    }

    pub(crate) const fn uses_captures(&self) -> bool {
        match *self {}
    }

    pub(crate) const fn holds(&self, _: &Scene<'_>) -> Result<bool, Fault> {
        match *self {}
    }

    pub(crate) const fn account(&self, _: &Scene<'_>) -> Account {
        match *self {}
    }
}
