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

use self::segment::Class;
use crate::pattern::TrailingSlash;

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

/// A path that every reader reads alike; up to 65,535 bytes, because servers differ
/// in what they do with longer ones.
#[derive(Clone, Debug)]
pub struct CanonicalPath<'a> {
    /// Percent-decoded. What is not in a segment is of no interest.
    text: Cow<'a, str>,
    /// Where the segments are in `text`; twelve without allocation, which few
    /// routes exceed.
    segments: SmallVec<[Span; 12]>,
    trailing_slash: bool,
    /// Some segment holds a kept `/` or `;`.
    several_readings: bool,
}

/// A range of bytes; small, because paths are moved on every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: u16,
    end: u16,
}

impl Span {
    fn new(range: &Range<usize>) -> Result<Self, PathError> {
        let position = |at: usize| u16::try_from(at).map_err(|_| PathError::TooLong);
        Ok(Self {
            start: position(range.start)?,
            end: position(range.end)?,
        })
    }

    const fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl PathOptions {
    /// Whether something is kept that can be read in several ways.
    const fn keeps_any(self) -> bool {
        self.keep_encoded_slash || self.keep_parameters
    }

    /// What a trailing slash means to allow rules.
    pub(crate) const fn trailing_slash(self) -> TrailingSlash {
        if self.ignore_trailing_slash {
            TrailingSlash::Ignore
        } else {
            TrailingSlash::Keep
        }
    }
}

/// A request target without its query: as much as records keep, since a query may hold what
/// nobody should read.
#[must_use]
pub fn without_query(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

impl<'a> CanonicalPath<'a> {
    /// Reads a request target in origin form (RFC 9112 section 3.2.1); the query is
    /// left out. Allocates only where there is percent-encoding.
    ///
    /// # Errors
    /// The first thing in the path that could be read in more than one way.
    pub fn parse(target: &'a str, options: PathOptions) -> Result<Self, PathError> {
        if !target.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        let mut parsed = Self {
            text: Cow::Borrowed(target),
            segments: SmallVec::new(),
            trailing_slash: false,
            several_readings: false,
        };
        // One pass over the bytes, because every request pays for it.
        let bytes = target.as_bytes();
        let (mut start, mut at, mut plain) = (1, 1, true);
        let end = loop {
            let rest = bytes.get(at..).unwrap_or_default();
            at += segment::plain_bytes(rest);
            let Some(byte) = bytes.get(at) else {
                break at;
            };
            match segment::class(*byte) {
                Class::Plain => {}
                Class::Percent | Class::Wide => plain = false,
                Class::Slash => {
                    parsed.push(target, start..at, plain, options)?;
                    (start, plain) = (at + 1, true);
                }
                Class::Query => break at,
                Class::Refused => segment::check_byte(*byte, options, at)?,
            }
            at += 1;
        };
        if start == end {
            parsed.trailing_slash = true;
        } else {
            parsed.push(target, start..end, plain, options)?;
        }
        no_fragment(target, end)?;
        Ok(parsed)
    }

    /// Adds the segment at `raw` of `target`; it is `plain` if its text is its meaning.
    #[inline]
    fn push(
        &mut self,
        target: &'a str,
        raw: Range<usize>,
        plain: bool,
        options: PathOptions,
    ) -> Result<(), PathError> {
        if !plain || options.keeps_any() || matches!(self.text, Cow::Owned(_)) {
            return self.push_decoded(target, raw, options);
        }
        segment::check_name(target.get(raw.clone()).unwrap_or_default(), raw.start)?;
        self.segments.push(Span::new(&raw)?);
        Ok(())
    }

    fn push_decoded(
        &mut self,
        target: &'a str,
        raw: Range<usize>,
        options: PathOptions,
    ) -> Result<(), PathError> {
        let at = raw.start;
        let decoded = decode(target.get(raw.clone()).unwrap_or_default(), options, at)?;
        segment::check(&decoded, options, at)?;
        self.several_readings |= options.keeps_any() && decoded.contains(['/', ';']);
        let segment = match (&mut self.text, decoded) {
            (Cow::Borrowed(_), Cow::Borrowed(_)) => raw,
            (Cow::Owned(text), decoded) => append(text, &decoded),
            (Cow::Borrowed(_), Cow::Owned(decoded)) => {
                let mut text = String::with_capacity(target.len());
                text.push_str(target.get(..at).unwrap_or_default());
                let segment = append(&mut text, &decoded);
                self.text = Cow::Owned(text);
                segment
            }
        };
        self.segments.push(Span::new(&segment)?);
        Ok(())
    }

    /// The segments, percent-decoded. None of them is empty, `.` or `..`; `/` has none.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = &str> {
        let text = &*self.text;
        let texts = self.segments.iter();
        texts.map(move |span| text.get(span.range()).unwrap_or_default())
    }

    /// The same, where it does not matter that they are text: no text is looked through
    /// for where its characters begin.
    pub(crate) fn segments_as_bytes(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let text = self.text.as_bytes();
        let texts = self.segments.iter();
        texts.map(move |span| text.get(span.range()).unwrap_or_default())
    }

    /// The request target of the path with these segments, each percent-decoded, in its
    /// one spelling. `/` has no segments. Whether it can be read in one way only is for
    /// [`CanonicalPath::parse`] to say.
    #[must_use]
    pub fn spell<'s>(segments: impl IntoIterator<Item = &'s str>, trailing_slash: bool) -> String {
        struct Spelled<'s>(&'s str);
        impl fmt::Display for Spelled<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                segment::encode(self.0, f)
            }
        }
        let segments = segments.into_iter();
        let mut target: String = segments.map(|text| format!("/{}", Spelled(text))).collect();
        if trailing_slash || target.is_empty() {
            target.push('/');
        }
        target
    }

    /// Whether the path ends in `/`.
    #[must_use]
    pub const fn has_trailing_slash(&self) -> bool {
        self.trailing_slash
    }
}

fn append(text: &mut String, segment: &str) -> Range<usize> {
    let start = text.len();
    text.push_str(segment);
    start..text.len()
}

/// A fragment never belongs in a request (RFC 9112 section 3.2), and a server that
/// cuts it off before it looks for a query sees another path than the proxy.
fn no_fragment(target: &str, query: usize) -> Result<(), PathError> {
    let mut rest = target.bytes().enumerate().skip(query);
    match rest.find(|(_, byte)| *byte == b'#') {
        Some((at, _)) => Err(PathError::Fragment { at }),
        None => Ok(()),
    }
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
