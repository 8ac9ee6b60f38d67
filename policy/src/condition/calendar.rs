//! Parts of points in time, and lengths of time as CEL writes them.

use super::node::TimePart;
use crate::time::date;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A part of a time in milliseconds. Months, and days of a year or a month, count from 0,
/// as CEL has them; the date counts from 1, and the week begins with Sunday, 0.
pub(super) fn part_of_time(part: TimePart, millis: i64) -> i64 {
    let (day, rest) = (millis.div_euclid(DAY), millis.rem_euclid(DAY));
    let (year, month, date_of_month) = date(day);
    match part {
        TimePart::Year => year,
        TimePart::Month => month - 1,
        TimePart::Date => date_of_month,
        TimePart::DayOfMonth => date_of_month - 1,
        TimePart::DayOfYear => days_before(year, month) + date_of_month - 1,
        // The epoch was a Thursday.
        TimePart::DayOfWeek => (day + 4).rem_euclid(7),
        TimePart::Hours => rest / HOUR,
        TimePart::Minutes => rest / MINUTE % 60,
        TimePart::Seconds => rest / SECOND % 60,
        TimePart::Milliseconds => rest % SECOND,
    }
}

/// Days of `year` before its month, which counts from 1.
const fn days_before(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    // From March on, five months have 153 days.
    match month {
        1 => 0,
        2 => 31,
        _ => 59 + leap as i64 + (153 * (month - 3) + 2) / 5,
    }
}

/// Reads `1h30m`, `90s`, `250ms`, with a sign; `None` if it is none or too long.
pub(super) fn duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let mut millis: i64 = 0;
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(end)?;
        let units = [("ms", 1), ("h", HOUR), ("m", MINUTE), ("s", SECOND)];
        let unit = units
            .iter()
            .find_map(|(name, length)| Some((tail.strip_prefix(name)?, length)));
        let (tail, length) = unit?;
        let part = number.parse::<i64>().ok()?.checked_mul(*length)?;
        millis = millis.checked_add(part)?;
        if tail.is_empty() {
            return Some(sign * millis);
        }
        rest = tail;
    }
}

/// Reads an offset from UTC, `+02:00`, as milliseconds; `UTC` is none.
pub(super) fn offset(text: &str) -> Option<i64> {
    if text == "UTC" {
        return Some(0);
    }
    let (sign, rest) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(rest), _) => (1, rest),
        (_, Some(rest)) => (-1, rest),
        (None, None) => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |text: &str, most: i64| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let number: i64 = digits.then(|| text.parse().ok())??;
        (number <= most).then_some(number)
    };
    Some(sign * (number(hours, 14)? * HOUR + number(minutes, 59)? * MINUTE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::parse_time;

    #[test]
    fn parts() {
        use TimePart as P;
        let leap = parse_time("2024-12-31T23:58:57.006Z").unwrap().as_millis();
        let first = parse_time("2026-03-01T00:00:00Z").unwrap().as_millis();
        let cases = [
            (P::Year, 2024, 2026),
            (P::Month, 11, 2),
            (P::Date, 31, 1),
            (P::DayOfMonth, 30, 0),
            (P::DayOfYear, 365, 59),
            (P::DayOfWeek, 2, 0),
            (P::Hours, 23, 0),
            (P::Minutes, 58, 0),
            (P::Seconds, 57, 0),
            (P::Milliseconds, 6, 0),
        ];
        for (part, of_leap, of_first) in cases {
            assert_eq!(part_of_time(part, leap), of_leap, "{part:?}");
            assert_eq!(part_of_time(part, first), of_first, "{part:?}");
        }
    }

    #[test]
    fn durations_and_offsets() {
        let durations = [
            ("90s", Some(90_000)),
            ("1h30m", Some(5_400_000)),
            ("-250ms", Some(-250)),
            ("2h3s4ms", Some(7_203_004)),
            ("", None),
            ("5", None),
            ("1d", None),
            ("h", None),
            ("1h-5m", None),
            ("9999999999999999h", None),
        ];
        for (text, expected) in durations {
            assert_eq!(duration(text), expected, "{text}");
        }
        let offsets = [
            ("UTC", Some(0)),
            ("+02:00", Some(7_200_000)),
            ("-05:30", Some(-19_800_000)),
            ("+2:00", None),
            ("+15:00", None),
            ("+01:60", None),
            ("Europe/Berlin", None),
        ];
        for (text, expected) in offsets {
            assert_eq!(offset(text), expected, "{text}");
        }
    }
}
