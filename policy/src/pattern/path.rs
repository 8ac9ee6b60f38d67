//! Patterns over request paths.

use super::{
    Bindings, PatternError, PatternErrorKind as Kind,
    capture::{self, Braces},
    hints,
    source::Part,
};
use crate::path::{CanonicalPath, PathError, PathOptions, check, decode};

/// A set of paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathPattern {
    segments: Box<[PathSegment]>,
    /// Ends in `/**`.
    tail: bool,
    /// Ends in `/`.
    trailing_slash: bool,
}

/// One segment of a pattern. Literal text is decoded, as requests are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PathSegment {
    Literal(Box<str>),
    Any,
    Capture(Box<str>),
    Partial(Box<Partial>),
}

/// A capture with literal text around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Partial {
    pub(crate) prefix: Box<str>,
    name: Box<str>,
    pub(crate) suffix: Box<str>,
}

/// Whether one trailing slash makes a path another path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrailingSlash {
    Keep,
    Ignore,
}

impl PathPattern {
    pub(super) fn parse(part: Part<'_>, options: PathOptions) -> Result<Self, PatternError> {
        hints::check_path(part)?;
        let mut pattern = Self::of([]);
        let mut segments = Vec::new();
        for segment in part.split('/').skip(1) {
            let last = segment.span().end == part.span().end;
            match segment.text {
                "**" if last => pattern.tail = true,
                "" if last => pattern.trailing_slash = true,
                _ => segments.push(parse_segment(segment, options)?),
            }
        }
        pattern.segments = segments.into();
        Ok(pattern)
    }

    pub(super) fn of<const N: usize>(segments: [PathSegment; N]) -> Self {
        Self {
            segments: segments.into(),
            tail: false,
            trailing_slash: false,
        }
    }

    pub(super) fn captures(&self) -> impl Iterator<Item = &str> {
        let names = self.segments.iter().filter_map(PathSegment::name);
        let before = move |at| self.segments.iter().filter_map(PathSegment::name).take(at);
        let first = move |(at, name): &(usize, &str)| !before(*at).any(|other| other == *name);
        names.enumerate().filter(first).map(|(_, name)| name)
    }

    /// Whether `path` has the pattern's shape: all but what captures stand for.
    pub(crate) fn fits(&self, path: &CanonicalPath<'_>, slash: TrailingSlash) -> bool {
        let mut texts = path.segments();
        let length = if self.tail {
            self.segments.len() <= texts.len()
        } else {
            self.segments.len() == texts.len()
                && (slash == TrailingSlash::Ignore
                    || self.trailing_slash == path.has_trailing_slash())
        };
        let mut pairs = self.segments.iter().zip(&mut texts);
        length && pairs.all(|(segment, text)| segment.value(text).is_some())
    }

    /// Binds what the captures of a path that fits stand for: false if a name would
    /// stand for two texts.
    pub(crate) fn bind<'v>(
        &'v self,
        path: &'v CanonicalPath<'_>,
        bindings: &mut Bindings<'v>,
    ) -> bool {
        let mut values = self.values(path);
        values.all(|(name, value)| bindings.bind(name, value))
    }

    /// The captures of a path that fits, with repetitions.
    pub(crate) fn values<'v>(
        &'v self,
        path: &'v CanonicalPath<'_>,
    ) -> impl Iterator<Item = (&'v str, &'v str)> {
        let pairs = self.segments.iter().zip(path.segments());
        pairs.filter_map(|(segment, text)| Some((segment.name()?, segment.value(text)?)))
    }

    /// How many leading segments agree; those that are literally equal count twice.
    pub(crate) fn closeness(&self, path: &CanonicalPath<'_>) -> usize {
        let pairs = self.segments.iter().zip(path.segments());
        let weights = pairs.map_while(|(segment, text)| match segment {
            PathSegment::Literal(_) => segment.value(text).map(|_| 2),
            _ => segment.value(text).map(|_| 1),
        });
        weights.sum()
    }

    pub(crate) fn segments(&self) -> &[PathSegment] {
        &self.segments
    }

    pub(crate) const fn has_tail(&self) -> bool {
        self.tail
    }
}

impl PathSegment {
    /// What the segment captures of `text`; `None` if it does not fit.
    fn value<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Literal(literal) => (**literal == *text).then_some(text),
            Self::Any | Self::Capture(_) => Some(text),
            Self::Partial(partial) => partial.value(text),
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) | Self::Any => None,
            Self::Capture(name) => Some(name),
            Self::Partial(partial) => Some(&partial.name),
        }
    }
}

impl Partial {
    pub(crate) fn value<'t>(&self, text: &'t str) -> Option<&'t str> {
        let value = text
            .strip_prefix(&*self.prefix)?
            .strip_suffix(&*self.suffix)?;
        (!value.is_empty()).then_some(value)
    }
}

fn parse_segment(part: Part<'_>, options: PathOptions) -> Result<PathSegment, PatternError> {
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
    check(&example, options, part.start).map_err(|error| part.error(Kind::Path(error)))?;
    Ok(match name {
        None => PathSegment::Literal(prefix.into()),
        Some(name) if prefix.is_empty() && suffix.is_empty() => PathSegment::Capture(name.into()),
        Some(name) => PathSegment::Partial(Box::new(Partial {
            prefix: prefix.into(),
            name: name.into(),
            suffix: suffix.into(),
        })),
    })
}

fn literal(part: Part<'_>, options: PathOptions) -> Result<String, PatternError> {
    let decoded = decode(part.text, options, part.start);
    decoded
        .map(Into::into)
        .map_err(|error| path_error(part, error))
}

/// A path error with the characters that it is about.
fn path_error(part: Part<'_>, error: PathError) -> PatternError {
    let kind = Kind::Path(error);
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
            .suggest(octet.replaced(&found.to_string())),
        _ => octet.error(kind),
    }
}
