//! Headers, which rules ask for in `when`.

use callgate_policy::document::{LoadError, LoadOptions, Source, load};

use super::{
    document::Span,
    formula::{Atom, Formula},
    report::{Finding, Kind},
    text::Match,
};

/// Headers that a condition may not read; the loader knows them too.
const SECRET: [&str; 4] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-forwarded-client-cert",
];

/// A header, which a rule asks for in its `when`. Repeated ones are joined with `,` by both.
pub(super) fn header(name: &str, text: &str, how: Match, span: Span) -> Formula {
    let name = name.to_ascii_lowercase();
    let value = literal(text);
    let read = format!("request.headers[\"{name}\"]");
    let gap = |kind, what: &str, instead: &str| {
        let message = format!("the header `{name}`: {what}");
        Formula::gap(Finding::new(kind, span, message).instead(instead))
    };
    let Some(value) = value.filter(|_| !text.is_empty() && is_header_name(&name)) else {
        return gap(
            Kind::Header,
            "its name or its value cannot be written in a condition",
            "write the rule's `when` yourself",
        );
    };
    if SECRET.contains(&name.as_str()) {
        return gap(
            Kind::Header,
            "conditions may not read secrets",
            "decide by who calls",
        );
    }
    let condition = match how {
        Match::Exact => format!("{read} == {value}"),
        Match::Prefix => format!("{read}.startsWith({value})"),
        Match::Suffix => format!("{read}.endsWith({value})"),
        Match::Contains => format!("{read}.contains({value})"),
        Match::Regex => {
            let what = format!("the regular expression `{text}`");
            return gap(
                Kind::Regex,
                &what,
                "compare with the values that are meant; or use `matches` in the rule's `when`",
            );
        }
    };
    Formula::Is(span, Atom::When(condition))
}

/// A header that is there, whatever its value.
pub(super) fn header_present(name: &str, span: Span) -> Formula {
    let name = name.to_ascii_lowercase();
    if SECRET.contains(&name.as_str()) || !is_header_name(&name) {
        let message = format!("the header `{name}`: a condition cannot read it");
        return Formula::gap(
            Finding::new(Kind::Header, span, message).instead("decide by who calls"),
        );
    }
    Formula::Is(span, Atom::When(format!("\"{name}\" in request.headers")))
}

fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
}

/// A text as CEL has it, if it needs no escapes.
fn literal(text: &str) -> Option<String> {
    let plain = |c: char| (c.is_ascii_graphic() || c == ' ') && !"\"\\".contains(c);
    text.chars().all(plain).then(|| format!("\"{text}\""))
}

/// Whether a rule with this `when` loads; if not, why.
pub(super) fn check(text: &str) -> Result<(), String> {
    let document = format!(
        "kind: ServicePolicy\nmetadata: {{name: a}}\nspec:\n  services: [spiffe://a/b]\n  allow:\n    \
         - name: a\n      from: [spiffe://a/c]\n      to: [ANY /**]\n      when: >-\n        {text}\n"
    );
    match load(&[Source::new("a", document)], &LoadOptions::default()) {
        Ok(_) => Ok(()),
        Err(LoadError::Findings(findings)) => {
            let first = findings.diagnostics().first();
            let message = first.map_or_else(String::new, |found| found.message.clone());
            Err(format!("the conditions on headers together: {message}"))
        }
        Err(error) => Err(error.to_string()),
    }
}
