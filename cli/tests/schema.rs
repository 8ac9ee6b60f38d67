//! The schema for editors and the loader agree: on what is fine, and on what has the wrong
//! shape.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test, a panic is the report"
)]

mod run;

use std::{
    fs,
    path::{Path, PathBuf},
};

use boon::{Compiler, SchemaIndex, Schemas};
use callgate_policy::{
    TrustDomain,
    document::{
        Limits, LoadError, LoadOptions, Source, load, load_tests,
        syntax::{Node, Style, Syntax, Value, read_as},
    },
};
use run::{callgate, directory};
use serde_json::{Map, json};

struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Schema {
    fn printed() -> Self {
        let dir = directory(&[]);
        let outcome = callgate(dir.path(), &["schema"]);
        assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""));
        let text: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("callgate.json", text).unwrap();
        let index = compiler.compile("callgate.json", &mut schemas).unwrap();
        Self { schemas, index }
    }

    fn fault(&self, document: &serde_json::Value) -> Option<String> {
        let outcome = self.schemas.validate(document, self.index);
        outcome.err().map(|error| format!("{error:#}"))
    }
}

/// What an editor sees: YAML 1.2, where an unquoted `false` is none.
fn seen(node: &Node<'_>) -> serde_json::Value {
    match &node.value {
        Value::Text(text) => match (text.style, read_as(&text.text)) {
            (Style::Plain, Some("a boolean")) => json!(text.text == "true"),
            (Style::Plain, Some("a number")) => json!(7),
            _ => json!(text.text),
        },
        Value::List(items) => items.iter().map(seen).collect(),
        Value::Map(entries) => {
            let entries = entries.iter();
            let map: Map<_, _> = entries
                .map(|entry| (entry.key.to_string(), seen(&entry.value)))
                .collect();
            map.into()
        }
        Value::Refused => json!(null),
    }
}

/// The documents of a text; none if it cannot be parsed.
fn documents(source: &Source) -> Vec<serde_json::Value> {
    let syntax = Syntax::parse(0, source, &Limits::default());
    syntax.map_or_else(
        |_| Vec::new(),
        |syntax| syntax.documents.iter().map(seen).collect(),
    )
}

fn loads(path: &Path, source: &Source) -> bool {
    let sources = std::slice::from_ref(source);
    let options = LoadOptions {
        trust_domain: TrustDomain::parse("example.org").ok(),
        ..LoadOptions::default()
    };
    if path.to_str().unwrap().ends_with("_test.yaml") {
        return load_tests(sources, &options).is_ok();
    }
    match load(sources, &options) {
        Ok(_) => true,
        // What is said between documents is no matter of shape.
        Err(LoadError::Findings(found)) => found
            .diagnostics()
            .iter()
            .all(|one| (300..400).contains(&one.code.as_str()[2..].parse::<u32>().unwrap())),
        Err(LoadError::NoDocuments) => false,
    }
}

#[test]
fn what_loads_fits_the_schema() {
    let schema = Schema::printed();
    let mut fine = 0;
    for path in files(&[
        "docs",
        "tests/cases/policies",
        "analysis/tests",
        "policy/tests",
        "cli/src/init",
    ]) {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let source = Source::new(path.display().to_string(), text);
        if loads(&path, &source) {
            for document in documents(&source) {
                let fault = schema.fault(&document);
                assert_eq!(fault, None, "{}: {document:#}", path.display());
                fine += 1;
            }
        }
    }
    assert!(fine > 60, "{fine}");
}

#[test]
fn what_has_the_wrong_shape_does_not() {
    // What a schema can say: types, fields, words, and most of the forms of texts.
    const SHAPES: [&str; 9] = [
        "CG101", "CG103", "CG104", "CG105", "CG106", "CG107", "CG108", "CG110", "CG208",
    ];
    let schema = Schema::printed();
    let mut wrong = 0;
    for path in files(&["policy/tests/diagnostics"]) {
        let name = path.file_name().unwrap().to_str().unwrap().to_uppercase();
        if !SHAPES.iter().any(|code| name.starts_with(code))
            || name.ends_with("_TEST.YAML") && name.starts_with("CG107")
        {
            continue;
        }
        let source = Source::new(name.clone(), fs::read(&path).unwrap());
        let documents = documents(&source);
        if documents.is_empty() {
            continue;
        }
        let is_refused = documents
            .iter()
            .any(|document| schema.fault(document).is_some());
        assert!(is_refused, "{name} fits the schema");
        wrong += 1;
    }
    assert!(wrong >= 12, "{wrong}");
}

fn files(folders: &[&str]) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in folders {
        find(&root.join(folder), &mut files);
    }
    files
}

fn find(folder: &Path, into: &mut Vec<PathBuf>) {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, into);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            into.push(path);
        }
    }
}
