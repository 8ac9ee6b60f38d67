//! Every finding as it is shown, beside the document that it is about.
//!
//! `diagnostics/NAME.yaml`, or the files of `diagnostics/NAME/`, render as
//! `diagnostics/NAME.txt`. After a change on purpose, `UPDATE=1 cargo test` writes the
//! renderings anew, and the difference is what a reviewer reads.
//!
//! A `NAME` that ends in `_test` is a file of tests.
//!
//! A first line `# given: file-bytes=64 trust-domain=example.org` sets options.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test, a panic is the report"
)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use callgate_policy::{
    TrustDomain,
    document::{Code, LoadError, LoadOptions, Severity, Source, load, load_tests, parse_time},
};

#[test]
fn findings_are_shown_as_expected() {
    let mut wrong = Vec::new();
    for (name, sources) in cases() {
        let shown = show(&name, &sources);
        let path = folder().join(format!("{name}.txt"));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &shown).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != shown {
            wrong.push(format!(
                "{name}: expected {}, but\n\n{shown}",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_is_shown_by_a_case_of_its_own() {
    let cases = cases();
    // Warnings are not made by the loader, and are shown where they are made.
    let errors = Code::ALL
        .iter()
        .filter(|code| code.severity() == Severity::Error);
    for code in errors {
        let prefix = code.as_str().to_lowercase();
        let own: Vec<_> = cases
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix))
            .collect();
        assert!(!own.is_empty(), "no case for {code}");
        for (name, sources) in own {
            let shown = show(name, sources);
            assert!(shown.contains(&format!("error[{code}]")), "{name}: {shown}");
        }
    }
}

#[test]
fn codes_are_in_order_and_unique() {
    let codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
}

#[test]
fn no_rendering_is_left_without_its_case() {
    let cases = cases();
    for path in entries(&folder()) {
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(cases.contains_key(&stem), "{}", path.display());
    }
}

#[test]
fn one_line_for_a_log() {
    let sources = [Source::new("a.yaml", "kind: Group\n")];
    let Err(LoadError::Findings(findings)) = load(&sources, &LoadOptions::default()) else {
        panic!("expected findings");
    };
    assert_eq!(
        findings.to_string(),
        "a.yaml:1:7: error[CG107]: unknown kind `Group`"
    );
}

#[test]
fn colour_is_only_there_when_asked_for() {
    let sources = [Source::new("a.yaml", "x")];
    let Err(LoadError::Findings(findings)) = load(&sources, &LoadOptions::default()) else {
        panic!("expected findings");
    };
    assert!(!findings.render(&sources, false).contains('\u{1b}'));
    assert!(findings.render(&sources, true).contains('\u{1b}'));
}

fn show(name: &str, sources: &[Source]) -> String {
    let options = options(sources);
    let error = if name.ends_with("_test") {
        load_tests(sources, &options).err()
    } else {
        load(sources, &options).err()
    };
    match error {
        Some(LoadError::Findings(findings)) => findings.render(sources, false),
        other => panic!("{name}: expected findings, but {other:?}"),
    }
}

fn options(sources: &[Source]) -> LoadOptions {
    let mut options = LoadOptions::default();
    let first = sources
        .first()
        .and_then(|source| source.line(1))
        .unwrap_or_default();
    for setting in first
        .strip_prefix("# given: ")
        .unwrap_or_default()
        .split_whitespace()
    {
        let (key, value) = setting.split_once('=').expect("KEY=VALUE");
        let number = || value.parse().expect("a number");
        match key {
            "now" => options.now = parse_time(value).unwrap(),
            "trust-domain" => options.trust_domain = Some(TrustDomain::parse(value).unwrap()),
            "file-bytes" => options.limits.file_bytes = number(),
            "depth" => options.limits.depth = number(),
            "nodes" => options.limits.nodes = number(),
            "members" => options.limits.members = number(),
            "findings" => options.limits.findings = number(),
            _ => panic!("unknown option {key}"),
        }
    }
    options
}

/// Sources by the name of their case.
fn cases() -> BTreeMap<String, Vec<Source>> {
    let mut cases = BTreeMap::new();
    for path in entries(&folder()) {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            cases.insert(
                name,
                entries(&path).iter().map(|path| source(path)).collect(),
            );
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            cases.insert(name, vec![source(&path)]);
        }
    }
    cases
}

fn source(path: &Path) -> Source {
    let name = path.file_name().unwrap().to_str().unwrap();
    Source::new(name, fs::read(path).unwrap())
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics")
}
