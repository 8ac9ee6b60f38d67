//! The gate as a whole: real Envoy, real mutual TLS, `callgate serve`, a service.
//! What is true of the filter and of native ext_authz is tested of both.

mod body;
mod crowd;
mod headers;
mod identity;
mod input;
mod streams;

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use callgate_tests::{
    Face, Gate, Host, Validation,
    caller::{Answer, Call, Caller, Connection, Http},
    pki::Defect,
    suite,
    upstream::Seen,
};

const ORDERS: &str = "/ns/shop/sa/orders";
/// Behind the same Envoy, in the same VM, with no policy.
const STOCK: &str = "/ns/shop/sa/stock";
const CHECKOUT: &str = "/ns/shop/sa/checkout";
const POLICIES: &str = include_str!("policies.yaml");
const HOSTS: [Host; 2] = [Host::Filter, Host::Native];

fn main() -> ExitCode {
    suite::run(start, add, Gate::report)
}

async fn start() -> Result<Gate> {
    let faces = HOSTS.map(|host| {
        [
            Validation::Spiffe,
            Validation::Optional,
            Validation::AcceptAny,
        ]
        .map(|v| (host, v))
    });
    Gate::of(&[ORDERS, STOCK])
        .faces(faces.as_flattened())
        .policy("all.yaml", POLICIES)
        .start()
        .await
}

fn add(tests: &mut suite::Suite<Gate>) {
    for host in HOSTS {
        headers::add(tests, host);
        body::add(tests, host);
        crowd::add(tests, host);
        streams::add(tests, host);
        identity::add(tests, host);
        input::add(tests, host);
    }
}

/// Checkout's connection to orders, with a valid SVID.
async fn connect(gate: &Gate, host: Host, http: Http) -> Result<Connection> {
    caller(gate, Defect::None)?
        .connect(gate.address(ORDERS, strict(host))?, http)
        .await
}

/// Somebody who says to be checkout.
fn caller(gate: &Gate, defect: Defect) -> Result<Caller> {
    Caller::new(Some(&gate.pki.mint(defect, CHECKOUT)?))
}

const fn strict(host: Host) -> Face {
    (host, Validation::Spiffe)
}

/// Each test asks for an order of its own, to find its request at the service.
fn order(host: Host, test: &str) -> String {
    format!("/orders/{}-{test}", host.name())
}

/// The one request that reached the service at `path`.
fn seen_once(gate: &Gate, path: &str) -> Result<Seen> {
    let mut seen = gate.upstream.seen(path);
    ensure!(
        seen.len() == 1,
        "the service saw {path} {} times",
        seen.len()
    );
    seen.pop().context("checked above")
}

/// Refused in the HTTP form, for that reason, unseen by the service.
fn refused(gate: &Gate, path: &str, answer: &Answer, status: u16, reason: &str) -> Result<()> {
    ensure!(
        answer.status == status && answer.reason() == Some(reason),
        "{answer:?}"
    );
    ensure!(
        answer.header("content-type") == Some("application/problem+json"),
        "{answer:?}"
    );
    let problem = answer.json()?;
    ensure!(
        problem
            .pointer("/reason")
            .is_some_and(|told| told == reason),
        "{problem}"
    );
    let decision = answer.decision().context("no decision id")?;
    ensure!(
        problem
            .pointer("/decision")
            .is_some_and(|told| told == decision),
        "{problem}"
    );
    ensure!(
        gate.upstream.seen(path).is_empty(),
        "the service saw {path}"
    );
    Ok(())
}

/// `GET path` as checkout, over HTTP/1.1.
async fn get(gate: &Arc<Gate>, host: Host, path: &str) -> Result<Answer> {
    connect(gate, host, Http::One)
        .await?
        .call(Call::new("GET", path))
        .await
}
