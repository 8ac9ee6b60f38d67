//! Request paths: one canonical reading, or none.
//!
//! The proxy, the service and every library between them have their own idea of
//! what `/a%2Fb`, `/a/./b` or `/a;x` is. A rule holds only if all of them agree, so
//! a path with two readings is refused before any rule is looked at, not repaired.
//!
//! ```text
//!  "/orders/caf%C3%A9?x=1" ──parse──► [orders, café]       rules see segments, decoded
//!  "/orders/%37"           ──parse──► NeedlessEncoding     never reaches a rule
//! ```

mod error;
mod readings;
mod segment;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt, ops::Range};

use smallvec::SmallVec;

pub use error::PathError;
pub(crate) use segment::{check, decode};

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

/// A path that every reader reads alike.
///
/// Its length is bounded by whoever read the request; the cost is linear in it.
#[derive(Clone, Debug)]
pub struct CanonicalPath<'a> {
    /// Percent-decoded. What is not in a segment is of no interest.
    text: Cow<'a, str>,
    /// Where the segments are in `text`; twelve without allocation, which few
    /// routes exceed.
    segments: SmallVec<[Range<usize>; 12]>,
    trailing_slash: bool,
    /// Some segment holds a kept `/` or `;`.
    several_readings: bool,
}

impl<'a> CanonicalPath<'a> {
    /// Reads a request target in origin form (RFC 9112 section 3.2.1); the query is
    /// left out. Allocates only where there is percent-encoding.
    ///
    /// # Errors
    /// The first thing in the path that could be read in more than one way.
    pub fn parse(target: &'a str, options: PathOptions) -> Result<Self, PathError> {
        let path = without_query(target)?;
        if !path.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        let mut parsed = Self {
            text: Cow::Borrowed(path),
            segments: SmallVec::new(),
            trailing_slash: false,
            several_readings: false,
        };
        if path.contains('%') {
            parsed.text = Cow::Owned(String::with_capacity(path.len()));
        }
        let mut at = 1;
        for segment in path.split('/').skip(1) {
            if segment.is_empty() && at == path.len() {
                parsed.trailing_slash = true;
            } else {
                parsed.push(segment, options, at)?;
            }
            at += segment.len() + 1;
        }
        Ok(parsed)
    }

    fn push(&mut self, raw: &str, options: PathOptions, at: usize) -> Result<(), PathError> {
        let decoded = decode(raw, options, at)?;
        segment::check(&decoded, options, at)?;
        if options.keep_encoded_slash || options.keep_parameters {
            self.several_readings |= decoded.contains(['/', ';']);
        }
        let start = match &mut self.text {
            Cow::Borrowed(_) => at,
            Cow::Owned(text) => {
                let start = text.len();
                text.push_str(&decoded);
                start
            }
        };
        self.segments.push(start..start + decoded.len());
        Ok(())
    }

    /// The segments, percent-decoded. None of them is empty, `.` or `..`; `/` has none.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = &str> {
        let texts = self.segments.iter();
        texts.map(|range| self.text.get(range.clone()).unwrap_or_default())
    }

    /// Whether the path ends in `/`.
    #[must_use]
    pub const fn has_trailing_slash(&self) -> bool {
        self.trailing_slash
    }
}

/// A fragment never belongs in a request (RFC 9112 section 3.2), and a server that
/// cuts it off earlier or later than the proxy sees another path.
fn without_query(target: &str) -> Result<&str, PathError> {
    if let Some(at) = target.find('#') {
        return Err(PathError::Fragment { at });
    }
    Ok(target.split_once('?').map_or(target, |(path, _)| path))
}

/// The path in its one spelling: what needs encoding is encoded, in upper case.
impl fmt::Display for CanonicalPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in self.segments() {
            f.write_str("/")?;
            segment::encode(segment, f)?;
        }
        if self.trailing_slash {
            f.write_str("/")?;
        }
        Ok(())
    }
}

/// Paths are equal if they have the same segments and end alike.
impl PartialEq for CanonicalPath<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.trailing_slash == other.trailing_slash && self.segments().eq(other.segments())
    }
}

impl Eq for CanonicalPath<'_> {}
