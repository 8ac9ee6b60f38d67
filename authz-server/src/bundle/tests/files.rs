use std::fs;

use super::*;
use crate::{
    health::Readiness,
    mint::{Authority, peer},
};

const QUIET: Duration = Duration::from_micros(100);

#[test]
fn a_new_bundle_replaces_the_old_one_and_what_it_verified() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    let (old, new) = (Authority::root("root"), Authority::root("root"));
    fs::write(&path, old.certificate.pem()).unwrap();
    let (bundles, live, health) = none();
    let files = [(domain("example.org"), path.clone())];
    let mut store = BundleFiles::open(&bundles, &files, now()).unwrap();
    let leaf = peer(&old.leaf(|_| {}));
    let verifies = |leaf: &crate::svid::PeerCertificate| {
        let snapshot = live.current();
        snapshot.verifier().verify(leaf, Vec::new, now()).is_ok()
    };
    let fault = |health: &Health| {
        let bundles = health.condition().bundles;
        bundles[&domain("example.org")].fault.clone()
    };
    assert!(verifies(&leaf));
    let first = live.current().revision().to_owned();

    // While a CA rotates, both are in the bundle; then the old one goes.
    fs::write(&path, old.certificate.pem() + &new.certificate.pem()).unwrap();
    store.rescan(QUIET, now());
    assert!(verifies(&leaf) && verifies(&peer(&new.leaf(|_| {}))));
    assert_ne!(live.current().revision(), first);

    for broken in ["", "junk", "-----BEGIN CERTIFICATE-----"] {
        fs::write(&path, broken).unwrap();
        store.rescan(QUIET, now());
        assert!(verifies(&leaf), "the last good bundle stays");
        assert!(fault(&health).unwrap().contains("ca.pem"));
    }
    fs::remove_file(&path).unwrap();
    store.rescan(QUIET, now());
    assert!(verifies(&leaf));
    health.change(|condition| condition.policies.taken(now()));
    let readiness = health.readiness();
    assert!(matches!(readiness, Readiness::Degraded(_)), "{readiness}");
    assert!(
        readiness
            .to_string()
            .contains("trust bundle of `example.org`")
    );

    fs::write(&path, new.certificate.pem()).unwrap();
    store.rescan(QUIET, now());
    assert!(!verifies(&leaf), "though it was remembered");
    assert_eq!(fault(&health), None);
}

#[test]
fn what_cannot_be_loaded_names_the_trust_domain_and_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let root = Authority::root("root");
    fs::write(path("ca.pem"), root.certificate.pem()).unwrap();
    fs::write(path("leaf.pem"), root.leaf(|_| {}).pem()).unwrap();
    fs::write(path("junk.pem"), b"\xff").unwrap();
    for (name, file, expected) in [
        ("missing", "none.pem", "No such file"),
        ("a directory", ".", "not a file"),
        (
            "a leaf",
            "leaf.pem",
            "certificate 1: not a certificate authority's",
        ),
        ("not text", "junk.pem", "UTF-8"),
    ] {
        let files = [(domain("example.org"), path(file))];
        let error = BundleFiles::open(&none().0, &files, now()).expect_err(name);
        let error = error.to_string();
        assert!(error.contains(expected), "{name}: {error}");
        assert!(
            error.contains("`example.org`") && error.contains(file),
            "{name}: {error}"
        );
    }
    let twice = [
        (domain("example.org"), path("ca.pem")),
        (domain("example.org"), path("ca.pem")),
    ];
    let error = BundleFiles::open(&none().0, &twice, now())
        .unwrap_err()
        .to_string();
    assert!(error.contains("second file"), "{error}");
}
