use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, Instant},
};

use callgate_policy::document::{LoadOptions, Source, load_revocations};
use tempfile::TempDir;

use super::*;
use crate::{
    health::{Health, Readiness},
    live::Live,
    mint::{Authority, CHECKOUT, now, peer},
    svid::Verifier,
};

const QUIET: Duration = Duration::from_micros(100);

fn revocation(name: &str, what: &str) -> String {
    format!(
        "kind: Revocation\nmetadata: {{name: {name}}}\nspec:\n  {what}\n  \
         reason: a test\n  revokedBy: dana@example.org\n"
    )
}

fn set(text: &str) -> Revocations {
    let loaded = load_revocations(&Source::new("a.yaml", text), &LoadOptions::default());
    assert_eq!(loaded.findings, []);
    Revocations::new(loaded.revocations)
}

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_millis(now().as_millis() + seconds * 1_000)
}

#[test]
fn who_is_meant_is_found_and_nobody_else() {
    let own = TrustDomain::parse("example.org").unwrap();
    let partner = TrustDomain::parse("partner.example").unwrap();
    let full = set(&revocation("a", "id: spiffe://example.org/ns/a"));
    let relative = set(&revocation("a", "id: /ns/a"));
    for (id, of_full, of_relative) in [
        ("spiffe://example.org/ns/a", true, true),
        ("spiffe://example.org/ns/a/b", false, false),
        ("spiffe://example.org/ns", false, false),
        ("spiffe://example.org/ns/A", false, false),
        ("spiffe://partner.example/ns/a", false, false),
    ] {
        let id = SpiffeId::parse(id).unwrap();
        let found = full.of_id(&id, Some(&own), now()).is_some();
        assert_eq!(found, of_full, "{id}");
        let found = relative.of_id(&id, Some(&own), now()).is_some();
        assert_eq!(found, of_relative, "{id}");
        assert_eq!(relative.of_id(&id, None, now()), None, "{id} of no domain");
    }
    let id = SpiffeId::parse("spiffe://partner.example/ns/a").unwrap();
    assert!(relative.of_id(&id, Some(&partner), now()).is_some());
}

#[test]
fn it_lapses_by_itself_and_another_one_holds() {
    let id = SpiffeId::parse("spiffe://example.org/ns/a").unwrap();
    let what = "id: spiffe://example.org/ns/a\n  expires: 2027-01-01T00:00:10Z";
    let short = revocation("short", what);
    let both = set(&format!(
        "{short}---\n{}",
        revocation(
            "long",
            "id: spiffe://example.org/ns/a\n  expires: 2027-01-01T00:00:20Z"
        )
    ));
    let name = |set: &Revocations, at| set.of_id(&id, None, at).map(|one| one.name.clone());
    let short = set(&short);
    for (at, of_short, of_both) in [
        (0, Some("short"), Some("short")),
        (9, Some("short"), Some("short")),
        (10, None, Some("long")),
        (19, None, Some("long")),
        (20, None, None),
    ] {
        assert_eq!(name(&short, later(at)).as_deref(), of_short, "{at}");
        assert_eq!(name(&both, later(at)).as_deref(), of_both, "{at}");
    }
    assert_eq!(both.all().len(), 2, "lapsed ones are listed");
}

#[test]
fn a_certificate_is_found_by_its_fingerprint_of_any_case() {
    let root = Authority::root("root");
    let verifier = Verifier::new([root.bundle("example.org")]);
    let [leaf, other] = [root.leaf(|_| {}), root.leaf(|_| {})];
    let verify = |leaf| verifier.verify(&peer(leaf), Vec::new, now()).unwrap();
    let sha256 = peer(&leaf).sha256();
    for sha256 in [sha256.clone(), sha256.to_uppercase()] {
        let set = set(&revocation(
            "a",
            &format!("certificateSha256: \"{sha256}\""),
        ));
        assert!(set.of_certificate(&verify(&leaf), now()).is_some());
        assert_eq!(
            set.of_certificate(&verify(&other), now()),
            None,
            "a new certificate"
        );
    }
}

#[test]
fn the_digest_covers_what_changes_an_answer() {
    let one = |name: &str, what: &str| set(&revocation(name, what)).digest().to_owned();
    let first = one("a", "id: /ns/a");
    assert_eq!(first, one("a", "id: /ns/a"));
    for (what, other) in [
        ("the name", one("b", "id: /ns/a")),
        ("the identity", one("a", "id: /ns/b")),
        (
            "that it is relative",
            one("a", "id: spiffe://example.org/ns/a"),
        ),
        (
            "the end",
            one("a", "id: /ns/a\n  expires: 2027-01-01T00:00:00Z"),
        ),
    ] {
        assert_ne!(first, other, "{what}");
    }
    assert_eq!(Revocations::default().digest(), "");
}

struct Fixture {
    directory: TempDir,
    live: Arc<Live>,
    health: Arc<Health>,
    store: RevocationStore,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = Authority::root("root");
        let live = crate::fixture::live(&root, crate::fixture::DOCUMENTS);
        let health = Arc::new(Health::default());
        // As after a set of policies was taken.
        health.change(|condition| condition.policies.taken(now()));
        let (at, live_too, health_too) = (
            directory.path().to_owned(),
            Arc::clone(&live),
            Arc::clone(&health),
        );
        let mut store = RevocationStore::new(at, live_too, health_too);
        store.files.linger_seconds = 0;
        Self {
            store,
            directory,
            live,
            health,
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path().join(name)).unwrap();
    }

    fn rescan(&mut self) -> Readiness {
        while self.store.rescan(QUIET, now()) {}
        self.health.readiness()
    }

    /// The names of those that count.
    fn names(&self) -> Vec<String> {
        let snapshot = self.live.current();
        let all = snapshot.revocations().all().iter();
        all.map(|one| one.name.clone()).collect()
    }
}

fn checkout(name: &str) -> String {
    revocation(name, "id: /ns/shop/sa/checkout")
}

fn is_degraded(readiness: &Readiness, fault: &str) {
    let text = readiness.to_string();
    let expected = matches!(readiness, Readiness::Degraded(_)) && text.contains(fault);
    assert!(expected, "{text}");
}

#[test]
fn what_is_written_has_effect_and_what_is_removed_has_none() {
    let mut fixture = Fixture::new();
    let id = SpiffeId::parse(CHECKOUT).unwrap();
    assert_eq!(fixture.rescan(), Readiness::Ready);
    let none = fixture.live.current().revision().to_owned();

    fixture.write("a.yaml", &checkout("a"));
    assert_eq!(fixture.rescan(), Readiness::Ready);
    assert_eq!(fixture.names(), ["a"]);
    let snapshot = fixture.live.current();
    let found = snapshot
        .revocations()
        .of_id(&id, snapshot.trust_domain(), now());
    assert!(found.is_some());
    assert_ne!(snapshot.revision(), none, "leases end with it");

    // Another directory below, another name, several in one file.
    fs::create_dir(fixture.path().join("sub")).unwrap();
    fixture.write(
        "sub/b.yml",
        &format!("{}---\n{}", checkout("b"), checkout("c")),
    );
    fixture.rescan();
    assert_eq!(fixture.names(), ["a", "b", "c"]);
    fs::rename(fixture.path().join("a.yaml"), fixture.path().join("z.yaml")).unwrap();
    fixture.rescan();
    assert_eq!(fixture.names(), ["b", "c", "a"]);

    fixture.remove("sub/b.yml");
    fixture.rescan();
    assert_eq!(fixture.names(), ["a"]);
    fixture.write("policy.yaml", "kind: ServicePolicy\n");
    fixture.remove("z.yaml");
    assert_eq!(fixture.rescan(), Readiness::Ready);
    assert_eq!(fixture.names(), [""; 0]);
    assert_eq!(fixture.live.current().revision(), none);
}

#[test]
fn no_slip_anywhere_holds_one_back() {
    let mut fixture = Fixture::new();
    fixture.write("broken.yaml", "kind: [\n");
    fixture.write("unknown.yaml", "kind: ServicePolicy\nspec: {ownr: x}\n");
    fixture.write("latin1.yaml", "");
    fs::write(fixture.path().join("latin1.yaml"), b"# f\xfcr\n").unwrap();
    fixture.write(
        "mixed.yaml",
        &format!("kind: \"\n---\n{}", checkout("mixed")),
    );
    fixture.write("own.yaml", &checkout("own"));
    symlink("nowhere", fixture.path().join("dangling.yaml")).unwrap();
    fs::create_dir(fixture.path().join("directory.yaml")).unwrap();
    let readiness = fixture.rescan();
    assert_eq!(fixture.names(), ["mixed", "own"]);
    is_degraded(&readiness, "dangling.yaml");
    fixture.remove("dangling.yaml");
    assert_eq!(
        fixture.rescan(),
        Readiness::Ready,
        "policies are not its business"
    );

    // What one file has wrong keeps what it said, and others go on.
    fixture.write("own.yaml", &checkout("own").replace("reason", "raeson"));
    fixture.write("third.yaml", &checkout("third"));
    let readiness = fixture.rescan();
    is_degraded(&readiness, "revocations: own.yaml:5:3: error[CG103]");
    assert_eq!(fixture.names(), ["mixed", "own", "third"]);
    // Part of it mended, part of it new.
    let halves = format!("{}---\n{}", checkout("new"), "kind: Revocation\nspec: [\n");
    fixture.write("own.yaml", &halves);
    is_degraded(&fixture.rescan(), "own.yaml");
    assert_eq!(fixture.names(), ["mixed", "new", "own", "third"]);
    fixture.write("own.yaml", &checkout("new"));
    assert_eq!(fixture.rescan(), Readiness::Ready);
    assert_eq!(fixture.names(), ["mixed", "new", "third"]);
    fixture.remove("own.yaml");
    fixture.rescan();
    assert_eq!(fixture.names(), ["mixed", "third"]);
}

#[test]
fn a_directory_that_is_gone_revokes_whom_it_revoked() {
    let mut fixture = Fixture::new();
    fixture.write("a.yaml", &checkout("a"));
    fixture.rescan();
    fixture.remove("a.yaml");
    is_degraded(&fixture.rescan(), "no `*.yaml` document");
    assert_eq!(fixture.names(), ["a"]);
    fs::remove_dir(fixture.path()).unwrap();
    is_degraded(&fixture.rescan(), "cannot read");
    assert_eq!(fixture.names(), ["a"]);
    fs::create_dir(fixture.path()).unwrap();
    fixture.write("policy.yaml", "kind: MeshPolicy\n");
    assert_eq!(fixture.rescan(), Readiness::Ready);
    assert_eq!(fixture.names(), [""; 0]);
}

#[test]
fn a_config_map_is_swapped_without_a_gap() {
    let mut fixture = Fixture::new();
    for (version, files) in [("..1", vec!["a", "b"]), ("..2", vec!["a", "c"])] {
        fs::create_dir(fixture.path().join(version)).unwrap();
        for name in files {
            fixture.write(&format!("{version}/{name}.yaml"), &checkout(name));
        }
    }
    symlink("..1", fixture.path().join("..data")).unwrap();
    for name in ["a", "b"] {
        let target = format!("..data/{name}.yaml");
        symlink(target, fixture.path().join(format!("{name}.yaml"))).unwrap();
    }
    fixture.rescan();
    assert_eq!(fixture.names(), ["a", "b"]);
    symlink("..2", fixture.path().join("..new")).unwrap();
    fs::rename(fixture.path().join("..new"), fixture.path().join("..data")).unwrap();
    fixture.rescan();
    assert_eq!(
        fixture.names(),
        ["a", "b"],
        "b.yaml is there and points nowhere"
    );
    symlink("..data/c.yaml", fixture.path().join("c.yaml")).unwrap();
    fixture.remove("b.yaml");
    assert_eq!(fixture.rescan(), Readiness::Ready);
    assert_eq!(fixture.names(), ["a", "c"]);
}

#[test]
fn a_change_that_leaves_size_and_time_alone_is_seen() {
    let mut fixture = Fixture::new();
    for n in 0..200 {
        // Two writes within one tick of the file system's clock look alike.
        let name = if n % 2 == 0 { "even" } else { "odd1" };
        fixture.write("a.yaml", &checkout(name));
        fixture.store.rescan(Duration::ZERO, now());
        assert_eq!(fixture.names(), [name], "{n}");
    }
}

#[test]
fn what_a_file_stops_saying_stays_until_it_holds_still() {
    let mut fixture = Fixture::new();
    fixture.store.files.linger_seconds = 1_000;
    fixture.write(
        "a.yaml",
        &format!("{}---\n{}", checkout("one"), checkout("two")),
    );
    fixture.rescan();
    assert_eq!(fixture.names(), ["one", "two"]);
    // Half-written, or emptied in order to be written.
    for (text, names) in [
        ("", &["one", "two"][..]),
        (&checkout("two"), &["one", "two"]),
        (&checkout("three"), &["three", "one", "two"]),
    ] {
        fixture.write("a.yaml", text);
        assert_eq!(fixture.rescan(), Readiness::Ready);
        let mut found = fixture.names();
        found.sort();
        let mut names = names.to_vec();
        names.sort_unstable();
        assert_eq!(found, names, "{text}");
    }
    fixture.store.files.linger_seconds = 0;
    fixture.rescan();
    assert_eq!(fixture.names(), ["three"]);
    // A file that is gone is gone at once.
    fixture.store.files.linger_seconds = 1_000;
    fixture.write("b.yaml", &checkout("other"));
    fixture.rescan();
    fixture.remove("a.yaml");
    fixture.rescan();
    assert_eq!(fixture.names(), ["other"]);
}

#[test]
fn two_of_one_name_both_have_effect_and_are_told() {
    let mut fixture = Fixture::new();
    fixture.write("a.yaml", &checkout("same"));
    fixture.write("b.yaml", &revocation("same", "id: /ns/shop/sa/web"));
    is_degraded(
        &fixture.rescan(),
        "b.yaml:1: a second Revocation with the name `same`",
    );
    assert_eq!(fixture.names(), ["same", "same"]);
}

#[test]
fn a_relative_one_needs_a_trust_domain_and_gets_it_with_the_policies() {
    let mut fixture = Fixture::new();
    let no_domain = crate::live::Policies {
        set: callgate_policy::PolicySet::default(),
        counts: callgate_policy::document::Counts::default(),
        trust_domain: None,
        digest: String::new(),
    };
    fixture.live.set_policies(no_domain);
    fixture.write("a.yaml", &checkout("a"));
    is_degraded(
        &fixture.rescan(),
        "which trust domain `/ns/shop/sa/checkout` belongs to",
    );
    let with_domain = crate::live::Policies {
        set: callgate_policy::PolicySet::default(),
        counts: callgate_policy::document::Counts::default(),
        trust_domain: TrustDomain::parse("example.org").ok(),
        digest: String::new(),
    };
    fixture.live.set_policies(with_domain);
    let id = SpiffeId::parse(CHECKOUT).unwrap();
    let snapshot = fixture.live.current();
    let found = snapshot
        .revocations()
        .of_id(&id, snapshot.trust_domain(), now());
    assert!(found.is_some(), "at once, without another look");
    assert_eq!(fixture.rescan(), Readiness::Ready);
}

#[test]
fn the_thread_takes_a_file_and_ends() {
    let Fixture {
        directory,
        live,
        health,
        store,
    } = Fixture::new();
    let watch = store.watch().unwrap();
    let file = directory.path().join("a.yaml");
    fs::write(&file, checkout("a")).unwrap();
    let patience = Instant::now() + Duration::from_secs(20);
    while live.current().revocations().all().is_empty() {
        assert!(Instant::now() < patience, "{}", health.readiness());
        std::thread::yield_now();
    }
    drop(watch);
    fs::remove_file(&file).unwrap();
    assert_eq!(live.current().revocations().all().len(), 1);
}
