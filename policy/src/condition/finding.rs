//! What is wrong with a condition.

use std::{fmt, ops::Range};

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionFinding {
    /// What kind of fault it is.
    pub kind: ConditionFindingKind,
    /// The bytes of the text that it is about.
    pub range: Range<usize>,
    /// What is wrong, for people.
    pub message: String,
    /// What to do about it, where that is known.
    pub help: Option<String>,
}

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ConditionFindingKind {
    /// It is not CEL.
    Syntax,
    /// A variable, a field or a function that conditions do not have.
    Unknown,
    /// Values of types that do not go together, or a result that is not a boolean.
    Type,
    /// A header that conditions may not read, or that no request has.
    Header,
    /// It always has the same result.
    Constant,
    /// It is larger, or may take longer, than a condition may.
    TooCostly,
}

#[cfg(feature = "documents")]
impl ConditionFinding {
    pub(super) fn new(
        kind: ConditionFindingKind,
        range: Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            range,
            message: message.into(),
            help: None,
        }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for ConditionFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConditionFinding {}
