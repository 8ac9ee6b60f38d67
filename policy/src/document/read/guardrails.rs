//! What the operator's policy holds the documents of others to.

use super::{
    super::{
        Code,
        finding::{Finding, Quoted, Sink},
        raw::{Author, Guardrails, Written},
        source::Span,
        time::parse_duration,
        yaml::Node,
    },
    Fields, Shape, What, metadata, text,
    trust::{entries, several},
    values::word,
};

pub(super) const SHAPE: Shape = Shape {
    name: "`spec.guardrails`",
    known: &["shadow", "longestException", "forbiddenFrom"],
    required: &[],
};

pub(super) const AUTHOR: Shape = Shape {
    name: "an author",
    known: &["directory", "namespace", "forServices"],
    required: &["forServices"],
};

/// `spec.guardrails`.
pub(super) fn read<'s>(fields: &mut Fields<'s>, sink: &mut Sink) -> Guardrails<'s> {
    let Some(entry) = fields.take("guardrails") else {
        return Guardrails::default();
    };
    let (span, what) = (entry.value.span, What::Field("guardrails"));
    let Some(mut fields) = Fields::open(entry.value, what, &SHAPE, sink) else {
        return Guardrails::default();
    };
    if fields.is_empty() {
        sink.push(Finding::new(Code::Empty, span, "`guardrails` is empty").help("leave it out"));
    }
    let longest = fields.take("longestException");
    Guardrails {
        forbids_shadow: forbids_shadow(&mut fields, sink),
        longest_exception: longest.and_then(|entry| duration(entry.value, sink)),
        forbidden_from: several(&mut fields, "forbiddenFrom", sink),
    }
}

/// `shadow: Forbid`, and where it stands.
fn forbids_shadow(fields: &mut Fields<'_>, sink: &mut Sink) -> Option<Span> {
    let entry = fields.take("shadow")?;
    let span = entry.value.span;
    let words = [("Allow", false), ("Forbid", true)];
    word(entry.value, "shadow", &words, sink)?.then_some(span)
}

fn duration(node: Node<'_>, sink: &mut Sink) -> Option<(i64, Span)> {
    let written = text(node, What::Field("longestException"), sink)?;
    let millis = parse_duration(&written.text);
    if millis.is_none() {
        let message = format!("`{}` is not a length of time", Quoted(&written.text));
        let finding = Finding::new(Code::InvalidDuration, written.span, message);
        sink.push(finding.help("write days or hours, ten years at most: `90d`, `36h`"));
    }
    millis.map(|millis| (millis, written.span))
}

/// `spec.authors`.
pub(super) fn authors<'s>(
    fields: &mut Fields<'s>,
    sink: &mut Sink,
) -> Option<(Vec<Author<'s>>, Span)> {
    let span = fields.span("authors")?;
    let entries = entries(fields, "authors", &AUTHOR, sink).into_iter();
    let authors = entries.map(|entry| author(entry, sink)).collect();
    Some((authors, span))
}

fn author<'s>(mut fields: Fields<'s>, sink: &mut Sink) -> Author<'s> {
    if fields.lacks("directory") && fields.lacks("namespace") {
        let message = "an author needs a `directory`, a `namespace` or both";
        sink.push(Finding::new(Code::MissingField, fields.start(), message));
    }
    let directory = fields.take("directory");
    let namespace = fields.take("namespace");
    Author {
        directory: directory.and_then(|entry| self::directory(entry.value, sink)),
        namespace: namespace.and_then(|entry| metadata::checked(entry.value, "namespace", sink)),
        for_services: several(&mut fields, "forServices", sink),
    }
}

/// A path as the names of files begin with it; `.` is where all of them are.
fn directory<'s>(node: Node<'s>, sink: &mut Sink) -> Option<Written<'s>> {
    let written = text(node, What::Field("directory"), sink)?;
    let is_name = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\\');
    if written.text == "." || written.text.split('/').all(is_name) {
        return Some(written);
    }
    let message = format!("`{}` is not a directory of policies", Quoted(&written.text));
    let finding = Finding::new(Code::InvalidDirectory, written.span, message);
    sink.push(finding.help(
        "write it relative to the policies, without `/` at its ends: `teams/shop`; `.` is all of them",
    ));
    None
}
