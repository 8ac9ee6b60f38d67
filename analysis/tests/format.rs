//! Formatting changes nothing but the form: whatever is written, however it is written.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test, a panic is the report"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use callgate_analysis::format::format;
use callgate_policy::{
    TrustDomain,
    document::{
        Limits, LoadOptions, Source, specify,
        syntax::{Node, Style, Syntax, Value},
    },
};
use proptest::prelude::*;

/// A value of a document.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z/ ]{0,3}[a-zA-Z0-9/{}*:#'\",\\[\\]&!%@|>?=<~. -]{0,12}",
        2 => "(/[a-z]{1,4}|/\\{[a-z]\\}|/\\*){1,4}",
        2 => Just("GET /orders/{order}".to_owned()),
        1 => "[0-9]{1,4}|true|null|0x1f|2027-02-01|1e3|~|---|\\.\\.\\.",
        1 => "[a-z ü€\\t\\n\u{200b}]{0,12}",
        1 => "[a-z]{1,20}( (&&|\\|\\|) [a-z\"' ]{1,20}){0,5}",
    ]
}

fn keys() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z]{1,6}",
        1 => Just("when".to_owned()),
        1 => "[a-z:# {}\"'-]{1,6}|yes|0123",
    ]
}

fn trees() -> impl Strategy<Value = Tree> {
    texts()
        .prop_map(Tree::Text)
        .prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Tree::List),
                prop::collection::vec((keys(), inner), 0..5).prop_map(|mut entries| {
                    let mut seen = Vec::new();
                    entries.retain(|(key, _)| {
                        !seen.contains(key) && {
                            seen.push(key.clone());
                            true
                        }
                    });
                    Tree::Map(entries)
                }),
            ]
        })
}

/// Writes trees in every way that YAML has, by a list of choices.
struct Pen<'c> {
    choices: std::iter::Cycle<std::slice::Iter<'c, u8>>,
    text: String,
    comments: usize,
}

impl Pen<'_> {
    fn choose(&mut self, of: u8) -> u8 {
        self.choices.next().copied().unwrap_or(0) % of
    }

    /// The end of a line: with a comment, or followed by some lines that say nothing.
    fn end(&mut self) {
        let choice = self.choose(8);
        if choice == 0 {
            self.comments += 1;
            self.text
                .push_str(&format!("  # comment {}", self.comments));
        }
        self.text.push('\n');
        if choice == 1 {
            self.text.push('\n');
        }
        if choice == 2 {
            self.comments += 1;
            let column = usize::from(self.choose(9));
            self.text.push_str(&format!(
                "{}# comment {}: x\n",
                " ".repeat(column),
                self.comments
            ));
        }
        if choice == 3 {
            self.text.push_str("   \n\n");
        }
    }

    fn quoted(&mut self, text: &str) -> String {
        if self.choose(2) == 0 && text.chars().all(|c| !c.is_control() && c != '\u{200b}') {
            return format!("'{}'", text.replace('\'', "''"));
        }
        let mut quoted = String::from("\"");
        for c in text.chars() {
            match c {
                '"' | '\\' => quoted.extend(['\\', c]),
                '\n' => quoted.push_str("\\n"),
                '\t' => quoted.push_str("\\t"),
                '\u{200b}' => quoted.push_str("\\u200b"),
                c => quoted.push(c),
            }
        }
        quoted + "\""
    }

    /// A text on one line; plain if it is surely one.
    fn scalar(&mut self, text: &str) -> String {
        let is_word = !text.is_empty()
            && text.split(' ').all(|word| {
                !word.is_empty()
                    && word.starts_with(|c: char| c.is_ascii_lowercase() || c == '/')
                    && word
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"/._".contains(&b))
            })
            && !matches!(
                text,
                "true" | "false" | "null" | "yes" | "no" | "y" | "n" | "on" | "off"
            );
        if is_word && self.choose(2) == 0 {
            text.to_owned()
        } else {
            self.quoted(text)
        }
    }

    fn flow(&mut self, tree: &Tree, depth: usize) {
        match tree {
            Tree::Text(text) => {
                let text = self.scalar(text);
                self.text.push_str(&text);
            }
            Tree::List(items) => {
                self.text.push('[');
                for (index, item) in items.iter().enumerate() {
                    self.gap(index, depth);
                    self.flow(item, depth + 1);
                }
                self.text.push(']');
            }
            Tree::Map(entries) => {
                self.text.push('{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    self.gap(index, depth);
                    let key = self.scalar(key);
                    self.text.push_str(&format!("{key}: "));
                    self.flow(value, depth + 1);
                }
                self.text.push('}');
            }
        }
    }

    /// Between the entries of brackets, sometimes over lines.
    fn gap(&mut self, index: usize, depth: usize) {
        if index > 0 {
            let comma = if self.choose(2) == 0 { "," } else { ", " };
            self.text.push_str(comma);
        }
        if self.choose(4) == 0 {
            self.text.push(' ');
            self.end();
            self.text.push_str(&" ".repeat(depth + 1));
        }
    }

    /// A value after `key:` or `-`, at `depth` columns.
    fn value(&mut self, tree: &Tree, depth: usize) {
        match tree {
            Tree::Map(entries) if !entries.is_empty() && self.choose(3) > 0 => {
                self.end();
                self.map(entries, depth);
            }
            Tree::List(items) if !items.is_empty() && self.choose(3) > 0 => {
                self.end();
                self.list(items, depth);
            }
            Tree::Text(text) if self.choose(3) == 0 && is_block(text) => {
                let indicator = if self.choose(2) == 0 || text.contains('\n') {
                    '|'
                } else {
                    '>'
                };
                self.text.push_str(&format!(" {indicator}-"));
                if self.choose(4) == 0 {
                    self.comments += 1;
                    self.text.push_str(&format!(" # comment {}", self.comments));
                }
                for line in text.split('\n') {
                    let line = if line.is_empty() {
                        String::new()
                    } else {
                        format!("{}{line}", " ".repeat(depth))
                    };
                    self.text.push_str(&format!("\n{line}"));
                }
                self.text.push('\n');
            }
            _ => {
                self.text.push(' ');
                self.flow(tree, depth);
                self.end();
            }
        }
    }

    fn map(&mut self, entries: &[(String, Tree)], depth: usize) {
        for (key, value) in entries {
            let key = self.scalar(key);
            self.text.push_str(&format!("{}{key}:", " ".repeat(depth)));
            let deeper = 1 + usize::from(self.choose(4));
            self.value(value, depth + deeper);
        }
    }

    fn list(&mut self, items: &[Tree], depth: usize) {
        for item in items {
            self.text.push_str(&format!("{}-", " ".repeat(depth)));
            let deeper = 1 + usize::from(self.choose(3));
            self.value(item, depth + deeper);
        }
    }
}

fn is_block(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_whitespace())
        && text
            .split('\n')
            .all(|line| !line.starts_with([' ', '\t']) && !line.ends_with([' ', '\t']))
        && !text.ends_with('\n')
        && !text.contains('\u{200b}')
}

fn written(documents: &[Tree], choices: &[u8]) -> String {
    let mut pen = Pen {
        choices: choices.iter().cycle(),
        text: String::new(),
        comments: 0,
    };
    for (index, document) in documents.iter().enumerate() {
        if index > 0 || pen.choose(4) == 0 {
            pen.text.push_str("---");
            pen.end();
        }
        match document {
            Tree::Map(entries) if !entries.is_empty() => pen.map(entries, 0),
            Tree::List(items) if !items.is_empty() => pen.list(items, 0),
            other => {
                pen.flow(other, 0);
                pen.end();
            }
        }
    }
    pen.text
}

fn tree(node: &Node<'_>) -> Tree {
    match &node.value {
        Value::Text(text) => Tree::Text(text.text.to_string()),
        Value::List(items) => Tree::List(items.iter().map(tree).collect()),
        Value::Map(entries) => Tree::Map(
            entries
                .iter()
                .map(|entry| (entry.key.to_string(), tree(&entry.value)))
                .collect(),
        ),
        Value::Refused => panic!("refused"),
    }
}

/// What a text says: its values, and its comments.
fn read(text: &str) -> (Vec<Tree>, Vec<String>) {
    let source = Source::new("a.yaml", text);
    let syntax = Syntax::parse(0, &source, &Limits::default())
        .unwrap_or_else(|error| panic!("{error}\n{text}"));
    let comments = syntax.comments.iter().map(|one| one.text.to_owned());
    (
        syntax.documents.iter().map(tree).collect(),
        comments.collect(),
    )
}

/// Conditions without the white space at their ends, which says nothing.
fn trimmed(tree: Tree) -> Tree {
    match tree {
        Tree::Map(entries) => Tree::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let value = match value {
                        Tree::Text(text) if key == "when" => Tree::Text(text.trim().to_owned()),
                        other => trimmed(other),
                    };
                    (key, value)
                })
                .collect(),
        ),
        Tree::List(items) => Tree::List(items.into_iter().map(trimmed).collect()),
        text => text,
    }
}

fn formatted(text: &str) -> String {
    format(&Source::new("a.yaml", text), &Limits::default())
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn values_and_comments_stay_and_twice_is_once(
        documents in prop::collection::vec(trees(), 1..3),
        choices in prop::collection::vec(any::<u8>(), 64),
    ) {
        let text = written(&documents, &choices);
        let (values, comments) = read(&text);
        let once = formatted(&text);
        let (values_after, comments_after) = read(&once);
        let values: Vec<_> = values.into_iter().map(trimmed).collect();
        let values_after: Vec<_> = values_after.into_iter().map(trimmed).collect();
        prop_assert_eq!(&values, &values_after, "\n{}\n---- became\n{}", text, once);
        prop_assert_eq!(comments, comments_after, "\n{}\n---- became\n{}", text, once);
        let twice = formatted(&once);
        prop_assert_eq!(&twice, &once, "\n{}", text);
    }

    /// Whatever stands in a file: an answer, and nothing lost.
    #[test]
    fn any_text_is_formatted_or_refused(text in "([ \\-#:a\"'\\[\\]{},|>%!&*\n\t]|- |: |\n  |\n# c\n|---\n){0,24}") {
        let source = Source::new("a.yaml", text.as_str());
        if let Ok(once) = format(&source, &Limits::default()) {
            prop_assert_eq!(read(&text).1, read(&once).1);
            prop_assert_eq!(formatted(&once), once);
        }
    }
}

/// Every policy of the repository means the same in the one form, but for lines.
#[test]
fn policies_mean_the_same() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in [
        "docs",
        "tests/cases/policies",
        "policy/tests",
        "analysis/tests/lints",
    ] {
        find(&root.join(folder), &mut files);
    }
    let (mut read, mut conditions) = (0, 0);
    for path in files {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let source = Source::new("a.yaml", text.as_str());
        let Ok(once) = format(&source, &Limits::default()) else {
            continue;
        };
        assert_eq!(formatted(&once), once, "{}", path.display());
        if let (Some(before), Some(after)) = (meaning(&text), meaning(&once)) {
            assert_eq!(before, after, "{}\n{once}", path.display());
            read += 1;
        }
        conditions += usize::from(once.contains("when: >-"));
    }
    assert!(read > 30, "{read} files, {conditions} with conditions");
}

/// What a file says as a set, without the lines; None if it cannot stand alone.
fn meaning(text: &str) -> Option<String> {
    let options = LoadOptions {
        trust_domain: TrustDomain::parse("example.org").ok(),
        ..LoadOptions::default()
    };
    let spec = specify(&[Source::new("a.yaml", text)], &options).ok()?.spec;
    let told = format!("{spec:#?}");
    Some(
        told.lines()
            .filter(|line| !line.trim_start().starts_with("line: "))
            .collect::<Vec<_>>()
            .join("\n"),
    )
}

fn find(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
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

#[test]
fn styles_are_those_of_the_reader() {
    // What the generator above leaves to chance: each style is written by some choice.
    let source = Source::new("a.yaml", "a: [b, 'c', \"d\"]\ne: |-\n  f\n");
    let syntax = Syntax::parse(0, &source, &Limits::default()).unwrap();
    let mut styles = Vec::new();
    collect(&syntax.documents[0], &mut styles);
    assert_eq!(
        styles,
        [Style::Plain, Style::Quoted, Style::Quoted, Style::Block]
    );
}

fn collect(node: &Node<'_>, styles: &mut Vec<Style>) {
    match &node.value {
        Value::Text(text) => styles.push(text.style),
        Value::List(items) => items.iter().for_each(|item| collect(item, styles)),
        Value::Map(entries) => entries
            .iter()
            .for_each(|entry| collect(&entry.value, styles)),
        Value::Refused => {}
    }
}
