//! What makes a path ambiguous.

use std::fmt;

/// Why a path could be read in more than one way. `at` is the byte of the request
/// target where it could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathError {
    /// It does not begin with `/`: absolute-form, authority-form, `*` or nothing.
    NotAbsolute,
    /// More than 65,535 bytes.
    TooLong,
    /// `#`.
    Fragment {
        /// The byte.
        at: usize,
    },
    /// A segment without text that is not the last.
    EmptySegment {
        /// The byte where it would begin.
        at: usize,
    },
    /// A segment `.` or `..`.
    DotSegment {
        /// The byte where it begins.
        at: usize,
    },
    /// `\`, which some servers take for `/`, raw or encoded.
    Backslash {
        /// The byte.
        at: usize,
    },
    /// A control character, raw or encoded.
    Control {
        /// The byte; of an encoded one, where its segment begins if it is not ASCII.
        at: usize,
    },
    /// A space that is not encoded.
    Space {
        /// The byte.
        at: usize,
    },
    /// `;`, where the service does not keep parameters.
    Parameters {
        /// The byte.
        at: usize,
    },
    /// `%2F`, where the service does not keep it.
    EncodedSlash {
        /// The byte.
        at: usize,
    },
    /// An encoded character that RFC 3986 lets stand in a path as it is.
    NeedlessEncoding {
        /// The byte.
        at: usize,
        /// The character.
        found: char,
    },
    /// `%25` and two hex digits: decoded twice, it is something else.
    DoubleEncoding {
        /// The byte.
        at: usize,
    },
    /// `%` without two hex digits.
    BrokenEncoding {
        /// The byte.
        at: usize,
    },
    /// A segment that is not UTF-8 once decoded.
    NotUtf8 {
        /// The byte where the segment begins.
        at: usize,
    },
}

impl PathError {
    /// The byte of the request target that the error is about.
    #[must_use]
    pub const fn position(&self) -> usize {
        match *self {
            Self::NotAbsolute | Self::TooLong => 0,
            Self::Fragment { at }
            | Self::EmptySegment { at }
            | Self::DotSegment { at }
            | Self::Backslash { at }
            | Self::Control { at }
            | Self::Space { at }
            | Self::Parameters { at }
            | Self::EncodedSlash { at }
            | Self::NeedlessEncoding { at, .. }
            | Self::DoubleEncoding { at }
            | Self::BrokenEncoding { at }
            | Self::NotUtf8 { at } => at,
        }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::NeedlessEncoding { found, .. } => {
                return write!(f, "`{found}` is percent-encoded without need");
            }
            Self::NotAbsolute => "it does not begin with `/`",
            Self::TooLong => "it has more than 65535 bytes",
            Self::Fragment { .. } => "it has a `#`",
            Self::EmptySegment { .. } => "it has an empty segment",
            Self::DotSegment { .. } => "it has a segment `.` or `..`",
            Self::Backslash { .. } => "it has a backslash",
            Self::Control { .. } => "it has a control character",
            Self::Space { .. } => "it has a space",
            Self::Parameters { .. } => "it has a `;`",
            Self::EncodedSlash { .. } => "it has an encoded `/`",
            Self::DoubleEncoding { .. } => "it is percent-encoded twice",
            Self::BrokenEncoding { .. } => "it has a `%` without two hex digits",
            Self::NotUtf8 { .. } => "it is not UTF-8",
        };
        f.write_str(text)
    }
}

impl std::error::Error for PathError {}
