//! What will go wrong with a bundle, said before it does.

use callgate_policy::Timestamp;

use super::TrustBundle;

/// The newest root should be replaced long before it ends: SPIRE publishes the next
/// one when half of the current one's life is left. With less than a quarter left,
/// somebody has forgotten.
const LAST_PART: i64 = 4;
/// A root that lives for years is not worth a warning a year before it ends.
const LONGEST_NOTICE_MILLIS: i64 = 30 * 86_400 * 1_000;

/// What is to be feared of a bundle at `now`, in one line; `due` is when its source
/// should have been heard of again.
pub(super) fn warning(
    bundle: Option<&TrustBundle>,
    due: Option<Timestamp>,
    now: Timestamp,
) -> Option<String> {
    let Some(bundle) = bundle else {
        return Some("there is none yet: every caller from it is refused".to_owned());
    };
    let newest = bundle.anchors().iter().max_by_key(|root| root.not_after());
    let Some(newest) = newest else {
        return Some("it has no root: every caller from it is refused".to_owned());
    };
    let left = newest.not_after().as_millis() - now.as_millis();
    if left < 0 {
        return Some("its last root has expired: every caller from it is refused".to_owned());
    }
    if left < (newest.lifetime_millis() / LAST_PART).min(LONGEST_NOTICE_MILLIS) {
        return Some(format!(
            "its last root expires at {}",
            time(newest.not_after())
        ));
    }
    due.filter(|due| *due < now)
        .map(|due| format!("not heard of again, though it was due at {}", time(due)))
}

/// In RFC 3339.
fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map_or_else(|_| at.as_millis().to_string(), |at| at.to_string())
}
