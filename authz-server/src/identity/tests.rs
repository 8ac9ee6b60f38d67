use std::{fs, sync::Arc, time::Duration};

use callgate_policy::Timestamp;
use rcgen::{Certificate, ExtendedKeyUsagePurpose, KeyPair};

use super::*;
use crate::{
    health::{Health, Readiness},
    mint::{Authority, CHECKOUT, now, uri},
};

const SERVER: &str = "spiffe://example.org/ns/callgate/sa/server";

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_millis(now().as_millis() + seconds * 1_000)
}

/// The PEM texts of an SVID of [`SERVER`].
fn texts(root: &Authority) -> (String, String) {
    let (certificate, key) =
        root.leaf_and_key(|params| params.subject_alt_names = vec![uri(SERVER)]);
    (certificate.pem(), key.serialize_pem())
}

#[test]
fn a_chain_and_its_key_are_a_credential() {
    let root = Authority::root("root");
    let below = root.intermediate("below", |_| {});
    let (chain, key) = texts(&below);
    let chain = chain + &below.certificate.pem();
    let credential = Credential::from_pem(&chain, &key).unwrap();
    assert_eq!(credential.id().as_str(), SERVER);
    assert_eq!(credential.not_after(), later(3_600));
    assert_eq!(credential.certified().cert.len(), 2);
    let shown = format!("{credential:?}");
    let secret = key.lines().nth(1).unwrap();
    assert!(!shown.contains(secret), "no key in a log");
}

#[test]
fn whatever_else_it_is_it_is_no_credential() {
    use crate::svid::{PemError, ProfileError};
    use CredentialError as Error;
    let root = Authority::root("root");
    let (chain, key) = texts(&root);
    let (other, _) = texts(&root);
    let profile = |edit: fn(&mut rcgen::CertificateParams)| {
        let (certificate, key): (Certificate, KeyPair) = root.leaf_and_key(edit);
        (certificate.pem(), key.serialize_pem())
    };
    let clients_only =
        profile(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let servers_only =
        profile(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let (chain_of_server, key_of_server) = servers_only;
    assert!(Credential::from_pem(&chain_of_server, &key_of_server).is_ok());
    let nobody = profile(|params| params.subject_alt_names = vec![]);
    let authority = Authority::root("root").certificate.pem();
    let cases = [
        ("nothing", (String::new(), key.clone()), Error::Empty),
        ("no key", (chain.clone(), String::new()), Error::KeyPem),
        (
            "a certificate for a key",
            (chain.clone(), chain.clone()),
            Error::KeyPem,
        ),
        (
            "a key among the chain",
            (format!("{chain}{key}"), key.clone()),
            Error::Chain(PemError::NoBlock),
        ),
        ("another's key", (other, key.clone()), Error::Mismatch),
        (
            "nine certificates",
            (chain.repeat(9), key.clone()),
            Error::TooMany,
        ),
        (
            "for clients only",
            clients_only,
            Error::Profile(ProfileError::NotForServers),
        ),
        ("nobody's", nobody, Error::Profile(ProfileError::NoUri)),
        (
            "an authority's",
            (authority, key),
            Error::Profile(ProfileError::KeyCertSign),
        ),
    ];
    for (name, (chain, key), expected) in cases {
        assert_eq!(
            Credential::from_pem(&chain, &key).unwrap_err(),
            expected,
            "{name}"
        );
    }
}

#[test]
fn a_renewal_takes_effect_and_a_harmful_one_does_not() {
    let root = Authority::root("root");
    let health = Arc::new(Health::default());
    let first = root.credential(SERVER, 60, 60);
    let own = OwnIdentity::new(first, Arc::clone(&health), now());
    let loads = || health.condition().identity.unwrap().loads;
    own.renew(root.credential(SERVER, 60, 120), now());
    assert_eq!(own.current().not_after(), later(120));
    assert_eq!((loads().succeeded, loads().fault), (2, None));

    own.renew(root.credential(CHECKOUT, 60, 600), now());
    assert_eq!(own.current().id().as_str(), SERVER);
    let fault = loads().fault.unwrap();
    assert!(
        fault.contains(CHECKOUT) && fault.contains(SERVER),
        "{fault}"
    );

    own.renew(root.credential(SERVER, 600, -1), now());
    assert_eq!(own.current().not_after(), later(120));
    assert!(loads().fault.unwrap().contains("expired"));
    assert_eq!(loads().failed, 2);
    own.keep(loads().fault.unwrap());
    assert_eq!(loads().failed, 2, "the same fault, found again");

    own.renew(root.credential(SERVER, 60, 180), now());
    assert_eq!((loads().succeeded, loads().fault), (3, None));

    let (chain, key) = texts(&root);
    let twice = || Credential::from_pem(&chain, &key).unwrap();
    own.renew(twice(), now());
    own.keep("its source is gone".to_owned());
    own.renew(twice(), now());
    assert_eq!((loads().succeeded, loads().fault), (4, None), "no renewal");
}

/// Ten minutes without a source, second by second, by a simulated clock: said before
/// it hurts, and each word only once.
#[test]
fn an_outage_is_seen_before_the_certificate_expires() {
    let root = Authority::root("root");
    let health = Arc::new(Health::default());
    health.change(|condition| condition.policies.taken(now()));
    let own = OwnIdentity::new(root.credential(SERVER, 0, 540), Arc::clone(&health), now());
    let changes = health.watch();
    let mut before = None;
    let mut steps = Vec::new();
    for second in 0..=600 {
        own.assess(later(second));
        let readiness = health.readiness();
        if before.as_ref() != Some(&readiness) {
            steps.push((second, readiness.to_string()));
            before = Some(readiness);
        }
    }
    let steps: Vec<_> = steps
        .iter()
        .map(|(second, text)| (*second, text.split(':').next().unwrap()))
        .collect();
    assert_eq!(steps, [(0, "ready"), (361, "degraded"), (541, "not ready")]);
    assert!(changes.has_changed().unwrap());
    own.renew(root.credential(SERVER, 0, 3_600), later(601));
    assert_eq!(health.readiness(), Readiness::Ready);
}

#[test]
fn files_are_taken_when_they_change_and_belong_together() {
    let root = Authority::root("root");
    let directory = tempfile::tempdir().unwrap();
    let (chain_path, key_path) = (
        directory.path().join("chain.pem"),
        directory.path().join("key.pem"),
    );
    let write = |(chain, key): (&str, &str)| {
        fs::write(&key_path, key).unwrap();
        fs::write(&chain_path, chain).unwrap();
    };
    let (chain, key) = texts(&root);
    write((&chain, &key));
    let (mut files, first) = CredentialFiles::open(&chain_path, &key_path).unwrap();
    let health = Arc::new(Health::default());
    let own = OwnIdentity::new(first, Arc::clone(&health), now());
    let mut rescan = || {
        files.rescan(&own, Duration::ZERO, now());
        let loads = health.condition().identity.unwrap().loads;
        (loads.succeeded, loads.failed)
    };
    assert_eq!(rescan(), (1, 0), "nothing new");
    let (next_chain, next_key) = texts(&root);
    write((&chain, &next_key));
    assert_eq!(rescan(), (1, 1), "half of the next pair");
    assert_eq!(rescan(), (1, 1), "and said once");
    write((&next_chain, &next_key));
    assert_eq!(rescan(), (2, 1));
    fs::remove_file(&key_path).unwrap();
    assert_eq!(rescan(), (2, 2), "gone; the last good one stays");
    let fault = health.condition().identity.unwrap().loads.fault.unwrap();
    assert!(fault.contains("key.pem"), "{fault}");
    write((&"x".repeat(65_537), &key));
    assert_eq!(rescan(), (2, 3), "larger than any");
    write((&chain, &key));
    assert_eq!(rescan(), (3, 3));
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none.pem");
    for (chain, key) in [
        (path.as_path(), directory.path()),
        (directory.path(), &path),
    ] {
        let error = CredentialFiles::open(chain, key).unwrap_err().to_string();
        assert!(
            error.contains("--svid") && error.contains("none.pem"),
            "{error}"
        );
    }
}
