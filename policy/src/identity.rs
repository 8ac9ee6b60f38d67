//! SPIFFE IDs and trust domains, strict to the SPIFFE-ID standard.
//!
//! Where parsers differ in what they let through, this one refuses: an identity
//! that two readers could take for two workloads must not reach a rule.

mod error;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

pub use error::SpiffeIdError;

pub(crate) const SCHEME: &str = "spiffe://";

/// SPIFFE-ID standard, section 2.3: the longest ID that every implementation
/// must accept, and none may produce a longer one.
pub(crate) const MAX_ID_BYTES: usize = 2_048;

/// SPIFFE-ID standard, section 2.3, from the host limit of RFC 3986 section 3.2.2.
const MAX_TRUST_DOMAIN_BYTES: usize = 255;

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

impl SpiffeId {
    /// Parses `spiffe://trust-domain/path`.
    ///
    /// # Errors
    /// The first clause of the standard that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, SpiffeIdError> {
        if text.is_empty() {
            return Err(SpiffeIdError::Empty);
        }
        if text.len() > MAX_ID_BYTES {
            return Err(SpiffeIdError::TooLong { len: text.len() });
        }
        let rest = text.strip_prefix(SCHEME).ok_or(SpiffeIdError::Scheme)?;
        let (domain, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        check_trust_domain(domain, SCHEME.len())?;
        let path_start = SCHEME.len() + domain.len();
        if path.is_empty() {
            return Err(SpiffeIdError::PathMissing);
        }
        check_path(path, path_start)?;
        Ok(Self {
            uri: text.into(),
            // The domain was just bounded by 255 bytes.
            path_start: u16::try_from(path_start)
                .map_err(|_| SpiffeIdError::TooLong { len: text.len() })?,
        })
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

    /// The segments of the path, in order: `ns`, `shop`, `sa`, `checkout`.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path().split('/').skip(1)
    }

    /// The trust domain's name.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        self.uri
            .get(SCHEME.len()..usize::from(self.path_start))
            .unwrap_or_default()
    }
}

impl TrustDomain {
    /// Parses a bare name, such as `example.org`.
    ///
    /// # Errors
    /// The first clause of the standard that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, SpiffeIdError> {
        check_trust_domain(text, 0)?;
        Ok(Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `start` is where `domain` stands in the user's text, for the error.
pub(crate) fn check_trust_domain(domain: &str, start: usize) -> Result<(), SpiffeIdError> {
    let allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    if domain.is_empty() {
        return Err(SpiffeIdError::TrustDomainEmpty);
    }
    if let Some(offset) = domain.bytes().position(|b| !allowed(b)) {
        return Err(error::in_trust_domain(domain, offset, start));
    }
    if domain.len() > MAX_TRUST_DOMAIN_BYTES {
        return Err(SpiffeIdError::TrustDomainTooLong { len: domain.len() });
    }
    Ok(())
}

/// `path` begins with `/`; `start` is where it stands in the user's text.
fn check_path(path: &str, start: usize) -> Result<(), SpiffeIdError> {
    let mut at = start;
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        at += 1;
        check_segment(segment, at, segments.peek().is_none())?;
        at += segment.len();
    }
    Ok(())
}

/// The rules for one path segment (SPIFFE-ID standard, section 2.2), which
/// identity patterns share.
pub(crate) fn check_segment(segment: &str, at: usize, last: bool) -> Result<(), SpiffeIdError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if let Some(offset) = segment.bytes().position(|b| !allowed(b)) {
        return Err(error::in_path(segment, offset, at));
    }
    match segment {
        "" if last => Err(SpiffeIdError::TrailingSlash),
        "" => Err(SpiffeIdError::EmptySegment { at }),
        "." | ".." => Err(SpiffeIdError::DotSegment { at }),
        _ => Ok(()),
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

impl AsRef<str> for SpiffeId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for TrustDomain {
    fn as_ref(&self) -> &str {
        self.as_str()
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
