//! What there may be only one of.

use std::collections::HashMap;

use super::super::{
    Code,
    finding::{Finding, Quoted, Sink},
    raw::{Documents, Written},
    source::Span,
};

/// Names are unique among documents of one kind, whatever their namespaces: groups are
/// found, and decisions recorded, by name alone.
pub(super) fn check(documents: &Documents<'_>, sink: &mut Sink) {
    let services = documents.services.iter().map(|one| one.name.as_ref());
    names("ServicePolicy", services, sink);
    names(
        "CallerGroup",
        documents.groups.iter().map(|one| one.name.as_ref()),
        sink,
    );
    let revocations = documents.revocations.iter().map(|one| one.name.as_ref());
    names("Revocation", revocations, sink);
    let tests = documents.tests.iter().map(|one| one.name.as_ref());
    names("PolicyTest", tests, sink);
    let mut meshes = documents.meshes.iter().map(|one| one.span);
    if let Some(first) = meshes.next() {
        for second in meshes {
            let finding = Finding::new(Code::SecondMeshPolicy, second, "a second MeshPolicy");
            let finding = finding.label("again here").related(first, "first here");
            sink.push(finding.help("a mesh has one operator's policy: put both into one document"));
        }
    }
}

fn names<'a>(kind: &str, names: impl Iterator<Item = Option<&'a Written<'a>>>, sink: &mut Sink) {
    let mut seen: HashMap<&str, Span> = HashMap::new();
    for name in names.flatten() {
        let first = *seen.entry(&name.text).or_insert(name.span);
        if first != name.span {
            let message = format!("a second {kind} with the name `{}`", Quoted(&name.text));
            let finding = Finding::new(Code::DuplicateDocument, name.span, message);
            sink.push(finding.label("again here").related(first, "first here"));
        }
    }
}
