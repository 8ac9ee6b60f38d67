//! What other readers of YAML make of an unquoted text.
//!
//! `kubectl` and most languages read YAML 1.1 or the core schema of 1.2, where a plain
//! `no` is false and `0123` is 83. A document that means one thing here and another
//! thing there is refused; so this knows the words of both.

/// What somebody would read instead of an unquoted text: `a boolean`, `a number`, `a date`,
/// `null`.
#[must_use]
pub fn read_as(text: &str) -> Option<&'static str> {
    // The longest of them is a timestamp with fraction and offset.
    const LONGEST: usize = 64;
    if text.len() > LONGEST {
        return None;
    }
    // Most texts are told by how they begin: `/`, `spiffe`, `GET`.
    match text.bytes().next() {
        None | Some(b'~') => is_null(text).then_some("null"),
        Some(b'n' | b'N') if is_null(text) => Some("null"),
        Some(b'n' | b'N' | b'y' | b'Y' | b't' | b'T' | b'f' | b'F' | b'o' | b'O') => {
            is_boolean(text).then_some("a boolean")
        }
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') if is_number(text) => Some("a number"),
        Some(b'0'..=b'9') => is_date(text).then_some("a date"),
        Some(_) => None,
    }
}

/// YAML 1.1 `tag:yaml.org,2002:null` and the core schema of 1.2.
pub(super) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// YAML 1.1 `tag:yaml.org,2002:bool`.
fn is_boolean(text: &str) -> bool {
    const WORDS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];
    let lower = text.to_ascii_lowercase();
    let capital = || {
        let (first, rest) = text.split_at_checked(1).unwrap_or_default();
        first == first.to_ascii_uppercase() && rest == rest.to_ascii_lowercase()
    };
    WORDS.contains(&lower.as_str())
        && (text == lower || text == text.to_ascii_uppercase() || capital())
}

/// YAML 1.1 `int` and `float`, with `_` between digits, base prefixes and sexagesimals
/// (`22:30` is 1350), and the `0o` of 1.2.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let lower = unsigned.to_ascii_lowercase();
    let digits = |text: &str, radix: u32| {
        text.chars().any(|c| c.is_digit(radix))
            && text.chars().all(|c| c == '_' || c.is_digit(radix))
    };
    let prefixed = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter();
    let mut prefixed =
        prefixed.filter_map(|(prefix, radix)| Some((lower.strip_prefix(prefix)?, radix)));
    matches!(lower.as_str(), ".inf" | ".nan")
        || prefixed.any(|(rest, radix)| digits(rest, radix))
        || is_decimal(&lower)
        || is_sexagesimal(&lower)
}

/// `1`, `1_000`, `1.5`, `.5`, `1.`, `1e3`; what begins with a letter is not one.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = text
        .split_once('e')
        .map_or((text, None), |(m, e)| (m, Some(e)));
    let mantissa_is = mantissa.bytes().any(|b| b.is_ascii_digit())
        && mantissa
            .bytes()
            .all(|b| b.is_ascii_digit() || b == b'_' || b == b'.')
        && mantissa.matches('.').count() <= 1
        && !mantissa.starts_with('_');
    let exponent_is = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    });
    mantissa_is && exponent_is
}

/// `22:30`, `1:30:45.5`: numbers to the base of 60 after the first.
fn is_sexagesimal(text: &str) -> bool {
    let mut parts = text.split(':');
    let first = parts.next().unwrap_or_default();
    let is_digits = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_digit() || b == b'_' || b == b'.')
    };
    let rest: Vec<&str> = parts.collect();
    is_digits(first) && !rest.is_empty() && rest.iter().all(|part| is_digits(part))
}

/// YAML 1.1 `timestamp`: a date, or a date and a time.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let digits = |part: Option<&str>, from: usize, to: usize| {
        part.is_some_and(|p| {
            (from..=to).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit())
        })
    };
    let (year, month, rest) = (parts.next(), parts.next(), parts.next().unwrap_or_default());
    let day_end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (day, time) = rest.split_at_checked(day_end).unwrap_or_default();
    digits(year, 4, 4)
        && digits(month, 1, 2)
        && digits(Some(day), 1, 2)
        && (time.is_empty() || (time.starts_with(['T', 't', ' ', '\t']) && time.contains(':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_readers_see_other_types() {
        let cases = [
            ("null", &["", "~", "null", "NULL"][..]),
            (
                "a boolean",
                &["yes", "No", "ON", "off", "y", "N", "true", "FALSE"],
            ),
            (
                "a number",
                &[
                    "0",
                    "-1",
                    "+7",
                    "0123",
                    "1_000",
                    "1.5",
                    ".5",
                    "1.",
                    "1e3",
                    "6.02E+23",
                    "0x1F",
                    "0o17",
                    "0b10",
                    "22:30",
                    "1:30:45.5",
                    ".inf",
                    "-.INF",
                    ".NaN",
                ],
            ),
            (
                "a date",
                &[
                    "2027-02-01",
                    "2027-2-1",
                    "2027-02-01T00:00:00Z",
                    "2027-02-01 00:00:00 +2",
                ],
            ),
        ];
        for (expected, texts) in cases {
            for text in texts {
                assert_eq!(read_as(text), Some(expected), "`{text}`");
            }
        }
    }

    #[test]
    fn texts_are_texts() {
        let texts = [
            "orders",
            "yEs",
            "nope",
            "e3",
            "1a",
            "v1",
            "1.2.3",
            "-",
            "_1",
            "10.0.0.1/8",
            "0xg",
            "1e",
            ":30",
            "12:",
            "2027-02",
            "2027-02-01x",
            "SEC-123",
            "/ns/a",
            "GET /1",
            "dana@example.org",
        ];
        for text in texts {
            assert_eq!(read_as(text), None, "`{text}`");
        }
    }
}
