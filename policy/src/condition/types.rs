//! The types of values. All of a request's have one, so what types do not allow is found
//! before there is a request.

use std::fmt;

/// The type of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Bool,
    Int,
    Text,
    Time,
    Duration,
    List(Box<Self>),
    /// Of an empty list: the elements may be anything.
    Nothing,
}

impl Type {
    pub(super) fn list(element: Self) -> Self {
        Self::List(Box::new(element))
    }

    /// Whether values of the two can be equal.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nothing, _) | (_, Self::Nothing) => true,
            (Self::List(a), Self::List(b)) => a.goes_with(b),
            _ => self == other,
        }
    }

    /// Whether there is a less and a more.
    pub(super) const fn is_ordered(&self) -> bool {
        matches!(self, Self::Int | Self::Text | Self::Time | Self::Duration)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("a bool"),
            Self::Int => f.write_str("an int"),
            Self::Text => f.write_str("a string"),
            Self::Time => f.write_str("a timestamp"),
            Self::Duration => f.write_str("a duration"),
            Self::List(_) => f.write_str("a list"),
            Self::Nothing => f.write_str("nothing"),
        }
    }
}
