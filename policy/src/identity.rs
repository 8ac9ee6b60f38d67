//! SPIFFE IDs and trust domains, strict to the SPIFFE-ID standard.
//!
//! Where parsers differ in what they let through, this one refuses: an identity
//! that two readers could take for two workloads must not reach a rule.

mod error;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

pub use error::SpiffeIdError;
use smallvec::SmallVec;

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
        let (domain, path) = split_trust_domain(rest)?;
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

/// An ID as the key of a map. Most fit in, so that finding one does not mean another
/// look at memory far away.
pub(crate) type Key = SmallVec<[u8; 48]>;

impl SpiffeId {
    /// The ID with the same path in another trust domain. It may be longer than an ID
    /// may be, because nobody gets to see it, and a deny rule has to match it even so.
    pub(crate) fn in_domain(&self, domain: &TrustDomain) -> Self {
        let domain = domain.as_str();
        let start = SCHEME.len().saturating_add(domain.len());
        Self {
            uri: format!("{SCHEME}{domain}{}", self.path()).into(),
            // A domain has at most 255 bytes.
            path_start: u16::try_from(start).unwrap_or(u16::MAX),
        }
    }

    /// What maps hold for this ID; they are asked with its bytes.
    pub(crate) fn to_key(&self) -> Key {
        Key::from_slice(self.uri.as_bytes())
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

/// What a byte may be, as flags. A table, because every byte of every request's
/// identities is looked up.
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated when compiled, and bounded by the type"
)]
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte: u8 = 0;
    loop {
        let class = match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => IN_DOMAIN | IN_SEGMENT,
            b'.' => IN_DOMAIN | IN_SEGMENT | SUSPICIOUS,
            b'A'..=b'Z' => IN_SEGMENT,
            b'/' => SLASH | SUSPICIOUS,
            _ => FOREIGN,
        };
        classes[byte as usize] = class;
        if byte == u8::MAX {
            break classes;
        }
        byte += 1;
    }
};

const IN_DOMAIN: u8 = 1;
const IN_SEGMENT: u8 = 1 << 1;
const FOREIGN: u8 = 1 << 2;
const SLASH: u8 = 1 << 3;
/// After a `/`; the next bit, so that the two can be compared by shifting.
const SUSPICIOUS: u8 = SLASH << 1;

#[expect(
    clippy::indexing_slicing,
    reason = "there is an entry for each of the 256 bytes"
)]
fn class(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

fn in_trust_domain(byte: u8) -> bool {
    class(byte) & IN_DOMAIN != 0
}

fn in_segment(byte: u8) -> bool {
    class(byte) & IN_SEGMENT != 0
}

/// The trust domain and the path of what follows the scheme.
fn split_trust_domain(rest: &str) -> Result<(&str, &str), SpiffeIdError> {
    let end = rest.bytes().position(|byte| !in_trust_domain(byte));
    let (domain, path) = rest.split_at(end.unwrap_or(rest.len()));
    let ends_well = path.is_empty() || path.starts_with('/');
    if !ends_well || domain.is_empty() || domain.len() > MAX_TRUST_DOMAIN_BYTES {
        let domain = rest.split('/').next().unwrap_or_default();
        check_trust_domain(domain, SCHEME.len())?;
    }
    Ok((domain, path))
}

/// `start` is where `domain` stands in the user's text, for the error.
pub(crate) fn check_trust_domain(domain: &str, start: usize) -> Result<(), SpiffeIdError> {
    if domain.is_empty() {
        return Err(SpiffeIdError::TrustDomainEmpty);
    }
    let allowed = domain
        .bytes()
        .fold(true, |all, byte| all & in_trust_domain(byte));
    if !allowed {
        let offset = domain.bytes().position(|byte| !in_trust_domain(byte));
        return Err(error::in_trust_domain(domain, offset.unwrap_or(0), start));
    }
    if domain.len() > MAX_TRUST_DOMAIN_BYTES {
        return Err(SpiffeIdError::TrustDomainTooLong { len: domain.len() });
    }
    Ok(())
}

/// `path` begins with `/`; `start` is where it stands in the user's text.
fn check_path(path: &str, start: usize) -> Result<(), SpiffeIdError> {
    if is_plain(path.as_bytes()) {
        return Ok(());
    }
    let mut segment = 1;
    loop {
        let rest = path.as_bytes().get(segment..).unwrap_or_default();
        let end = rest.iter().position(|byte| !in_segment(*byte));
        let name = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let end = segment + name.len();
        match path.as_bytes().get(end) {
            None => return check_name(name, start + segment, true),
            Some(b'/') => check_name(name, start + segment, false)?,
            Some(_) => return Err(error::in_path(path, end, start)),
        }
        segment = end + 1;
    }
}

/// Whether a path is certainly valid: allowed bytes only, and no segment that is empty
/// or begins with a dot. Without a branch for each segment, which a processor cannot
/// foresee: every request pays for it, and the exact check is slower.
fn is_plain(path: &[u8]) -> bool {
    let (faults, last) = path.iter().fold((0, 0), |(faults, before), byte| {
        let class = class(*byte);
        (
            faults | (class & FOREIGN) | (before << 1 & class & SUSPICIOUS),
            class,
        )
    });
    faults == 0 && last & SLASH == 0
}

const fn check_name(segment: &[u8], at: usize, last: bool) -> Result<(), SpiffeIdError> {
    match segment {
        [] if last => Err(SpiffeIdError::TrailingSlash),
        [] => Err(SpiffeIdError::EmptySegment { at }),
        [b'.'] | [b'.', b'.'] => Err(SpiffeIdError::DotSegment { at }),
        _ => Ok(()),
    }
}

/// The rules for one path segment (SPIFFE-ID standard, section 2.2), which
/// identity patterns share.
pub(crate) fn check_segment(segment: &str, at: usize, last: bool) -> Result<(), SpiffeIdError> {
    match segment.bytes().position(|byte| !in_segment(byte)) {
        Some(offset) => Err(error::in_path(segment, offset, at)),
        None => check_name(segment.as_bytes(), at, last),
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
