use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, SanType,
};

use callgate_policy::TrustDomain;

use super::{authority::Intermediate, profile::Leaf, *};
use crate::bundle::TrustBundle;
use crate::mint::{Authority, CHECKOUT, at, now, peer, uri, uri_constraints};

type Edit = fn(&mut CertificateParams);

fn verifier(root: &Authority) -> Verifier {
    Verifier::new([root.bundle("example.org")])
}

fn secs(seconds: i64) -> Timestamp {
    Timestamp::from_secs(at(seconds).unix_timestamp())
}

#[test]
fn a_valid_svid_identifies_its_workload() {
    let root = Authority::root("root");
    let leaf = root.leaf(|_| {});
    let svid = verifier(&root)
        .verify(&peer(&leaf), Vec::new, now())
        .unwrap();
    assert_eq!(svid.id.as_str(), CHECKOUT);
    assert_eq!(svid.not_after, secs(3_600));
    assert_eq!(svid.sha256, peer(&leaf).sha256());
    assert_eq!(svid.sha256.len(), 64);
}

#[test]
fn other_names_beside_the_uri_do_not_matter() {
    let root = Authority::root("root");
    let leaf = root.leaf(|params| {
        params.subject_alt_names = vec![
            SanType::DnsName("db.example.org".try_into().unwrap()),
            uri(CHECKOUT),
            SanType::Rfc822Name("a@example.org".try_into().unwrap()),
        ];
    });
    assert!(
        verifier(&root)
            .verify(&peer(&leaf), Vec::new, now())
            .is_ok()
    );
}

#[test]
fn a_server_must_be_fit_to_be_one() {
    let root = Authority::root("root");
    let verifier = verifier(&root);
    let leaf = root.leaf(|_| {});
    let svid = verifier.verify_server(&peer(&leaf), &[], now()).unwrap();
    assert_eq!(svid.id.as_str(), CHECKOUT);
    let leaf = root.leaf(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    assert_eq!(
        verifier.verify_server(&peer(&leaf), &[], now()),
        Err(SvidError::Invalid(ProfileError::NotForServers))
    );
    assert!(verifier.verify(&peer(&leaf), Vec::new, now()).is_ok());
    let old = root.leaf(|p| p.not_after = at(-1));
    let result = verifier.verify_server(&peer(&old), &[], now());
    assert!(matches!(result, Err(SvidError::Expired(_))), "{result:?}");
}

#[test]
fn an_svid_without_extended_key_usage_is_valid() {
    let root = Authority::root("root");
    let leaf = root.leaf(|params| params.extended_key_usages.clear());
    assert!(
        verifier(&root)
            .verify(&peer(&leaf), Vec::new, now())
            .is_ok()
    );
}

#[test]
fn what_breaks_the_profile_is_invalid() {
    let cases: [(&str, Edit, ProfileError); 14] = [
        (
            "no_uri_san",
            |p| p.subject_alt_names = vec![SanType::DnsName("a.example".try_into().unwrap())],
            ProfileError::NoUri,
        ),
        (
            "no_san",
            |p| p.subject_alt_names.clear(),
            ProfileError::NoUri,
        ),
        (
            "two_uri_sans",
            |p| p.subject_alt_names.push(uri("spiffe://example.org/other")),
            ProfileError::SeveralUris,
        ),
        (
            "two_uri_sans_one_not_spiffe",
            |p| p.subject_alt_names.push(uri("https://example.org/")),
            ProfileError::SeveralUris,
        ),
        (
            "the_same_uri_san_twice",
            |p| p.subject_alt_names.push(uri(CHECKOUT)),
            ProfileError::SeveralUris,
        ),
        (
            "leaf_is_ca",
            |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            ProfileError::Authority,
        ),
        (
            "key_cert_sign",
            |p| p.key_usages.push(KeyUsagePurpose::KeyCertSign),
            ProfileError::KeyCertSign,
        ),
        (
            "crl_sign",
            |p| p.key_usages.push(KeyUsagePurpose::CrlSign),
            ProfileError::CrlSign,
        ),
        (
            "no_digital_signature",
            |p| p.key_usages = vec![KeyUsagePurpose::KeyEncipherment],
            ProfileError::NoDigitalSignature,
        ),
        (
            "no_key_usage",
            |p| p.key_usages.clear(),
            ProfileError::NoDigitalSignature,
        ),
        (
            "for_servers_only",
            |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
            ProfileError::NotForClients,
        ),
        (
            "name_constraints_in_a_leaf",
            |p| {
                p.custom_extensions
                    .push(uri_constraints(&["example.org"], &[]));
            },
            ProfileError::NameConstraints,
        ),
        (
            "unknown_critical_extension",
            |p| {
                let mut extension =
                    CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
                extension.set_criticality(true);
                p.custom_extensions.push(extension);
            },
            ProfileError::Unparsable,
        ),
        (
            "ends_before_it_begins",
            |p| p.not_after = p.not_before - time::Duration::HOUR,
            ProfileError::Validity,
        ),
    ];
    let root = Authority::root("root");
    let verifier = verifier(&root);
    for (name, edit, expected) in cases {
        let error = verifier
            .verify(&peer(&root.leaf(edit)), Vec::new, now())
            .expect_err(name);
        assert_eq!(error, SvidError::Invalid(expected), "{name}");
        assert_eq!(error.fault(), IdentityFault::Invalid, "{name}");
    }
}

#[test]
fn a_uri_that_is_no_workloads_spiffe_id_is_invalid() {
    let root = Authority::root("root");
    let verifier = verifier(&root);
    for id in [
        "https://example.org/checkout",
        "spiffe://example.org",
        "spiffe://example.org/",
        "SPIFFE://example.org/checkout",
        "spiffe://Example.org/checkout",
        "spiffe://example.org/checkout/",
        "spiffe://example.org/a//b",
        "spiffe://example.org/a/../b",
        "spiffe://example.org/%61",
        "spiffe://example.org:443/a",
        "spiffe://user@example.org/a",
        "spiffe://example.org/a?b",
        "spiffe://example.org/a#b",
        "spiffe:///a",
    ] {
        let leaf = root.leaf(|params| params.subject_alt_names = vec![uri(id)]);
        let error = verifier
            .verify(&peer(&leaf), Vec::new, now())
            .expect_err(id);
        assert!(
            matches!(error, SvidError::Invalid(ProfileError::NotASpiffeId(_))),
            "{id}: {error}"
        );
    }
}

#[test]
fn bytes_that_are_no_certificate_are_invalid() {
    let root = Authority::root("root");
    let der = root.leaf(|_| {}).der().to_vec();
    let verifier = verifier(&root);
    let mut trailing = der.clone();
    trailing.push(0);
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("cut_short", der[..der.len() - 1].to_vec()),
        ("trailing_byte", trailing),
        ("too_large", vec![0x30; profile::MAX_DER_BYTES + 1]),
    ] {
        let error = verifier
            .verify(&PeerCertificate::from_der(bytes), Vec::new, now())
            .expect_err(name);
        assert_eq!(
            error,
            SvidError::Invalid(ProfileError::Unparsable),
            "{name}"
        );
    }
}

#[test]
fn who_does_not_verify_is_untrusted() {
    let root = Authority::root("root");
    let verifier = verifier(&root);
    let foreign = Authority::root("root");
    let other_domain = |p: &mut CertificateParams| {
        p.subject_alt_names = vec![uri("spiffe://partner.example/depot")];
    };
    let mut forged = root.leaf(|_| {}).der().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    for (name, leaf, expected) in [
        (
            "foreign_ca_same_name",
            peer(&foreign.leaf(|_| {})),
            SvidError::NoPath,
        ),
        (
            "unknown_trust_domain",
            peer(&root.leaf(other_domain)),
            SvidError::UnknownTrustDomain,
        ),
        (
            "broken_signature",
            PeerCertificate::from_der(forged),
            SvidError::NoPath,
        ),
        (
            "expired_and_forged",
            peer(&foreign.leaf(|p| p.not_after = at(-1))),
            SvidError::NoPath,
        ),
    ] {
        let error = verifier.verify(&leaf, Vec::new, now()).expect_err(name);
        assert_eq!(error, expected, "{name}");
        assert_eq!(error.fault(), IdentityFault::Untrusted, "{name}");
    }
}

#[test]
fn each_trust_domain_has_its_own_roots() {
    let (root, partner) = (Authority::root("root"), Authority::root("partner"));
    let verifier = Verifier::new([
        root.bundle("example.org"),
        partner.bundle("partner.example"),
    ]);
    let depot: Edit = |p| p.subject_alt_names = vec![uri("spiffe://partner.example/depot")];
    assert!(
        verifier
            .verify(&peer(&partner.leaf(depot)), Vec::new, now())
            .is_ok()
    );
    for (name, leaf) in [
        ("wrong_trust_domain", root.leaf(depot)),
        ("partner_speaks_for_us", partner.leaf(|_| {})),
    ] {
        let error = verifier
            .verify(&peer(&leaf), Vec::new, now())
            .expect_err(name);
        assert_eq!(error, SvidError::NoPath, "{name}");
    }
}

#[test]
fn both_bounds_of_the_validity_belong_to_it() {
    let root = Authority::root("root");
    let leaf = peer(&root.leaf(|_| {}));
    for cached in [false, true] {
        let verifier = verifier(&root);
        if cached {
            verifier.verify(&leaf, Vec::new, now()).unwrap();
        }
        let fault = |millis: i64| {
            let at = Timestamp::from_millis(millis);
            verifier
                .verify(&leaf, Vec::new, at)
                .err()
                .map(|error| error.fault())
        };
        let (first, last) = (secs(-3_600).as_millis(), secs(3_600).as_millis());
        assert_eq!(
            fault(first - 1),
            Some(IdentityFault::Expired),
            "not_yet_valid"
        );
        assert_eq!(fault(first), None);
        assert_eq!(fault(last), None);
        assert_eq!(fault(last + 1), Some(IdentityFault::Expired), "expired");
        assert_eq!(fault(now().as_millis()), None, "and back");
    }
}

#[test]
fn an_expired_leaf_tells_who_it_was() {
    let root = Authority::root("root");
    let leaf = root.leaf(|p| p.not_after = at(-1));
    match verifier(&root).verify(&peer(&leaf), Vec::new, now()) {
        Err(SvidError::Expired(svid)) => assert_eq!(svid.id.as_str(), CHECKOUT),
        other => panic!("{other:?}"),
    }
}

#[test]
fn roots_outside_their_own_validity_do_not_count() {
    let root = Authority::root_with("root", |p| p.not_after = at(0));
    let leaf = peer(&root.leaf(|_| {}));
    let verifier = verifier(&root);
    assert!(verifier.verify(&leaf, Vec::new, now()).is_ok());
    assert_eq!(
        verifier.verify(&leaf, Vec::new, secs(1)),
        Err(SvidError::NoPath),
        "though the leaf is remembered and within its own validity"
    );
}

#[test]
fn paths_lead_over_hints() {
    let root = Authority::root("root");
    let upper = root.intermediate("upper", |_| {});
    let lower = upper.intermediate("lower", |_| {});
    let one = peer(&upper.leaf(|_| {}));
    let two = peer(&lower.leaf(|_| {}));
    let (upper, lower) = (upper.der(), lower.der());
    let junk = vec![0x30, 3, 1, 2, 3];
    let cases = [
        ("one intermediate", &one, vec![upper.clone()], true),
        ("one intermediate, none sent", &one, vec![], false),
        (
            "two intermediates",
            &two,
            vec![lower.clone(), upper.clone()],
            true,
        ),
        (
            "two, in disorder, with junk",
            &two,
            vec![junk, upper.clone(), lower.clone()],
            true,
        ),
        ("two, one sent", &two, vec![lower.clone()], false),
        (
            "two, one sent twice",
            &two,
            vec![lower.clone(), lower, upper],
            true,
        ),
    ];
    for (name, leaf, hints, expected) in cases {
        let result = verifier(&root).verify(leaf, || hints, now());
        assert_eq!(result.is_ok(), expected, "{name}: {result:?}");
    }
}

#[test]
fn intermediates_must_be_fit_to_sign() {
    let cases: [(&str, Edit); 5] = [
        ("not_a_ca", |p| p.is_ca = IsCa::ExplicitNoCa),
        ("no_key_cert_sign", |p| {
            p.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        }),
        ("expired", |p| p.not_after = at(-1)),
        ("not_yet_valid", |p| p.not_before = at(1)),
        ("for_servers_only", |p| {
            p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }),
    ];
    let root = Authority::root("root");
    for (name, edit) in cases {
        let intermediate = root.intermediate("intermediate", edit);
        let leaf = peer(&intermediate.leaf(|_| {}));
        let result = verifier(&root).verify(&leaf, || vec![intermediate.der()], now());
        assert_eq!(result, Err(SvidError::NoPath), "{name}");
    }
}

#[test]
fn path_length_constraints_hold() {
    let root = Authority::root("root");
    let upper = root.intermediate("upper", |p| {
        p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    let lower = upper.intermediate("lower", |_| {});
    let hints = || vec![lower.der(), upper.der()];
    let verifier = verifier(&root);
    let result = verifier.verify(&peer(&lower.leaf(|_| {})), hints, now());
    assert_eq!(result, Err(SvidError::NoPath));
    assert!(
        verifier
            .verify(&peer(&upper.leaf(|_| {})), hints, now())
            .is_ok()
    );
}

#[test]
fn the_path_length_of_a_root_holds() {
    for (most, expected) in [(0, [true, false, false]), (1, [true, true, false])] {
        let root = Authority::root_with("root", |p| {
            p.is_ca = IsCa::Ca(BasicConstraints::Constrained(most));
        });
        let upper = root.intermediate("upper", |_| {});
        let lower = upper.intermediate("lower", |_| {});
        let hints = || vec![lower.der(), upper.der()];
        for (leaf, expected) in [&root, &upper, &lower]
            .map(|ca| ca.leaf(|_| {}))
            .iter()
            .zip(expected)
        {
            let result = verifier(&root).verify(&peer(leaf), hints, now());
            assert_eq!(result.is_ok(), expected, "{most}: {result:?}");
        }
    }
}

#[test]
fn uri_name_constraints_of_intermediates_are_honoured() {
    let root = Authority::root("root");
    let cases: [(&str, &[&str], &[&str], bool); 7] = [
        ("permitted", &["example.org"], &[], true),
        (
            "one of two permitted",
            &["partner.example", "example.org"],
            &[],
            true,
        ),
        ("another permitted", &["partner.example"], &[], false),
        ("below permitted", &[".org"], &[], true),
        ("excluded", &[], &["example.org"], false),
        ("another excluded", &[], &["partner.example"], true),
        ("permitted and excluded", &["example.org"], &[".org"], false),
    ];
    for (name, permitted, excluded, expected) in cases {
        // At the top and at the bottom of a path of two.
        for constrained in [0, 1] {
            let edit = |position| {
                move |p: &mut CertificateParams| {
                    if position == constrained {
                        p.custom_extensions = vec![uri_constraints(permitted, excluded)];
                    }
                }
            };
            let upper = root.intermediate("upper", edit(0));
            let lower = upper.intermediate("lower", edit(1));
            let hints = || vec![lower.der(), upper.der()];
            let result = verifier(&root).verify(&peer(&lower.leaf(|_| {})), hints, now());
            assert_eq!(
                result.is_ok(),
                expected,
                "{name}, {constrained}: {result:?}"
            );
        }
    }
}

#[test]
fn uri_name_constraints_of_roots_are_honoured() {
    for (name, permitted, expected) in [
        ("permitted", "example.org", true),
        ("another permitted", "partner.example", false),
    ] {
        let root = Authority::root_with("root", |p| {
            p.custom_extensions = vec![uri_constraints(&[permitted], &[])];
        });
        let intermediate = root.intermediate("intermediate", |_| {});
        for (leaf, hints) in [
            (root.leaf(|_| {}), vec![]),
            (intermediate.leaf(|_| {}), vec![intermediate.der()]),
        ] {
            let result = verifier(&root).verify(&peer(&leaf), || hints, now());
            assert_eq!(result.is_ok(), expected, "{name}: {result:?}");
        }
    }
}

#[test]
fn uri_name_constraints_bind_the_authorities_below_as_well() {
    let root = Authority::root("root");
    let upper = root.intermediate("upper", |p| {
        p.custom_extensions = vec![uri_constraints(&["example.org"], &[])];
    });
    for (id, expected) in [
        ("spiffe://example.org", true),
        ("spiffe://partner.example", false),
    ] {
        let lower = upper.intermediate("lower", |p| p.subject_alt_names = vec![uri(id)]);
        let hints = || vec![lower.der(), upper.der()];
        let result = verifier(&root).verify(&peer(&lower.leaf(|_| {})), hints, now());
        assert_eq!(result.is_ok(), expected, "{id}: {result:?}");
    }
}

#[test]
fn a_constraint_cannot_be_taken_out_by_the_caller() {
    let root = Authority::root("root");
    let constrained = root.intermediate("constrained", |p| {
        p.custom_extensions = vec![uri_constraints(&["partner.example"], &[])];
    });
    let leaf = peer(&constrained.leaf(|_| {}));
    let der = constrained.der();
    let place = der
        .windows(2)
        .position(|bytes| bytes == [0x86, 15])
        .unwrap();
    let mut relabelled = der.clone();
    relabelled[place] = 0x88;
    for (name, hints) in [
        ("as signed", vec![der.clone()]),
        ("as webpki is shown it", vec![relabelled.clone()]),
        ("both", vec![der.clone(), relabelled.clone()]),
        ("both, the other way", vec![relabelled, der]),
    ] {
        let result = verifier(&root).verify(&leaf, || hints, now());
        assert_eq!(result, Err(SvidError::NoPath), "{name}");
    }
}

#[test]
fn other_name_constraints_stay_with_webpki() {
    let dns = |p: &mut CertificateParams| {
        p.name_constraints = Some(rcgen::NameConstraints {
            permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("example.org".into())],
            excluded_subtrees: vec![],
        });
    };
    let root = Authority::root("root");
    let intermediate = root.intermediate("intermediate", dns);
    for (name, expected) in [("db.example.org", true), ("db.example.com", false)] {
        let leaf = intermediate.leaf(|p| {
            p.subject_alt_names
                .push(SanType::DnsName(name.try_into().unwrap()));
        });
        let hints = || vec![intermediate.der()];
        let result = verifier(&root).verify(&peer(&leaf), hints, now());
        assert_eq!(result.is_ok(), expected, "{name}: {result:?}");
    }
}

#[test]
fn what_is_remembered_needs_no_hints_and_no_second_search() {
    let root = Authority::root("root");
    let intermediate = root.intermediate("intermediate", |_| {});
    let leaf = peer(&intermediate.leaf(|_| {}));
    let verifier = verifier(&root);
    verifier
        .verify(&leaf, || vec![intermediate.der()], now())
        .unwrap();
    verifier
        .verify(&leaf, || panic!("hints of a remembered leaf"), now())
        .unwrap();
    let figures = verifier.cache();
    assert_eq!((figures.entries, figures.hits, figures.misses), (1, 1, 1));
}

#[test]
fn a_text_is_read_once_and_always_alike() {
    let root = Authority::root("root");
    let verifier = verifier(&root);
    let [one, other] = [root.leaf(|_| {}).pem(), root.leaf(|_| {}).pem()];
    let first = verifier.read(&one).unwrap();
    assert_eq!(Ok(&*first), PeerCertificate::from_pem(&one).as_ref());
    assert!(Arc::ptr_eq(&first, &verifier.read(&one).unwrap()));
    assert_ne!(first, verifier.read(&other).unwrap());
    // A text that is too long to be worth remembering, and one that is none.
    let long = one.replace('\n', &format!("{}\n", " ".repeat(400)));
    let read = verifier.read(&long).unwrap();
    assert_eq!(read, first);
    assert!(!Arc::ptr_eq(&read, &verifier.read(&long).unwrap()));
    let twice = one.repeat(2);
    assert_eq!(verifier.read(&twice), Err(PemError::SeveralBlocks));
    assert_eq!(verifier.read(&twice), Err(PemError::SeveralBlocks));
}

#[test]
fn a_refusal_does_not_stick() {
    let root = Authority::root("root");
    let intermediate = root.intermediate("intermediate", |_| {});
    let leaf = peer(&intermediate.leaf(|_| {}));
    let verifier = verifier(&root);
    for _ in 0..2 {
        assert_eq!(
            verifier.verify(&leaf, Vec::new, now()),
            Err(SvidError::NoPath)
        );
    }
    assert_eq!(verifier.cache().entries, 0, "refusals are no entries");
    assert!(
        verifier
            .verify(&leaf, || vec![intermediate.der()], now())
            .is_ok(),
        "the right hints help at once"
    );

    let future = root.intermediate("future", |p| p.not_before = at(1));
    let leaf = peer(&future.leaf(|_| {}));
    let hints = || vec![future.der()];
    assert_eq!(verifier.verify(&leaf, hints, now()), Err(SvidError::NoPath));
    assert!(
        verifier.verify(&leaf, hints, secs(1)).is_ok(),
        "and so does time"
    );
}

#[test]
fn one_leaf_causes_a_bounded_number_of_signature_checks() {
    // Roots of one name: each has to be tried, and the right one comes too late.
    let pem: String = (0..40)
        .map(|_| Authority::root("root").certificate.pem())
        .collect();
    let root = Authority::root("root");
    let domain = || TrustDomain::parse("example.org").unwrap();
    let leaf = peer(&root.leaf(|_| {}));
    let late = TrustBundle::parse(domain(), &(pem.clone() + &root.certificate.pem())).unwrap();
    assert_eq!(
        Verifier::new([late]).verify(&leaf, Vec::new, now()),
        Err(SvidError::NoPath)
    );
    let early = TrustBundle::parse(domain(), &(root.certificate.pem() + &pem)).unwrap();
    assert!(
        Verifier::new([early])
            .verify(&leaf, Vec::new, now())
            .is_ok()
    );
}

#[test]
fn a_chain_gives_its_first_four_others() {
    let root = Authority::root("root");
    let leaf = root.leaf(|_| {});
    let others: Vec<Authority> = (0..6).map(|n| Authority::root(&n.to_string())).collect();
    let chain: String = std::iter::once(leaf.pem())
        .chain(others.iter().map(|other| other.certificate.pem()))
        .collect();
    let hints = chain_hints(&chain, &peer(&leaf));
    let expected: Vec<Vec<u8>> = others[..4].iter().map(Authority::der).collect();
    assert_eq!(hints, expected);
    assert!(chain_hints("junk", &peer(&leaf)).is_empty());
}

#[test]
fn only_authorities_make_a_bundle() {
    let domain = || TrustDomain::parse("example.org").unwrap();
    let parse = |pem: &str| TrustBundle::parse(domain(), pem).unwrap_err();
    let root = Authority::root("root");
    let pem = root.certificate.pem();
    let bad_constraints = Authority::root_with("bad", |p| {
        p.custom_extensions = vec![uri_constraints(&["spiffe://example.org"], &[])];
    });
    let at_two = |error| crate::bundle::BundleError::Anchor { position: 2, error };
    use crate::bundle::BundleError;
    for (name, text, expected) in [
        ("empty", String::new(), BundleError::Empty),
        (
            "a leaf",
            pem.clone() + &root.leaf(|_| {}).pem(),
            at_two(AnchorError::NotAnAuthority),
        ),
        (
            "unreadable constraints",
            pem.clone() + &bad_constraints.certificate.pem(),
            at_two(AnchorError::NameConstraints),
        ),
        (
            "half a block",
            pem.clone() + "-----BEGIN CERTIFICATE-----\nAAAA",
            BundleError::Pem(PemError::NoBlock),
        ),
        ("large", "#".repeat(1_048_577), BundleError::TooLarge),
    ] {
        assert_eq!(parse(&text), expected, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    /// A certificate with some bytes changed is refused, or says what it said before.
    #[test]
    fn changed_bytes_neither_panic_nor_change_who_calls(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        thread_local! {
            static CERTIFICATES: (Authority, Vec<u8>) = {
                let root = Authority::root("root");
                let leaf = root.leaf(|p| p.distinguished_name.push(DnType::OrganizationName, "o"));
                (root, leaf.der().to_vec())
            };
        }
        CERTIFICATES.with(|(root, der)| {
            let mut changed = der.clone();
            for (place, byte) in &changes {
                let place = place.index(changed.len());
                changed[place] = *byte;
            }
            let untouched = changed == *der;
            let result = verifier(root).verify(&PeerCertificate::from_der(changed), Vec::new, now());
            prop_assert_eq!(result.is_ok(), untouched, "{:?}", result);
            Ok(())
        })?;
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Leaf::parse(&bytes, Role::Client);
        let _ = Intermediate::usable(std::slice::from_ref(&bytes));
        let _ = Anchor::parse(&bytes);
    }
}

/// Whoever holds a certificate can make another one of it that verifies.
#[test]
fn the_twin_of_a_certificate_is_known_by_its_fingerprint() {
    use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
    for (algorithm, twins) in [
        (&PKCS_ECDSA_P256_SHA256, 1),
        (&PKCS_ECDSA_P384_SHA384, 1),
        (&PKCS_ED25519, 0),
    ] {
        let root = Authority::root_signing_with(algorithm);
        let verifier = Verifier::new([root.bundle("example.org")]);
        // Some signatures have a number that is a byte shorter than most.
        for _ in 0..20 {
            let leaf = peer(&root.leaf(|_| {}));
            let svid = verifier.verify(&leaf, Vec::new, now()).unwrap();
            let verified: Vec<_> = twin::twins(&leaf.der)
                .map(PeerCertificate::from_der)
                .filter_map(|twin| verifier.verify(&twin, Vec::new, now()).ok())
                .collect();
            assert_eq!(verified.len(), twins, "{algorithm:?}");
            for twin in verified {
                assert_eq!(twin.id, svid.id);
                assert_ne!(twin.sha256, svid.sha256);
                assert!(twin.fingerprints().any(|one| one == leaf.sha256));
                let sha256 = twin.fingerprints().next().unwrap();
                assert!(svid.fingerprints().any(|one| one == sha256));
            }
        }
    }
}

#[test]
fn what_callers_have_left_is_known_and_who_renews() {
    let root = Authority::root("root");
    let verifier = Verifier::new([root.bundle("example.org")]);
    let later = |seconds: i64| Timestamp::from_millis(now().as_millis() + seconds * 1_000);
    let leaf = |id: &str, ends: i64| {
        root.leaf(|params| {
            params.subject_alt_names = vec![uri(id)];
            params.not_after = at(ends);
        })
    };
    let web = "spiffe://example.org/ns/shop/sa/web";
    let leaves = [
        leaf(CHECKOUT, 100),
        leaf(CHECKOUT, 200),
        leaf(CHECKOUT, 300),
        leaf(web, 1_000),
    ];
    for one in &leaves {
        let _ = verifier.verify(&peer(one), Vec::new, now());
    }
    // Renewed: the old one had 50 s left then, and stays at that.
    let _ = verifier.verify(&peer(&leaves[0]), Vec::new, later(50));
    // Shown when it had expired.
    let _ = verifier.verify(&peer(&leaves[3]), Vec::new, later(1_001));
    let shown = verifier.shown(Timestamp::from_millis(0));
    let lives: Vec<_> = lives(&shown)
        .into_iter()
        .map(|life| {
            (
                life.caller.to_string(),
                life.leaves,
                life.min_millis,
                life.p50_millis,
            )
        })
        .collect();
    let expected = [
        (web.to_owned(), 1, -1_000, -1_000),
        (CHECKOUT.to_owned(), 3, 50_000, 200_000),
    ];
    assert_eq!(lives, expected);
    assert_eq!(
        verifier.cache().rotations,
        2,
        "each of checkout's ends later"
    );
    assert_eq!(
        verifier.shown(later(50)).len(),
        2,
        "the others are not recent"
    );

    // Another bundle makes nobody forgotten; an earlier end is no renewal.
    let verifier = verifier.with_bundles([root.bundle("example.org")]);
    let _ = verifier.verify(&peer(&leaf(CHECKOUT, 250)), Vec::new, now());
    assert_eq!(verifier.cache().rotations, 2);
    let _ = verifier.verify(&peer(&leaf(CHECKOUT, 400)), Vec::new, now());
    assert_eq!(verifier.cache().rotations, 3);
}

#[test]
fn an_issuer_is_told_within_limits() {
    let root = Authority::root(&"long name, ".repeat(100));
    let verifier = Verifier::new([root.bundle("example.org")]);
    let svid = verifier
        .verify(&peer(&root.leaf(|_| {})), Vec::new, now())
        .unwrap();
    let noted: serde_json::Value = serde_json::from_str(svid.noted.as_str()).unwrap();
    let issuer = noted["issuer"].as_str().unwrap();
    assert!(issuer.starts_with("CN=long name"), "{issuer}");
    assert_eq!(issuer.chars().count(), 128);
}
