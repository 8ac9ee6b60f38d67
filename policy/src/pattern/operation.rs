//! Operations: one line of a rule that says what may be called.

use super::{
    PatternError, PatternErrorKind as Kind, grpc, path::PathPattern, source::Part, verb::Verb,
};
use crate::path::PathOptions;

/// What may be called, as one line of `to` says it.
///
/// ```text
/// GET /orders                     one method; GET covers HEAD
/// POST,PUT /orders/{order}        either method; a segment captured
/// POST /orders/{order}:cancel     literal text around a capture
/// ANY /flags/**                   any method; zero or more segments
/// GRPC shop.v1.Orders/Watch       a gRPC method
/// GRPC shop.v1.Orders/*           every method of a gRPC service
/// WEBSOCKET /ui/live              an upgrade to WebSocket
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    pub(crate) verb: Verb,
    pub(crate) path: PathPattern,
}

impl Operation {
    /// Parses a line for a service with these path options: `%2F` and `;` can
    /// stand in a pattern only where they can stand in a request.
    ///
    /// # Errors
    /// The first rule of the pattern language that `text` breaks.
    pub fn parse(text: &str, options: PathOptions) -> Result<Self, PatternError> {
        let parse = |text: &str| Self::parse_once(text, options);
        parse(text).map_err(|error| error.if_suggestion(|text| parse(text).is_ok()))
    }

    fn parse_once(text: &str, options: PathOptions) -> Result<Self, PatternError> {
        let (word, rest) = split(Part::new(text))?;
        let verb = Verb::parse(word)?;
        let path = match verb {
            Verb::Grpc => grpc::parse(rest)?,
            _ => PathPattern::parse(rest, options)?,
        };
        Ok(Self { verb, path })
    }

    /// About how many bytes it takes beyond its own size.
    pub(crate) fn footprint(&self) -> usize {
        self.verb.footprint() + self.path.footprint()
    }

    /// The names that the path captures, each once, in the order of the text.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.path.captures()
    }
}

/// The verb and what it is about, with exactly one space between them.
fn split(whole: Part<'_>) -> Result<(Part<'_>, Part<'_>), PatternError> {
    if whole.text.is_empty() {
        return Err(whole.error(Kind::Empty));
    }
    let Some(space) = whole.text.find(' ') else {
        return Err(one_word(whole));
    };
    let (word, rest) = (whole.part(0..space), whole.from(space + 1));
    let more = rest.text.find(char::is_whitespace);
    if word.text.is_empty() || rest.text.is_empty() || more.is_some() {
        return Err(spaces(whole));
    }
    if word.text.starts_with('/') {
        return Err(word.error(Kind::NoMethod));
    }
    Ok((word, rest))
}

fn one_word(whole: Part<'_>) -> PatternError {
    if whole.text.starts_with('/') {
        let error = PatternError::new(Kind::NoMethod, 0..0);
        return error.suggest(|| format!("GET {}", whole.text));
    }
    match whole.text.find('/') {
        Some(_) => PatternError::new(Kind::NoMethod, 0..0),
        None => PatternError::new(Kind::NoPath, whole.text.len()..whole.text.len()),
    }
}

/// Too many spaces: `GET, POST  /orders` means `GET,POST /orders`.
fn spaces(whole: Part<'_>) -> PatternError {
    let error = whole.error(Kind::Space);
    let Some(slash) = whole.text.find('/') else {
        return error;
    };
    let (words, path) = whole.text.split_at(slash);
    let words: Vec<&str> = words
        .split([' ', '\t', ','])
        .filter(|w| !w.is_empty())
        .collect();
    let path = path.trim();
    if words.is_empty() || path.contains(char::is_whitespace) || !path.starts_with('/') {
        return error;
    }
    error.suggest(|| format!("{} {path}", words.join(",")))
}
