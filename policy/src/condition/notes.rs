//! What is noted while conditions are held against one request.

use std::{cell::RefCell, fmt};

use super::{InputPart, Inputs, Unreadable};
use crate::RuleRef;

/// What the conditions that a decision needed have read.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) inputs: RefCell<Inputs>,
}

/// A condition that had no result: its allow rule did not match, its deny rule did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionError<'p> {
    /// The rule.
    pub rule: RuleRef<'p>,
    /// Why.
    pub fault: ConditionFault,
}

/// Why a condition has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConditionFault {
    /// It reads what cannot be read.
    Unreadable {
        /// Where.
        part: InputPart,
        /// The name of the header or of the parameter.
        name: String,
        /// Why not.
        why: Unreadable,
    },
    /// A text that is no whole number, cut to 64 characters.
    NotANumber(String),
    /// A place that the list does not have.
    NoSuchElement {
        /// The place, counted from 0.
        index: i64,
        /// How many elements there are.
        len: usize,
    },
    /// A division by zero.
    DivisionByZero,
    /// A number or a time beyond 64 bits.
    Overflow,
    /// A text of more than 16,384 bytes.
    TextTooLong,
}

impl ConditionFault {
    /// What nobody had looked for, if that is all that is wrong.
    #[must_use]
    pub fn unknown(&self) -> Option<(InputPart, &str)> {
        match self {
            Self::Unreadable {
                part,
                name,
                why: Unreadable::Unknown,
            } => Some((*part, name)),
            _ => None,
        }
    }
}

impl fmt::Display for ConditionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { part, name, why } => write!(f, "{part} {name} {why}"),
            Self::NotANumber(text) => write!(f, "`{text}` is not a whole number"),
            Self::NoSuchElement { index, len } => {
                write!(f, "there is no element {index} in a list of {len}")
            }
            Self::DivisionByZero => f.write_str("a division by zero"),
            Self::Overflow => f.write_str("a number or a time beyond 64 bits"),
            Self::TextTooLong => f.write_str("a text of more than 16384 bytes"),
        }
    }
}

impl std::error::Error for ConditionFault {}
