//! What can be wrong with the text of a pattern.

use std::{fmt, ops::Range};

use crate::{SpiffeIdError, path::PathError};

/// Why a pattern cannot be read, where in its text, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    kind: PatternErrorKind,
    span: Range<usize>,
    suggestion: Option<String>,
}

/// The rule of the pattern language that a text breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PatternErrorKind {
    /// There is no text.
    Empty,
    /// A path of more than 8,000 bytes.
    TooLong,
    /// Neither `spiffe://…` nor `/…`: not an identity.
    NotAnIdentity,
    /// `/…`, but nothing says which trust domain that belongs to.
    NoTrustDomain,
    /// A wildcard or capture in the trust domain.
    TrustDomainWildcard,
    /// A clause of the SPIFFE-ID standard that no identity of this pattern could keep.
    Identity(SpiffeIdError),
    /// `*` beside other text: it stands for one whole segment.
    PartialWildcard,
    /// `**` that is not the last segment, or beside other text.
    DoubleStarInside,
    /// A capture beside other text in an identity, where it is one whole segment.
    PartialCapture,
    /// `{` without `}`, `}` without `{`, or one within the other.
    UnbalancedBrace,
    /// `{}`.
    EmptyCapture,
    /// A capture's name is not a letter or `_` and then letters, digits and `_`.
    CaptureName,
    /// Two captures in one path segment: where one ends would be a guess.
    SeveralCaptures,
    /// `*` in a path, where a segment is captured as `{name}`.
    PathWildcard,
    /// A character that only makes sense in a regular expression.
    Regex {
        /// The character.
        found: char,
    },
    /// `:id` or `<id>` for a whole segment, where a capture is `{id}`.
    Placeholder,
    /// A method or verb, but no path or gRPC method after it.
    NoPath,
    /// A path, but no method before it.
    NoMethod,
    /// A method in lower case, which no standard method is.
    LowerCaseMethod,
    /// Not a method: methods are upper-case letters, digits, `-` and `_`, at
    /// most 32 bytes.
    Method,
    /// The same method twice in one line, or `ANY` with another.
    RedundantMethod,
    /// `GRPC` or `WEBSOCKET` in a list of methods.
    VerbInList,
    /// `CONNECT`, which is refused before any rule is looked at.
    Connect,
    /// More than one space, or one at either end.
    Space,
    /// A path that does not begin with `/`.
    RelativePath,
    /// A path with a query: rules see none.
    Query,
    /// A path that no request could have, because it would be refused as ambiguous.
    Path(PathError),
    /// Not `package.Service/Method` or `package.Service/*`.
    Grpc,
}

impl PatternError {
    pub(super) const fn new(kind: PatternErrorKind, span: Range<usize>) -> Self {
        Self {
            kind,
            span,
            suggestion: None,
        }
    }

    /// Suggests a text, where there are authors to be told: not in a proxy, which keeps
    /// the code that makes them out of it.
    pub(super) fn suggest(mut self, text: impl FnOnce() -> String) -> Self {
        if cfg!(any(feature = "documents", test)) {
            self.suggestion = Some(text());
        }
        self
    }

    /// Forgets a suggestion that would be refused itself.
    pub(super) fn if_suggestion(mut self, is_good: impl Fn(&str) -> bool) -> Self {
        if cfg!(any(feature = "documents", test)) {
            self.suggestion = self.suggestion.filter(|text| is_good(text));
        }
        self
    }

    /// Which rule is broken.
    #[must_use]
    pub const fn kind(&self) -> PatternErrorKind {
        self.kind
    }

    /// The bytes of the pattern's text that the error is about; within the text,
    /// on character boundaries, and empty only where something is missing.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The whole pattern, written as its author probably meant it; it can be read.
    #[must_use]
    pub fn suggestion(&self) -> Option<&str> {
        self.suggestion.as_deref()
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl fmt::Display for PatternErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Identity(error) => return error.fmt(f),
            Self::Path(error) => return write!(f, "no request can have this path: {error}"),
            Self::Regex { found } => {
                return write!(
                    f,
                    "`{found}` has no meaning here: patterns are not regular expressions"
                );
            }
            Self::Empty => "the pattern is empty",
            Self::TooLong => "a path pattern has at most 8000 bytes",
            Self::NotAnIdentity => "an identity begins with `spiffe://` or `/`",
            Self::NoTrustDomain => {
                "nothing says which trust domain this belongs to; write `spiffe://…`, or set `trustDomain` in the mesh policy"
            }
            Self::TrustDomainWildcard => "the trust domain is always literal",
            Self::PartialWildcard => "`*` stands for one whole segment",
            Self::DoubleStarInside => {
                "`**` is only allowed as the last segment, as in `/ns/batch/**`"
            }
            Self::PartialCapture => "a capture in an identity is one whole segment",
            Self::UnbalancedBrace => "a brace without its partner",
            Self::EmptyCapture => "a capture needs a name, as in `{order}`",
            Self::CaptureName => {
                "a capture's name is a letter or `_`, then letters, digits and `_`"
            }
            Self::SeveralCaptures => {
                "two captures in one segment: where the first ends would be a guess"
            }
            Self::PathWildcard => {
                "`*` is not a wildcard in paths; capture the segment, as in `{id}`"
            }
            Self::Placeholder => "a capture is written in braces, as in `{id}`",
            Self::NoPath => "a path is missing, as in `GET /orders`",
            Self::NoMethod => "a method is missing, as in `GET /orders`",
            Self::LowerCaseMethod => "methods are compared case-sensitively and are in upper case",
            Self::Method => {
                "not a method: upper-case letters, digits, `-` and `_`, at most 32 bytes"
            }
            Self::RedundantMethod => "this method is already included",
            Self::VerbInList => "`ANY`, `GRPC` and `WEBSOCKET` stand alone",
            Self::Connect => "CONNECT is refused before any rule is looked at",
            Self::Space => "exactly one space separates the method and the path",
            Self::RelativePath => "a path begins with `/`",
            Self::Query => "rules see the path without its query",
            Self::Grpc => "a gRPC method is `package.Service/Method` or `package.Service/*`",
        };
        f.write_str(text)
    }
}

impl std::error::Error for PatternError {}
