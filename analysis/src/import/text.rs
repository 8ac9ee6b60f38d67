//! Texts of other systems as shapes: identities, paths, methods.

use std::collections::BTreeSet;

use callgate_policy::{CallerPattern, Operation, PathOptions, SpiffeId};

use super::{
    document::Span,
    formula::{Atom, Formula},
    report::{Finding, Kind},
    shape::{End, Segment, Shape},
};

/// How a text is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// The whole text.
    Exact,
    /// Its beginning.
    Prefix,
    /// Its end.
    Suffix,
    /// Some part of it.
    Contains,
    /// A regular expression.
    Regex,
}

/// A text with stars where it is open, for messages.
fn starred(text: &str, how: Match) -> String {
    match how {
        Match::Exact | Match::Regex => text.to_owned(),
        Match::Prefix => format!("{text}*"),
        Match::Suffix => format!("*{text}"),
        Match::Contains => format!("*{text}*"),
    }
}

const SCHEME: &str = "spiffe://";

/// An identity, in full.
pub(super) fn identity(text: &str, how: Match, span: Span) -> Formula {
    match caller(text, how) {
        Ok(shape) => Formula::Is(span, Atom::Callers(vec![shape])),
        Err((kind, message, instead)) => {
            Formula::gap(Finding::new(kind, span, message).instead(instead))
        }
    }
}

type Fault = (Kind, String, String);

fn fault(kind: Kind, message: impl Into<String>, instead: impl Into<String>) -> Fault {
    (kind, message.into(), instead.into())
}

fn caller(text: &str, how: Match) -> Result<Shape, Fault> {
    let list = "list the callers, each by its whole SPIFFE ID";
    match how {
        Match::Exact => exact_caller(text),
        Match::Prefix => callers_below(text),
        Match::Regex => Err(fault(
            Kind::Regex,
            format!("the regular expression `{text}` over identities"),
            list,
        )),
        Match::Suffix | Match::Contains => {
            let instead =
                "write whole SPIFFE IDs: the trust domain is always literal, `*` is one segment";
            let message = format!(
                "`{}` leaves the beginning of an identity open",
                starred(text, how)
            );
            Err(fault(Kind::Wildcard, message, instead))
        }
    }
}

fn exact_caller(text: &str) -> Result<Shape, Fault> {
    if !text.starts_with(SCHEME) {
        let message = format!("`{text}` is not a SPIFFE ID");
        let instead = "name the caller by the SPIFFE ID that its certificate has";
        return Err(fault(Kind::Identity, message, instead));
    }
    let id = SpiffeId::parse(text).map_err(|error| {
        let message = format!("no caller is called `{text}`: {error}");
        fault(Kind::Identity, message, "write the SPIFFE ID that is meant")
    })?;
    Ok(Shape::exact(
        [id.trust_domain()].into_iter().chain(id.segments()),
    ))
}

/// Every identity that begins with `text`.
fn callers_below(text: &str) -> Result<Shape, Fault> {
    let instead =
        "list the callers, or use whole segments: `*` is one, a trailing `/**` any number";
    let Some(rest) = text
        .strip_prefix(SCHEME)
        .and_then(|rest| rest.strip_suffix('/'))
    else {
        let message = format!("`{text}*` ends within a segment of an identity");
        return Err(fault(Kind::Wildcard, message, instead));
    };
    let pattern = CallerPattern::parse(&format!("{SCHEME}{rest}/**"), None).map_err(|error| {
        fault(
            Kind::Identity,
            format!("no caller begins with `{text}`: {error}"),
            instead,
        )
    })?;
    if pattern.captures().next().is_some() || rest.contains('*') {
        let message = format!("`{text}*` has characters that no identity has");
        return Err(fault(Kind::Identity, message, instead));
    }
    let shape = Shape::exact(rest.split('/'));
    // Below a trust domain there is always something; elsewhere zero segments are too few.
    let below = if rest.contains('/') {
        shape.then(Segment::Any)
    } else {
        shape
    };
    Ok(below.ending(End::More))
}

/// A path without its query, compared as it is sent.
pub(super) fn path(text: &str, how: Match, span: Span) -> Formula {
    match paths(text, how) {
        Ok(shapes) => Formula::Is(span, Atom::Paths(shapes)),
        Err((kind, message, instead)) => {
            Formula::gap(Finding::new(kind, span, message).instead(instead))
        }
    }
}

fn paths(text: &str, how: Match) -> Result<Vec<Shape>, Fault> {
    let shapes = match how {
        Match::Exact => vec![exact_path(text)?],
        Match::Prefix => paths_below(text)?,
        Match::Regex => {
            let message = format!("the regular expression `{text}` over paths");
            let instead = "write the paths out; `{name}` stands for one segment, a trailing `/**` for any number";
            return Err(fault(Kind::Regex, message, instead));
        }
        Match::Suffix | Match::Contains => {
            let message = format!(
                "`{}` leaves the beginning of a path open",
                starred(text, how)
            );
            let instead = "write the paths out, as in `GET /reports/{name}.pdf`: patterns are free only \
                 within a segment and at the end";
            return Err(fault(Kind::Wildcard, message, instead));
        }
    };
    for shape in &shapes {
        if let Err(error) = Operation::parse(&format!("ANY {shape}"), PathOptions::default()) {
            let message = format!("`{text}` cannot be written as a path: {error}");
            return Err(fault(
                Kind::Path,
                message,
                "write the path as a rule has it",
            ));
        }
    }
    Ok(shapes)
}

/// The one path `text`.
fn exact_path(text: &str) -> Result<Shape, Fault> {
    check_characters(text)?;
    let rest = text.strip_prefix('/').unwrap_or_default();
    let (rest, end) = match rest.strip_suffix('/') {
        _ if rest.is_empty() => return Ok(Shape::exact([]).ending(End::Slash)),
        Some(rest) => (rest, End::Slash),
        None => (rest, End::Here),
    };
    check_segments(text, rest)?;
    Ok(Shape::exact(rest.split('/')).ending(end))
}

/// Every path that begins with `text`: those that go on in the last segment, and those
/// that go on after it.
fn paths_below(text: &str) -> Result<Vec<Shape>, Fault> {
    check_characters(text)?;
    let rest = text.strip_prefix('/').unwrap_or_default();
    if rest.is_empty() {
        return Ok(vec![Shape::exact([]).ending(End::More)]);
    }
    if let Some(whole) = rest.strip_suffix('/') {
        check_segments(text, whole)?;
        let shape = Shape::exact(whole.split('/'));
        let below = shape.clone().then(Segment::Any).ending(End::More);
        return Ok(vec![shape.ending(End::Slash), below]);
    }
    let (before, last) = rest
        .rsplit_once('/')
        .map_or(("", rest), |(before, last)| (before, last));
    if !before.is_empty() {
        check_segments(text, before)?;
    }
    let begun = Shape::exact(before.split('/').filter(|segment| !segment.is_empty()));
    let longer = begun
        .then(Segment::Begins(last.to_owned()))
        .ending(End::More);
    // `/a/.` begins `/a/.b`, but is no path itself.
    if matches!(last, "." | "..") {
        return Ok(vec![longer]);
    }
    Ok(vec![
        Shape::exact(rest.split('/')).ending(End::More),
        longer,
    ])
}

/// Only what has one spelling: everything else the other system compares as it was sent,
/// and Callgate decoded.
fn check_characters(text: &str) -> Result<(), Fault> {
    if !text.starts_with('/') {
        let message = format!("no path begins with `{text}`: paths begin with `/`");
        return Err(fault(Kind::Path, message, "write the path that is meant"));
    }
    let has_one_spelling = |c: char| c.is_ascii_alphanumeric() || "/-._~!$&'()+,=:@".contains(c);
    let Some(other) = text.chars().find(|c| !has_one_spelling(*c)) else {
        return Ok(());
    };
    Err(match other {
        '*' => fault(
            Kind::Path,
            format!("the `*` within `{text}` is a literal star there, not a wildcard"),
            "`{name}` stands for one segment, a trailing `/**` for any number",
        ),
        '{' | '}' => fault(
            Kind::Path,
            format!("`{text}` has braces, which the two read differently"),
            "`{name}` stands for one segment, a trailing `/**` for any number",
        ),
        '?' | '#' => fault(
            Kind::Path,
            format!("`{text}` has a query or a fragment, but paths are compared without"),
            "write the path alone",
        ),
        ';' => fault(
            Kind::Path,
            format!("`{text}` has a `;`, which Callgate refuses as ambiguous"),
            "if the service needs it, set `spec.paths.parameters: Keep` and write the path yourself",
        ),
        _ => fault(
            Kind::Path,
            format!(
                "`{text}` has `{other}`, which can be sent in several spellings: this compares \
                     one of them, Callgate all"
            ),
            "write the path yourself, if every spelling of it is meant",
        ),
    })
}

fn check_segments(text: &str, rest: &str) -> Result<(), Fault> {
    if rest
        .split('/')
        .any(|segment| matches!(segment, "" | "." | ".."))
    {
        let message =
            format!("`{text}` has an empty segment or dots, which are refused as ambiguous");
        return Err(fault(
            Kind::Path,
            message,
            "write the path in its canonical form",
        ));
    }
    Ok(())
}

/// A method.
pub(super) fn method(text: &str, how: Match, span: Span) -> Formula {
    let named = "name the methods";
    let gap =
        |kind, message: String| Formula::gap(Finding::new(kind, span, message).instead(named));
    match how {
        Match::Exact => match Operation::parse(&format!("{text} /"), PathOptions::default()) {
            // Words of Callgate, which no method is.
            Ok(_) if matches!(text, "ANY" | "GRPC" | "WEBSOCKET") || text.contains(',') => {
                gap(Kind::Method, format!("`{text}` is not a method"))
            }
            Ok(_) => Formula::Is(span, Atom::Methods(BTreeSet::from([text.to_owned()]))),
            Err(error) => gap(
                Kind::Method,
                format!("`{text}` is not a method that a rule can name: {error}"),
            ),
        },
        Match::Regex => gap(
            Kind::Regex,
            format!("the regular expression `{text}` over methods"),
        ),
        _ => gap(
            Kind::Wildcard,
            format!("`{}` is a part of a method", starred(text, how)),
        ),
    }
}
