//! Conditions: the `when` of a rule, an expression of CEL over one request.
//!
//! ```text
//!  text ──lexer──► tokens ──syntax──► expression ──check──► parts, typed and bounded
//!                                                              │
//!  Scene {request, caller, captures, now} ─────evaluate────────┴──► holds, or a fault
//!                                        └──► Notes: what was read, to decide again
//! ```
//!
//! What can be known to be wrong is found when a document loads: names, types, headers
//! that may not be read, what never holds, what would take too long. Values that are left
//! to go wrong at a request make its rule not allow, or deny.
//!
//! Reading conditions needs the `documents` feature. The filter carries none of this: where
//! a rule has one, it asks.

#[cfg(feature = "documents")]
mod account;
#[cfg(feature = "documents")]
mod calendar;
#[cfg(feature = "documents")]
mod check;
#[cfg(feature = "documents")]
mod compiled;
#[cfg(feature = "documents")]
mod evaluate;
mod finding;
mod inputs;
#[cfg(feature = "documents")]
mod lexer;
#[cfg(feature = "documents")]
mod node;
#[cfg(not(feature = "documents"))]
mod none;
mod notes;
#[cfg(feature = "documents")]
mod query;
#[cfg(feature = "documents")]
mod scene;
#[cfg(feature = "documents")]
mod syntax;
#[cfg(test)]
#[cfg(feature = "documents")]
mod tests;
#[cfg(feature = "documents")]
mod types;
#[cfg(feature = "documents")]
mod value;

use crate::{CanonicalPath, Request, SpiffeId, Timestamp};

#[cfg(feature = "documents")]
pub use compiled::Condition;
pub use finding::{ConditionFinding, ConditionFindingKind};
pub use inputs::{Header, Headers, Input, InputPart, Inputs, NoHeaders, Unreadable};
#[cfg(not(feature = "documents"))]
pub use none::Condition;
pub(crate) use notes::Notes;
pub use notes::{ConditionError, ConditionFault};

/// One way to match a rule: a request by a caller.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "documents"),
    expect(dead_code, reason = "no condition asks")
)]
pub(crate) struct Scene<'a> {
    pub(crate) request: &'a Request<'a>,
    /// Under the name that the rule is held against.
    pub(crate) caller: &'a SpiffeId,
    pub(crate) path: &'a CanonicalPath<'a>,
    /// What its captures stand for.
    pub(crate) bindings: &'a [(&'a str, &'a str)],
    pub(crate) now: Timestamp,
    pub(crate) notes: &'a Notes,
}

/// How a condition fared, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) passed: bool,
    /// What was to hold.
    pub(crate) expected: String,
    /// What there was of what it reads.
    pub(crate) actual: String,
}
