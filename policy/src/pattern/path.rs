//! Patterns over request paths.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::{
    Bindings, PatternError, PatternErrorKind as Error,
    capture::{self, Braces},
    hints,
    source::Part,
};
use crate::{
    path::{CanonicalPath, PathError, PathOptions, check, decode},
    table::allocated,
};

/// RFC 9110 section 4.1 asks of servers to take 8,000 octets; routes are shorter.
pub(super) const MAX_BYTES: usize = 8_000;

/// A set of paths. Most take no allocation, because patterns are what a decision
/// looks at, and with many rules each look at memory elsewhere costs more than the
/// comparison.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PathPattern {
    /// The texts of all segments, one after the other, in UTF-8. Literal text is
    /// decoded, as requests are.
    text: SmallVec<[u8; 32]>,
    segments: SmallVec<[Shape; 4]>,
    /// Ends in `/**`.
    tail: bool,
    /// Ends in `/`.
    trailing_slash: bool,
    /// Captures a name twice.
    repeats: bool,
}

/// A segment: the lengths of its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Shape {
    kind: Kind,
    prefix: u16,
    name: u16,
    suffix: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Literal,
    Any,
    Capture,
}

/// One segment of a pattern over paths. All text is percent-decoded, as that of requests
/// is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathSegment<'p> {
    /// This text.
    Literal(&'p str),
    /// Any text: a method of `GRPC package.Service/*`.
    Any,
    /// A capture, with literal text around it that may be empty.
    Capture {
        /// What stands before the value.
        prefix: &'p str,
        /// The name, without braces.
        name: &'p str,
        /// What stands behind the value.
        suffix: &'p str,
    },
}

/// How far a path agrees with a pattern that it may not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leading {
    /// The leading segments that agree; those that are literally equal count twice.
    pub(crate) weight: usize,
    /// At least one agrees, and at most the last one of the path does not.
    pub(crate) all_but_one: bool,
    /// The whole path has the pattern's shape.
    pub(crate) fits: bool,
}

/// Whether one trailing slash makes a path another path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrailingSlash {
    Keep,
    Ignore,
}

impl PathPattern {
    pub(super) fn parse(part: Part<'_>, options: PathOptions) -> Result<Self, PatternError> {
        if part.text.len() > MAX_BYTES {
            return Err(part.error(Error::TooLong));
        }
        hints::check_path(part)?;
        let mut pattern = Growing::default();
        for segment in part.split('/').skip(1) {
            let last = segment.span().end == part.span().end;
            match segment.text {
                "**" if last => pattern.tail = true,
                "" if last => pattern.trailing_slash = true,
                _ => parse_segment(segment, options, &mut pattern)?,
            }
        }
        Ok(pattern.finish())
    }

    /// `/service/method`, or any method.
    pub(super) fn grpc(service: &str, method: Option<&str>) -> Self {
        let mut pattern = Growing::default();
        pattern.push(Kind::Literal, service, "", "");
        match method {
            Some(method) => pattern.push(Kind::Literal, method, "", ""),
            None => pattern.push(Kind::Any, "", "", ""),
        }
        pattern.finish()
    }

    pub(super) fn captures(&self) -> impl Iterator<Item = &str> {
        let names = || self.segments().filter_map(|segment| segment.name());
        let first =
            move |(at, name): &(usize, &str)| !names().take(*at).any(|other| other == *name);
        names().enumerate().filter(first).map(|(_, name)| name)
    }

    /// The segments, in order.
    pub(crate) fn segments(&self) -> impl Iterator<Item = PathSegment<'_>> {
        let mut rest = str::from_utf8(&self.text).unwrap_or_default();
        let mut next = move |len: u16| {
            let (text, after) = rest.split_at_checked(usize::from(len)).unwrap_or_default();
            rest = after;
            text
        };
        self.segments.iter().map(move |shape| match shape.kind {
            Kind::Literal => PathSegment::Literal(next(shape.prefix)),
            Kind::Any => PathSegment::Any,
            Kind::Capture => PathSegment::Capture {
                prefix: next(shape.prefix),
                name: next(shape.name),
                suffix: next(shape.suffix),
            },
        })
    }

    /// Whether `path` has the pattern's shape: all but what captures stand for.
    pub(crate) fn fits(&self, path: &CanonicalPath<'_>, slash: TrailingSlash) -> bool {
        if !self.fits_end(path, slash) {
            return false;
        }
        // By bytes: of all that a decision does, this is done most often.
        let mut rest = &*self.text;
        let mut next = |len: u16| {
            let (text, after) = rest.split_at_checked(usize::from(len)).unwrap_or_default();
            rest = after;
            text
        };
        let mut pairs = self.segments.iter().zip(path.segments_as_bytes());
        pairs.all(|(shape, text)| match shape.kind {
            Kind::Literal => next(shape.prefix) == text,
            Kind::Any => true,
            Kind::Capture => {
                let (prefix, _, suffix) =
                    (next(shape.prefix), next(shape.name), next(shape.suffix));
                let value = text.strip_prefix(prefix);
                let value = value.and_then(|text| text.strip_suffix(suffix));
                value.is_some_and(|value| !value.is_empty())
            }
        })
    }

    /// Whether `path` is as long as the pattern wants, and ends as it wants.
    fn fits_end(&self, path: &CanonicalPath<'_>, slash: TrailingSlash) -> bool {
        if self.tail {
            return self.segments.len() <= path.segments().len();
        }
        let ends =
            slash == TrailingSlash::Ignore || self.trailing_slash == path.has_trailing_slash();
        ends && self.segments.len() == path.segments().len()
    }

    /// Binds what the captures of a path that fits stand for: false if a name would
    /// stand for two texts.
    pub(crate) fn bind<'v>(
        &'v self,
        path: &'v CanonicalPath<'v>,
        bindings: &mut Bindings<'v>,
    ) -> bool {
        let mut values = self.values(path);
        values.all(|(name, value)| bindings.bind(name, value))
    }

    /// The captures of a path that fits, with repetitions.
    pub(crate) fn values<'v>(
        &'v self,
        path: &'v CanonicalPath<'v>,
    ) -> impl Iterator<Item = (&'v str, &'v str)> {
        let pairs = self.segments().zip(path.segments());
        pairs.filter_map(|(segment, text)| Some((segment.name()?, segment.value(text)?)))
    }

    /// How far `path` agrees with the pattern.
    pub(crate) fn leading(&self, path: &CanonicalPath<'_>, slash: TrailingSlash) -> Leading {
        let pairs = self.segments().zip(path.segments());
        let weights = pairs.map_while(|(segment, text)| {
            segment.value(text).map(|_| match segment {
                PathSegment::Literal(_) => 2,
                _ => 1,
            })
        });
        let (count, weight) =
            weights.fold((0, 0), |(count, sum), weight| (count + 1, sum + weight));
        Leading {
            weight,
            all_but_one: count > 0 && count + 1 >= path.segments().len(),
            fits: count == self.segments.len() && self.fits_end(path, slash),
        }
    }

    /// Whether some text of the path is literal, or the path is just `/`.
    pub(crate) fn is_specific(&self) -> bool {
        let mut literals = self
            .segments
            .iter()
            .map(|shape| shape.prefix + shape.suffix);
        literals.any(|len| len > 0) || (self.segments.is_empty() && !self.tail)
    }

    /// About how many bytes it takes beyond its own size.
    pub(super) fn footprint(&self) -> usize {
        let text = self.text.spilled().then(|| self.text.capacity());
        let segments = self.segments.capacity() * size_of::<Shape>();
        let segments = self.segments.spilled().then_some(segments);
        text.into_iter().chain(segments).map(allocated).sum()
    }

    /// Whether a name stands in it twice.
    pub(crate) const fn repeats(&self) -> bool {
        self.repeats
    }

    pub(crate) const fn has_tail(&self) -> bool {
        self.tail
    }

    pub(crate) const fn has_trailing_slash(&self) -> bool {
        self.trailing_slash
    }
}

/// A pattern while it grows.
#[derive(Default)]
struct Growing {
    text: String,
    segments: SmallVec<[Shape; 4]>,
    tail: bool,
    trailing_slash: bool,
}

impl Growing {
    fn push(&mut self, kind: Kind, prefix: &str, name: &str, suffix: &str) {
        // A pattern is shorter than 64 KiB, and decoding makes no text longer.
        let len = |text: &str| u16::try_from(text.len()).unwrap_or(u16::MAX);
        self.segments.push(Shape {
            kind,
            prefix: len(prefix),
            name: len(name),
            suffix: len(suffix),
        });
        for text in [prefix, name, suffix] {
            self.text.push_str(text);
        }
    }

    fn finish(self) -> PathPattern {
        let mut pattern = PathPattern {
            text: SmallVec::from_slice(self.text.as_bytes()),
            segments: self.segments,
            tail: self.tail,
            trailing_slash: self.trailing_slash,
            repeats: false,
        };
        let names = pattern.segments().filter_map(|segment| segment.name());
        pattern.repeats = names.count() > pattern.captures().count();
        pattern
    }
}

impl<'p> PathSegment<'p> {
    /// What the segment captures of `text`; `None` if it does not fit.
    pub(crate) fn value<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Literal(literal) => (*literal == text).then_some(text),
            Self::Any => Some(text),
            Self::Capture { prefix, suffix, .. } => {
                let value = text.strip_prefix(prefix)?.strip_suffix(suffix)?;
                (!value.is_empty()).then_some(value)
            }
        }
    }

    fn name(&self) -> Option<&'p str> {
        match self {
            Self::Literal(_) | Self::Any => None,
            Self::Capture { name, .. } => Some(name),
        }
    }
}

fn parse_segment(
    part: Part<'_>,
    options: PathOptions,
    pattern: &mut Growing,
) -> Result<(), PatternError> {
    let (prefix, name, suffix) = match capture::find(part)? {
        Braces::Capture {
            prefix,
            name,
            suffix,
        } => (prefix, Some(name), suffix),
        Braces::None => (part, None, part.from(part.text.len())),
    };
    hints::check_segment(part, &[prefix, suffix])?;
    let prefix = literal(prefix, options)?;
    let suffix = literal(suffix, options)?;
    // Whatever a capture stands for, it is no dot and not empty.
    let example = format!("{prefix}{}{suffix}", name.map_or("", |_| "x"));
    check(&example, options, part.start).map_err(|error| part.error(Error::Path(error)))?;
    match name {
        None => pattern.push(Kind::Literal, &prefix, "", ""),
        Some(name) => pattern.push(Kind::Capture, &prefix, name, &suffix),
    }
    Ok(())
}

fn literal(part: Part<'_>, options: PathOptions) -> Result<Cow<'_, str>, PatternError> {
    let decoded = decode(part.text, options, part.start);
    decoded.map_err(|error| path_error(part, error))
}

/// A path error with the characters that it is about.
fn path_error(part: Part<'_>, error: PathError) -> PatternError {
    let kind = Error::Path(error);
    let at = error.position();
    let encoded = match error {
        PathError::NeedlessEncoding { .. }
        | PathError::DoubleEncoding { .. }
        | PathError::EncodedSlash { .. } => 3,
        PathError::NotUtf8 { .. } => return part.error(kind),
        _ => return part.error_at(kind, at),
    };
    let octet = part.part(at - part.start..at - part.start + encoded);
    match error {
        PathError::NeedlessEncoding { found, .. } => octet
            .error(kind)
            .suggest(|| octet.replaced(&found.to_string())),
        _ => octet.error(kind),
    }
}
