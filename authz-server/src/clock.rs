//! The server's clock, read here and passed on as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

use callgate_policy::Timestamp;

/// The time now. A clock before 1970 reads as 1970, where no certificate is valid.
#[must_use]
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
