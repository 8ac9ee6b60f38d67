//! `callgate dev issuer`, as a shell sees it: what it refuses, and that it says what
//! it is.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod run;

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use run::{Outcome, callgate, directory};

/// Ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn issuer(dir: &Path, more: &[&str]) -> Outcome {
    let usual = ["dev", "issuer", "--trust-domain", "example.org"];
    callgate(dir, &[&usual, more].concat())
}

#[test]
fn help_says_what_it_is_for() {
    let dir = directory(&[]);
    for args in [
        &["dev", "--help"][..],
        &["dev", "issuer", "--help"],
        &["--help"],
    ] {
        let outcome = callgate(dir.path(), args);
        assert_eq!(outcome.code, Some(0));
        assert!(outcome.stdout.contains("DEVELOPMENT ONLY"), "{outcome:?}");
    }
}

#[test]
fn what_it_does_not_do_is_refused() {
    let dir = directory(&[]);
    let orders = "--workload=orders=/ns/shop/sa/orders";
    let cases: [(&str, &[&str]); 8] = [
        (
            "loopback",
            &["--dir=x", orders, "--bundle-endpoint=example.org=0.0.0.0:0"],
        ),
        (
            "not issued for",
            &["--dir=x", orders, "--bundle-endpoint=a.example=127.0.0.1:0"],
        ),
        (
            "none of the trust domains",
            &["--dir=x", "--workload=a=spiffe://other.example/a"],
        ),
        ("`../a`", &["--dir=x", "--workload=../a=/a"]),
        ("spiffe://example.org/a/", &["--dir=x", "--workload=a=/a/"]),
        ("SVID cannot live", &["--dir=x", orders, "--svid-ttl=1"]),
        ("intermediates", &["--dir=x", orders, "--intermediates=4"]),
        ("No such file", &["--dir=x/y/z", orders]),
    ];
    for (expected, more) in cases {
        let outcome = issuer(dir.path(), more);
        assert_eq!(outcome.code, Some(2), "{expected}: {outcome:?}");
        assert!(outcome.stderr.contains(expected), "{expected}: {outcome:?}");
    }
}

#[test]
fn it_says_where_everything_is_and_ends_when_told() {
    let dir = directory(&[]);
    let child = Command::new(env!("CARGO_BIN_EXE_callgate"))
        .args(["dev", "issuer", "--trust-domain=example.org", "--dir=mesh"])
        .args(["--workload=orders=/ns/shop/sa/orders"])
        .args(["--bundle-endpoint=example.org=127.0.0.1:0"])
        .current_dir(dir.path())
        .env_clear()
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    let stderr = BufReader::new(running.0.stderr.take().unwrap());
    let mut lines = stderr.lines().map(Result::unwrap);
    let said: Vec<String> = lines
        .by_ref()
        .take_while(|line| line != "issuer ready")
        .collect();
    assert!(said[0].starts_with("DEVELOPMENT ONLY"), "{said:?}");
    assert_eq!(
        said[1],
        "issuer workload=orders id=spiffe://example.org/ns/shop/sa/orders socket=unix:mesh/orders.sock"
    );
    assert_eq!(
        said[2],
        "issuer domain=example.org bundle=mesh/example.org.json"
    );
    assert!(said[3].contains("endpoint=https://127.0.0.1:"), "{said:?}");
    let there = |name: &str| dir.path().join("mesh").join(name).exists();
    assert!(
        ["orders.sock", "example.org.json", "example.org.pem"]
            .into_iter()
            .all(there)
    );

    let pid = running.0.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    assert!(!there("orders.sock"));
}
