//! The decision: deny rules first, then allow rules, else no.

use crate::{Reason, Request, Timestamp};

/// Every document of one directory, compiled. Immutable, `Send` and `Sync`; a new
/// revision is a new set.
#[derive(Debug, Default)]
pub struct PolicySet {}

/// The answer to one request.
#[derive(Debug)]
pub struct Decision<'p> {
    /// What the rules say.
    pub verdict: Verdict,
    /// The cause.
    pub reason: Reason,
    /// False if a Shadow setting lets pass what the verdict refuses.
    pub enforced: bool,
    /// The rule that decided: the allow or deny rule that matched, or the one
    /// whose exception has expired.
    pub rule: Option<RuleRef<'p>>,
    /// Of a `no-rule`: the allow rule that came closest.
    pub nearest_miss: Option<NearestMiss<'p>>,
    /// `metadata.name` of the called service's policy.
    pub policy: Option<&'p str>,
    /// `spec.owner` of the called service's policy.
    pub owner: Option<&'p str>,
    /// `spec.help` of the called service's policy.
    pub help: Option<&'p str>,
    /// `spec.overrideHeaders: Keep`: the service wants headers such as
    /// `x-http-method-override`.
    pub keep_override_headers: bool,
    permit: Option<Permit>,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The call is allowed.
    Allow,
    /// The call is not allowed.
    Deny,
}

/// Proof that a call may go on. Only [`PolicySet::decide`] makes one, for a call
/// that is allowed or that only a Shadow setting lets pass, so no answer that
/// opens the gate can be built without a decision.
#[derive(Debug)]
pub struct Permit(());

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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Every clause that could be checked against these two entries, in order.
    pub checks: Vec<ClauseCheck>,
    /// What the caller and the path bind: name and value, in the order of the text.
    pub captures: Vec<(&'p str, String)>,
    /// What to add to the rule so that it allows exactly this call: a line of
    /// `to`, or of `from` if only the caller is wrong.
    pub addition: Option<Addition>,
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

/// One line that, added to a rule, allows exactly one more call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addition {
    /// A line of `from`.
    From(String),
    /// A line of `to`.
    To(String),
}

/// The parts of a rule, in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

impl PolicySet {
    /// Decides `request` at `now`.
    #[must_use]
    pub fn decide<'p>(&'p self, request: &Request<'_>, now: Timestamp) -> Decision<'p> {
        let _ = (request, now);
        Decision {
            verdict: Verdict::Deny,
            reason: Reason::NoPolicy,
            enforced: true,
            rule: None,
            nearest_miss: None,
            policy: None,
            owner: None,
            help: None,
            keep_override_headers: false,
            permit: None,
        }
    }
}

impl Decision<'_> {
    /// The proof that this call may go on, if it may.
    #[must_use]
    pub const fn permit(&self) -> Option<&Permit> {
        self.permit.as_ref()
    }
}
