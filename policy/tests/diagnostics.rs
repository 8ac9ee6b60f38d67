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

mod golden;

use std::path::{Path, PathBuf};

use callgate_policy::{
    TrustDomain,
    document::{Code, LoadError, LoadOptions, Severity, Source, load, load_tests, parse_time},
};

#[test]
fn findings_are_shown_as_expected() {
    golden::all_as_written(&folder(), show);
}

#[test]
fn every_code_is_shown_by_a_case_of_its_own() {
    // Warnings are not made by the loader, and are shown where they are made.
    golden::all_codes_shown(&folder(), (Severity::Error, "error"), show);
}

#[test]
fn codes_are_in_order_and_unique() {
    let codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
}

#[test]
fn no_rendering_is_left_without_its_case() {
    golden::none_left_over(&folder());
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
    for (key, value) in golden::given(sources) {
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

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics")
}
