//! One announcement: the revision of a service, to a proxy that may ask about it.

use std::{fmt, time::Duration};

use callgate_policy::Timestamp;
use callgate_wire::callgate::v1::Announcement;

use super::{Callee, Gate};
use crate::identity::{Asker, ProxyFault};

/// Why nothing is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unannounced {
    /// There was never a valid set of policies.
    NoPolicies,
    /// The proxy may not ask about the service.
    Proxy(ProxyFault),
}

impl Gate {
    /// What holds for `service` at `now`, which `elapsed` after the request is later than.
    /// Whether the server knows how things stand is for the caller to find out first; see
    /// [`crate::health::Health::is_current`].
    ///
    /// # Errors
    /// If there are no policies, or `asker` may not ask about `service`.
    pub fn announce(
        &self,
        asker: Asker<'_>,
        service: &Callee,
        elapsed: Duration,
        now: Timestamp,
    ) -> Result<Announcement, Unannounced> {
        let snapshot = self.live.current();
        asker
            .may_ask(service.id(), service.name(), &snapshot, now)
            .map_err(Unannounced::Proxy)?;
        if snapshot.policies().is_none() {
            return Err(Unannounced::NoPolicies);
        }
        self.metrics.count_announcement();
        Ok(Announcement {
            revision: snapshot.service_revision(service.id()).to_vec(),
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

impl fmt::Display for Unannounced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPolicies => f.write_str("there is no valid set of policies yet"),
            Self::Proxy(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for Unannounced {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoPolicies => None,
            Self::Proxy(fault) => Some(fault),
        }
    }
}
