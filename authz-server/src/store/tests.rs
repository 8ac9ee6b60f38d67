use std::{fs, os::unix::fs::symlink, path::Path};

use tempfile::TempDir;

use super::*;
use crate::{
    health::Readiness,
    mint::{Authority, now},
    svid::Verifier,
};

const QUIET: Duration = Duration::from_micros(100);

struct Fixture {
    directory: TempDir,
    live: Arc<Live>,
    health: Arc<Health>,
    store: PolicyStore,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = Authority::root("root");
        let live = Arc::new(Live::new(Verifier::new([root.bundle("example.org")])));
        let health = Arc::new(Health::default());
        let store = PolicyStore::new(
            directory.path().to_owned(),
            LoadOptions::default(),
            Role::Enforced,
            Arc::clone(&live),
            Arc::clone(&health),
        );
        Self {
            directory,
            live,
            health,
            store,
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    fn rescan(&mut self) -> Readiness {
        self.store.rescan(QUIET, now());
        self.health.readiness()
    }

    fn services(&self) -> usize {
        let snapshot = self.live.current();
        snapshot
            .policies()
            .map_or(0, |policies| policies.counts.services)
    }

    fn revision(&self) -> String {
        self.live.current().revision().to_owned()
    }
}

fn policy(name: &str) -> String {
    format!(
        "kind: ServicePolicy\nmetadata: {{name: {name}}}\n\
         spec: {{services: [\"spiffe://example.org/{name}\"]}}\n"
    )
}

#[test]
fn what_is_written_is_what_decides() {
    let mut fixture = Fixture::new();
    fixture.write("a.yaml", &policy("a"));
    assert_eq!(fixture.rescan(), Readiness::Ready);
    let first = fixture.revision();
    assert_eq!(fixture.services(), 1);
    assert_eq!(fixture.rescan(), Readiness::Ready);
    assert_eq!(
        fixture.health.condition().policies.succeeded,
        1,
        "nothing new"
    );

    fixture.write("b.yaml", &policy("b"));
    assert_eq!(fixture.rescan(), Readiness::Ready);
    assert_eq!(fixture.services(), 2);
    assert_ne!(fixture.revision(), first);

    fs::remove_file(fixture.path().join("b.yaml")).unwrap();
    fixture.rescan();
    assert_eq!(fixture.services(), 1);
    assert_eq!(
        fixture.revision(),
        first,
        "the same documents, the same revision"
    );
}

#[test]
fn a_broken_file_keeps_the_last_good_set() {
    let mut fixture = Fixture::new();
    fixture.write("a.yaml", &policy("a"));
    fixture.rescan();
    let good = fixture.revision();
    fixture.write("b.yaml", "kind: ServicePolicy\nmetadata: {nmae: b}\n");
    let readiness = fixture.rescan();
    assert!(readiness.is_ready());
    assert!(
        readiness
            .to_string()
            .starts_with("degraded: policies: b.yaml:1:"),
        "{readiness}"
    );
    assert_eq!(fixture.revision(), good);
    fixture.rescan();
    let loads = fixture.health.condition().policies;
    assert_eq!((loads.succeeded, loads.failed), (1, 1), "told once");

    fixture.write("b.yaml", &policy("b"));
    assert_eq!(fixture.rescan(), Readiness::Ready);
    assert_eq!(fixture.services(), 2);
}

#[test]
fn an_emptied_or_vanished_directory_keeps_the_last_good_set() {
    let mut fixture = Fixture::new();
    fixture.write("a.yaml", &policy("a"));
    fixture.rescan();
    for (name, text) in [
        ("no file", None),
        ("a file with nothing in it", Some("# later\n")),
    ] {
        fs::remove_file(fixture.path().join("a.yaml")).unwrap();
        if let Some(text) = text {
            fixture.write("a.yaml", text);
        }
        let readiness = fixture.rescan();
        assert!(
            matches!(readiness, Readiness::Degraded(_)),
            "{name}: {readiness}"
        );
        assert_eq!(fixture.services(), 1, "{name}");
        fixture.write("a.yaml", &policy("a"));
        assert_eq!(fixture.rescan(), Readiness::Ready, "{name}");
    }
    fs::remove_dir_all(fixture.path()).unwrap();
    assert!(matches!(fixture.rescan(), Readiness::Degraded(_)));
    assert_eq!(fixture.services(), 1);
    fs::create_dir(fixture.path()).unwrap();
    fixture.write("a.yaml", &policy("a"));
    assert_eq!(fixture.rescan(), Readiness::Ready);
}

#[test]
fn without_any_valid_set_it_is_not_ready() {
    let mut fixture = Fixture::new();
    assert!(!fixture.health.readiness().is_ready());
    assert!(!fixture.rescan().is_ready());
    fixture.write("a.yaml", "kind: [");
    let readiness = fixture.rescan();
    assert!(!readiness.is_ready());
    assert!(readiness.to_string().contains("a.yaml:1:"), "{readiness}");
    fixture.write("a.yaml", &policy("a"));
    assert_eq!(fixture.rescan(), Readiness::Ready);
}

#[test]
fn a_config_map_is_swapped_as_one() {
    let mut fixture = Fixture::new();
    for (version, names) in [("..1", ["a", "b"]), ("..2", ["a", "c"])] {
        fs::create_dir(fixture.path().join(version)).unwrap();
        for name in names {
            fixture.write(&format!("{version}/{name}.yaml"), &policy(name));
        }
    }
    symlink("..1", fixture.path().join("..data")).unwrap();
    for name in ["a", "b"] {
        let target = format!("..data/{name}.yaml");
        symlink(target, fixture.path().join(format!("{name}.yaml"))).unwrap();
    }
    assert_eq!(fixture.rescan(), Readiness::Ready);
    let first = fixture.revision();
    // Between the swap of the link and the names that come and go:
    symlink("..2", fixture.path().join("..data_tmp")).unwrap();
    fs::rename(
        fixture.path().join("..data_tmp"),
        fixture.path().join("..data"),
    )
    .unwrap();
    let between = fixture.rescan();
    assert!(
        matches!(between, Readiness::Degraded(_)),
        "b.yaml points nowhere: {between}"
    );
    assert_eq!(fixture.revision(), first);
    symlink("..data/c.yaml", fixture.path().join("c.yaml")).unwrap();
    fs::remove_file(fixture.path().join("b.yaml")).unwrap();
    assert_eq!(fixture.rescan(), Readiness::Ready);
    assert_eq!(fixture.services(), 2);
    assert_ne!(fixture.revision(), first);
}

#[test]
fn the_revision_covers_names_texts_and_the_trust_domain() {
    let revision = |name: &str, text: &str, domain: Option<&str>| {
        let mut fixture = Fixture::new();
        fixture.store.options.trust_domain =
            domain.map(|domain| callgate_policy::TrustDomain::parse(domain).unwrap());
        fixture.write(name, text);
        assert_eq!(fixture.rescan(), Readiness::Ready);
        let snapshot = fixture.live.current();
        snapshot.policies().unwrap().digest.clone()
    };
    let text = policy("a");
    let first = revision("a.yaml", &text, None);
    assert_eq!(first, revision("a.yaml", &text, None));
    for (what, other) in [
        ("name", revision("b.yaml", &text, None)),
        ("text", revision("a.yaml", &format!("{text}#"), None)),
        ("domain", revision("a.yaml", &text, Some("example.org"))),
    ] {
        assert_ne!(first, other, "{what}");
    }
}

#[test]
fn a_candidate_is_taken_beside_and_makes_nobody_less_ready() {
    let mut fixture = Fixture::new();
    fixture.write("a.yaml", &policy("a"));
    assert_eq!(fixture.rescan(), Readiness::Ready);
    let revision = fixture.revision();
    let directory = tempfile::tempdir().unwrap();
    let mut candidate = PolicyStore::new(
        directory.path().to_owned(),
        LoadOptions::default(),
        Role::Candidate,
        Arc::clone(&fixture.live),
        Arc::clone(&fixture.health),
    );
    let mut look = |text: &str| {
        fs::write(directory.path().join("b.yaml"), text).unwrap();
        candidate.rescan(QUIET, now());
        let snapshot = fixture.live.current();
        let services = snapshot.candidate().map(|one| one.counts.services);
        (
            services,
            fixture.health.condition().candidate.fault.is_some(),
        )
    };
    assert_eq!(look("kind: Nonsense"), (None, true));
    assert_eq!(
        look(&(policy("b") + "---\n" + &policy("c"))),
        (Some(2), false)
    );
    assert_eq!(
        look("kind: Nonsense"),
        (Some(2), true),
        "the last good one stays"
    );
    assert_eq!(fixture.health.readiness(), Readiness::Ready);
    assert_eq!(fixture.revision(), revision);
    assert_eq!(fixture.services(), 1, "the enforced one is as it was");
}
