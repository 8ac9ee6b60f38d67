//! SPIFFE IDs and trust domains, strict to the SPIFFE-ID standard.

use std::{fmt, str::FromStr};

/// A trust domain name (SPIFFE-ID standard, section 2.1): lower-case letters,
/// digits, `.`, `-` and `_`; 1 to 255 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Box<str>);

/// A workload's SPIFFE ID with a path (SPIFFE-ID standard, section 2), at most 2,048 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    uri: Box<str>,
    /// Where the path begins in `uri`.
    path_start: u16,
}

/// The clause of the SPIFFE-ID standard that a text breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpiffeIdError {
    /// Placeholder until the parser is written: one variant a rule.
    Empty,
}

impl SpiffeId {
    /// Parses `spiffe://trust-domain/path`.
    ///
    /// # Errors
    /// The first clause of the standard that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, SpiffeIdError> {
        let _ = text;
        Err(SpiffeIdError::Empty)
    }

    /// The whole ID, `spiffe://…`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.uri
    }

    /// The path, beginning with `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.uri
            .get(usize::from(self.path_start)..)
            .unwrap_or_default()
    }

    /// The trust domain's name.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        self.uri
            .get("spiffe://".len()..usize::from(self.path_start))
            .unwrap_or_default()
    }
}

impl TrustDomain {
    /// Parses a bare name, such as `example.org`.
    ///
    /// # Errors
    /// The first clause of the standard that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, SpiffeIdError> {
        let _ = text;
        Err(SpiffeIdError::Empty)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SpiffeId {
    type Err = SpiffeIdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl FromStr for TrustDomain {
    type Err = SpiffeIdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri)
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SpiffeIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("empty")
    }
}

impl std::error::Error for SpiffeIdError {}
