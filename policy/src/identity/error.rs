//! What can be wrong with a SPIFFE ID, one variant a clause of the standard.

use std::fmt;

/// The clause of the SPIFFE-ID standard that a text breaks. `at` is the byte in
/// the text where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpiffeIdError {
    /// There is no text.
    Empty,
    /// More than 2,048 bytes (section 2.3).
    TooLong {
        /// The length in bytes.
        len: usize,
    },
    /// The text does not begin with `spiffe://`, in lower case (section 2).
    Scheme,
    /// The trust domain is empty (section 2.1).
    TrustDomainEmpty,
    /// The trust domain has more than 255 bytes (section 2.3).
    TrustDomainTooLong {
        /// The length in bytes.
        len: usize,
    },
    /// Upper case in the trust domain (section 2.1).
    TrustDomainUpperCase {
        /// The byte.
        at: usize,
    },
    /// The trust domain has a character other than lower-case letters, digits,
    /// `.`, `-` and `_` (section 2.1).
    TrustDomainCharacter {
        /// The byte.
        at: usize,
        /// The character.
        found: char,
    },
    /// User information before the trust domain (section 2.1).
    UserInfo {
        /// The byte of `@`.
        at: usize,
    },
    /// A port after the trust domain (section 2.1).
    Port {
        /// The byte of `:`.
        at: usize,
    },
    /// Percent-encoding, which neither part may use (sections 2.1 and 2.2).
    PercentEncoding {
        /// The byte of `%`.
        at: usize,
    },
    /// A query (section 2).
    Query {
        /// The byte of `?`.
        at: usize,
    },
    /// A fragment (section 2).
    Fragment {
        /// The byte of `#`.
        at: usize,
    },
    /// No path: that names a trust domain, not a workload (section 2.2).
    PathMissing,
    /// The path ends in `/` (section 2.2).
    TrailingSlash,
    /// The path has a segment without text (section 2.2).
    EmptySegment {
        /// The byte where the segment would begin.
        at: usize,
    },
    /// The path has a segment `.` or `..` (section 2.2).
    DotSegment {
        /// The byte where the segment begins.
        at: usize,
    },
    /// The path has a character other than letters, digits, `.`, `-`, `_` and
    /// `/` (section 2.2).
    PathCharacter {
        /// The byte.
        at: usize,
        /// The character.
        found: char,
    },
}

impl SpiffeIdError {
    /// The byte of the text that the error is about, if it is about one.
    #[must_use]
    pub const fn position(&self) -> Option<usize> {
        match *self {
            Self::TrustDomainUpperCase { at }
            | Self::TrustDomainCharacter { at, .. }
            | Self::UserInfo { at }
            | Self::Port { at }
            | Self::PercentEncoding { at }
            | Self::Query { at }
            | Self::Fragment { at }
            | Self::EmptySegment { at }
            | Self::DotSegment { at }
            | Self::PathCharacter { at, .. } => Some(at),
            Self::Empty
            | Self::TooLong { .. }
            | Self::Scheme
            | Self::TrustDomainEmpty
            | Self::TrustDomainTooLong { .. }
            | Self::PathMissing
            | Self::TrailingSlash => None,
        }
    }
}

/// Names the character of `domain` that is not allowed there.
pub(super) fn in_trust_domain(domain: &str, offset: usize, start: usize) -> SpiffeIdError {
    let at = start + offset;
    // User information may hold anything, so `@` is looked for first.
    if let Some(user) = domain.find('@') {
        return SpiffeIdError::UserInfo { at: start + user };
    }
    match char_at(domain, offset) {
        ':' => SpiffeIdError::Port { at },
        '%' => SpiffeIdError::PercentEncoding { at },
        '?' => SpiffeIdError::Query { at },
        '#' => SpiffeIdError::Fragment { at },
        'A'..='Z' => SpiffeIdError::TrustDomainUpperCase { at },
        found => SpiffeIdError::TrustDomainCharacter { at, found },
    }
}

/// Names the character of a path segment that is not allowed there.
pub(super) fn in_path(segment: &str, offset: usize, start: usize) -> SpiffeIdError {
    let at = start + offset;
    match char_at(segment, offset) {
        '%' => SpiffeIdError::PercentEncoding { at },
        '?' => SpiffeIdError::Query { at },
        '#' => SpiffeIdError::Fragment { at },
        found => SpiffeIdError::PathCharacter { at, found },
    }
}

fn char_at(text: &str, offset: usize) -> char {
    let rest = text.get(offset..).unwrap_or_default();
    rest.chars().next().unwrap_or(char::REPLACEMENT_CHARACTER)
}

impl fmt::Display for SpiffeIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the SPIFFE ID is empty"),
            Self::TooLong { len } => {
                write!(f, "a SPIFFE ID has at most 2048 bytes, this has {len}")
            }
            Self::Scheme => f.write_str("a SPIFFE ID begins with `spiffe://`"),
            Self::TrustDomainEmpty => f.write_str("the trust domain is empty"),
            Self::TrustDomainTooLong { len } => {
                write!(f, "a trust domain has at most 255 bytes, this has {len}")
            }
            Self::TrustDomainUpperCase { .. } => f.write_str("a trust domain is in lower case"),
            Self::TrustDomainCharacter { found, .. } => write!(
                f,
                "`{}` cannot stand in a trust domain; lower-case letters, digits, `.`, `-` and `_` can",
                found.escape_debug()
            ),
            Self::UserInfo { .. } => f.write_str("a SPIFFE ID has no user information"),
            Self::Port { .. } => f.write_str("a SPIFFE ID has no port"),
            Self::PercentEncoding { .. } => f.write_str("a SPIFFE ID is not percent-encoded"),
            Self::Query { .. } => f.write_str("a SPIFFE ID has no query"),
            Self::Fragment { .. } => f.write_str("a SPIFFE ID has no fragment"),
            Self::PathMissing => {
                f.write_str("the SPIFFE ID has no path: it names a trust domain, not a workload")
            }
            Self::TrailingSlash => f.write_str("a SPIFFE ID does not end in `/`"),
            Self::EmptySegment { .. } => f.write_str("a SPIFFE ID has no empty path segments"),
            Self::DotSegment { .. } => f.write_str("a SPIFFE ID has no path segments `.` and `..`"),
            Self::PathCharacter { found, .. } => write!(
                f,
                "`{}` cannot stand in the path of a SPIFFE ID; letters, digits, `.`, `-` and `_` can",
                found.escape_debug()
            ),
        }
    }
}

impl std::error::Error for SpiffeIdError {}
