//! `callgate fmt`, as a shell and an editor see it.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod run;

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use run::{callgate, callgate_reading, directory};

const UGLY: &str = "kind:   CallerGroup   # who reads\nmetadata: { name: 'readers' }\nspec:\n    members:\n    - '/ns/a/sa/app'\n";
const FINE: &str = "kind: CallerGroup   # who reads\nmetadata: {name: readers}\nspec:\n  members:\n    - /ns/a/sa/app\n";

#[test]
fn files_are_written_in_the_one_form() {
    let dir = directory(&[
        ("policies/a.yaml", UGLY),
        ("policies/b/c.yml", FINE),
        ("policies/a_test.yaml", "kind:  PolicyTest\n"),
    ]);
    let a = dir.path().join("policies/a.yaml");
    fs::set_permissions(&a, fs::Permissions::from_mode(0o640)).unwrap();

    let check = callgate(dir.path(), &["fmt", "--check"]);
    assert_eq!(check.code, Some(1));
    assert_eq!(
        check.stdout,
        "policies/a.yaml\npolicies/a_test.yaml\n3 files, 2 not in the one form\n"
    );
    assert_eq!(fs::read_to_string(&a).unwrap(), UGLY);

    let outcome = callgate(dir.path(), &["fmt"]);
    assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""));
    assert_eq!(
        outcome.stdout,
        "policies/a.yaml\npolicies/a_test.yaml\n3 files, 2 formatted\n"
    );
    assert_eq!(fs::read_to_string(&a).unwrap(), FINE);
    assert_eq!(
        fs::metadata(&a).unwrap().permissions().mode() & 0o777,
        0o640
    );

    let again = callgate(dir.path(), &["fmt", "--check"]);
    assert_eq!(
        (again.code, &*again.stdout),
        (Some(0), "3 files, nothing to change\n")
    );
    let left = fs::read_dir(dir.path().join("policies")).unwrap().count();
    assert_eq!(left, 3, "something was left beside the files");
}

#[test]
fn what_cannot_be_kept_is_left_alone_and_told() {
    let tagged = "a: !b c\n";
    let dir = directory(&[
        ("policies/a.yaml", tagged),
        ("policies/b.yaml", UGLY),
        ("policies/c.yaml", "%YAML 1.2\n---\na: b\n"),
    ]);
    let outcome = callgate(dir.path(), &["fmt"]);
    assert_eq!(outcome.code, Some(1));
    assert_eq!(
        outcome.stdout,
        "policies/b.yaml\n3 files, 1 formatted, 2 left as they are, because of the above\n"
    );
    assert!(
        outcome.stderr.contains("error[CG007]") && outcome.stderr.contains("policies/a.yaml:1:4"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome
            .stderr
            .contains("policies/c.yaml: left as it is: line 1 is a directive"),
        "{}",
        outcome.stderr
    );
    assert_eq!(
        fs::read_to_string(dir.path().join("policies/a.yaml")).unwrap(),
        tagged
    );
    let json = callgate(dir.path(), &["fmt", "--format", "json"]);
    let told: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(told[0]["outcome"], "refused");
    assert_eq!(
        told[1],
        serde_json::json!({"file": "policies/b.yaml", "outcome": "unchanged"})
    );
}

#[test]
fn a_link_stays_a_link() {
    let dir = directory(&[("real/a.yaml", UGLY)]);
    symlink("real/a.yaml", dir.path().join("a.yaml")).unwrap();
    assert_eq!(callgate(dir.path(), &["fmt", "a.yaml"]).code, Some(0));
    assert!(
        fs::symlink_metadata(dir.path().join("a.yaml"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(
        fs::read_to_string(dir.path().join("real/a.yaml")).unwrap(),
        FINE
    );
}

#[test]
fn editors_send_text_and_get_text() {
    let dir = directory(&[]);
    let run = |text: &str| {
        let outcome = callgate_reading(dir.path(), &["fmt", "-"], &[], text);
        (outcome.code, outcome.stdout, outcome.stderr)
    };
    assert_eq!(run(UGLY), (Some(0), FINE.to_owned(), String::new()));
    let (code, stdout, stderr) = run("a: [b\n");
    assert_eq!((code, &*stdout), (Some(1), ""));
    assert!(stderr.contains("error[CG005]"), "{stderr}");
}

#[test]
fn nothing_to_format_exits_with_2() {
    let dir = directory(&[("empty/README.md", "")]);
    for args in [
        &["fmt"][..],
        &["fmt", "empty"],
        &["fmt", "missing.yaml"],
        &["fmt", "-", "empty"],
    ] {
        let outcome = callgate(dir.path(), args);
        assert_eq!((outcome.code, &*outcome.stdout), (Some(2), ""), "{args:?}");
    }
}
