//! Says in the log which callers do not renew their SVIDs, before they are refused.

use std::{collections::HashMap, sync::Arc};

use callgate_policy::{SpiffeId, Timestamp};

use crate::live::Live;

/// Between two looks; going through all remembered leaves takes a few milliseconds.
const EVERY_MILLIS: i64 = 10_000;
/// A leaf that was not shown for that long may have been replaced by now.
const RECENT_MILLIS: i64 = 60_000;
/// Warnings of one look. If there are more, they have one cause.
const MAX_WARNINGS: usize = 10;
/// Callers whose warning is remembered, so that it is not said again.
const MAX_REMEMBERED: usize = 10_000;

/// Looks at the leaves that callers show.
#[derive(Debug)]
pub struct CallerOutlook {
    live: Arc<Live>,
    next: Timestamp,
    /// Until when the leaf lasts that was warned of.
    warned: HashMap<SpiffeId, Timestamp>,
}

impl CallerOutlook {
    /// Of the callers that `live` verifies.
    #[must_use]
    pub fn new(live: Arc<Live>) -> Self {
        Self {
            live,
            next: Timestamp::from_millis(i64::MIN),
            warned: HashMap::new(),
        }
    }

    /// Warns of callers whose renewal is overdue, once of each leaf. Does something
    /// every ten seconds only.
    pub(crate) fn look(&mut self, now: Timestamp) {
        if now < self.next {
            return;
        }
        self.next = Timestamp::from_millis(now.as_millis().saturating_add(EVERY_MILLIS));
        for (caller, not_after) in self.overdue(now) {
            tracing::warn!(
                %caller,
                %not_after,
                "a caller shows an SVID that should have been renewed: either it is not, or it \
                 was and a connection is older; calls with it are refused from its end on"
            );
        }
    }

    /// Those that are news.
    fn overdue(&mut self, now: Timestamp) -> Vec<(SpiffeId, Timestamp)> {
        let since = Timestamp::from_millis(now.as_millis().saturating_sub(RECENT_MILLIS));
        let shown = self.live.current().verifier().shown(since);
        let mut news = Vec::new();
        for one in shown.iter().filter(|one| one.is_overdue()) {
            let (id, not_after) = (&one.svid.id, one.svid.not_after);
            let is_new = self.warned.get(id).is_none_or(|warned| *warned < not_after);
            // Of one that has expired, its refusals tell.
            if is_new && now <= not_after && news.len() < MAX_WARNINGS {
                if self.warned.len() >= MAX_REMEMBERED {
                    self.warned.clear();
                }
                self.warned.insert(id.clone(), not_after);
                news.push((id.clone(), not_after));
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{DOCUMENTS, live},
        mint::{Authority, CHECKOUT, at, now, peer},
    };

    #[test]
    fn an_svid_that_is_not_renewed_is_told_once() {
        let root = Authority::root("root");
        let live = live(&root, DOCUMENTS);
        let mut outlook = CallerOutlook::new(Arc::clone(&live));
        // They last for an hour each; the second one is the first one's renewal.
        let [first, second] = [0, 1_800].map(|from| {
            root.leaf(|params| {
                (params.not_before, params.not_after) = (at(from), at(from + 3_600));
            })
        });
        let mut told = |leaf, seconds: i64| {
            let now = Timestamp::from_millis(now().as_millis() + seconds * 1_000);
            let snapshot = live.current();
            let _ = snapshot.verifier().verify(&peer(leaf), Vec::new, now);
            let told = outlook.overdue(now).into_iter();
            told.map(|(id, _)| id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(told(&first, 1), [""; 0]);
        assert_eq!(told(&first, 2_880), [""; 0], "a fifth is left");
        assert_eq!(told(&first, 2_881), [CHECKOUT]);
        assert_eq!(told(&first, 2_900), [""; 0], "once");
        assert_eq!(told(&second, 3_000), [""; 0], "renewed after all");
        assert_eq!(told(&second, 4_800), [CHECKOUT], "the next one");
        assert_eq!(told(&second, 5_401), [""; 0], "expired");
    }
}
