//! Lines of a log that are no record.

use std::fmt;

/// Why a line is no record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Odd {
    /// It is something else, or a record of another release: what is wrong, and where.
    Foreign(String),
    /// Longer than 1 MiB.
    TooLong,
    /// The log ends within it, or within what is compressed: its server, or whoever
    /// copied it, was not done.
    Torn,
}

/// How many lines of a log were no records, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OddLines {
    /// How many, torn ones not included.
    pub foreign: u64,
    /// How many logs end within a line.
    pub torn: u64,
    /// Its number, counted from 1, and why.
    pub first: Option<(u64, Odd)>,
}

impl Odd {
    /// What the reader of JSON says, without its idea of lines: it sees one of them only.
    pub(super) fn foreign(error: &serde_json::Error) -> Self {
        let told = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        match told.strip_suffix(&place) {
            Some(what) => Self::Foreign(format!("{what} at column {}", error.column())),
            None => Self::Foreign(told),
        }
    }
}

impl OddLines {
    /// Notes one.
    pub fn note(&mut self, line: u64, odd: Odd) {
        match odd {
            Odd::Torn => self.torn += 1,
            Odd::Foreign(_) | Odd::TooLong => self.foreign += 1,
        }
        if self.first.as_ref().is_none_or(|(first, _)| line < *first) {
            self.first = Some((line, odd));
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.foreign + self.torn
    }

    /// Adds those of another part of the same log.
    pub fn merge(&mut self, other: Self) {
        self.foreign += other.foreign;
        self.torn += other.torn;
        if let Some((line, odd)) = other.first
            && self.first.as_ref().is_none_or(|(first, _)| line < *first)
        {
            self.first = Some((line, odd));
        }
    }
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign(why) => write!(f, "not a decision record: {why}"),
            Self::TooLong => f.write_str("longer than 1 MiB"),
            Self::Torn => f.write_str("the log ends within it"),
        }
    }
}
