//! `callgate serve` gone, hanging, and back: closed meanwhile, and no proxy restarted.
//!
//! Every call is a Check here; how long leases outlive the server is told in `leases.rs`.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use callgate_tests::{
    Face, Gate, Host, Validation,
    caller::{Call, Caller, Connection, Http, grpc},
    callgate::Callgate,
    configure_filters,
    process::eventually,
    suite,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::sync::Mutex;

const ORDERS: &str = "/ns/shop/sa/orders";
const FILTER: Face = (Host::Filter, Validation::Spiffe);
const NATIVE: Face = (Host::Native, Validation::Spiffe);
const LIMIT: Duration = Duration::from_secs(20);
const POLICIES: &str = include_str!("gate/policies.yaml");

struct Gated {
    gate: Gate,
    server: Mutex<Callgate>,
}

fn main() -> ExitCode {
    suite::run(
        async || {
            let gate = Gate::of(&[ORDERS])
                .faces(&[FILTER, NATIVE])
                .policy("all.yaml", POLICIES);
            let mut gate = gate.timeout("0.5s").adapt(no_leases).start().await?;
            let server = Mutex::new(gate.server.take().context("no server")?);
            Ok(Gated { gate, server })
        },
        // One test: each step needs the server to itself.
        |tests| tests.test("the_server_goes_and_comes", goes_and_comes),
        |gated| gated.gate.report(),
    )
}

fn no_leases(config: &mut Value) -> Result<()> {
    configure_filters(config, "leases", &json!(false))
}

async fn goes_and_comes(gated: Arc<Gated>) -> Result<()> {
    let mut server = gated.server.lock().await;
    let checkout = gated.gate.pki.svid("/ns/shop/sa/checkout")?;
    let checkout = Caller::new(Some(&checkout))?;
    let mut filter = checkout
        .connect(gated.gate.address(ORDERS, FILTER)?, Http::Two)
        .await?;
    let mut native = checkout
        .connect(gated.gate.address(ORDERS, NATIVE)?, Http::Two)
        .await?;
    served(&mut filter, &mut native).await.context("before")?;

    server.process().pause()?;
    closed(&gated, &mut filter, &mut native, "authz-timeout")
        .await
        .context("stopped")?;
    server.process().signal(Signal::SIGCONT)?;
    served(&mut filter, &mut native).await.context("going on")?;

    server.kill()?;
    closed(&gated, &mut filter, &mut native, "authz-unreachable")
        .await
        .context("killed")?;
    server.restart().await?;
    served(&mut filter, &mut native).await.context("back")
}

/// On both connections, once what was in flight is through.
async fn served(filter: &mut Connection, native: &mut Connection) -> Result<()> {
    for connection in [filter, native] {
        eventually(LIMIT, "to be served", async || {
            let answer = connection.call(Call::new("GET", "/orders/7")).await?;
            Ok((answer.status == 200).then_some(()))
        })
        .await?;
    }
    Ok(())
}

async fn closed(
    gated: &Gated,
    filter: &mut Connection,
    native: &mut Connection,
    reason: &str,
) -> Result<()> {
    let path = format!("/orders/{reason}");
    for _ in 0..3 {
        let answer = filter.call(Call::new("GET", &path)).await?;
        ensure!(
            answer.status == 503 && answer.reason() == Some(reason),
            "{answer:?}"
        );
        let answer = filter
            .call(grpc::unary("/shop.v1.Orders/Place", b"tea"))
            .await?;
        ensure!(
            answer.grpc_status() == Some(14) && answer.headers_only,
            "{answer:?}"
        );
        ensure!(answer.reason() == Some(reason), "{answer:?}");
        let answer = native.call(Call::new("GET", &path)).await?;
        ensure!(answer.status == 503, "{answer:?}");
    }
    ensure!(
        gated.gate.upstream.seen(&path).is_empty(),
        "the service saw it"
    );
    ensure!(
        gated.gate.upstream.seen("/shop.v1.Orders/Place").is_empty(),
        "the service saw it"
    );
    Ok(())
}
