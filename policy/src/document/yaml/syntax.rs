//! Errors of YAML's syntax, in the words of somebody who sees the line.
//!
//! The parser says what it was looking for; this says what the author probably wrote.
//! Whatever is not recognized is told in the parser's own words.

use super::refusal::{self, quote};
use crate::document::{
    Code, Source,
    finding::{Finding, Quoted},
    source::{Span, offset},
};

/// Where the parser stopped, and why.
struct Stop<'a> {
    source: &'a Source,
    /// Empty, where the parser stopped.
    span: Span,
    /// The line up to there and from there on.
    before: &'a str,
    after: &'a str,
}

/// The finding for an error of the parser at `span`.
pub(super) fn explain(source: &Source, span: Span, info: &str) -> Finding {
    let line = source.position(span.start).line;
    let start = source
        .lines(line..line.saturating_add(1))
        .map_or(0, |range| offset(range.start));
    let before = source.slice(Span {
        start,
        end: span.start,
        ..span
    });
    let rest = Span {
        end: offset(source.text().len()),
        ..span
    };
    let after = source.slice(source.first_line(rest));
    let stop = Stop {
        source,
        span,
        before,
        after,
    };
    EXPLANATIONS
        .iter()
        .filter(|(needle, _)| info.contains(needle))
        .find_map(|(_, explain)| explain(&stop))
        .unwrap_or_else(|| stop.finding(format!("this is not YAML: {}", cause(info))))
}

type Explain = fn(&Stop<'_>) -> Option<Finding>;

/// What the parser says, and who can put it better. The first that can does.
const EXPLANATIONS: [(&str, Explain); 22] = [
    ("tag", tag),
    ("handle wasn't declared", tag),
    ("anchor", alias),
    ("recursion limit", |stop| {
        let message = "lists and mappings are nested too deep";
        Some(Finding::new(Code::NestedTooDeep, stop.span, message))
    }),
    ("flow", brace_in_flow),
    ("illegal placement", brace_in_flow),
    ("node content", brace_in_flow),
    ("flow sequence", |stop| {
        stop.explain(
            "`,` or `]` is missing here",
            "close the list, or separate its entries",
        )
    }),
    ("flow mapping", |stop| {
        stop.explain(
            "`,` or `}` is missing here",
            "close the mapping, or separate its fields",
        )
    }),
    ("illegal placement", |stop| {
        stop.explain(
            "a `[` or `{` above is not closed",
            "close it before the next field begins",
        )
    }),
    ("end of stream", |stop| {
        stop.explain("this quote is not closed", "close it, or leave it out")
    }),
    ("document indicator", |stop| {
        stop.explain("a quote above is not closed", "close it before `---`")
    }),
    ("double-quoted", |stop| {
        let help = "put the whole value in quotes; within single quotes, write `'` twice";
        stop.explain("text follows a closing quote", help)
    }),
    ("escape", |stop| {
        stop.explain(
            "this escape does not exist",
            r"in double quotes a backslash is written `\\`; single quotes have no escapes",
        )
    }),
    ("tab", |stop| {
        stop.explain("a tab is not indentation in YAML", "indent with spaces")
    }),
    ("indentation in quoted", |stop| {
        stop.explain("this quote is not closed", "close it, or leave it out")
    }),
    ("mapping values", colon),
    ("expected key", indentation),
    ("'-' indicator", indentation),
    ("indentation", indentation),
    ("sequence entries", |stop| {
        let help = "begin the list on the next line, or write it in brackets: `[…, …]`";
        stop.explain("a list cannot begin with `-` on the line of its key", help)
    }),
    ("unexpected character", reserved),
];

impl Stop<'_> {
    fn finding(&self, message: impl Into<String>) -> Finding {
        Finding::new(Code::Syntax, self.span, message)
    }

    /// All that [`EXPLANATIONS`] without a question need.
    fn explain(&self, message: &str, help: &str) -> Option<Finding> {
        Some(self.finding(message).help(help))
    }

    /// The key whose value the parser was reading, if it stands on this line.
    fn key(&self) -> Option<&str> {
        let before = self.before.trim_end().strip_suffix(':')?;
        let start = before
            .rfind(['{', ',', ' '])
            .map_or(0, |at| at.saturating_add(1));
        before.get(start..).filter(|key| !key.is_empty())
    }
}

/// `when: !has(headers["x"])` is not even a tag, but looks like one to the parser.
fn tag(stop: &Stop<'_>) -> Option<Finding> {
    stop.after
        .starts_with('!')
        .then(|| refusal::tag(stop.source, stop.span, stop.key()))
}

/// `[*]`, `- *`, `*undefined`.
fn alias(stop: &Stop<'_>) -> Option<Finding> {
    let found = if stop.after.starts_with(['*', '&']) {
        Span {
            end: stop.span.start.saturating_add(1),
            ..stop.span
        }
    } else {
        stop.before.ends_with(['*', '&']).then(|| Span {
            start: stop.span.start.saturating_sub(1),
            ..stop.span
        })?
    };
    let is_alias = stop.source.slice(found) == "*";
    Some(if is_alias {
        refusal::alias(found)
    } else {
        refusal::anchor(found)
    })
}

/// `[GET /orders/{order}]`: in brackets, a brace begins a mapping.
fn brace_in_flow(stop: &Stop<'_>) -> Option<Finding> {
    let opening = match stop.after.chars().next() {
        Some('{' | '[') => stop.before.len(),
        _ => stop.before.rfind(['{', '['])?,
    };
    let line = format!("{}{}", stop.before, stop.after);
    let (before, from) = line.split_at_checked(opening)?;
    let entry_start = before
        .rfind(['[', ',', '{', '"', '\''])
        .map_or(0, |at| at.saturating_add(1));
    let entry = before.get(entry_start..)?.trim_start();
    if entry.is_empty() || entry.ends_with(' ') || before.ends_with(':') {
        return None;
    }
    let end = from.find([',', ']']).unwrap_or(from.len());
    let whole = format!("{entry}{}", from.get(..end)?.trim_end());
    let brace = from.get(..1)?;
    let start = stop
        .span
        .start
        .saturating_sub(offset(stop.before.len()))
        .saturating_add(offset(opening));
    let span = Span {
        start,
        end: start.saturating_add(1),
        ..stop.span
    };
    let message = format!("within brackets, `{brace}` ends an unquoted text");
    Some(
        Finding::new(Code::Syntax, span, message)
            .help(format!("quote the entry: `{}`", quote(&whole))),
    )
}

/// `reason: see: this`, or a key under a text.
fn colon(stop: &Stop<'_>) -> Option<Finding> {
    let Some((key, value)) = stop.before.split_once(": ") else {
        let help = "begin the fields of one mapping in one column";
        return stop.explain(
            "by its indentation this line goes on with the text above, but it is a field",
            help,
        );
    };
    let value = format!("{}{}", value.trim_start(), stop.after.trim_end());
    let key = key.trim_start_matches(['-', ' ']);
    Some(
        stop.finding("a second `: ` in one line would begin a mapping within a text")
            .help(format!(
                "quote the value: `{}: {}`",
                Quoted(key),
                quote(&value)
            )),
    )
}

fn indentation(stop: &Stop<'_>) -> Option<Finding> {
    let help = "begin the fields of one mapping in one column, and so the `-` of one list";
    stop.explain("this line's indentation fits nothing above it", help)
}

/// YAML 1.2, section 5.3: reserved indicators.
fn reserved(stop: &Stop<'_>) -> Option<Finding> {
    let c = stop.after.chars().next()?;
    let c = if c == '`' {
        "a backtick".to_owned()
    } else {
        format!("`{c}`")
    };
    let message = format!("an unquoted text cannot begin with {c}");
    Some(
        stop.finding(message)
            .help(format!("quote it: `{}`", quote(stop.after.trim_end()))),
    )
}

/// The parser's words without what it was doing.
fn cause(info: &str) -> &str {
    let doing = info
        .starts_with("while ")
        .then(|| info.split_once(", "))
        .flatten();
    doing.map_or(info, |(_, cause)| cause)
}

/// A plain key that another reader would not read as text.
pub(super) fn key_not_text(span: Span, text: &str, other: &str) -> Finding {
    let message = format!("the key `{}` is {other} to readers of YAML", Quoted(text));
    Finding::new(Code::KeyNotString, span, message)
        .label("not a text")
        .help(format!("quote it: `{}`", quote(text)))
}

/// A list or a mapping as a key.
pub(super) fn key_is_collection(span: Span) -> Finding {
    Finding::new(
        Code::KeyNotString,
        span,
        "a list or a mapping cannot be a key",
    )
    .help("if it is meant as text, quote it")
}

/// `{{ … }}`, which is a mapping within a mapping's key, where `span` begins the inner.
pub(super) fn template(source: &Source, span: Span) -> Option<Finding> {
    let outer = Span {
        start: span.start.checked_sub(1)?,
        end: span.start.saturating_add(1),
        ..span
    };
    (source.slice(outer) == "{{").then(|| {
        Finding::new(
            Code::KeyNotString,
            outer,
            "`{{` begins a template that has not been rendered",
        )
        .help("render it first; if it is meant as text, quote it")
    })
}
