//! What a call comes to, and how that changes.

use std::fmt;

use callgate_policy::{Clause, Decision, Reason, Verdict};

use crate::log::Record;

/// What a decision does to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// A rule allows it.
    Allowed,
    /// No rule allows it, and a Shadow setting lets it pass.
    LetPass,
    /// It is refused.
    Refused,
}

/// From what to what an outcome changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// It passed, and is refused now.
    NowRefused,
    /// It was allowed, and only a Shadow setting lets it pass now: refused once that ends.
    OnlyShadow,
    /// It was refused, and passes now.
    NowPasses,
    /// Only a Shadow setting let it pass, and now a rule allows it.
    NowAllowed,
}

/// Whether a change takes access away or gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Less is allowed.
    Narrowed,
    /// More is allowed.
    Widened,
}

/// Whose calls to whom: what changes are grouped by, with [`Was`] and [`Now`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Parties {
    /// The called service, as the proxy named it.
    pub destination: Box<str>,
    /// The caller's SPIFFE ID, if it had one.
    pub source: Option<Box<str>>,
    /// Who passed the calls on.
    pub forwarder: Option<Box<str>>,
}

/// What was recorded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Was {
    /// What became of the calls.
    pub outcome: Outcome,
    /// The cause.
    pub reason: Reason,
    /// The rule that decided.
    pub rule: Option<Box<str>>,
    /// Where it stood, `file:line`.
    pub policy: Option<Box<str>>,
}

/// What is decided now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Now {
    /// What becomes of the calls.
    pub outcome: Outcome,
    /// The cause.
    pub reason: Reason,
    /// The rule that decides.
    pub rule: Option<Box<str>>,
    /// Where it stands, `file:line`.
    pub policy: Option<Box<str>>,
    /// Of a refusal: the rule that comes closest, where the clause stands that fails, and
    /// which one it is.
    pub nearest: Option<(Box<str>, Box<str>, &'static str)>,
    /// The method, if that is the clause: a rule wants another line for each of them.
    pub method: Option<Box<str>>,
}

impl Outcome {
    pub(super) const fn of(verdict: Verdict, enforced: bool) -> Self {
        match (verdict, enforced) {
            (Verdict::Allow, _) => Self::Allowed,
            (Verdict::Deny, false) => Self::LetPass,
            (Verdict::Deny, true) => Self::Refused,
        }
    }

    /// The change from this outcome to `now`, if it is one.
    #[must_use]
    pub const fn change_to(self, now: Self) -> Option<Change> {
        match (self, now) {
            (Self::Allowed, Self::Allowed)
            | (Self::LetPass, Self::LetPass)
            | (Self::Refused, Self::Refused) => None,
            (Self::Allowed | Self::LetPass, Self::Refused) => Some(Change::NowRefused),
            (Self::Allowed, Self::LetPass) => Some(Change::OnlyShadow),
            (Self::Refused, Self::Allowed | Self::LetPass) => Some(Change::NowPasses),
            (Self::LetPass, Self::Allowed) => Some(Change::NowAllowed),
        }
    }
}

impl Change {
    /// Every change, the worst first.
    pub const ALL: [Self; 4] = [
        Self::NowRefused,
        Self::OnlyShadow,
        Self::NowPasses,
        Self::NowAllowed,
    ];

    /// Whether it takes access away or gives it.
    #[must_use]
    pub const fn direction(self) -> Direction {
        match self {
            Self::NowRefused | Self::OnlyShadow => Direction::Narrowed,
            Self::NowPasses | Self::NowAllowed => Direction::Widened,
        }
    }

    /// The word for it in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NowRefused => "now-refused",
            Self::OnlyShadow => "only-shadow",
            Self::NowPasses => "now-passes",
            Self::NowAllowed => "now-allowed",
        }
    }
}

impl Direction {
    /// The word for it in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Narrowed => "narrowed",
            Self::Widened => "widened",
        }
    }
}

impl Parties {
    pub(super) fn of(record: &Record<'_>) -> Self {
        let forwarder = record.forwarder.as_ref();
        Self {
            destination: (&*record.destination).into(),
            source: record.source.id.as_deref().map(Into::into),
            forwarder: forwarder.and_then(|one| one.id.as_deref().map(Into::into)),
        }
    }
}

impl Was {
    pub(super) fn of(record: &Record<'_>) -> Self {
        Self {
            outcome: Outcome::of(record.verdict, record.enforced),
            reason: record.reason,
            rule: record.rule.as_deref().map(Into::into),
            policy: record.policy.as_deref().map(Into::into),
        }
    }
}

impl Now {
    pub(super) fn of(decision: &Decision<'_>) -> Self {
        let (rule, miss) = (decision.rule, decision.nearest_miss.as_deref());
        Self {
            outcome: Outcome::of(decision.verdict, decision.enforced),
            reason: decision.reason,
            rule: rule.map(|rule| rule.name.into()),
            policy: rule.map(|rule| rule.location.to_string().into()),
            nearest: miss.map(|miss| {
                let place = miss.location.to_string().into();
                (miss.rule.name.into(), place, miss.clause.as_str())
            }),
            method: miss
                .filter(|miss| miss.clause == Clause::Method)
                .map(|miss| miss.actual.as_str().into()),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allowed => "allowed",
            Self::LetPass => "let pass",
            Self::Refused => "refused",
        })
    }
}
