//! Request paths.

use std::fmt;

/// What a service wants kept in its paths; by default nothing that two parsers
/// could read in two ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PathOptions {
    /// `encodedSlash: Keep`: `%2F` is an ordinary byte of its segment.
    pub keep_encoded_slash: bool,
    /// `parameters: Keep`: `;` is an ordinary byte of its segment.
    pub keep_parameters: bool,
    /// `trailingSlash: Ignore`: allow rules ignore one trailing slash, as deny
    /// rules always do.
    pub ignore_trailing_slash: bool,
}

/// Why a path could be read in more than one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathError {
    /// It does not begin with `/`.
    NotAbsolute,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAbsolute => f.write_str("it does not begin with `/`"),
        }
    }
}

impl std::error::Error for PathError {}
