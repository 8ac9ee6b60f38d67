//! Patterns over SPIFFE IDs.

use std::fmt;

use super::{
    Bindings, PatternError, PatternErrorKind as Kind,
    capture::{self, Braces},
    source::Part,
};
use crate::{
    SpiffeId, SpiffeIdError, TrustDomain,
    identity::{MAX_ID_BYTES, SCHEME, check_segment, check_trust_domain},
    table::allocated,
};

/// A set of callers: one SPIFFE ID, or every one that fits.
///
/// ```text
/// spiffe://example.org/ns/shop/sa/web    this ID
/// /ns/shop/sa/web                        the same, in the mesh's own trust domain
/// /ns/shop/sa/*                          one whole segment
/// /ns/{tenant}/sa/api                    one whole segment, captured
/// /ns/batch/**                           zero or more segments
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CallerPattern(Form);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Form {
    Exact(SpiffeId),
    Wild {
        trust_domain: Box<str>,
        segments: Box<[IdSegment]>,
        /// Ends in `/**`.
        tail: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum IdSegment {
    Literal(Box<str>),
    Any,
    Capture(Box<str>),
}

impl CallerPattern {
    /// Parses an absolute pattern, or a relative one in `trust_domain`.
    ///
    /// # Errors
    /// The first rule of the pattern language that `text` breaks.
    pub fn parse(text: &str, trust_domain: Option<&TrustDomain>) -> Result<Self, PatternError> {
        let parse = |text: &str| Self::parse_once(text, trust_domain);
        parse(text).map_err(|error| error.if_suggestion(|text| parse(text).is_ok()))
    }

    fn parse_once(text: &str, trust_domain: Option<&TrustDomain>) -> Result<Self, PatternError> {
        let whole = Part::new(text);
        if text.len() > MAX_ID_BYTES {
            let len = text.len();
            return Err(whole.error(Kind::Identity(SpiffeIdError::TooLong { len })));
        }
        let (trust_domain, path) = split_trust_domain(whole, trust_domain)?;
        let (segments, tail) = parse_path(path)?;
        if tail || segments.iter().any(IdSegment::is_wild) {
            return Ok(Self(Form::Wild {
                trust_domain: trust_domain.into(),
                segments: segments.into(),
                tail,
            }));
        }
        let id = if whole.text.starts_with('/') {
            SpiffeId::parse(&[SCHEME, trust_domain, path.text].concat())
        } else {
            SpiffeId::parse(whole.text)
        };
        id.map(|id| Self(Form::Exact(id)))
            .map_err(|error| whole.error(Kind::Identity(error)))
    }

    /// The names that the pattern captures, each once, in the order of the text.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        let names = self.segments().iter().filter_map(IdSegment::name);
        let before = move |at| self.segments().iter().filter_map(IdSegment::name).take(at);
        let first = move |(at, name): &(usize, &str)| !before(*at).any(|other| other == *name);
        names.enumerate().filter(first).map(|(_, name)| name)
    }

    /// The one SPIFFE ID that fits, if the pattern has no wildcard.
    #[must_use]
    pub const fn exact(&self) -> Option<&SpiffeId> {
        match &self.0 {
            Form::Exact(id) => Some(id),
            Form::Wild { .. } => None,
        }
    }

    /// Whether `id` fits. A name captured twice has to stand for the same text.
    #[must_use]
    pub fn matches(&self, id: &SpiffeId) -> bool {
        self.bind(id, &mut Bindings::default())
    }

    /// Whether `id` fits, given what is bound already; binds what it captures.
    pub(crate) fn bind<'v>(&'v self, id: &'v SpiffeId, bindings: &mut Bindings<'v>) -> bool {
        let (segments, tail) = match &self.0 {
            Form::Exact(exact) => return exact == id,
            Form::Wild { segments, tail, .. } => (segments, *tail),
        };
        if self.trust_domain() != id.trust_domain() {
            return false;
        }
        let mut texts = id.segments();
        let fit = segments
            .iter()
            .all(|segment| match (segment, texts.next()) {
                (_, None) => false,
                (IdSegment::Literal(literal), Some(text)) => **literal == *text,
                (IdSegment::Any, Some(_)) => true,
                (IdSegment::Capture(name), Some(text)) => bindings.bind(name, text),
            });
        fit && (tail || texts.next().is_none())
    }

    /// The trust domain's name, which is always literal.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        match &self.0 {
            Form::Exact(id) => id.trust_domain(),
            Form::Wild { trust_domain, .. } => trust_domain,
        }
    }

    /// About how many bytes it takes beyond its own size.
    pub(crate) fn footprint(&self) -> usize {
        match &self.0 {
            Form::Exact(id) => allocated(id.as_str().len()),
            Form::Wild {
                trust_domain,
                segments,
                ..
            } => {
                let texts = segments.iter().map(|segment| match segment {
                    IdSegment::Literal(text) | IdSegment::Capture(text) => allocated(text.len()),
                    IdSegment::Any => 0,
                });
                let segments = allocated(size_of_val(&**segments));
                allocated(trust_domain.len()) + segments + texts.sum::<usize>()
            }
        }
    }

    /// The segments of a pattern that is not exact.
    pub(crate) fn segments(&self) -> &[IdSegment] {
        match &self.0 {
            Form::Exact(_) => &[],
            Form::Wild { segments, .. } => segments,
        }
    }

    /// Whether the pattern ends in `/**`.
    #[must_use]
    pub const fn has_tail(&self) -> bool {
        matches!(self.0, Form::Wild { tail: true, .. })
    }
}

/// The trust domain that a pattern is in, and its path.
fn split_trust_domain<'t>(
    whole: Part<'t>,
    trust_domain: Option<&'t TrustDomain>,
) -> Result<(&'t str, Part<'t>), PatternError> {
    if whole.text.is_empty() {
        return Err(whole.error(Kind::Empty));
    }
    if whole.text.starts_with('/') {
        let trust_domain = trust_domain.ok_or_else(|| whole.error(Kind::NoTrustDomain))?;
        return Ok((trust_domain.as_str(), whole));
    }
    if !whole.text.starts_with(SCHEME) {
        return Err(not_an_identity(whole));
    }
    let rest = whole.from(SCHEME.len());
    let slash = rest.text.find('/').unwrap_or(rest.text.len());
    let domain = rest.part(0..slash);
    if domain.text.contains(['*', '{', '}']) {
        return Err(domain.error(Kind::TrustDomainWildcard));
    }
    check_trust_domain(domain.text, domain.start).map_err(|error| identity_error(domain, error))?;
    if slash == rest.text.len() {
        return Err(whole.error(Kind::Identity(SpiffeIdError::PathMissing)));
    }
    Ok((domain.text, rest.from(slash)))
}

fn not_an_identity(whole: Part<'_>) -> PatternError {
    let error = whole.error(Kind::NotAnIdentity);
    let trimmed = whole.text.trim();
    match trimmed.get(..SCHEME.len()) {
        Some(scheme) if scheme.eq_ignore_ascii_case(SCHEME) => {
            let rest = trimmed.get(SCHEME.len()..).unwrap_or_default();
            error.suggest(|| format!("{SCHEME}{rest}"))
        }
        _ if trimmed.starts_with('/') => error.suggest(|| trimmed.to_owned()),
        _ if trimmed.contains('/') => error.suggest(|| format!("/{trimmed}")),
        _ => error,
    }
}

/// The segments of `path`, and whether it ends in `/**`.
fn parse_path(path: Part<'_>) -> Result<(Vec<IdSegment>, bool), PatternError> {
    let mut segments = Vec::new();
    for part in path.split('/').skip(1) {
        let last = part.span().end == path.span().end;
        if part.text == "**" && last {
            return Ok((segments, true));
        }
        segments.push(parse_segment(part, last)?);
    }
    Ok((segments, false))
}

fn parse_segment(part: Part<'_>, last: bool) -> Result<IdSegment, PatternError> {
    let starred = part.text.contains('*');
    if starred && part.text.contains("**") {
        return Err(part.error(Kind::DoubleStarInside));
    }
    if part.text == "*" {
        return Ok(IdSegment::Any);
    }
    match capture::find(part)? {
        Braces::Capture {
            prefix,
            name,
            suffix,
        } => match (prefix.text, suffix.text) {
            ("", "") => Ok(IdSegment::Capture(name.into())),
            _ => Err(part.error(Kind::PartialCapture)),
        },
        Braces::None if starred => Err(part.error(Kind::PartialWildcard)),
        Braces::None => match check_segment(part.text, part.start, last) {
            Ok(()) => Ok(IdSegment::Literal(part.text.into())),
            Err(error) => Err(identity_error(part, error)),
        },
    }
}

fn identity_error(part: Part<'_>, error: SpiffeIdError) -> PatternError {
    let kind = Kind::Identity(error);
    match error {
        SpiffeIdError::TrailingSlash => {
            let slash = part.start.saturating_sub(1);
            let error = part.error_at(kind, slash);
            error.suggest(|| part.replaced("").trim_end_matches('/').to_owned())
        }
        SpiffeIdError::TrustDomainUpperCase { .. } => {
            let error = part.error(kind);
            error.suggest(|| part.replaced(&part.text.to_ascii_lowercase()))
        }
        SpiffeIdError::DotSegment { .. } => part.error(kind),
        _ => match error.position() {
            Some(at) => part.error_at(kind, at),
            None => part.error(kind),
        },
    }
}

impl IdSegment {
    const fn is_wild(&self) -> bool {
        !matches!(self, Self::Literal(_))
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Capture(name) => Some(name),
            Self::Literal(_) | Self::Any => None,
        }
    }
}

/// The whole pattern, with its trust domain.
impl fmt::Display for CallerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Form::Exact(id) = &self.0 {
            return id.fmt(f);
        }
        write!(f, "{SCHEME}{}", self.trust_domain())?;
        for segment in self.segments() {
            match segment {
                IdSegment::Literal(text) => write!(f, "/{text}")?,
                IdSegment::Any => f.write_str("/*")?,
                IdSegment::Capture(name) => write!(f, "/{{{name}}}")?,
            }
        }
        f.write_str(if self.has_tail() { "/**" } else { "" })
    }
}
