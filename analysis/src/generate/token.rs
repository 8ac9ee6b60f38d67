//! One segment of a path, by what it looks like.

use std::fmt;

use callgate_policy::{Operation, PathOptions};

/// What a segment looks like.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Token {
    /// A word: it stands for itself, until there are too many of them in one place.
    Word,
    /// Something that names one thing among many, with the text around it.
    Id {
        /// `order-` of `order-17`; empty or ends in `-`, `_` or `.`.
        prefix: Box<str>,
        kind: Kind,
        /// `:cancel` of `17:cancel`, `.json` of `17.json`; may be empty.
        suffix: Box<str>,
    },
}

/// What names one thing among many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// RFC 9562: 8-4-4-4-12 hexadecimal digits.
    Uuid,
    /// 26 digits and upper-case letters of Crockford's base 32, beginning with 0 to 7.
    Ulid,
    /// `2027-01-01`.
    Date,
    /// Decimal digits.
    Digits,
    /// At least eight hexadecimal digits, with a decimal one among them.
    Hex,
    /// What cannot be a rule's text, such as `*`.
    Unwritable,
    /// Words, in a place that has too many.
    Words,
}

impl Token {
    /// What `segment` looks like; its text is as a rule has it, percent-encoded.
    pub(super) fn of(segment: &str) -> Self {
        if let Some(kind) = Kind::of(segment) {
            return Self::plain(kind);
        }
        let (rest, suffix) = split_suffix(segment);
        let (prefix, id) = split_prefix(rest);
        match Kind::of(id) {
            Some(kind) => Self::Id {
                prefix: prefix.into(),
                kind,
                suffix: suffix.into(),
            },
            None => Self::Word,
        }
    }

    /// The same, unless a pattern with `segment`, or with a capture in its place, would be
    /// refused or mean something else: `*`, `a.+`, `:id`.
    pub(super) fn writable(self, segment: &str) -> Self {
        let options = PathOptions {
            keep_encoded_slash: true,
            keep_parameters: true,
            ..PathOptions::default()
        };
        let means = |text: &str| Operation::parse(&format!("GET /{text}"), options).is_ok();
        let capture = match &self {
            Self::Word => true,
            Self::Id { prefix, suffix, .. } => means(&format!("{prefix}{{x}}{suffix}")),
        };
        if capture && segment != "*" && segment != "**" && means(segment) {
            self
        } else {
            Self::plain(Kind::Unwritable)
        }
    }

    pub(super) fn plain(kind: Kind) -> Self {
        Self::Id {
            prefix: "".into(),
            kind,
            suffix: "".into(),
        }
    }

    /// Whether nothing stands around it: all of these are one capture.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Self::Id { prefix, suffix, .. } if prefix.is_empty() && suffix.is_empty())
    }

    /// How many different texts in one place make it a capture. Few digits may be
    /// versions or years, and text with a number behind it may be a name.
    pub(super) fn enough(&self) -> usize {
        match self {
            Self::Word => usize::MAX,
            Self::Id { prefix, .. } if !prefix.is_empty() => 5,
            Self::Id { kind, .. } => match kind {
                Kind::Uuid | Kind::Ulid | Kind::Unwritable | Kind::Words => 1,
                Kind::Date | Kind::Digits | Kind::Hex => 2,
            },
        }
    }
}

impl Kind {
    fn of(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let digits = |bytes: &[u8]| !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
        if digits(bytes) {
            Some(Self::Digits)
        } else if has_form(bytes, "8-4-4-4-12", u8::is_ascii_hexdigit) {
            Some(Self::Uuid)
        } else if has_form(bytes, "4-2-2", u8::is_ascii_digit) {
            Some(Self::Date)
        } else if is_ulid(bytes) {
            Some(Self::Ulid)
        } else if bytes.len() >= 8
            && bytes.iter().all(u8::is_ascii_hexdigit)
            && bytes.iter().any(u8::is_ascii_digit)
        {
            Some(Self::Hex)
        } else {
            None
        }
    }
}

/// Whether `bytes` is groups of as many of `class` as `form` says.
fn has_form(bytes: &[u8], form: &str, class: fn(&u8) -> bool) -> bool {
    let mut groups = bytes.split(|byte| *byte == b'-');
    let fits = form.split('-').all(|len| {
        let len: usize = len.parse().unwrap_or(0);
        groups
            .next()
            .is_some_and(|group| group.len() == len && group.iter().all(class))
    });
    fits && groups.next().is_none()
}

fn is_ulid(bytes: &[u8]) -> bool {
    let digit = |b: &u8| b.is_ascii_digit() || b.is_ascii_uppercase() && !b"ILOU".contains(b);
    bytes.len() == 26
        && bytes.iter().all(digit)
        && bytes
            .first()
            .is_some_and(|first| (b'0'..=b'7').contains(first))
}

/// What stands behind an id: an action (`:cancel`), or what a file is (`.json`).
fn split_suffix(segment: &str) -> (&str, &str) {
    if let Some(at) = segment.find(':') {
        return segment.split_at(at);
    }
    match segment.rfind('.') {
        Some(at) if (2..=6).contains(&(segment.len() - at)) => segment.split_at(at),
        _ => (segment, ""),
    }
}

/// What stands before an id, up to the last `-`, `_` or `.`; for a UUID or a date, which
/// have some of their own, before all of it.
fn split_prefix(text: &str) -> (&str, &str) {
    if Kind::of(text).is_some() {
        return ("", text);
    }
    for len in [
        "00000000-0000-0000-0000-000000000000".len(),
        "2027-01-01".len(),
    ] {
        let at = text
            .len()
            .checked_sub(len)
            .filter(|at| text.is_char_boundary(*at));
        if let Some((prefix, id)) = at.map(|at| text.split_at(at))
            && prefix.ends_with(['-', '_', '.'])
            && matches!(Kind::of(id), Some(Kind::Uuid | Kind::Date))
        {
            return (prefix, id);
        }
    }
    match text.rfind(['-', '_', '.']) {
        Some(at) => text.split_at(at + 1),
        None => ("", text),
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uuid => "UUIDs",
            Self::Ulid => "ULIDs",
            Self::Date => "dates",
            Self::Digits => "digits",
            Self::Hex => "hexadecimal",
            Self::Unwritable => "with characters that patterns use",
            Self::Words => "words",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Token};

    #[test]
    fn segments_are_words_or_ids() {
        let id = |prefix: &str, kind, suffix: &str| Token::Id {
            prefix: prefix.into(),
            kind,
            suffix: suffix.into(),
        };
        let uuid = "0190a1f2-7c3d-7e4f-8a5b-6c7d8e9f0a1b";
        let cases = [
            ("orders", Token::Word),
            ("v1", Token::Word),
            ("checkout-v2", Token::Word),
            ("index.html", Token::Word),
            ("deadbeef", Token::Word),
            ("caf%C3%A9", Token::Word),
            ("7", id("", Kind::Digits, "")),
            ("7:cancel", id("", Kind::Digits, ":cancel")),
            ("17.json", id("", Kind::Digits, ".json")),
            ("order-17", id("order-", Kind::Digits, "")),
            ("order-17.json", id("order-", Kind::Digits, ".json")),
            (uuid, id("", Kind::Uuid, "")),
            (&format!("{uuid}:refund"), id("", Kind::Uuid, ":refund")),
            (&format!("tenant-{uuid}"), id("tenant-", Kind::Uuid, "")),
            ("2027-01-01", id("", Kind::Date, "")),
            ("report-2027-01-01", id("report-", Kind::Date, "")),
            ("01MB78QN0034HNN2TFXAVGGFD1", id("", Kind::Ulid, "")),
            ("91MB78QN0034HNN2TFXAVGGFD1", Token::Word),
            ("0a1b2c3d", id("", Kind::Hex, "")),
            ("app.0a1b2c3d.js", id("app.", Kind::Hex, ".js")),
            ("7.5", id("", Kind::Digits, ".5")),
        ];
        for (segment, token) in cases {
            assert_eq!(Token::of(segment), token, "{segment}");
            assert_eq!(token.clone().writable(segment), token, "{segment}");
        }
        for segment in ["*", "**", "a*b", ".+", "7.+", ":id", "cost$", "x-.*-7"] {
            let token = Token::of(segment).writable(segment);
            assert_eq!(token, Token::plain(Kind::Unwritable), "{segment}");
        }
    }
}
