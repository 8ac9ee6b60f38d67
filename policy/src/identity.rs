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
        let len = text.len();
        if len > MAX_ID_BYTES {
            return Err(SpiffeIdError::TooLong { len });
        }
        let rest = text.strip_prefix(SCHEME).ok_or(SpiffeIdError::Scheme)?;
        let slash = rest.bytes().position(|byte| byte == b'/');
        let (domain, path) = rest.split_at(slash.unwrap_or(rest.len()));
        check_trust_domain(domain, SCHEME.len())?;
        if path.is_empty() {
            return Err(SpiffeIdError::PathMissing);
        }
        let path_start = SCHEME.len() + domain.len();
        check_path(path, path_start)?;
        Ok(Self {
            uri: text.into(),
            // The domain was just bounded by 255 bytes.
            path_start: u16::try_from(path_start).map_err(|_| SpiffeIdError::TooLong { len })?,
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
        let mut rest = self.path().get(1..);
        std::iter::from_fn(move || {
            let text = rest?;
            // By bytes: in pieces as short as these, searching by words costs more.
            let Some(slash) = text.bytes().position(|byte| byte == b'/') else {
                return rest.take();
            };
            rest = text.get(slash + 1..);
            text.get(..slash)
        })
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

/// Whether a byte may stand in a trust domain and in a path segment. A table,
/// because every byte of every request's identities is looked up.
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated when compiled, and bounded by the type"
)]
static ALLOWED: [(bool, bool); 256] = {
    let mut allowed = [(false, false); 256];
    let mut byte: u8 = 0;
    loop {
        let lower = matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
        allowed[byte as usize] = (lower, lower || byte.is_ascii_uppercase());
        if byte == u8::MAX {
            break allowed;
        }
        byte += 1;
    }
};

#[expect(
    clippy::indexing_slicing,
    reason = "there is an entry for each of the 256 bytes"
)]
fn in_trust_domain(byte: u8) -> bool {
    ALLOWED[usize::from(byte)].0
}

#[expect(
    clippy::indexing_slicing,
    reason = "there is an entry for each of the 256 bytes"
)]
fn in_segment(byte: u8) -> bool {
    ALLOWED[usize::from(byte)].1
}

/// `start` is where `domain` stands in the user's text, for the error.
pub(crate) fn check_trust_domain(domain: &str, start: usize) -> Result<(), SpiffeIdError> {
    if domain.is_empty() {
        return Err(SpiffeIdError::TrustDomainEmpty);
    }
    if let Some(offset) = domain.bytes().position(|byte| !in_trust_domain(byte)) {
        return Err(error::in_trust_domain(domain, offset, start));
    }
    if domain.len() > MAX_TRUST_DOMAIN_BYTES {
        return Err(SpiffeIdError::TrustDomainTooLong { len: domain.len() });
    }
    Ok(())
}

/// `path` begins with `/`; `start` is where it stands in the user's text. One pass
/// over the bytes, because every request pays for it.
fn check_path(path: &str, start: usize) -> Result<(), SpiffeIdError> {
    let mut segment = 1;
    for (at, byte) in path.bytes().enumerate().skip(1) {
        if byte == b'/' {
            check_name(path.get(segment..at), start + segment, false)?;
            segment = at + 1;
        } else if !in_segment(byte) {
            return Err(error::in_path(path, at, start));
        }
    }
    check_name(path.get(segment..), start + segment, true)
}

fn check_name(segment: Option<&str>, at: usize, last: bool) -> Result<(), SpiffeIdError> {
    match segment.map(str::as_bytes) {
        None | Some([]) if last => Err(SpiffeIdError::TrailingSlash),
        None | Some([]) => Err(SpiffeIdError::EmptySegment { at }),
        Some([b'.'] | [b'.', b'.']) => Err(SpiffeIdError::DotSegment { at }),
        Some(_) => Ok(()),
    }
}

/// The rules for one path segment (SPIFFE-ID standard, section 2.2), which
/// identity patterns share.
pub(crate) fn check_segment(segment: &str, at: usize, last: bool) -> Result<(), SpiffeIdError> {
    match segment.bytes().position(|byte| !in_segment(byte)) {
        Some(offset) => Err(error::in_path(segment, offset, at)),
        None => check_name(Some(segment), at, last),
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
