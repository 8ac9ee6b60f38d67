//! What an import writes and reports, beside the documents that it is given.
//!
//! `import/NAME.yaml` comes to `import/NAME.policies.yaml`, if anything is written, and
//! `import/NAME.report`. After a change on purpose, `UPDATE=1 cargo test` writes both anew,
//! and the difference is what a reviewer reads. A first line
//! `# import: istio trust-domain=example.org` says what is imported, and how.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test, a panic is the report"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use callgate_analysis::import::{Imported, Kind, Options, Severity, System, import, render};
use callgate_policy::{
    SpiffeId, TrustDomain,
    document::{LoadOptions, Source, load},
};

#[test]
fn documents_come_to_these_policies_and_reports() {
    let mut wrong = Vec::new();
    for name in cases() {
        let (imported, sources) = run(&name);
        let report = format!(
            "{}{} services, {} rules\n",
            render(&imported.findings, &sources, false),
            imported.services,
            imported.rules
        );
        let outputs = [("policies.yaml", imported.documents), ("report", report)];
        for (suffix, text) in outputs {
            let path = folder().join(format!("{name}.{suffix}"));
            let expected = fs::read_to_string(&path).unwrap_or_default();
            if expected == text {
                continue;
            }
            if std::env::var_os("UPDATE").is_none() {
                wrong.push(format!("{}:\n{text}", path.display()));
            } else if text.is_empty() {
                fs::remove_file(&path).unwrap();
            } else {
                fs::write(&path, text).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "not as expected:\n{}", wrong.join("\n"));
}

#[test]
fn what_is_written_loads_as_it_stands() {
    for name in cases() {
        let (imported, _) = run(&name);
        if imported.documents.is_empty() {
            continue;
        }
        let source = Source::new("imported.yaml", imported.documents);
        let loaded = load(&[source], &LoadOptions::default());
        let loaded = loaded.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(loaded.counts.services, imported.services, "{name}");
        assert_eq!(loaded.counts.rules, imported.rules, "{name}");
    }
}

#[test]
fn every_kind_of_finding_is_shown_by_some_case() {
    let found: Vec<Kind> = cases()
        .iter()
        .flat_map(|name| run(name).0.findings)
        .map(|finding| finding.kind)
        .collect();
    for kind in Kind::ALL {
        assert!(found.contains(kind), "no case shows `{}`", kind.as_str());
    }
}

#[test]
fn every_gap_says_what_became_of_it() {
    for name in cases() {
        let (imported, sources) = run(&name);
        for finding in &imported.findings {
            if finding.kind.severity() == Severity::Gap {
                let line = finding.line(&sources);
                assert!(!finding.effect.is_empty(), "{line}");
                assert!(finding.place(&sources).is_some(), "{line}");
            }
        }
    }
}

#[test]
fn the_handbook_lists_every_kind() {
    let page = fs::read_to_string(folder().join("../../../docs/import.md")).unwrap();
    for kind in Kind::ALL {
        let row = format!("| `{}` | {} |", kind.as_str(), kind.meaning());
        assert!(page.contains(&row), "docs/import.md does not have: {row}");
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

fn cases() -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some((name, "yaml" | "json" | "hcl")) = name.split_once('.') {
            names.push(name.to_owned());
        }
    }
    names.sort();
    names.dedup();
    assert!(names.len() > 5, "the cases are gone");
    names
}

fn run(name: &str) -> (Imported, Vec<Source>) {
    let files = ["yaml", "json", "hcl"].map(|end| format!("{name}.{end}"));
    let file = files
        .iter()
        .find(|file| folder().join(file).exists())
        .unwrap();
    let text = fs::read_to_string(folder().join(file)).unwrap();
    let first = text
        .lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches('{');
    let given = first.split_once("import: ").map(|(_, given)| given);
    let given = given.unwrap_or_else(|| panic!("{name}: no `# import:` line"));
    let mut words = given.split(' ');
    let system = words.next().unwrap();
    let words: Vec<(&str, &str)> = words
        .map(|word| word.split_once('=').unwrap_or((word, "")))
        .collect();
    let sources = vec![Source::new(file.clone(), text.clone())];
    let imported = import(&system_of(system, &words), &sources, &options(&words));
    (
        imported.unwrap_or_else(|error| panic!("{name}: {error}")),
        sources,
    )
}

fn all<'w>(words: &[(&str, &'w str)], key: &str) -> Vec<&'w str> {
    let values = words.iter().filter(|(name, _)| *name == key);
    values.map(|(_, value)| *value).collect()
}

fn options(words: &[(&str, &str)]) -> Options {
    let domains = |key| {
        let names = all(words, key).into_iter();
        names
            .map(|name| TrustDomain::parse(name).unwrap())
            .collect::<Vec<_>>()
    };
    Options {
        trust_domain: domains("trust-domain").pop(),
        accepted: domains("accept"),
        websocket: !all(words, "websocket").is_empty(),
        shadow: !all(words, "shadow").is_empty(),
    }
}

fn system_of(name: &str, words: &[(&str, &str)]) -> System {
    let namespace = all(words, "namespace")
        .first()
        .map(|name| (*name).to_owned());
    match name {
        "istio" => System::Istio {
            root_namespace: "istio-system".to_owned(),
            namespace,
        },
        "consul" => System::Consul {
            datacenters: all(words, "datacenter")
                .into_iter()
                .map(str::to_owned)
                .collect(),
        },
        "linkerd" => System::Linkerd { namespace },
        "envoy-rbac" => System::EnvoyRbac {
            services: all(words, "service")
                .into_iter()
                .map(|id| SpiffeId::parse(id).unwrap())
                .collect(),
        },
        other => panic!("`{other}` is not a system"),
    }
}
