//! What an answer says of its own future.

use std::time::Duration;

use callgate_policy::Timestamp;
use callgate_wire::{callgate::v1, terms};
use prost_types::Struct;

use super::AnswerFault;
use crate::Revision;

/// What was decided by, and until when it is known to stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The service revision that was decided by.
    pub revision: Revision,
    /// The server's clock at that moment.
    pub decided_at: Timestamp,
    /// From this moment of the server's clock on the call would not go on.
    pub ends_at: Option<Timestamp>,
    /// What the caller's other calls may be decided by.
    pub lease: Option<v1::Lease>,
}

impl Terms {
    /// Those in the dynamic metadata of an answer.
    pub(super) fn of(metadata: Option<&Struct>) -> Result<Option<Self>, AnswerFault> {
        let Some(terms) = metadata.and_then(terms::of) else {
            return Ok(None);
        };
        let v1::Terms {
            revision,
            decided_at_ms,
            ends_at_ms,
            lease,
        } = terms.map_err(|_| AnswerFault::Terms)?;
        Ok(Some(Self {
            revision: revision.try_into().map_err(|_| AnswerFault::Terms)?,
            decided_at: Timestamp::from_millis(decided_at_ms),
            ends_at: (ends_at_ms != 0).then_some(Timestamp::from_millis(ends_at_ms)),
            lease,
        }))
    }
}

/// A moment on the server's clock, of an answer to what was sent at a known moment of the
/// proxy's monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clocks {
    /// The proxy's monotonic clock when the Check was sent.
    pub(crate) dispatched: Duration,
    /// The server's clock when it was decided, which was not before that.
    pub(crate) decided_at: Timestamp,
}

impl Clocks {
    /// The later of what the server's clock says by now and of what the proxy's does. A
    /// clock that was set back makes nothing last longer.
    pub(crate) fn now(self, monotonic: Duration, wall: Duration) -> Timestamp {
        let since = millis(monotonic.saturating_sub(self.dispatched));
        let server = self.decided_at.as_millis().saturating_add(since);
        Timestamp::from_millis(server.max(millis(wall)))
    }
}

/// A proxy's clock, in the words of the rules.
pub(crate) fn timestamp(wall: Duration) -> Timestamp {
    Timestamp::from_millis(millis(wall))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_clock_counts() {
        let clocks = Clocks {
            dispatched: Duration::from_millis(500),
            decided_at: Timestamp::from_millis(10_000),
        };
        let now = |monotonic, wall| {
            let [monotonic, wall] = [monotonic, wall].map(Duration::from_millis);
            clocks.now(monotonic, wall).as_millis()
        };
        assert_eq!(now(700, 0), 10_200);
        assert_eq!(now(700, 10_300), 10_300);
        assert_eq!(now(0, 0), 10_000);
        assert_eq!(
            clocks.now(Duration::MAX, Duration::MAX).as_millis(),
            i64::MAX
        );
    }
}
