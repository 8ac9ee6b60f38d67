//! `# callgate: allow CG505 the reason`: warnings that somebody has looked at.

use std::ops::RangeInclusive;

use callgate_policy::document::{Code, Finding, Quoted, Severity, Source, Span, syntax::Comment};

use super::{Remarks, set::Set};

/// A comment that holds a warning back.
struct Suppression {
    code: Code,
    at: Span,
    /// The lines it holds for, counted from 1.
    lines: RangeInclusive<u32>,
    used: bool,
}

/// What is left of `remarks`, with what is wrong with the comments themselves.
pub(super) fn apply(set: &Set<'_>, sources: &[Source], remarks: Remarks) -> Vec<Finding> {
    let mut left = Vec::new();
    let mut suppressions = Vec::new();
    for comment in set.comments() {
        match directive(comment) {
            None => {}
            Some(Err(finding)) => left.push(finding),
            Some(Ok(code)) => suppressions.push(Suppression {
                code,
                at: comment.span,
                lines: lines(comment, sources),
                used: remarks.did_not_run.contains(&code),
            }),
        }
    }
    let mut is_held = |code: Code, span: Span| {
        let line = line(sources, span);
        let mut held = false;
        for one in &mut suppressions {
            let holds =
                one.code == code && one.at.file() == span.file() && one.lines.contains(&line);
            one.used |= holds;
            held |= holds;
        }
        held
    };
    left.extend(
        remarks
            .found
            .into_iter()
            .filter(|one| !is_held(one.code(), one.span())),
    );
    for (code, span) in remarks.dormant {
        is_held(code, span);
    }
    left.extend(suppressions.iter().filter(|one| !one.used).map(unused));
    left
}

fn unused(one: &Suppression) -> Finding {
    let message = format!("nothing here is warned of by {}", one.code);
    Finding::new(Code::UnusedSuppression, one.at, message)
        .help("remove it, or it will hide the next one; it holds for its own line, or alone on a line for what begins on the next")
}

/// The code that a comment allows; `None` if it is an ordinary one.
fn directive(comment: &Comment<'_>) -> Option<Result<Code, Finding>> {
    let said = comment.text.trim_start_matches('#').trim();
    let (word, rest) = said.split_at_checked("callgate".len())?;
    if !word.eq_ignore_ascii_case("callgate") {
        return None;
    }
    let Some(order) = rest.strip_prefix(':') else {
        // `# callgate allow …` was meant; `# callgate serves …` is prose.
        let is_order = rest
            .trim_start()
            .to_ascii_lowercase()
            .starts_with("allow cg");
        return is_order.then(|| Err(invalid(comment, "a `:` is missing after `callgate`")));
    };
    Some(allowed(comment, order.trim()))
}

fn allowed(comment: &Comment<'_>, order: &str) -> Result<Code, Finding> {
    let (verb, rest) = word(order);
    if verb != "allow" {
        return Err(invalid(comment, &format!("`{}` is no order", Quoted(verb))));
    }
    let (name, reason) = word(rest);
    let Some(code) = Code::named(name) else {
        let problem = match name {
            "" => "it does not say which warning".to_owned(),
            name => format!("there is no code `{}`", Quoted(name)),
        };
        return Err(invalid(comment, &problem));
    };
    if code.severity() == Severity::Error {
        return Err(invalid(
            comment,
            &format!("{code} is an error, which nothing allows"),
        ));
    }
    if matches!(code, Code::InvalidSuppression | Code::UnusedSuppression) {
        return Err(invalid(
            comment,
            &format!("{code} is about such comments themselves"),
        ));
    }
    if reason.is_empty() {
        return Err(invalid(comment, "it does not say why"));
    }
    Ok(code)
}

/// The first word, and the rest.
fn word(text: &str) -> (&str, &str) {
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (first, rest.trim())
}

fn invalid(comment: &Comment<'_>, problem: &str) -> Finding {
    let message = format!("this suppression holds nothing back: {problem}");
    Finding::new(Code::InvalidSuppression, comment.span, message)
        .help("write `# callgate: allow CG505 REASON`")
}

/// The lines that a comment holds for: its own; if it stands alone, those of what begins on
/// the next line that is not one; before the first line of a document, all of it.
fn lines(comment: &Comment<'_>, sources: &[Source]) -> RangeInclusive<u32> {
    let own = line(sources, comment.span);
    let Some(source) = sources.get(comment.span.file()).filter(|_| comment.alone) else {
        return own..=own;
    };
    let says = |number: &u32| source.line(*number).is_some_and(is_content);
    let end = (own..)
        .find(|&number| source.line(number).is_none())
        .unwrap_or(u32::MAX);
    let Some(first) = (own..end)
        .find(says)
        .filter(|&one| !source.line(one).is_some_and(is_marker))
    else {
        return own..=own;
    };
    let before = (1..own).rev().find(says);
    if before.is_none_or(|one| source.line(one).is_some_and(is_marker)) {
        let last = (first..end).find(|&one| source.line(one).is_some_and(is_marker));
        return first..=last.unwrap_or(end);
    }
    let depth = source.line(first).map_or(0, indentation);
    let next = (first.saturating_add(1)..end).filter(says);
    let last = next.into_iter().find(|&one| {
        source
            .line(one)
            .is_some_and(|line| indentation(line) <= depth)
    });
    first..=last.map_or(end, |one| one.saturating_sub(1))
}

fn is_content(line: &str) -> bool {
    let text = line.trim_start();
    !text.is_empty() && !text.starts_with('#')
}

fn is_marker(line: &str) -> bool {
    line.starts_with("---") || line.starts_with("...")
}

fn indentation(line: &str) -> usize {
    line.len()
        .saturating_sub(line.trim_start_matches(' ').len())
}

fn line(sources: &[Source], span: Span) -> u32 {
    let source = sources.get(span.file());
    source.map_or(0, |source| {
        let start = u32::try_from(span.bytes().start).unwrap_or(u32::MAX);
        source.position(start).line
    })
}
