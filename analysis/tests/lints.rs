//! Every warning as it is shown, beside the document that it is about.
//!
//! `lints/NAME.yaml`, or the files of `lints/NAME/`, render as `lints/NAME.txt`. After a
//! change on purpose, `UPDATE=1 cargo test` writes the renderings anew, and the difference is
//! what a reviewer reads.
//!
//! A first line `# given: now=2026-11-22T12:00:00Z` sets options.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test, a panic is the report"
)]

#[path = "../../policy/tests/golden/mod.rs"]
mod golden;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use callgate_analysis::lint::{LintOptions, Seen, lint};
use callgate_policy::{
    TrustDomain,
    document::{
        Code, LoadError, LoadOptions, Severity, Source, parse_duration, parse_time, specify,
    },
};

#[test]
fn warnings_are_shown_as_expected() {
    golden::all_as_written(&folder(), show);
}

#[test]
fn every_warning_is_shown_by_a_case_of_its_own() {
    golden::all_codes_shown(&folder(), (Severity::Warning, "warning"), show);
}

/// `docs/errors.md` is written by this test, so that it shows what is shown; the command
/// prints the parts of it.
#[test]
fn the_handbook_lists_every_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    let errors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/tests/diagnostics");
    let mut renderings = renderings(&errors);
    renderings.extend(self::renderings(&folder()));
    let mut page = HANDBOOK.to_owned();
    for code in Code::ALL {
        let prefix = code.as_str().to_lowercase();
        let (_, shown) = renderings
            .iter()
            .find(|(name, _)| name.starts_with(&prefix))
            .expect("a case");
        // The first of its own: a document may have other faults.
        let mut shown = shown.split("\n\n");
        let first = shown
            .find(|one| one.contains(&format!("[{code}]")))
            .expect("a rendering");
        page.push_str(&format!(
            "\n## {code}\n\n{}\n\n```\n{first}\n```\n",
            code.meaning()
        ));
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/errors.md is out of date: run this test with UPDATE=1"
    );
}

const HANDBOOK: &str = "\
# What `callgate check` can find

A code keeps its meaning for ever: below 100 it is about the text and its YAML, from 100
about the shape of a document, from 200 about rules, from 300 about what documents say to
each other, from 400 about revocations; these are errors. A set of policies loads whole or
not at all; of revocations, each one that is in order has effect. From 500 it is a
warning: the set loads, and probably does not mean what its author thinks. From 600 it is
about tests of policies. `callgate check --explain CG012` prints the part of this page about
one code.

A warning that is fine where it stands is held back by a comment with a reason, on the line
itself, or alone on the line above what it holds for (a rule, say; before the first line of
a document, all of it):

    - name: health
      from: [/**]   # callgate: allow CG505 health tells nothing
";

#[test]
fn no_rendering_is_left_without_its_case() {
    golden::none_left_over(&folder());
}

fn show(name: &str, sources: &[Source]) -> String {
    let (load, options) = options(sources);
    let specified = match specify(sources, &load) {
        Ok(specified) => specified,
        Err(LoadError::Findings(found)) => panic!("{name}:\n{}", found.render(sources, false)),
        Err(error) => panic!("{name}: {error}"),
    };
    let found = lint(sources, &specified, &options).unwrap();
    found.map_or_else(String::new, |found| found.render(sources, false))
}

fn options(sources: &[Source]) -> (LoadOptions, LintOptions) {
    let (mut load, mut options) = (LoadOptions::default(), LintOptions::default());
    load.trust_domain = Some(TrustDomain::parse("example.org").unwrap());
    for (key, value) in golden::given(sources) {
        match key {
            "now" => options.now = parse_time(value).unwrap(),
            "expiring-within" => options.expiring_within = parse_duration(value).unwrap(),
            "seen" => options.seen = Some(seen(value)),
            _ => panic!("unknown option {key}"),
        }
    }
    (load, options)
}

/// What a log says in which these called.
fn seen(ids: &str) -> Seen {
    let mut log = String::from("not a record\n");
    for id in ids.split(',') {
        let domain = if id.starts_with('/') {
            "spiffe://example.org"
        } else {
            ""
        };
        log.push_str(&format!(
            r#"{{"time":"2026-11-22T12:00:00Z","id":"01","verdict":"Allow","reason":"allow","enforced":true,"source":{{"id":"{domain}{id}"}},"destination":"spiffe://example.org/ns/shop/sa/orders","method":"GET","path":"/","grpc":false}}"#
        ));
        log.push('\n');
    }
    let mut seen = Seen::default();
    seen.read(std::io::Cursor::new(log)).unwrap();
    let callers = u64::try_from(ids.split(',').count()).unwrap();
    assert_eq!((seen.records(), seen.odd().count()), (callers, 1));
    seen
}

/// What is shown, by the name of the case.
fn renderings(folder: &Path) -> BTreeMap<String, String> {
    let files = golden::entries(folder).into_iter();
    let texts = files.filter(|path| path.extension().is_some_and(|extension| extension == "txt"));
    texts
        .map(|path| (golden::stem(&path), fs::read_to_string(path).unwrap()))
        .collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lints")
}
