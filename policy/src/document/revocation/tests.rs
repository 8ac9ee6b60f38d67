use super::*;

const GOOD: &str = "kind: Revocation\nmetadata: {name: leaked-key}\nspec:\n  \
    id: /ns/shop/sa/checkout\n  reason: key found in a build log\n  \
    revokedBy: dana@example.org\n";
const POLICY: &str = "kind: ServicePolicy\nmetadata: {name: a}\n\
    spec: {services: [\"spiffe://example.org/a\"]}\n";

fn read(text: &str) -> LoadedRevocations {
    let source = Source::new("a.yaml", text);
    load_revocations(&source, &LoadOptions::default())
}

/// Names and lines of what counts, and findings as they are logged.
fn outcome(text: &str) -> (Vec<(String, u32)>, Vec<String>) {
    let loaded = read(text);
    let revocations = loaded.revocations.into_iter();
    (
        revocations.map(|one| (one.name, one.line)).collect(),
        loaded.findings.iter().map(ToString::to_string).collect(),
    )
}

fn named(name: &str) -> String {
    GOOD.replace("leaked-key", name)
}

#[test]
fn everything_that_it_says_is_read() {
    let sha256 = "AB".repeat(32);
    let text = format!(
        "# for the record\n{GOOD}  expires: 2027-01-01T00:00:00Z\n---\n{}",
        named("stolen-laptop").replace(
            "id: /ns/shop/sa/checkout",
            &format!("certificateSha256: {sha256}")
        )
    );
    let loaded = read(&text);
    assert_eq!(loaded.findings, []);
    let common = |name: &str, revoked, expires, line| Revocation {
        name: name.to_owned(),
        revoked,
        reason: "key found in a build log".to_owned(),
        revoked_by: "dana@example.org".to_owned(),
        expires,
        file: "a.yaml".to_owned(),
        line,
    };
    let expected = [
        common(
            "leaked-key",
            Revoked::OwnIdentity("/ns/shop/sa/checkout".to_owned()),
            Some(Timestamp::from_secs(1_798_761_600)),
            2,
        ),
        common("stolen-laptop", Revoked::Certificate([0xab; 32]), None, 10),
    ];
    assert_eq!(loaded.revocations, expected);
    let [leaked, stolen] = &expected;
    assert_eq!(
        stolen.revoked.to_string(),
        format!("sha256:{}", "ab".repeat(32))
    );
    let own = TrustDomain::parse("example.org").unwrap();
    let id = SpiffeId::parse("spiffe://example.org/ns/shop/sa/checkout").unwrap();
    assert_eq!(leaked.identity(Some(&own)), Some(id));
    assert_eq!(leaked.identity(None), None);
    assert_eq!(stolen.identity(Some(&own)), None);
}

#[test]
fn it_ends_at_its_moment() {
    let text = format!("{GOOD}  expires: 1970-01-01T00:00:01Z\n");
    let one = read(&text).revocations.remove(0);
    for (millis, active) in [(0, true), (999, true), (1_000, false), (i64::MAX, false)] {
        assert_eq!(
            one.is_active(Timestamp::from_millis(millis)),
            active,
            "{millis}"
        );
    }
    let endless = read(GOOD).revocations.remove(0);
    assert!(endless.is_active(Timestamp::from_millis(i64::MAX)));
}

#[test]
fn no_slip_beside_it_holds_one_back() {
    let good = |line| (vec![("leaked-key".to_owned(), line)], vec![]);
    for (name, text, expected) in [
        ("alone", GOOD.to_owned(), good(1)),
        ("a sound policy", format!("{POLICY}---\n{GOOD}"), good(5)),
        (
            "a field too many in a policy",
            format!("{POLICY}more: 1\n---\n{GOOD}"),
            good(6),
        ),
        (
            "a null in a policy, before and after",
            format!("kind: ServicePolicy\nspec:\n---\n{GOOD}---\nkind: MeshPolicy\nspec:\n"),
            good(4),
        ),
        (
            "a policy that is not YAML, before",
            format!("kind: [\n---\n{GOOD}"),
            good(3),
        ),
        (
            "a policy that is not YAML, after",
            format!("{GOOD}---\nkind: ]\n"),
            good(1),
        ),
        (
            "a quote that is not closed, before",
            format!("kind: \"ServicePolicy\nspec: x\n--- # next\n{GOOD}"),
            good(4),
        ),
        (
            "what the parser takes for the beginning of a text",
            format!(">\n---\n{GOOD}"),
            good(3),
        ),
        (
            "a hidden character in a policy",
            format!("kind: Service\u{202e}Policy\n---\n{GOOD}"),
            good(3),
        ),
        (
            "a document of another kind",
            format!("kind: ConfigMap\ndata: {{kind: Revocation}}\n---\n{GOOD}"),
            good(4),
        ),
    ] {
        assert_eq!(outcome(&text), expected, "{name}");
    }
    let latin1 = [b"# f\xfcr\nkind: MeshPolicy\n---\n", GOOD.as_bytes()].concat();
    let source = Source::new("a.yaml", latin1);
    let loaded = load_revocations(&source, &LoadOptions::default());
    assert_eq!((loaded.revocations.len(), loaded.findings.len()), (1, 0));
}

#[test]
fn one_that_is_broken_is_told_and_keeps_the_rest() {
    for (name, broken, finding) in [
        (
            "a field that is not known",
            named("bad") + "  severity: high\n",
            "a.yaml:14:3: error[CG103]: unknown field `severity` in a `Revocation`",
        ),
        (
            "a null, which would make it endless",
            named("bad") + "  expires: # later\n",
            "a.yaml:14:3: error[CG011]: `expires` has no value",
        ),
        (
            "a date",
            named("bad") + "  expires: 2027-01-01\n",
            "a.yaml:14:12: error[CG110]: `2027-01-01` is not a point in time: a date without a time",
        ),
        (
            "a pattern",
            named("bad").replace("/checkout", "/*"),
            "a.yaml:11:7: error[CG204]: `/ns/shop/sa/*` is not one identity",
        ),
        ("not YAML", named("bad") + " expires: x\n", "error[CG005]"),
    ] {
        let text = format!("{GOOD}---\n{broken}---\n{}", named("third"));
        let (revocations, findings) = outcome(&text);
        let names: Vec<&str> = revocations.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["leaked-key", "third"], "{name}");
        assert_eq!(findings.len(), 1, "{name}: {findings:?}");
        assert!(findings[0].contains(finding), "{name}: {findings:?}");
        assert!(findings[0].starts_with("a.yaml:1"), "{name}: {findings:?}");
    }
    let text = format!("{GOOD}---\n{}\u{0}\n", named("bad"));
    let source = Source::new("a.yaml", text);
    let loaded = load_revocations(&source, &LoadOptions::default());
    assert_eq!((loaded.revocations.len(), loaded.findings.len()), (1, 1));
}

#[test]
fn bytes_that_are_not_utf8_break_their_own_document_only() {
    let broken = named("bad").replace("build", "b?ld");
    let mut bytes = format!("{broken}---\n{GOOD}").into_bytes();
    for byte in &mut bytes {
        if *byte == b'?' {
            *byte = 0xfc;
        }
    }
    let loaded = load_revocations(&Source::new("a.yaml", bytes), &LoadOptions::default());
    let names: Vec<_> = loaded.revocations.iter().map(|one| &one.name).collect();
    assert_eq!(names, ["leaked-key"]);
    let [finding] = &*loaded.findings else {
        panic!("{:?}", loaded.findings)
    };
    assert_eq!((finding.code, finding.place.start.line), (Code::NotUtf8, 5));
}

#[test]
fn the_kind_is_found_however_it_is_written() {
    for kind in [
        "'Revocation'",
        "\"Revocation\"",
        "\"Revoc\\u0061tion\"",
        ">-\n  Revocation",
    ] {
        let text = GOOD.replacen("Revocation", kind, 1);
        assert_eq!(read(&text).revocations.len(), 1, "{kind}");
    }
}

#[test]
fn a_file_of_revocations_alone_is_known() {
    let broken = format!("{GOOD}  severity: high\n");
    for (text, expected) in [
        (GOOD.to_owned(), true),
        (format!("---\n{GOOD}---\n{broken}---\n"), true),
        (format!("{GOOD}---\n{POLICY}"), false),
        (format!("{GOOD}---\nkind: [\n"), false),
        (POLICY.to_owned(), false),
        ("# Revocation\n".to_owned(), false),
        (String::new(), false),
    ] {
        let source = Source::new("a.yaml", text.clone());
        let known = holds_only_revocations(&source, &LoadOptions::default());
        assert_eq!(known, expected, "{text}");
    }
}

#[test]
fn findings_of_one_file_are_bounded() {
    let text = "kind: Revocation\n---\n".repeat(1_000);
    assert_eq!(read(&text).findings.len(), FINDINGS);
}

#[test]
fn neither_holds_the_other_back() {
    use super::super::{LoadError, load};
    let apart = LoadOptions {
        without_revocations: true,
        ..LoadOptions::default()
    };
    let load = |text: &str, options: &LoadOptions| {
        load(&[Source::new("a.yaml", text)], options).map(|loaded| loaded.counts.documents)
    };
    let broken = format!("{GOOD}  expires: # later\n  severity: high\n");
    let beside = format!(
        "{POLICY}---\n{broken}---\n{}",
        POLICY.replace("a}", "b}").replace("/a", "/b")
    );
    assert_eq!(load(&beside, &apart), Ok(2));
    assert!(load(&beside, &LoadOptions::default()).is_err());
    // What is wrong with others is still told.
    assert!(load(&format!("{beside}---\nkind: MeshPolicy\nspec:\n"), &apart).is_err());
    // Revocations alone are no set of policies, but nothing is wrong with them.
    assert_eq!(load(GOOD, &apart), Err(LoadError::NoDocuments));
    let named = GOOD.replace("id: /", "id: spiffe://example.org/");
    assert_eq!(load(&named, &LoadOptions::default()), Ok(1));
}
