//! `callgate serve`: what it does not start with, and what it says then.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod run;

use run::{callgate, directory};

const MESH: &str = "\
kind: MeshPolicy
metadata: {name: mesh}
spec: {trustDomain: example.org}
";

/// Everything that is needed but who the server is.
const REST: [&str; 5] = [
    "serve",
    "--policies=policies",
    "--trust-bundle=example.org=none.pem",
    "--listen=127.0.0.1:0",
    "--admin=127.0.0.1:0",
];

fn refused(more: &[&str], environment: &[(&str, &str)]) -> String {
    let dir = directory(&[("policies/mesh.yaml", MESH)]);
    let args: Vec<&str> = REST.iter().chain(more).copied().collect();
    let outcome = run::callgate_with(dir.path(), &args, environment);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert_eq!(outcome.stdout, "");
    outcome.stderr
}

#[test]
fn an_identity_comes_from_one_source() {
    for (more, says) in [
        (&["--svid=a.pem"][..], "--svid-key"),
        (&["--svid-key=a.pem"], "--svid"),
        (
            &["--svid=a.pem", "--svid-key=b.pem", "--workload-api=unix:/a"],
            "cannot be used with",
        ),
        (
            &["--workload-api=/run/agent.sock"],
            "unix:/run/spire/agent.sock",
        ),
        (&["--workload-api=tcp://10.0.0.1:1"], "not on this machine"),
        (&["--proxy-id=web"], "`--proxy-id web`"),
        (&["--proxy-id=/ns/a/sa/b"], "`--proxy-id /ns/a/sa/b`"),
    ] {
        let stderr = refused(more, &[]);
        assert!(stderr.contains(says), "{more:?}: {stderr}");
    }
}

#[test]
fn an_identity_from_the_environment_needs_proxies() {
    let stderr = refused(&[], &[("SPIFFE_ENDPOINT_SOCKET", "unix:///none.sock")]);
    assert!(
        stderr.contains("SPIFFE_ENDPOINT_SOCKET") && stderr.contains("`--proxy-id`"),
        "{stderr}"
    );
    let proxies = ["--proxy-id=spiffe://example.org/**"];
    let stderr = refused(&proxies, &[("SPIFFE_ENDPOINT_SOCKET", "/none.sock")]);
    assert!(
        stderr.contains("SPIFFE_ENDPOINT_SOCKET: `/none.sock`"),
        "{stderr}"
    );
    // Empty is none.
    let stderr = refused(&[], &[("SPIFFE_ENDPOINT_SOCKET", "")]);
    assert!(stderr.contains("none.pem"), "{stderr}");
}

#[test]
fn a_lease_lasts_a_second_at_least_and_an_hour_at_most() {
    for ttl in ["", "60", "0s", "100ms", "2h", "-1s"] {
        let stderr = refused(&[&format!("--lease-ttl={ttl}")], &[]);
        assert!(stderr.contains("--lease-ttl"), "{ttl}: {stderr}");
    }
    for ttl in ["0", "1s", "1h"] {
        let stderr = refused(&[&format!("--lease-ttl={ttl}")], &[]);
        assert!(stderr.contains("none.pem"), "{ttl}: {stderr}");
    }
}

#[test]
fn its_help_names_what_an_operator_decides() {
    let dir = directory(&[]);
    let outcome = callgate(dir.path(), &["serve", "--help"]);
    assert_eq!(outcome.code, Some(0));
    for option in ["--workload-api", "--svid-key", "--proxy-id", "--lease-ttl"] {
        assert!(outcome.stdout.contains(option), "{option}");
    }
}
