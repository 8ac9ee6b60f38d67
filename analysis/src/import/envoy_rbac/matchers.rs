//! Matchers of texts, headers and paths (`envoy.type.matcher.v3`, `envoy.config.route.v3`).

use crate::import::{
    condition,
    document::{Entry, Node, Span},
    fields::{Fields, Keys, Word},
    formula::Formula,
    report::{Finding, Kind, Report},
    text::{self, Match},
};

/// A `StringMatcher`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'n> {
    pub(super) text: &'n str,
    pub(super) span: Span,
    pub(super) how: Match,
    pub(super) ignore_case: bool,
}

const CHOICES: [(&str, Match); 4] = [
    ("exact", Match::Exact),
    ("prefix", Match::Prefix),
    ("suffix", Match::Suffix),
    ("contains", Match::Contains),
];

/// Something in what could not be read; the finding has been made.
const UNREAD: Formula = Formula::Any(Vec::new());

/// A `StringMatcher`.
pub(super) fn string<'n>(node: &'n Node, report: &mut Report) -> Option<Text<'n>> {
    let known = [
        "exact",
        "prefix",
        "suffix",
        "contains",
        "safe_regex",
        "ignore_case",
    ];
    let fields = Fields::open(node, "a string matcher", Keys::Folded, &known, report)?;
    let ignore_case = fields.is_set("ignore_case", report);
    let text = |word: Word<'n>, how| Text {
        text: word.text,
        span: word.span,
        how,
        ignore_case,
    };
    let mut found = Vec::new();
    for (name, how) in CHOICES {
        found.extend(fields.word(name, report).map(|word| text(word, how)));
    }
    if let Some(node) = fields.get("safe_regex") {
        found.extend(regex(node, report).map(|word| text(word, Match::Regex)));
    }
    one(found, node, "a string matcher", report)
}

/// A `RegexMatcher`.
fn regex<'n>(node: &'n Node, report: &mut Report) -> Option<Word<'n>> {
    let known = ["regex", "google_re2"];
    Fields::open(node, "`safe_regex`", Keys::Folded, &known, report)?.word("regex", report)
}

fn one<T>(mut found: Vec<T>, node: &Node, what: &str, report: &mut Report) -> Option<T> {
    let only = found.pop().filter(|_| found.is_empty());
    if only.is_none() {
        let message = format!("{what} compares with exactly one text");
        report.push(Finding::new(Kind::Unreadable, node.span, message));
    }
    only
}

/// A `PathMatcher`: the path without its query.
pub(super) fn url_path(node: &Node, report: &mut Report) -> Formula {
    let path = Fields::open(node, "`url_path`", Keys::Folded, &["path"], report);
    let Some(path) = path.and_then(|fields| fields.get("path")) else {
        let message = "`url_path` compares with exactly one text";
        report.push(Finding::new(Kind::Unreadable, node.span, message));
        return UNREAD;
    };
    match string(path, report) {
        None => UNREAD,
        Some(matcher) if matcher.ignore_case => case_folded(path.span, "paths"),
        Some(matcher) => text::path(matcher.text, matcher.how, matcher.span),
    }
}

fn case_folded(span: Span, what: &str) -> Formula {
    let message = format!("{what} without regard to case");
    let instead = "write every spelling that is meant";
    Formula::gap(Finding::new(Kind::Wildcard, span, message).instead(instead))
}

const HEADER: [&str; 11] = [
    "name",
    "string_match",
    "exact_match",
    "prefix_match",
    "suffix_match",
    "contains_match",
    "safe_regex_match",
    "range_match",
    "present_match",
    "invert_match",
    "treat_missing_header_as_empty",
];

/// A `HeaderMatcher`: method and path are headers to Envoy.
pub(super) fn header(node: &Node, report: &mut Report) -> Formula {
    let fields = Fields::open(node, "a header matcher", Keys::Folded, &HEADER, report);
    let Some(fields) = fields else {
        return UNREAD;
    };
    let Some(name) = fields.word("name", report) else {
        let message = "a header matcher without `name`";
        report.push(Finding::new(Kind::Unreadable, node.span, message));
        return UNREAD;
    };
    let invert = fields.is_set("invert_match", report);
    let formula = match &*name.text.to_ascii_lowercase() {
        ":method" => pseudo(&fields, report, text::method),
        ":path" => pseudo(&fields, report, target),
        other if other.starts_with(':') || other == "host" => {
            special_header(other, &fields, name.span)
        }
        _ => return plain_header(&fields, name, invert, report),
    };
    if invert { formula.not() } else { formula }
}

/// A matcher over a pseudo-header, which every request has.
fn pseudo(
    fields: &Fields<'_>,
    report: &mut Report,
    read: fn(&str, Match, Span) -> Formula,
) -> Formula {
    if fields.get("present_match").is_some() {
        let present = Formula::always();
        return if fields.is_set("present_match", report) {
            present
        } else {
            present.not()
        };
    }
    if let Some(entry) = fields.entry("range_match") {
        let message = "`range_match`: no method and no path is a number";
        return Formula::gap(Finding::new(Kind::Condition, entry.key_span, message));
    }
    let Some(matcher) = comparison(fields, report) else {
        return UNREAD;
    };
    if matcher.ignore_case {
        return case_folded(matcher.span, "methods and paths");
    }
    read(matcher.text, matcher.how, matcher.span)
}

/// What a header is compared with, in the new form or the old one.
fn comparison<'n>(fields: &Fields<'n>, report: &mut Report) -> Option<Text<'n>> {
    if let Some(node) = fields.get("string_match") {
        return string(node, report);
    }
    for (name, how) in CHOICES {
        if let Some(word) = fields.word(&format!("{name}_match"), report) {
            return Some(Text {
                text: word.text,
                span: word.span,
                how,
                ignore_case: false,
            });
        }
    }
    if let Some(node) = fields.get("safe_regex_match") {
        return regex(node, report).map(|word| Text {
            text: word.text,
            span: word.span,
            how: Match::Regex,
            ignore_case: false,
        });
    }
    let message = "a header matcher that compares with nothing";
    report.push(Finding::new(Kind::Unreadable, fields.span(), message));
    None
}

/// `:path`, which has the query as well. Its beginning is the path's, as long as what is
/// looked for has no query itself.
fn target(text: &str, how: Match, span: Span) -> Formula {
    if how == Match::Exact {
        let message = format!("`:path` is `{text}` only if there is no query");
        let instead = "compare `url_path`, which is without the query; or ask for an empty `request.query` in the rule's `when`";
        return Formula::gap(Finding::new(Kind::Path, span, message).instead(instead));
    }
    text::path(text, how, span)
}

/// Any other header. One that is missing fits nothing to Envoy, inverted or not.
fn plain_header(fields: &Fields<'_>, name: Word<'_>, invert: bool, report: &mut Report) -> Formula {
    let gap = |what: &str| {
        let message = format!("the header `{}`: {what}", name.text);
        let instead = format!(
            "in the rule, a `when` over `request.headers[\"{}\"]`",
            name.text.to_ascii_lowercase()
        );
        Formula::gap(Finding::new(Kind::Header, name.span, message).instead(instead))
    };
    if fields.get("present_match").is_some() {
        let there = condition::header_present(name.text, name.span);
        return if fields.is_set("present_match", report) == invert {
            there.not()
        } else {
            there
        };
    }
    if invert || fields.is_set("treat_missing_header_as_empty", report) {
        return gap("compared in a way that depends on whether it is there");
    }
    if fields.get("range_match").is_some() {
        return gap("compared as a number");
    }
    let Some(matcher) = comparison(fields, report) else {
        return UNREAD;
    };
    if matcher.ignore_case {
        return gap("compared without regard to case");
    }
    condition::header(name.text, matcher.text, matcher.how, matcher.span)
}

/// The host, and what else begins with a colon.
fn special_header(name: &str, fields: &Fields<'_>, span: Span) -> Formula {
    if !matches!(name, ":authority" | "host") {
        let message = format!("the pseudo-header `{name}`");
        return Formula::gap(Finding::new(Kind::Condition, span, message));
    }
    let value = fields
        .get("string_match")
        .and_then(|node| node.field_text("exact"))
        .or_else(|| fields.get("exact_match")?.text());
    let instead = match value {
        Some(value) => format!("in the rule, `when: request.host == {value:?}`"),
        None => "in the rule, a `when` over `request.host`".to_owned(),
    };
    Formula::gap(Finding::new(Kind::Host, span, "the host of the request").instead(instead))
}

/// Metadata of other filters; JSON Web Tokens among them.
pub(super) fn metadata(entry: &Entry) -> Formula {
    let filter = entry.value.field_text("filter").unwrap_or_default();
    let (kind, message, instead) = if filter.contains("jwt") {
        (
            Kind::Jwt,
            format!("claims of a JSON Web Token (`{filter}`)"),
            "leave tokens to the service: Callgate decides by the identity of the connection",
        )
    } else {
        (
            Kind::Condition,
            format!("metadata of the filter `{filter}`"),
            "leave it out: only the connection's identity and the request decide",
        )
    };
    Formula::gap(Finding::new(kind, entry.key_span, message).instead(instead))
}
