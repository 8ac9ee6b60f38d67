//! What the handbook shows must load: a reader copies it.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test, a panic is the report"
)]

use std::{fs, path::Path};

use callgate_policy::{
    TrustDomain,
    document::{LoadError, LoadOptions, Source, load, load_tests},
};

/// What the examples refer to without showing it.
const GROUP: &str = "\
kind: CallerGroup
metadata: {name: flag-readers}
spec: {members: [/ns/a/sa/app]}
";

#[test]
fn every_document_in_the_handbook_loads() {
    for file in [
        "README.md",
        "docs/policies.md",
        "docs/conditions.md",
        "docs/rollout.md",
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
        let text = fs::read_to_string(path).unwrap();
        let documents: Vec<_> = documents(&text).collect();
        assert!(!documents.is_empty(), "{file} shows no document");
        for document in documents {
            check(file, document);
        }
    }
}

#[test]
fn every_test_in_the_handbook_loads() {
    let file = "docs/testing.md";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let text = fs::read_to_string(path).unwrap();
    let sources: Vec<_> = documents(&text)
        .map(|document| Source::new(file, document))
        .collect();
    assert!(!sources.is_empty(), "{file} shows no document");
    for source in &sources {
        if let Err(error) = load_tests(std::slice::from_ref(source), &options()) {
            panic!("{error}");
        }
    }
}

fn options() -> LoadOptions {
    LoadOptions {
        trust_domain: Some(TrustDomain::parse("example.org").unwrap()),
        ..LoadOptions::default()
    }
}

fn check(file: &str, document: &str) {
    let mut sources = vec![Source::new(file, document)];
    if !document.contains("kind: CallerGroup") {
        sources.push(Source::new("group.yaml", GROUP));
    }
    match load(&sources, &options()) {
        Ok(_) => {}
        Err(LoadError::Findings(findings)) => {
            panic!("{file}:\n{}", findings.render(&sources, false))
        }
        Err(LoadError::NoDocuments) => panic!("{file}: nothing in\n{document}"),
    }
}

/// The YAML examples that are whole documents.
fn documents(text: &str) -> impl Iterator<Item = &str> {
    let blocks = text.split("```yaml\n").skip(1);
    blocks
        .filter_map(|block| block.split("```").next())
        .filter(|block| block.contains("kind:"))
}
