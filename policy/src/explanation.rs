//! What a decision tells people: which rule, where it stands, and what it lacked.

use std::fmt;

use crate::{
    Request, Timestamp,
    nearest::{self, Origin},
};

/// A rule, for people: its name and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleRef<'p> {
    /// The rule's `name`.
    pub name: &'p str,
    /// `metadata.name` of its document.
    pub policy: &'p str,
    /// Where the rule begins.
    pub location: Location<'p>,
}

/// A line of a document. Prints as `orders.yaml:14`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location<'p> {
    /// The document's file, as it was named to the loader.
    pub file: &'p str,
    /// Counted from 1.
    pub line: u32,
}

/// The rule that came closest, and the first of its clauses that failed.
#[derive(Clone, Debug)]
pub struct NearestMiss<'p> {
    /// The rule.
    pub rule: RuleRef<'p>,
    /// The first clause that failed.
    pub clause: Clause,
    /// Where that clause stands.
    pub location: Location<'p>,
    /// What the clause wants; identities in full.
    pub expected: String,
    /// What the request had.
    pub actual: String,
    /// The entry of `from` that the caller was held against: the one that it
    /// matches, else the first.
    pub from: Entry<'p>,
    /// The line of `to` that came closest.
    pub to: Entry<'p>,
    pub(crate) origin: Origin<'p>,
}

/// The whole story of a miss, which people are told and records are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissStory {
    /// Every clause that could be checked against these two entries, in order.
    pub checks: Vec<ClauseCheck>,
    /// What the caller and the path bind: name and value, in the order of the text.
    pub captures: Vec<(String, String)>,
    /// What to add to the rule to let this call in, where one line is enough.
    pub addition: Option<Addition>,
}

impl NearestMiss<'_> {
    /// Tells the rest, for the request and the time that were decided. `None` for a
    /// request that was refused before any rule was looked at: that is another one.
    #[must_use]
    pub fn story(&self, request: &Request<'_>, now: Timestamp) -> Option<MissStory> {
        nearest::story(&self.origin, request, now)
    }
}

/// The parts of a rule, in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Clause {
    /// The caller.
    From,
    /// The method or verb.
    Method,
    /// The path.
    Path,
    /// A name captured in `from` and in `to` with different values.
    Captures,
    /// The CEL condition.
    When,
    /// The exception has expired.
    Exception,
}

/// An entry of a rule, as its document has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'p> {
    /// Where it stands.
    pub location: Location<'p>,
    /// Its text, as written.
    pub text: &'p str,
}

/// How one clause of a rule fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClauseCheck {
    /// The clause.
    pub clause: Clause,
    /// Whether the request satisfies it.
    pub passed: bool,
    /// What it wants; identities in full.
    pub expected: String,
    /// What the request had.
    pub actual: String,
}

/// One line that, added to a rule, lets a call in. A line of `to` is as narrow as it
/// can be; a line of `from` gives its caller all that the rule gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addition {
    /// A line of `from`.
    From(String),
    /// A line of `to`.
    To(String),
}

impl Clause {
    /// The word used in answers, records and documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::Method => "method",
            Self::Path => "path",
            Self::Captures => "captures",
            Self::When => "when",
            Self::Exception => "exception",
        }
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
