//! `callgate init`, and what comes of it; completions for shells.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod run;

use std::fs;

use run::{callgate, directory};

#[test]
fn what_is_made_is_in_order() {
    let dir = directory(&[]);
    let outcome = callgate(dir.path(), &["init", "shop", "--trust-domain", "acme.test"]);
    assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""));
    assert!(
        outcome.stdout.starts_with(
            "FILE                            WHAT IT IS FOR\nshop/policies/mesh.yaml "
        ),
        "{}",
        outcome.stdout
    );
    assert!(
        outcome.stdout.contains("\n  cd shop\n  callgate check\n"),
        "{}",
        outcome.stdout
    );
    let shop = dir.path().join("shop");
    let check = callgate(
        &shop,
        &["check", "--deny-warnings", "--log", "decisions.jsonl"],
    );
    // Nobody but these four called, by the log, and the rules name no one else.
    assert_eq!(
        (check.code, &*check.stdout),
        (Some(0), "2 documents, 1 service, 4 rules: no findings\n")
    );
    let form = callgate(&shop, &["fmt", "--check"]);
    assert_eq!(form.code, Some(0), "{}", form.stdout);
    let explain = [
        "explain",
        "--from",
        "/ns/shop/sa/checkout",
        "--to",
        "/ns/shop/sa/orders",
        "POST /orders",
    ];
    let allowed = callgate(&shop, &explain);
    assert_eq!(
        allowed.code,
        Some(0),
        "{}{}",
        allowed.stdout,
        allowed.stderr
    );
    let mesh = fs::read_to_string(shop.join("policies/mesh.yaml")).unwrap();
    assert!(mesh.contains("trustDomain: acme.test"), "{mesh}");
    let schema = fs::read_to_string(shop.join("callgate.schema.json")).unwrap();
    assert_eq!(schema, callgate(&shop, &["schema"]).stdout);
}

#[test]
fn nothing_is_written_over() {
    let dir = directory(&[("policies/orders.yaml", "mine")]);
    let outcome = callgate(dir.path(), &["init"]);
    assert_eq!((outcome.code, &*outcome.stdout), (Some(2), ""));
    assert!(
        outcome
            .stderr
            .contains("`./policies/orders.yaml` is there already; nothing was written"),
        "{}",
        outcome.stderr
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(
        callgate(dir.path(), &["init", "--trust-domain", "A b"]).code,
        Some(2)
    );
}

#[test]
fn programs_are_told_which_files_there_are() {
    let dir = directory(&[]);
    let outcome = callgate(dir.path(), &["init", "--format", "json"]);
    let files: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    for file in files.as_array().unwrap() {
        assert!(
            dir.path().join(file["file"].as_str().unwrap()).is_file(),
            "{file}"
        );
    }
}

#[test]
fn every_shell_can_complete() {
    let dir = directory(&[]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let outcome = callgate(dir.path(), &["completions", shell]);
        assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""), "{shell}");
        for word in ["callgate", "deny-warnings", "expiring-within"] {
            assert!(outcome.stdout.contains(word), "{shell}: no {word}");
        }
    }
    assert_eq!(callgate(dir.path(), &["completions", "tcsh"]).code, Some(2));
}
