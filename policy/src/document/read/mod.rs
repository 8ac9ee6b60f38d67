//! From nodes to raw documents: which fields there are, and what they may hold.
//!
//! A reader takes the fields it knows, makes a finding of everything else, and goes
//! on with what is left, so that one load tells everything that is wrong.

mod exception;
mod expectation;
mod fields;
mod group;
mod guardrails;
mod mesh;
mod metadata;
mod policy_test;
mod revocation;
mod rules;
mod service;
mod trust;
mod values;

use super::{
    Code,
    finding::{Finding, Quoted, Sink},
    raw::{Documents, Role, Written},
    suggest::{nearest, one_of},
    yaml::Node,
};
use fields::{Fields, Shape};
use metadata::Metadata;
use values::{What, text};

/// The group and version of every document.
const API_VERSION: &str = "callgate.dev/v1alpha1";

const SHAPE: Shape = Shape {
    name: "a document",
    known: &["apiVersion", "kind", "metadata", "spec"],
    // Of a kind that is not known, nobody can say what else it needs.
    required: &["kind"],
};

/// Reads one document into `documents`.
pub(super) fn document<'s>(node: Node<'s>, documents: &mut Documents<'s>, sink: &mut Sink) {
    documents.count = documents.count.saturating_add(1);
    if content(node, documents, sink).is_none() {
        documents.whole = false;
    }
}

/// `None` if this might have been a group or the mesh's policy: others that seem to miss
/// one are then not blamed.
fn content<'s>(node: Node<'s>, documents: &mut Documents<'s>, sink: &mut Sink) -> Option<()> {
    let span = node.span;
    let mut fields = Fields::open(node, What::Document, &SHAPE, sink)?;
    api_version(&mut fields, sink);
    let kind = kind(&mut fields, documents.role, sink)?;
    fields.require(&SHAPE, &["metadata", "spec"], sink);
    let entry = fields.take("metadata");
    let metadata = entry.map(|entry| metadata::read(entry.value, sink));
    let Metadata { name, namespace } = metadata.unwrap_or_default();
    let spec = fields.take("spec").map(|entry| entry.value);
    match kind {
        Kind::Service => {
            let read = spec.and_then(|spec| service::read(name, namespace, span, spec, sink));
            documents.services.extend(read);
        }
        Kind::Group => {
            let group = group::read(name, spec?, sink);
            let named = group.name.is_some();
            documents.groups.push(group);
            return named.then_some(());
        }
        Kind::Mesh => documents.meshes.push(mesh::read(name, span, spec?, sink)?),
        Kind::Revocation => {
            let read = spec.and_then(|spec| revocation::read(name, span, spec, sink));
            documents.revocations.extend(read);
        }
        Kind::Test => {
            let read = spec.and_then(|spec| policy_test::read(name, span, spec, sink));
            documents.tests.extend(read);
        }
    }
    Some(())
}

#[derive(Clone, Copy)]
enum Kind {
    Service,
    Group,
    Mesh,
    Revocation,
    Test,
}

const KINDS: [(&str, Kind); 4] = [
    ("ServicePolicy", Kind::Service),
    ("CallerGroup", Kind::Group),
    ("MeshPolicy", Kind::Mesh),
    ("Revocation", Kind::Revocation),
];

const TEST: &str = "PolicyTest";

/// A document without a version is of this one: there is no other yet.
fn api_version(fields: &mut Fields<'_>, sink: &mut Sink) {
    let entry = fields.take("apiVersion");
    let version = entry.and_then(|entry| text(entry.value, What::Field("apiVersion"), sink));
    if let Some(version) = version.filter(|version| version.text != API_VERSION) {
        let message = format!("unknown apiVersion `{}`", Quoted(&version.text));
        let finding = Finding::new(Code::ApiVersion, version.span, message);
        sink.push(finding.label(format!("this release reads `{API_VERSION}`")));
    }
}

fn kind(fields: &mut Fields<'_>, role: Role, sink: &mut Sink) -> Option<Kind> {
    let entry = fields.take("kind")?;
    let written = text(entry.value, What::Field("kind"), sink)?;
    let kind = KINDS.iter().find(|(name, _)| *name == written.text);
    match (role, kind) {
        (Role::Tests, _) if written.text == TEST => return Some(Kind::Test),
        (Role::Tests, _) => sink.push(not_a_test(&written, kind.is_some())),
        (Role::Policies, Some((_, kind))) => return Some(*kind),
        (Role::Policies, None) => sink.push(unknown_kind(&written)),
    }
    None
}

/// In a file of tests, whatever else stands there has no effect.
fn not_a_test(kind: &Written<'_>, is_known: bool) -> Finding {
    let name = Quoted(&kind.text);
    if !is_known {
        let message = format!("unknown kind `{name}`");
        let finding = Finding::new(Code::UnknownKind, kind.span, message);
        return match nearest(&kind.text, [TEST]) {
            Some(meant) => finding.label(format!("did you mean `{meant}`?")),
            None => finding.help(format!(
                "a file of tests has documents of the kind `{TEST}`"
            )),
        };
    }
    let message = format!("a `{name}` in a file of tests");
    Finding::new(Code::NotATest, kind.span, message)
        .label("nobody reads it here")
        .help("files whose name ends in `_test.yaml` hold tests alone: put it into another file")
}

fn unknown_kind(kind: &Written<'_>) -> Finding {
    let message = format!("unknown kind `{}`", Quoted(&kind.text));
    let finding = Finding::new(Code::UnknownKind, kind.span, message);
    let names = KINDS.map(|(name, _)| name);
    match (&*kind.text, nearest(&kind.text, names)) {
        (TEST, _) => {
            finding.help("tests of policies belong in files whose name ends in `_test.yaml`")
        }
        ("Workload", _) => {
            finding.help("this release does not know it, and a document that is passed over would protect nobody")
        }
        (_, Some(meant)) => finding.label(format!("did you mean `{meant}`?")),
        (_, None) => finding.help(format!("a document is one of {}", one_of(&names))),
    }
}

#[cfg(test)]
mod schema_tests;
