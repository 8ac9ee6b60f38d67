//! Values while a condition is worked out.

use std::{borrow::Cow, cmp::Ordering};

use super::node::Comparison;

/// What an expression comes to; its type was checked when the condition was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'v> {
    Bool(bool),
    Int(i64),
    Text(Cow<'v, str>),
    /// Milliseconds since the Unix epoch.
    Time(i64),
    /// Milliseconds.
    Duration(i64),
    List(Vec<Self>),
}

impl Value<'_> {
    /// Compares two values of one type.
    pub(super) fn compare(&self, comparison: Comparison, other: &Self) -> bool {
        let order = match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Int(b))
            | (Self::Time(a), Self::Time(b))
            | (Self::Duration(a), Self::Duration(b)) => Some(a.cmp(b)),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            _ => None,
        };
        match comparison {
            Comparison::Equal => self == other,
            Comparison::NotEqual => self != other,
            Comparison::Less => order == Some(Ordering::Less),
            Comparison::LessOrEqual => order.is_some_and(Ordering::is_le),
            Comparison::Greater => order == Some(Ordering::Greater),
            Comparison::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        }
    }

    pub(super) fn as_bool(&self) -> bool {
        matches!(self, Self::Bool(true))
    }

    pub(super) fn as_text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }

    pub(super) fn as_int(&self) -> i64 {
        match self {
            Self::Int(number) | Self::Time(number) | Self::Duration(number) => *number,
            _ => 0,
        }
    }

    pub(super) fn into_list(self) -> Vec<Self> {
        match self {
            Self::List(list) => list,
            _ => Vec::new(),
        }
    }
}
