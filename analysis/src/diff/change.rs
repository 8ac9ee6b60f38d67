//! What a comparison says.

use callgate_policy::{Reason, SpiffeId, Timestamp};

use crate::language::Point;

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// It is refused.
    Refused,
    /// It is refused, but a Shadow setting lets it pass.
    LetPass,
    /// A rule allows it.
    Allowed,
}

/// Which way an access changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// More is allowed.
    Widened,
    /// Less is.
    Narrowed,
}

/// Every access that two sets decide differently.
#[derive(Clone, Debug, Default)]
pub struct Diff {
    /// By service, those that change alike together.
    pub services: Vec<ServiceChange>,
    /// What changes besides rules.
    pub settings: Vec<SettingChange>,
    /// Whether there is certainly nothing else, `when` apart. If not, the sets are too
    /// large or too odd to look at everything.
    pub complete: bool,
}

/// What changes for calls to some services.
#[derive(Clone, Debug)]
pub struct ServiceChange {
    /// `metadata.name` of their policy, in the new set if there is one.
    pub policy: Option<String>,
    /// The services; none stands for every service that has no policy in either set.
    pub services: Vec<Option<SpiffeId>>,
    /// By caller.
    pub callers: Vec<CallerChange>,
}

/// What changes for some callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerChange {
    /// Who: all for whom the same changes.
    pub who: Vec<Who>,
    /// What they may do. The witnesses are of the first of them.
    pub accesses: Vec<AccessChange>,
}

/// Whose access changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// The callers that fit an identity or a pattern, in full.
    Pattern {
        /// It.
        pattern: String,
        /// The group it is a member of, if a rule names that.
        group: Option<String>,
        /// The pattern of the rule, if that is about another name of the caller.
        alias: Option<String>,
        /// A second pattern that they fit as well.
        also: Option<String>,
    },
    /// Every member of a group.
    Group {
        /// Its name.
        name: String,
        /// How many members it has.
        members: usize,
    },
    /// Every verified caller of a trust domain.
    Everyone {
        /// The trust domain; `any.example` stands for those that nobody names.
        trust_domain: String,
    },
    /// Callers without a valid identity.
    Unverified,
    /// Those for whom this proxy forwards calls.
    Forwarded {
        /// The proxy.
        by: SpiffeId,
        /// Who they are.
        caller: Box<Who>,
    },
}

/// One access that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessChange {
    /// Before, and now.
    pub levels: (Level, Level),
    /// The operation, as a rule would say it: `DELETE /orders/{order}`; none stands for
    /// everything that no rule allows.
    pub what: Option<String>,
    /// What of it stays as it was.
    pub except: Vec<String>,
    /// The rule that says so: of the new set what widens, of the old one what narrows, if
    /// it is an allow rule; a deny rule is of the set that has it.
    pub rule: Option<RulePlace>,
    /// Conditions on which it depends; if there are any, the answers may differ, but
    /// need not.
    pub conditions: Vec<String>,
    /// From when on, if not now.
    pub from: Option<Timestamp>,
    /// Until when, if not for good.
    pub until: Option<Timestamp>,
    /// A request that both sets were asked about.
    pub witness: Witness,
}

/// Where a rule stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RulePlace {
    /// Whether it is of the new set.
    pub is_new: bool,
    /// Whether it denies.
    pub denies: bool,
    /// Its name.
    pub name: String,
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: u32,
}

/// A request, and what both sets say to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The call, and who makes it.
    pub point: Point,
    /// Whether the caller has no valid identity; then the one of `point` means nothing.
    pub unverified: bool,
    /// Who forwards it.
    pub forwarder: Option<SpiffeId>,
    /// The service that is called.
    pub service: SpiffeId,
    /// When.
    pub at: Timestamp,
    /// Headers that it has, for conditions.
    pub headers: Vec<(String, String)>,
    /// Whether both sets decide it differently in just this way: always, unless conditions
    /// have a say and nothing was found that shows it.
    pub is_proof: bool,
    /// What the old set says.
    pub old: Answer,
    /// What the new one says.
    pub new: Answer,
}

/// What a set says to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What becomes of the call.
    pub level: Level,
    /// Why.
    pub reason: Reason,
    /// The rule that decides, if one does.
    pub rule: Option<String>,
}

/// Something besides rules that changes what comes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingChange {
    /// Which way, if it is one.
    pub direction: Option<Direction>,
    /// In words.
    pub text: String,
}

impl AccessChange {
    /// Which way it goes.
    #[must_use]
    pub fn direction(&self) -> Direction {
        if self.levels.0 < self.levels.1 {
            Direction::Widened
        } else {
            Direction::Narrowed
        }
    }

    /// Whether the sets certainly differ: whether no condition has a say.
    #[must_use]
    pub const fn is_certain(&self) -> bool {
        self.conditions.is_empty()
    }
}

impl Diff {
    /// Whether nothing changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.services.is_empty() && self.settings.is_empty()
    }

    /// Every access that changes.
    pub fn accesses(&self) -> impl Iterator<Item = &AccessChange> {
        let callers = self.services.iter().flat_map(|service| &service.callers);
        callers.flat_map(|caller| &caller.accesses)
    }

    /// Leaves what goes one way.
    #[must_use]
    pub fn only(mut self, direction: Direction) -> Self {
        for service in &mut self.services {
            for caller in &mut service.callers {
                caller
                    .accesses
                    .retain(|access| access.direction() == direction);
            }
            service.callers.retain(|caller| !caller.accesses.is_empty());
        }
        self.services.retain(|service| !service.callers.is_empty());
        self.settings
            .retain(|setting| setting.direction.is_none_or(|way| way == direction));
        self
    }
}
