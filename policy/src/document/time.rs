//! Points in time, as documents and command lines write them.

use std::fmt;

use crate::Timestamp;

/// Reads a point in time: RFC 3339 with date, time and offset, such as
/// `2027-02-01T00:00:00Z` or `2027-02-01T01:30:00.5+01:00`.
///
/// # Errors
/// What is missing or wrong. A date alone is refused: whether a day is still in or
/// already over is what an expiry is about.
pub fn parse_time(text: &str) -> Result<Timestamp, TimeError> {
    match shape(text) {
        Shape::Complete => {
            let time: jiff::Timestamp = text.parse().map_err(|_| TimeError::OutOfRange)?;
            Ok(Timestamp::from_millis(time.as_millisecond()))
        }
        Shape::NoTime => Err(TimeError::NoTime),
        Shape::NoOffset => Err(TimeError::NoOffset),
        Shape::Space => Err(TimeError::Space),
        Shape::Other => Err(TimeError::NotATime),
    }
}

/// Reads a length of time as milliseconds: a whole number of days, `90d`, or hours,
/// `36h`; at least one, ten years at most.
#[must_use]
pub fn parse_duration(text: &str) -> Option<i64> {
    const HOUR: i64 = 60 * 60 * 1_000;
    const LONGEST: i64 = 3_650 * 24 * HOUR;
    let (number, unit) = match (text.strip_suffix('d'), text.strip_suffix('h')) {
        (Some(days), _) => (days, 24 * HOUR),
        (_, Some(hours)) => (hours, HOUR),
        (None, None) => return None,
    };
    // `parse` would take a sign.
    let number: i64 = number
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| number.parse().ok())??;
    let millis = number.checked_mul(unit)?;
    (1..=LONGEST).contains(&millis).then_some(millis)
}

/// Why a text is not a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeError {
    /// A date without a time.
    NoTime,
    /// A date and a time, but nothing says in which time zone.
    NoOffset,
    /// A space where `T` separates date and time.
    Space,
    /// The form is right, but there is no such day, hour, minute, second or offset.
    OutOfRange,
    /// Something else.
    NotATime,
}

impl TimeError {
    /// What was probably meant by `text`, if it can be completed.
    #[must_use]
    pub fn suggestion(self, text: &str) -> Option<String> {
        let completed = match self {
            Self::NoTime => format!("{text}T00:00:00Z"),
            Self::NoOffset => format!("{text}Z"),
            Self::Space => text.replacen(' ', "T", 1).replace(' ', ""),
            Self::OutOfRange | Self::NotATime => return None,
        };
        match parse_time(&completed) {
            Ok(_) => Some(completed),
            Err(Self::NoOffset) => Some(format!("{completed}Z")),
            Err(_) => None,
        }
    }
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoTime => "a date without a time",
            Self::NoOffset => "a time without an offset, such as `Z`",
            Self::Space => "`T` separates date and time, not a space",
            Self::OutOfRange => "there is no such date and time",
            Self::NotATime => "not a date and time, such as `2027-02-01T00:00:00Z`",
        })
    }
}

impl std::error::Error for TimeError {}

enum Shape {
    Complete,
    NoTime,
    NoOffset,
    Space,
    Other,
}

/// RFC 3339, section 5.6, by form alone. The library reads more than that, and every
/// form less is one that two readers cannot read in two ways.
fn shape(text: &str) -> Shape {
    let Some(rest) = form(text, "0000-00-00") else {
        return Shape::Other;
    };
    if rest.is_empty() {
        return Shape::NoTime;
    }
    let Some(time) = rest.strip_prefix('T') else {
        let time = rest
            .strip_prefix(' ')
            .and_then(|time| form(time, "00:00:00"));
        return if time.is_some() {
            Shape::Space
        } else {
            Shape::Other
        };
    };
    let Some(rest) = form(time, "00:00:00") else {
        return Shape::Other;
    };
    let offset = fraction(rest);
    let is_offset =
        offset == "Z" || form(offset, "+00:00") == Some("") || form(offset, "-00:00") == Some("");
    match offset {
        "" => Shape::NoOffset,
        _ if is_offset => Shape::Complete,
        _ => Shape::Other,
    }
}

/// What follows a beginning of the form `pattern`, in which `0` is any digit.
fn form<'t>(text: &'t str, pattern: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(pattern.len())?;
    let fits = |(c, p): (u8, u8)| {
        if p == b'0' {
            c.is_ascii_digit()
        } else {
            c == p
        }
    };
    start.bytes().zip(pattern.bytes()).all(fits).then_some(rest)
}

/// What follows a fraction of seconds, `.5`, of at most nine digits, if there is one.
fn fraction(text: &str) -> &str {
    let Some(digits) = text.strip_prefix('.') else {
        return text;
    };
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    if (1..=9).contains(&length) {
        digits.get(length..).unwrap_or_default()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_points() {
        let cases = [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T01:00:00+01:00", 0),
            ("1970-01-01T00:00:00.25Z", 250),
            ("2027-02-01T00:00:00Z", 1_801_440_000_000),
            ("1969-12-31T23:59:59.999Z", -1),
        ];
        for (text, millis) in cases {
            assert_eq!(
                parse_time(text),
                Ok(Timestamp::from_millis(millis)),
                "{text}"
            );
        }
    }

    #[test]
    fn everything_else_is_refused_with_a_suggestion_where_there_is_one() {
        let cases = [
            (
                "2027-02-01",
                TimeError::NoTime,
                Some("2027-02-01T00:00:00Z"),
            ),
            (
                "2027-02-01T00:00:00",
                TimeError::NoOffset,
                Some("2027-02-01T00:00:00Z"),
            ),
            (
                "2027-02-01 00:00:00",
                TimeError::Space,
                Some("2027-02-01T00:00:00Z"),
            ),
            (
                "2027-02-01 00:00:00 +02:00",
                TimeError::Space,
                Some("2027-02-01T00:00:00+02:00"),
            ),
            ("2027-02-30T00:00:00Z", TimeError::OutOfRange, None),
            ("2027-02-30", TimeError::NoTime, None),
            ("2027-02-01T25:00:00Z", TimeError::OutOfRange, None),
            ("2027-02-01t00:00:00z", TimeError::NotATime, None),
            ("2027-02-01T00:00Z", TimeError::NotATime, None),
            ("2027-02-01T00:00:00+0200", TimeError::NotATime, None),
            ("2027-02-01T00:00:00Z[UTC]", TimeError::NotATime, None),
            ("2027-02-01T00:00:00.Z", TimeError::NotATime, None),
            ("tomorrow", TimeError::NotATime, None),
            ("20270201", TimeError::NotATime, None),
            ("", TimeError::NotATime, None),
            ("2027-02-0ü", TimeError::NotATime, None),
        ];
        for (text, error, suggestion) in cases {
            assert_eq!(parse_time(text), Err(error), "{text}");
            assert_eq!(error.suggestion(text).as_deref(), suggestion, "{text}");
        }
    }

    #[test]
    fn a_length_is_days_or_hours() {
        const HOUR: i64 = 3_600_000;
        let cases = [
            ("90d", Some(90 * 24 * HOUR)),
            ("36h", Some(36 * HOUR)),
            ("3650d", Some(3_650 * 24 * HOUR)),
            ("3651d", None),
            ("0d", None),
            ("-1d", None),
            ("+1d", None),
            ("1.5d", None),
            ("d", None),
            ("90", None),
            ("90 d", None),
            ("99999999999999999999d", None),
            ("9223372036854775807h", None),
        ];
        for (text, millis) in cases {
            assert_eq!(parse_duration(text), millis, "{text}");
        }
    }
}
