//! What YAML can write beside texts, lists and mappings, and why documents may not.
//!
//! Each of these is read as something else than it looks like, so the findings say
//! what would have become of the rule.

use crate::document::{
    Code, Source,
    finding::{Finding, Quoted},
    source::{Span, offset},
};

/// A value that is null: `text` is how it is written, mostly not at all.
pub(super) fn null(source: &Source, text: &str, span: Span, key: Option<(&str, Span)>) -> Finding {
    let Some((key, key_span)) = key else {
        return Finding::new(Code::Null, span, "this entry is null")
            .help("give it a value, or remove it");
    };
    let (message, place, label) = if text.is_empty() {
        let after = rest_of_line(source, key_span);
        let label = if comment(after).is_some() {
            "only a comment follows"
        } else {
            "nothing follows"
        };
        (
            format!("`{}` has no value, which YAML reads as null", Quoted(key)),
            key_span,
            label,
        )
    } else {
        (format!("`{}` is null", Quoted(key)), span, "null")
    };
    Finding::new(Code::Null, place, message)
        .label(label)
        .help(remedy(source, key, key_span))
}

/// What to do about a null, and what it would have meant.
fn remedy(source: &Source, key: &str, key_span: Span) -> String {
    if let Some(text) = comment(rest_of_line(source, key_span)).filter(|text| is_word(text)) {
        return format!(
            "`#` begins a comment; if it is meant as text, quote it: `{}: \"{}\"`",
            Quoted(key),
            Quoted(text)
        );
    }
    match key {
        "exception" => "give the exception its four fields, or remove the line; \
            without them the rule would be permanent"
            .to_owned(),
        "when" => "write the condition, or remove the line; \
            without it the rule would hold unconditionally"
            .to_owned(),
        "allow" | "deny" => format!("write rules, or `{key}: []` for none"),
        _ => "give it a value, or remove the line".to_owned(),
    }
}

/// A YAML tag before a value, with the key that the value belongs to.
pub(super) fn tag(source: &Source, span: Span, key: Option<&str>) -> Finding {
    let span = source.first_line(Span {
        end: offset(source.text().len()),
        ..span
    });
    let written = source.slice(span);
    let written = written.split(" #").next().unwrap_or_default().trim_end();
    let message = match key {
        Some("when") => "`!` makes this a YAML tag: the whole condition would be lost".to_owned(),
        _ => format!(
            "`{}` begins with `!`, which makes it a YAML tag",
            Quoted(written)
        ),
    };
    let help = match (written.strip_prefix("!!"), key) {
        (Some(core), _) => format!(
            "remove `!!{}`",
            Quoted(core.split(' ').next().unwrap_or_default())
        ),
        (None, Some(key)) => format!(
            "if it is meant as text, quote it: `{}: {}`",
            Quoted(key),
            quote(written)
        ),
        (None, None) => format!("if it is meant as text, quote it: `{}`", quote(written)),
    };
    let span = Span {
        end: span.start.saturating_add(offset(written.len())),
        ..span
    };
    Finding::new(Code::Tag, span, message)
        .label("a tag, not a text")
        .help(help)
}

/// An anchor, `&name`.
pub(super) fn anchor(span: Span) -> Finding {
    Finding::new(Code::Alias, span, "`&` begins a YAML anchor")
        .label("an anchor")
        .help("write the value out where it is needed, or use a CallerGroup; a text that begins with `&` needs quotes")
}

/// An alias, `*name`.
pub(super) fn alias(span: Span) -> Finding {
    Finding::new(Code::Alias, span, "`*` begins a YAML alias")
        .label("an alias")
        .help("write the value out, or use a CallerGroup; a text that begins with `*` needs quotes")
}

/// The merge key of YAML 1.1, `<<`.
pub(super) fn merge_key(span: Span) -> Finding {
    Finding::new(
        Code::Alias,
        span,
        "`<<` merges another mapping into this one in some readers of YAML",
    )
    .label("a merge key")
    .help("write the fields out")
}

/// What follows a key and its colon on their line.
fn rest_of_line(source: &Source, key: Span) -> &str {
    let line = source.first_line(Span {
        end: offset(source.text().len()),
        ..key.after()
    });
    let rest = source.slice(line).trim_start();
    rest.strip_prefix(':').unwrap_or(rest)
}

/// The comment that `text` is, without its `#`.
fn comment(text: &str) -> Option<&str> {
    text.trim_start().starts_with('#').then(|| text.trim())
}

/// `#team-orders` rather than `# later`.
fn is_word(comment: &str) -> bool {
    comment
        .chars()
        .nth(1)
        .is_some_and(|c| !c.is_whitespace() && c != '#')
}

/// `text` in the quotes that need no escapes.
pub(in crate::document) fn quote(text: &str) -> String {
    if text.contains('\'') {
        format!(
            "\"{}\"",
            Quoted(&text.replace('\\', "\\\\").replace('"', "\\\""))
        )
    } else if text.contains(['"', '\\']) {
        format!("'{}'", Quoted(text))
    } else {
        format!("\"{}\"", Quoted(text))
    }
}
