//! The clock of certificates.

use time::OffsetDateTime;

/// Now, in the whole seconds that certificates count.
pub(crate) fn now() -> OffsetDateTime {
    whole_seconds(OffsetDateTime::now_utc())
}

/// Certificates hold no fractions (RFC 5280 section 4.1.2.5).
pub(crate) fn whole_seconds(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_nanosecond(0).unwrap_or(time)
}
