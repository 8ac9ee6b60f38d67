//! `ServicePolicy`: a team's rules for calls to its services.

use super::{
    super::{
        Code,
        finding::{Finding, Sink},
        raw::{Service, Written},
        source::Span,
        yaml::Node,
    },
    Fields, Shape, What, rules,
    values::{prose, texts, word},
};
use crate::{PathOptions, spec::Enforcement};

pub(super) const SHAPE: Shape = Shape {
    name: "a `ServicePolicy`",
    known: &[
        "services",
        "owner",
        "help",
        "enforcement",
        "allow",
        "deny",
        "paths",
        "overrideHeaders",
    ],
    required: &["services"],
};

pub(super) const PATHS: Shape = Shape {
    name: "`spec.paths`",
    known: &["encodedSlash", "parameters", "trailingSlash"],
    required: &[],
};

/// Characters of `owner`. It goes into every refusal, and gRPC callers get it in a
/// header, of which proxies hold some 8 KiB together.
pub(super) const OWNER_CHARACTERS: usize = 253;

/// Characters of `help`, for the same reason; enough for a sentence and a link.
const HELP_CHARACTERS: usize = 1_024;

/// Reads `spec`; `None` if nothing can be said of it.
pub(super) fn read<'s>(
    name: Option<Written<'s>>,
    namespace: Option<Written<'s>>,
    span: Span,
    spec: Node<'s>,
    sink: &mut Sink,
) -> Option<Service<'s>> {
    let what = What::Field("spec");
    let mut fields = Fields::open(spec, what, &SHAPE, sink)?;
    let services = fields.take("services");
    let mut text = |fields: &mut Fields<'s>, field, longest| {
        let entry = fields.take(field)?;
        prose(entry.value, What::Field(field), longest, sink)
    };
    let owner = text(&mut fields, "owner", OWNER_CHARACTERS);
    let help = text(&mut fields, "help", HELP_CHARACTERS);
    let (enforcement, shadow) = enforcement(&mut fields, sink);
    Some(Service {
        name,
        namespace,
        span,
        services: services.map_or_else(Vec::new, |entry| texts(entry.value, "services", sink)),
        owner,
        help,
        enforcement,
        shadow,
        paths: fields
            .take("paths")
            .map_or_else(PathOptions::default, |e| paths(e.value, sink)),
        keep_override_headers: keep(&mut fields, "overrideHeaders", "Keep", sink),
        rules: rules::read(&mut fields, sink),
    })
}

fn enforcement(fields: &mut Fields<'_>, sink: &mut Sink) -> (Enforcement, Option<Span>) {
    let words = [
        ("Enforce", Enforcement::Enforce),
        ("Shadow", Enforcement::Shadow),
    ];
    let Some(entry) = fields.take("enforcement") else {
        return (Enforcement::Enforce, None);
    };
    let span = entry.value.span;
    match word(entry.value, "enforcement", &words, sink) {
        Some(Enforcement::Shadow) => (Enforcement::Shadow, Some(span)),
        _ => (Enforcement::Enforce, None),
    }
}

fn paths(node: Node<'_>, sink: &mut Sink) -> PathOptions {
    let span = node.span;
    let what = What::Field("paths");
    let Some(mut fields) = Fields::open(node, what, &PATHS, sink) else {
        return PathOptions::default();
    };
    if fields.is_empty() {
        sink.push(Finding::new(Code::Empty, span, "`paths` is empty").help("leave it out"));
    }
    PathOptions {
        keep_encoded_slash: keep(&mut fields, "encodedSlash", "Keep", sink),
        keep_parameters: keep(&mut fields, "parameters", "Keep", sink),
        ignore_trailing_slash: keep(&mut fields, "trailingSlash", "Ignore", sink),
    }
}

/// A switch that has one word: whether it is set.
fn keep(fields: &mut Fields<'_>, field: &str, set: &str, sink: &mut Sink) -> bool {
    let entry = fields.take(field);
    entry
        .and_then(|entry| word(entry.value, field, &[(set, ())], sink))
        .is_some()
}
