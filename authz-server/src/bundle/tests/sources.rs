use super::*;
use crate::mint::{Authority, at, peer, uri};

/// A leaf of `root` in `trust_domain`.
fn leaf(root: &Authority, trust_domain: &str) -> crate::svid::PeerCertificate {
    peer(&root.leaf(|params| {
        params.subject_alt_names = vec![uri(&format!("spiffe://{trust_domain}/ns/a/sa/b"))];
    }))
}

#[test]
fn every_source_feeds_its_own_trust_domain_only() {
    let (bundles, live, _) = none();
    let (one, two) = (Authority::root("one"), Authority::root("two"));
    let feed = bundles.feed(&domain("one.example"), "a file");
    assert_eq!(
        feed.take(one.bundle("one.example"), None, now()),
        Taken::New
    );
    let other = bundles.feed(&domain("two.example"), "an endpoint");
    assert_eq!(
        other.take(two.bundle("two.example"), None, now()),
        Taken::New
    );
    assert!(verifies(&live, &leaf(&one, "one.example")));
    assert!(verifies(&live, &leaf(&two, "two.example")));
    assert!(!verifies(&live, &leaf(&one, "two.example")));
    assert!(!verifies(&live, &leaf(&two, "one.example")));

    assert_eq!(
        feed.take(two.bundle("two.example"), None, now()),
        Taken::Same
    );
    assert!(
        verifies(&live, &leaf(&one, "one.example")),
        "the last good one stays"
    );
}

#[test]
fn a_bundle_that_comes_again_changes_nothing() {
    let (bundles, live, _) = none();
    let root = Authority::root("root");
    let feed = bundles.feed(&domain("example.org"), "a file");
    feed.take(root.bundle("example.org"), None, now());
    let before = Arc::clone(&live.current());
    assert_eq!(
        feed.take(root.bundle("example.org"), None, now()),
        Taken::Same
    );
    assert!(Arc::ptr_eq(&before, &live.current()), "nothing was swapped");
}

#[test]
fn leaves_of_other_bundles_stay_verified_when_one_changes() {
    let (bundles, live, _) = none();
    let (one, two) = (Authority::root("one"), Authority::root("two"));
    let feed = bundles.feed(&domain("one.example"), "one");
    feed.take(one.bundle("one.example"), None, now());
    bundles
        .feed(&domain("two.example"), "two")
        .take(two.bundle("two.example"), None, now());
    let (of_one, of_two) = (leaf(&one, "one.example"), leaf(&two, "two.example"));
    assert!(verifies(&live, &of_one) && verifies(&live, &of_two));
    let figures = || live.current().verifier().cache();
    let before = figures();

    let next = Authority::root("one");
    feed.take(next.bundle("one.example"), None, now());
    assert!(verifies(&live, &of_two));
    assert_eq!(figures().hits, before.hits + 1, "it is remembered");
    assert!(!verifies(&live, &of_one), "though it was remembered");

    // A verifier that was in use when the bundle changed may remember it afterwards;
    // and a bundle that comes back makes its leaves verify again.
    feed.take(one.bundle("one.example"), None, now());
    assert!(verifies(&live, &of_one));
}

#[test]
fn the_latest_word_of_several_sources_counts() {
    let (bundles, live, health) = none();
    let (old, new) = (Authority::root("root"), Authority::root("root"));
    let file = bundles.feed(&domain("example.org"), "the file");
    let endpoint = bundles.feed(&domain("example.org"), "the endpoint");
    file.take(old.bundle("example.org"), None, now());
    assert!(verifies(&live, &leaf(&old, "example.org")));
    endpoint.take(new.bundle("example.org"), Some(seconds_later(60)), now());
    assert!(!verifies(&live, &leaf(&old, "example.org")));
    assert!(verifies(&live, &leaf(&new, "example.org")));

    // The file is still there, but what verifies is not in it.
    file.confirm(None, seconds_later(120));
    bundles.look_ahead(seconds_later(120));
    let told = told(&health, "example.org");
    assert!(told.len() == 1 && told[0].contains("due"), "{told:?}");
    assert_eq!(bundles.states()[0].confirmed, Some(now()));
}

#[test]
fn faults_of_each_source_stay_until_it_is_well_again() {
    let (bundles, live, health) = none();
    let root = Authority::root("root");
    let file = bundles.feed(&domain("example.org"), "the file");
    let endpoint = bundles.feed(&domain("example.org"), "the endpoint");
    file.take(root.bundle("example.org"), None, now());
    endpoint.fault("no answer".to_owned());
    file.fault("not a file".to_owned());
    let both = told(&health, "example.org");
    assert!(
        both.len() == 1 && both[0].contains("no answer; not a file"),
        "{both:?}"
    );
    assert!(verifies(&live, &leaf(&root, "example.org")));
    endpoint.take(root.bundle("example.org"), None, now());
    let one = told(&health, "example.org");
    assert!(
        one.len() == 1 && one[0].ends_with(": not a file"),
        "{one:?}"
    );
    file.confirm(None, now());
    assert_eq!(told(&health, "example.org"), Vec::<String>::new());
}

#[test]
fn what_is_offered_goes_when_it_is_no_longer_offered() {
    let (bundles, live, health) = none();
    let (one, two) = (Authority::root("one"), Authority::root("two"));
    let offered = bundles.feed_of_several("Workload API");
    let both = || vec![one.bundle("one.example"), two.bundle("two.example")];
    assert_eq!(offered.replace(both(), now()), Taken::New);
    assert_eq!(offered.replace(both(), now()), Taken::Same);
    assert!(verifies(&live, &leaf(&two, "two.example")));

    offered.fault("gone away".to_owned());
    assert!(
        verifies(&live, &leaf(&two, "two.example")),
        "an outage changes nothing"
    );
    health.change(|condition| condition.policies.taken(now()));
    let readiness = health.readiness().to_string();
    assert!(readiness.contains("Workload API: gone away"), "{readiness}");

    offered.replace(vec![one.bundle("one.example")], now());
    assert!(!verifies(&live, &leaf(&two, "two.example")));
    assert!(verifies(&live, &leaf(&one, "one.example")));
    assert_eq!(health.readiness().to_string(), "ready");
    let known: Vec<_> = health.condition().bundles.into_keys().collect();
    assert_eq!(known, [domain("one.example")]);
}

#[test]
fn what_is_configured_goes_before_what_is_offered() {
    let (bundles, live, health) = none();
    let (offered, configured) = (Authority::root("root"), Authority::root("root"));
    let several = bundles.feed_of_several("Workload API");
    let endpoint = bundles.feed(&domain("example.org"), "the endpoint");
    several.replace(vec![offered.bundle("example.org")], now());
    endpoint.fault("no answer yet".to_owned());
    assert!(
        verifies(&live, &leaf(&offered, "example.org")),
        "until there is one"
    );
    assert_eq!(
        told(&health, "example.org").len(),
        1,
        "but the fault is told"
    );

    endpoint.take(configured.bundle("example.org"), None, now());
    assert!(verifies(&live, &leaf(&configured, "example.org")));
    assert!(!verifies(&live, &leaf(&offered, "example.org")));
    several.replace(vec![offered.bundle("example.org")], now());
    several.replace(vec![], now());
    assert!(verifies(&live, &leaf(&configured, "example.org")));
}

#[test]
fn an_outage_is_told_before_it_comes() {
    let day = 86_400;
    let cases: [(&str, i64, i64, Option<&str>); 6] = [
        ("a new root", -1, 30 * day, None),
        ("two thirds gone", -20 * day, 10 * day, None),
        (
            "less than a quarter left",
            -24 * day,
            6 * day,
            Some("expires at"),
        ),
        ("years, and two months left", -3_000 * day, 60 * day, None),
        (
            "years, and a month left",
            -3_000 * day,
            29 * day,
            Some("expires at"),
        ),
        ("expired", -30 * day, -1, Some("has expired")),
    ];
    for (name, from, until, expected) in cases {
        let (bundles, _, health) = none();
        let root = Authority::root_with("root", |params| {
            params.not_before = at(from);
            params.not_after = at(until);
        });
        let feed = bundles.feed(&domain("example.org"), "the file");
        feed.take(root.bundle("example.org"), None, now());
        bundles.look_ahead(now());
        let told = told(&health, "example.org");
        match expected {
            None => assert_eq!(told, Vec::<String>::new(), "{name}"),
            Some(text) => assert!(
                told.len() == 1 && told[0].contains(text),
                "{name}: {told:?}"
            ),
        }
    }
    let (bundles, _, health) = none();
    let feed = bundles.feed(&domain("example.org"), "the endpoint");
    bundles.look_ahead(now());
    assert!(told(&health, "example.org")[0].contains("none yet"));
    let nothing = TrustBundle::from_der(domain("example.org"), &[] as &[&[u8]]).unwrap();
    feed.take(nothing, None, now());
    assert!(told(&health, "example.org")[0].contains("no root"));
}
