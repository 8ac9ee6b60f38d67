//! What imported policies decide is what the other system decides.
//!
//! For each system a few lines here say what it decides, in its own terms; random policies of
//! it are imported, and every call of a small world is put to both. What Callgate lets in,
//! the other system must let in, always; and if the import reports neither a gap nor a
//! difference, both let in the same.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test, a panic is the report"
)]

mod consul;
mod envoy;
mod istio;
mod linkerd;

use std::collections::BTreeMap;

use callgate_analysis::import::{ImportError, Kind, Options, Severity, System, import};
use callgate_policy::{
    Caller, Request, SpiffeId, Timestamp, TrustDomain, Verdict,
    document::{LoadOptions, Source, load},
};
use proptest::{prelude::*, test_runner::TestCaseError};
use serde_json::Value;

/// Paths of the small world. All are canonical.
const PATHS: [&str; 14] = [
    "/",
    "/a",
    "/a/",
    "/ab",
    "/ab/",
    "/abc/d",
    "/a/b",
    "/a/b/",
    "/a/b?q=/a",
    "/a/bc",
    "/a/b/c",
    "/a/b/c/",
    "/b",
    "/c/a",
];

/// Without HEAD, which GET covers here and not there; that is a difference with a note.
const METHODS: [&str; 3] = ["GET", "POST", "DELETE"];

/// What `x-a` may be.
const HEADERS: [Option<&str>; 4] = [None, Some("b"), Some("bc"), Some("")];

/// A call of the small world.
#[derive(Clone, Copy, Debug)]
struct Call<'a> {
    service: &'a str,
    caller: &'a str,
    method: &'a str,
    /// Without the query.
    path: &'a str,
    /// `x-a`, if it is there.
    header: Option<&'a str>,
}

/// What a system's documents are, and how it decides.
struct Case<'a> {
    system: System,
    options: Options,
    documents: &'a [Value],
    callers: &'a [&'a str],
    services: &'a [&'a str],
    /// Whether the policies ask for the header.
    headers: bool,
}

/// Puts every call to both. Gives whether the import was without gaps.
fn compare(case: &Case<'_>, lets_in: impl Fn(Call<'_>) -> bool) -> Result<bool, TestCaseError> {
    let texts: Vec<String> = case.documents.iter().map(Value::to_string).collect();
    let text = texts.join("\n---\n");
    let imported = match import(
        &case.system,
        &[Source::new("a.yaml", text.clone())],
        &case.options,
    ) {
        Ok(imported) => imported,
        Err(ImportError::Nothing) => return Ok(false),
        Err(error) => panic!("{error}\n{text}"),
    };
    for finding in &imported.findings {
        prop_assert_ne!(
            finding.kind.severity(),
            Severity::Error,
            "{}\n{}",
            finding.message,
            text
        );
    }
    let differs = |kind: Kind| kind.severity() == Severity::Gap || kind == Kind::TrailingSlash;
    let exact = !imported
        .findings
        .iter()
        .any(|finding| differs(finding.kind));
    // Nothing to write is nothing to let in.
    let policies = if imported.documents.is_empty() {
        None
    } else {
        let source = Source::new("imported.yaml", imported.documents.clone());
        Some(load(&[source], &LoadOptions::default()).unwrap().policies)
    };
    for service in case.services {
        let id = SpiffeId::parse(service).unwrap();
        for caller in case.callers {
            let caller_id = SpiffeId::parse(caller).unwrap();
            for (method, target, header) in world(case.headers) {
                let headers: BTreeMap<String, String> = header
                    .map(|value| ("x-a".to_owned(), value.to_owned()))
                    .into_iter()
                    .collect();
                let request = Request {
                    caller: Caller::Verified(&caller_id),
                    service: Some(&id),
                    method,
                    path: target,
                    upgrade: None,
                    content_type: None,
                    host: None,
                    headers: &headers,
                };
                let now = Timestamp::from_secs(1_800_000_000);
                let verdict = policies
                    .as_ref()
                    .map(|policies| policies.decide(&request, now).verdict);
                let here = verdict == Some(Verdict::Allow);
                let path = target.split('?').next().unwrap_or_default();
                let call = Call {
                    service,
                    caller,
                    method,
                    path,
                    header,
                };
                let there = lets_in(call);
                let told = || {
                    let gaps: Vec<&str> = imported
                        .findings
                        .iter()
                        .map(|found| found.message.as_str())
                        .collect();
                    format!(
                        "{call:?} {target}: here {here}, there {there}\n{text}\n{}\n{gaps:#?}",
                        imported.documents
                    )
                };
                prop_assert!(!here || there, "wider: {}", told());
                prop_assert!(
                    !exact || here == there,
                    "narrower without a word: {}",
                    told()
                );
            }
        }
    }
    Ok(exact)
}

/// Every call of the small world, but for who calls whom.
fn world(
    headers: bool,
) -> impl Iterator<Item = (&'static str, &'static str, Option<&'static str>)> {
    let calls = METHODS
        .iter()
        .flat_map(|method| PATHS.map(|path| (*method, path)));
    let headers = if headers { &HEADERS[..] } else { &HEADERS[..1] };
    calls.flat_map(move |(method, path)| headers.iter().map(move |header| (method, path, *header)))
}

fn options(own: &str, accepted: &[&str]) -> Options {
    Options {
        trust_domain: Some(TrustDomain::parse(own).unwrap()),
        accepted: accepted
            .iter()
            .map(|name| TrustDomain::parse(name).unwrap())
            .collect(),
        websocket: false,
        shadow: false,
    }
}

/// The texts that policies of the small world compare paths with.
fn path_text() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "/", "/a", "/a/", "/ab", "/a/b", "/a/b/", "/a/b/c", "/b", "/c/",
    ])
}

fn method_text() -> impl Strategy<Value = &'static str> {
    prop::sample::select(METHODS.to_vec())
}

/// Policies without a gap are what the equality is about: there must be enough of them.
fn assert_many(exact: usize, least: usize) {
    assert!(
        exact >= least,
        "only {exact} policies were imported without a gap"
    );
}

/// Runs `test` for random values, and counts how often it was exact.
fn run<S: Strategy>(
    cases: u32,
    strategy: &S,
    test: impl Fn(S::Value) -> Result<bool, TestCaseError>,
) -> usize {
    let exact = std::cell::Cell::new(0);
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let outcome = proptest::test_runner::TestRunner::new(config).run(strategy, |value| {
        exact.set(exact.get() + usize::from(test(value)?));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    exact.get()
}
