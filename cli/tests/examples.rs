//! The worked examples: they load, their tests pass and meet every line, and would notice
//! if a rule were missing.

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

use callgate_analysis::{
    suite::{Report, Run},
    trial::Rules,
};
use callgate_policy::{
    PolicySet, Timestamp,
    document::{LoadOptions, PolicyTest, load_tests, parse_time, specify},
    spec::{PolicySetSpec, RuleSpec},
};
use callgate_server::store::{read_sources, read_tests};
use run::{Outcome, callgate, directory};

/// As many as the handbook promises.
const EXAMPLES: usize = 10;

/// A code of `callgate check` that comes by itself, as time goes by.
const ENDED: [&str; 2] = ["CG508", "CG509"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples")
}

fn examples() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).unwrap();
    let mut examples: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    examples.sort();
    assert_eq!(examples.len(), EXAMPLES, "{examples:?}");
    examples
}

#[test]
fn every_example_passes_its_tests_and_they_meet_every_line() {
    for example in examples() {
        let outcome = callgate_on(&example, &["test", "--fail-under", "100"]);
        let told = outcome.stdout + &outcome.stderr;
        assert_eq!(outcome.code, Some(0), "{example:?}: {told}");
    }
}

#[test]
fn nothing_in_an_example_is_warned_of() {
    for example in examples() {
        let outcome = callgate_on(&example, &["check", "--format", "json"]);
        let found: Vec<serde_json::Value> = serde_json::from_str(&outcome.stdout).unwrap();
        let found: Vec<_> = found
            .iter()
            .filter(|one| !ENDED.contains(&one["code"].as_str().unwrap()))
            .collect();
        assert!(found.is_empty(), "{example:?}: {found:?}");
    }
}

#[test]
fn every_example_is_in_the_one_form() {
    for example in examples() {
        let outcome = callgate_on(&example, &["fmt", "--check"]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
    }
}

/// Runs a command on an example from somewhere else.
fn callgate_on(example: &Path, args: &[&str]) -> Outcome {
    let elsewhere = directory(&[]);
    let args = [args, &[example.to_str().unwrap()]].concat();
    callgate(elsewhere.path(), &args)
}

#[test]
fn every_example_is_told_and_listed() {
    let index = fs::read_to_string(folder().join("README.md")).unwrap();
    for example in examples() {
        let name = example.file_name().unwrap().to_str().unwrap();
        assert!(
            index.contains(&format!("[{name}]({name}/README.md)")),
            "{name} is not in docs/examples/README.md"
        );
        let page = fs::read_to_string(example.join("README.md")).unwrap();
        let command = format!("\n    callgate test docs/examples/{name}\n");
        assert!(page.contains(&command), "{name}: {page}");
    }
}

#[test]
fn a_rule_that_is_missing_is_noticed() {
    for example in examples() {
        let (spec, tests) = load(&example);
        assert_eq!(failed(&spec, &tests), 0, "{example:?}");
        let mut rules = 0;
        for (name, without) in without_one(&spec) {
            rules += 1;
            assert!(
                failed(&without, &tests) > 0,
                "{example:?}: nothing fails without `{name}`"
            );
        }
        assert!(rules > 1, "{example:?}");
    }
}

fn load(example: &Path) -> (PolicySetSpec, Vec<PolicyTest>) {
    let mut options = LoadOptions {
        now: now(),
        ..LoadOptions::default()
    };
    let specified = specify(&read_sources(example).unwrap(), &options)
        .unwrap_or_else(|error| panic!("{example:?}: {error}"));
    options.trust_domain = specified.trust_domain;
    let tests = load_tests(&read_tests(example).unwrap(), &options)
        .unwrap_or_else(|error| panic!("{example:?}: {error}"));
    (specified.spec, tests)
}

fn now() -> Timestamp {
    parse_time("2026-11-22T12:00:00Z").unwrap()
}

fn failed(spec: &PolicySetSpec, tests: &[PolicyTest]) -> usize {
    let policies = PolicySet::build(spec.clone()).unwrap();
    let rules = Rules::of(spec);
    let run = Run {
        policies: &policies,
        rules: &rules,
        now: now(),
        filter: None,
    };
    Report::of(run, tests).failed()
}

/// The set without each of its rules in turn, by the name of the rule.
fn without_one(spec: &PolicySetSpec) -> Vec<(String, PolicySetSpec)> {
    let sizes: Vec<usize> = lists(&mut spec.clone())
        .iter()
        .map(|rules| rules.len())
        .collect();
    let mut sets = Vec::new();
    for (list, size) in sizes.into_iter().enumerate() {
        for rule in 0..size {
            let mut without = spec.clone();
            let removed = lists(&mut without)
                .into_iter()
                .nth(list)
                .map(|rules| rules.remove(rule));
            sets.push((removed.unwrap().name, without));
        }
    }
    sets
}

fn lists(spec: &mut PolicySetSpec) -> Vec<&mut Vec<RuleSpec>> {
    let of_services = spec.services.iter_mut();
    let of_services = of_services.flat_map(|one| [&mut one.allow, &mut one.deny]);
    let of_mesh = spec.mesh.iter_mut();
    of_services
        .chain(of_mesh.flat_map(|one| [&mut one.allow, &mut one.deny]))
        .collect()
}
