//! What the proxy counts.

use callgate_policy::Reason;

/// One of the proxy's counters. Every request that ends in an outcome adds to
/// exactly one of `Outcome` and `DeniedOther`; the others come on top.
///
/// | name | counts |
/// |---|---|
/// | `callgate.allowed` | requests that the server let go on |
/// | `callgate.denied.<reason>` | requests that the server refused |
/// | `callgate.denied.other` | the same, with a reason this filter does not know |
/// | `callgate.errors.<reason>` | requests without a decision: `authz-unreachable`, `authz-timeout`, `authz-protocol`, `filter-misconfigured` |
/// | `callgate.danger_allowed` | those of them that `danger_allow_on_error` let go on |
/// | `callgate.lease_hits` | requests that were decided by a lease; they are among those above |
/// | `callgate.lease_misses` | requests that the server was asked about, with leases on |
/// | `callgate.leases` | leases that answers brought and that were kept |
/// | `callgate.rechecks` | attempts to decide an open request anew |
/// | `callgate.streams_ended` | open requests that were ended by it |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// The outcome that this reason names.
    Outcome(Reason),
    /// A refusal for a reason that is not in [`Reason::ALL`].
    DeniedOther,
    /// Went on without a decision.
    DangerAllowed,
    /// Decided by a lease.
    LeaseHit,
    /// Asked about, with leases on.
    LeaseMiss,
    /// Kept a lease.
    Lease,
    /// Went about deciding an open request anew.
    Recheck,
    /// Ended an open request.
    StreamEnded,
}

impl Counter {
    /// How many counters there are.
    pub const COUNT: usize = Reason::ALL.len() + Self::OTHERS.len();

    /// Those that no reason names.
    const OTHERS: [Self; 7] = [
        Self::DeniedOther,
        Self::DangerAllowed,
        Self::LeaseHit,
        Self::LeaseMiss,
        Self::Lease,
        Self::Recheck,
        Self::StreamEnded,
    ];

    /// Every counter.
    pub fn all() -> impl Iterator<Item = Self> {
        let outcomes = Reason::ALL.into_iter().map(Self::Outcome);
        outcomes.chain(Self::OTHERS)
    }

    /// The place in [`Counter::all`].
    #[must_use]
    pub fn index(self) -> usize {
        Self::all()
            .position(|counter| counter == self)
            .unwrap_or_default()
    }

    /// The name in the proxy's statistics.
    #[must_use]
    pub fn name(self) -> String {
        let reason = match self {
            Self::DeniedOther => return "callgate.denied.other".to_owned(),
            Self::DangerAllowed => return "callgate.danger_allowed".to_owned(),
            Self::LeaseHit => return "callgate.lease_hits".to_owned(),
            Self::LeaseMiss => return "callgate.lease_misses".to_owned(),
            Self::Lease => return "callgate.leases".to_owned(),
            Self::Recheck => return "callgate.rechecks".to_owned(),
            Self::StreamEnded => return "callgate.streams_ended".to_owned(),
            Self::Outcome(reason) => reason,
        };
        match reason {
            Reason::Allow => "callgate.allowed".to_owned(),
            _ if is_filters_own(reason) => format!("callgate.errors.{reason}"),
            _ => format!("callgate.denied.{reason}"),
        }
    }
}

/// Whether the filter gives this reason by itself, for want of a decision.
pub(crate) fn is_filters_own(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::AuthzUnreachable
            | Reason::AuthzTimeout
            | Reason::AuthzProtocol
            | Reason::FilterMisconfigured
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_counter_has_its_own_name_and_place() {
        let names: BTreeSet<String> = Counter::all().map(Counter::name).collect();
        assert_eq!(names.len(), Counter::COUNT);
        for (place, counter) in Counter::all().enumerate() {
            assert_eq!(counter.index(), place);
        }
    }

    #[test]
    fn names_say_what_happened() {
        assert_eq!(Counter::Outcome(Reason::Allow).name(), "callgate.allowed");
        assert_eq!(
            Counter::Outcome(Reason::NoRule).name(),
            "callgate.denied.no-rule"
        );
        assert_eq!(
            Counter::Outcome(Reason::AuthzTimeout).name(),
            "callgate.errors.authz-timeout"
        );
        assert_eq!(
            Counter::Outcome(Reason::PolicyUnavailable).name(),
            "callgate.denied.policy-unavailable"
        );
    }
}
