//! `callgate revoke` and `callgate revocations`, as an operator in a hurry sees them.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod run;

use std::{fs, path::Path};

use run::{Outcome, callgate, directory};
use serde_json::{Value, json};
use tempfile::TempDir;

const MESH: (&str, &str) = (
    "policies/mesh.yaml",
    "kind: MeshPolicy\nmetadata: {name: mesh}\nspec: {trustDomain: example.org}\n",
);
const WHY: [&str; 4] = [
    "--reason",
    "key found in a build log",
    "--by",
    "dana@example.org",
];
const CHECKOUT: &str = "spiffe://example.org/ns/shop/sa/checkout";

fn revoke(dir: &Path, args: &[&str]) -> Outcome {
    callgate(dir, &[&["revoke"], args, &WHY].concat())
}

fn list(dir: &Path) -> Vec<Value> {
    let outcome = callgate(dir, &["revocations", "--format", "json"]);
    assert_eq!(
        (outcome.code, &*outcome.stderr),
        (Some(0), ""),
        "{outcome:?}"
    );
    serde_json::from_str(&outcome.stdout).unwrap()
}

/// Names below `policies`, hidden ones too.
fn files(dir: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path().join("policies")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name != "mesh.yaml").collect();
    names.sort();
    names
}

#[test]
fn what_is_revoked_is_listed_and_in_order() {
    let dir = directory(&[MESH]);
    let outcome = revoke(
        dir.path(),
        &[
            "/ns/shop/sa/checkout",
            "--name",
            "leaked-key",
            "--expires",
            "2999-01-01T00:00:00Z",
        ],
    );
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(
        outcome.stdout,
        format!("revoked {CHECKOUT}\npolicies/revocation-leaked-key.yaml\n")
    );
    assert_eq!(
        files(&dir),
        ["revocation-leaked-key.yaml"],
        "nothing is left over"
    );
    let expected = json!({
        "name": "leaked-key",
        "active": true,
        "id": CHECKOUT,
        "reason": "key found in a build log",
        "revokedBy": "dana@example.org",
        "expires": "2999-01-01T00:00:00Z",
        "policy": "revocation-leaked-key.yaml:2",
    });
    assert_eq!(list(dir.path()), [expected]);
    let outcome = callgate(dir.path(), &["check"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

#[test]
fn a_name_is_made_when_none_is_given() {
    let dir = directory(&[MESH]);
    let sha256 = "AB".repeat(32);
    for args in [
        &[CHECKOUT][..],
        &["/ns/shop/sa/Check_out.2"],
        &["--certificate-sha256", &sha256],
    ] {
        let outcome = revoke(dir.path(), args);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    }
    let listed = list(dir.path());
    let names: Vec<&str> = listed
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    for (name, begin) in names
        .iter()
        .zip(["abababababab-", "check-out-2-", "checkout-"])
    {
        assert!(name.starts_with(begin), "{names:?}");
    }
    assert_eq!(listed[0]["certificateSha256"], "ab".repeat(32));
    assert_eq!(listed[0].get("id"), None);
}

#[test]
fn a_certificate_is_taken_from_its_file() {
    let dir = directory(&[MESH, ("not.pem", "nothing\n")]);
    let [leaf, root] = [(); 2].map(|()| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::default();
        params.self_signed(&key).unwrap()
    });
    let chain = format!("# the leaf first\n{}{}", leaf.pem(), root.pem());
    fs::write(dir.path().join("chain.pem"), chain).unwrap();
    let outcome = revoke(
        dir.path(),
        &["--certificate", "chain.pem", "--format", "json"],
    );
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let told: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let listed = list(dir.path());
    assert_eq!(listed[0]["certificateSha256"], told["certificateSha256"]);
    let expected = callgate_server::svid::PeerCertificate::from_der(leaf.der().to_vec());
    assert_eq!(told["certificateSha256"], expected.sha256());

    let outcome = revoke(dir.path(), &["--certificate", "not.pem"]);
    assert_eq!(
        (outcome.code, &*outcome.stderr),
        (Some(2), "callgate: no certificate in `not.pem`\n")
    );
}

#[test]
fn what_would_have_no_effect_is_not_written() {
    let dir = directory(&[MESH]);
    let without_domain = directory(&[(
        "policies/group.yaml",
        "kind: CallerGroup\n\
        metadata: {name: a}\nspec: {members: ['spiffe://example.org/a']}\n",
    )]);
    for (name, at, args, complaint) in [
        ("nothing", &dir, &[][..], "the following required arguments"),
        (
            "two things",
            &dir,
            &[CHECKOUT, "--certificate-sha256", "ab"],
            "cannot be used with",
        ),
        (
            "a pattern",
            &dir,
            &["/ns/shop/sa/*"],
            "error: invalid value '/ns/shop/sa/*' for '[ID]'",
        ),
        (
            "a fingerprint that is short",
            &dir,
            &["--certificate-sha256", "ab:cd"],
            "callgate: `ab:cd` is not the SHA-256 of a certificate; it has 64",
        ),
        (
            "an end that is past",
            &dir,
            &[CHECKOUT, "--expires", "2020-01-01T00:00:00Z"],
            "callgate: --expires 2020-01-01T00:00:00Z is past: it would have no effect",
        ),
        (
            "a name that is none",
            &dir,
            &[CHECKOUT, "--name", "../escape"],
            "callgate: `../escape` is not a name: it has other characters",
        ),
        (
            "no trust domain",
            &without_domain,
            &["/ns/shop/sa/checkout"],
            "callgate: nothing says which trust domain `/ns/shop/sa/checkout` belongs to",
        ),
        (
            "no directory",
            &dir,
            &[CHECKOUT, "--policies", "elsewhere"],
            "callgate: `elsewhere` is not a directory",
        ),
    ] {
        let outcome = revoke(at.path(), args);
        assert_eq!(outcome.code, Some(2), "{name}: {outcome:?}");
        assert!(
            outcome.stderr.contains(complaint),
            "{name}: {}",
            outcome.stderr
        );
    }
    let hidden = ["revoke", CHECKOUT, "--reason", "a\u{202e}b", "--by", "dana"];
    let outcome = callgate(dir.path(), &hidden);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert_eq!(files(&dir), [""; 0]);
}

#[test]
fn texts_stay_texts() {
    let dir = directory(&[MESH]);
    let reason = "a \"quoted\" reason: with\n# what YAML has, 'yes', & *more* \\ {}";
    let args = [
        "revoke",
        CHECKOUT,
        "--reason",
        reason,
        "--by",
        "2026-11-22",
        "--name",
        "1.0",
    ];
    let outcome = callgate(dir.path(), &args);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let listed = list(dir.path());
    assert_eq!(listed[0]["reason"], reason);
    assert_eq!(listed[0]["revokedBy"], "2026-11-22");
    assert_eq!(listed[0]["name"], "1.0");
}

#[test]
fn one_that_is_there_is_not_replaced() {
    let dir = directory(&[MESH]);
    let name = ["--name", "leaked-key"];
    assert_eq!(
        revoke(dir.path(), &[&[CHECKOUT], &name[..]].concat()).code,
        Some(0)
    );
    let again = revoke(dir.path(), &[&["/ns/shop/sa/web"], &name[..]].concat());
    assert_eq!(
        (again.code, &*again.stderr),
        (
            Some(2),
            "callgate: there is a Revocation `leaked-key` already, in revocation-leaked-key.yaml:2\n"
        )
    );
    // Nor a file that says something else.
    fs::write(
        dir.path().join("policies/revocation-other.yaml"),
        "# mine\n",
    )
    .unwrap();
    let other = revoke(dir.path(), &[CHECKOUT, "--name", "other"]);
    assert_eq!(other.code, Some(2), "{other:?}");
    assert!(
        other
            .stderr
            .contains("cannot write `policies/revocation-other.yaml`"),
        "{other:?}"
    );
    assert_eq!(
        files(&dir),
        ["revocation-leaked-key.yaml", "revocation-other.yaml"]
    );
    let mine = fs::read_to_string(dir.path().join("policies/revocation-other.yaml"));
    assert_eq!(mine.unwrap(), "# mine\n");
    // The same caller twice is fine, and told.
    let twice = revoke(dir.path(), &[CHECKOUT]);
    assert_eq!(twice.code, Some(0));
    assert!(
        twice.stderr.contains("already revoked by `leaked-key`"),
        "{twice:?}"
    );
}

#[test]
fn no_slip_in_a_policy_holds_one_back() {
    let dir = directory(&[MESH, ("policies/broken.yaml", "kind: [\n")]);
    let outcome = revoke(
        dir.path(),
        &["/ns/shop/sa/checkout", "--name", "leaked-key"],
    );
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(
        outcome.stdout.starts_with("revoked /ns/shop/sa/checkout\n"),
        "{outcome:?}"
    );
    assert!(
        outcome
            .stderr
            .contains("the policies do not load: broken.yaml:"),
        "{outcome:?}"
    );
    let told = revoke(
        dir.path(),
        &[
            "/ns/shop/sa/web",
            "--trust-domain",
            "example.org",
            "--name",
            "told",
        ],
    );
    assert_eq!(told.stderr, "", "{told:?}");
    let outcome = callgate(dir.path(), &["revocations"]);
    assert_eq!(
        outcome.code,
        Some(1),
        "what it means is not known here: {outcome:?}"
    );
    assert!(
        outcome
            .stdout
            .contains("spiffe://example.org/ns/shop/sa/web"),
        "{outcome:?}"
    );
}

#[test]
fn the_list_is_a_table_and_tells_what_is_wrong() {
    let broken = "kind: Revocation\nmetadata: {name: broken}\nspec: {id: /a}\n";
    let lapsed = "kind: Revocation\nmetadata: {name: old}\nspec:\n  id: /a\n  reason: |\n    \
        two\n    lines\n  revokedBy: dana\n  expires: 2020-01-01T00:00:00Z\n";
    let long = "kind: Revocation\nmetadata: {name: stolen-laptop}\nspec:\n  id: /ns/b\n  \
        reason: x\n  revokedBy: dana\n";
    let dir = directory(&[MESH]);
    let empty = callgate(dir.path(), &["revocations"]);
    assert_eq!(
        (empty.code, &*empty.stdout),
        (Some(0), "nobody is revoked\n")
    );
    for (name, text) in [("broken", broken), ("old", lapsed), ("new", long)] {
        fs::write(dir.path().join(format!("policies/{name}.yaml")), text).unwrap();
    }
    let outcome = callgate(dir.path(), &["revocations"]);
    assert_eq!(outcome.code, Some(1));
    assert_eq!(
        outcome.stdout,
        "\
STATE   NAME           REVOKED                    EXPIRES               BY    REASON     WHERE
active  stolen-laptop  spiffe://example.org/ns/b  never                 dana  x          new.yaml:1
lapsed  old            spiffe://example.org/a     2020-01-01T00:00:00Z  dana  two lines  old.yaml:1
"
    );
    assert_eq!(
        outcome.stderr,
        "broken.yaml:3:8: error[CG104]: a `Revocation` needs `reason` and `revokedBy`\n"
    );
    let before = callgate(dir.path(), &["revocations", "--at", "2019-12-31T23:59:59Z"]);
    assert!(!before.stdout.contains("lapsed"), "{before:?}");
}
