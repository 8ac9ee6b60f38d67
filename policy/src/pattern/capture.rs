//! Captures: `{name}` within a segment.

use super::{PatternError, PatternErrorKind as Kind, source::Part};

/// A segment's text around its capture, if it has one.
pub(super) enum Braces<'t> {
    None,
    Capture {
        prefix: Part<'t>,
        name: &'t str,
        suffix: Part<'t>,
    },
}

/// Finds the one capture of a segment.
pub(super) fn find(segment: Part<'_>) -> Result<Braces<'_>, PatternError> {
    let (open, close) = (segment.text.find('{'), segment.text.find('}'));
    let (open, close) = match (open, close) {
        (None, None) => return Ok(Braces::None),
        (Some(open), Some(close)) if open < close => (open, close),
        (Some(at), _) | (None, Some(at)) => {
            return Err(segment.part(at..at + 1).error(Kind::UnbalancedBrace));
        }
    };
    let name = segment.part(open + 1..close);
    let suffix = segment.from(close + 1);
    if name.text.contains('{') {
        return Err(segment.part(open..close + 1).error(Kind::UnbalancedBrace));
    }
    check_name(name)?;
    check_suffix(suffix)?;
    Ok(Braces::Capture {
        prefix: segment.part(0..open),
        name: name.text,
        suffix,
    })
}

/// A name is an identifier, so that conditions can say `captures.name`.
fn check_name(name: Part<'_>) -> Result<(), PatternError> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.text.is_empty() {
        let braces = name.start.saturating_sub(1)..name.start + 1;
        return Err(PatternError::new(Kind::EmptyCapture, braces));
    }
    if name.text.chars().all(word) && !name.text.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(());
    }
    let error = name.error(Kind::CaptureName);
    let meant = name
        .text
        .trim_start_matches(|c| !word(c) || char::is_ascii_digit(&c));
    match meant.split(|c| !word(c)).next() {
        Some(meant) if !meant.is_empty() => Err(error.suggest(|| name.replaced(meant))),
        _ => Err(error),
    }
}

fn check_suffix(suffix: Part<'_>) -> Result<(), PatternError> {
    match (suffix.text.find('{'), suffix.text.find('}')) {
        (None, None) => Ok(()),
        (Some(open), Some(close)) if open < close => {
            Err(suffix.part(open..close + 1).error(Kind::SeveralCaptures))
        }
        (Some(at), _) | (None, Some(at)) => {
            Err(suffix.part(at..at + 1).error(Kind::UnbalancedBrace))
        }
    }
}
