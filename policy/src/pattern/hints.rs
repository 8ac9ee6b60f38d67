//! Texts that belong to other pattern languages.
//!
//! Taken literally, `/orders/.*`, `/orders/:id` or `/orders/*` would match no
//! request. In an allow rule that is a nuisance; a deny rule would guard nothing.

use super::{PatternError, PatternErrorKind as Kind, source::Part};
use crate::path::PathError;

/// What can be said of a path before it is split into segments.
pub(super) fn check_path(path: Part<'_>) -> Result<(), PatternError> {
    let part = |at: usize, len| path.part(at..at + len);
    if let Some(rest) = path.text.strip_prefix('^') {
        let error = part(0, 1).error(Kind::Regex { found: '^' });
        return Err(error.suggest(|| path.replaced(rest.trim_end_matches('$'))));
    }
    if !path.text.starts_with('/') {
        let error = path.error(Kind::RelativePath);
        return Err(error.suggest(|| path.replaced(&format!("/{}", path.text))));
    }
    if let Some(at) = path.text.find('?') {
        let error = path.from(at).error(Kind::Query);
        return Err(error.suggest(|| path.from(at).replaced("")));
    }
    if let Some(at) = path.text.find('#') {
        let kind = Kind::Path(PathError::Fragment {
            at: path.start + at,
        });
        return Err(path.from(at).error(kind));
    }
    if let Some(at) = path.text.find("//") {
        let error = PathError::EmptySegment {
            at: path.start + at + 1,
        };
        let error = part(at, 2).error(Kind::Path(error));
        return Err(error.suggest(|| part(at, 2).replaced("/")));
    }
    if let Some(rest) = path.text.strip_suffix('$') {
        let error = path.from(rest.len()).error(Kind::Regex { found: '$' });
        return Err(error.suggest(|| path.replaced(rest)));
    }
    Ok(())
}

/// What can be said of a segment; `literals` are its parts outside braces.
pub(super) fn check_segment(segment: Part<'_>, literals: &[Part<'_>]) -> Result<(), PatternError> {
    // Nearly every segment: a set has hundreds of thousands.
    if !segment.text.bytes().any(is_telling) {
        return Ok(());
    }
    if let Some(at) = segment.text.find("**") {
        return Err(segment.part(at..at + 2).error(Kind::DoubleStarInside));
    }
    check_placeholder(segment)?;
    literals
        .iter()
        .try_for_each(|literal| check_literal(*literal))
}

/// Whether a byte is part of anything that is looked for in a segment.
const fn is_telling(byte: u8) -> bool {
    matches!(byte, b'*' | b'+' | b'^' | b'[' | b']' | b'|' | b':' | b'<')
}

fn check_literal(literal: Part<'_>) -> Result<(), PatternError> {
    let regex = |at: usize, found| Err(literal.part(at..at + 1).error(Kind::Regex { found }));
    for quantified in [".*", ".+"] {
        if let Some(at) = literal.text.find(quantified) {
            return regex(at, '.');
        }
    }
    if let Some(at) = literal.text.find('*') {
        let star = literal.part(at..at + 1);
        // A name that is taken would have to repeat its value.
        let mut names = ["{id}", "{id2}", "{id3}"].into_iter();
        let free = names.find(|name| !star.replaced("").contains(name));
        let error = star.error(Kind::PathWildcard);
        return Err(match free {
            Some(name) => error.suggest(|| star.replaced(name)),
            None => error,
        });
    }
    match literal
        .text
        .char_indices()
        .find(|(_, c)| "^[]|".contains(*c))
    {
        Some((at, found)) => regex(at, found),
        None => Ok(()),
    }
}

/// `:id` and `<id>`, as web frameworks write a capture.
fn check_placeholder(segment: Part<'_>) -> Result<(), PatternError> {
    let text = segment.text;
    let inner = text
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'));
    let Some(inner) = inner.or_else(|| text.strip_prefix(':')) else {
        return Ok(());
    };
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = inner.rsplit(':').next().unwrap_or_default();
    if name.is_empty() || !name.chars().all(word) {
        return Ok(());
    }
    let error = segment.error(Kind::Placeholder);
    Err(error.suggest(|| segment.replaced(&format!("{{{name}}}"))))
}
