//! The connection between proxy and server, on a real Envoy: certificates on both sides
//! that are renewed under load, and sides that are not who they should be.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use callgate_tests::{
    Face, Gate, GateBuilder, Host, Validation,
    caller::{Answer, Call, Caller, Http, grpc},
    pki::{CALLGATE, Spec, spiffe_id},
    process::eventually,
    sidecar::Credentials,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const ORDERS: &str = "/ns/shop/sa/orders";
const CHECKOUT: &str = "/ns/shop/sa/checkout";
const FILTER: Face = (Host::Filter, Validation::Spiffe);
const NATIVE: Face = (Host::Native, Validation::Spiffe);
const LIMIT: Duration = Duration::from_secs(20);
const POLICIES: &str = "\
kind: MeshPolicy
metadata: {name: mesh}
spec: {trustDomain: example.org}
---
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [/ns/shop/sa/orders]
  allow:
    - {name: all, from: [/ns/shop/sa/*], to: ['GET /orders/{order}', GRPC shop.v1.Orders/*]}
";

fn gate() -> GateBuilder {
    Gate::of(&[ORDERS])
        .faces(&[FILTER, NATIVE])
        .policy("all.yaml", POLICIES)
}

async fn call(gate: &Gate, face: Face, call: Call) -> Result<Answer> {
    let checkout = Caller::new(Some(&gate.pki.svid(CHECKOUT)?))?;
    checkout.call(gate.address(ORDERS, face)?, call).await
}

/// The value of a figure without labels.
async fn figure(gate: &Gate, name: &str) -> Result<u64> {
    let answer = gate.server()?.admin("/metrics").await?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    Ok(value.context(text.clone())?.trim().parse()?)
}

/// Envoy's SVID lasts six seconds here, so that it also has to come back with another
/// before the server would refuse the one it began with.
#[tokio::test(flavor = "multi_thread")]
async fn both_sides_rotate_every_second_under_load_without_a_failure() -> Result<()> {
    const SECONDS: u64 = 9;
    let gate = Arc::new(gate().in_files().start().await?);
    let renew = |id: &str, lasting: time::Duration| {
        let own = Credentials::of(&spiffe_id(id), gate.directory());
        let svid = gate
            .pki
            .root
            .issue(&Spec::svid(&spiffe_id(id)).lasting(lasting));
        svid?.write_to(&own.directory)
    };
    let short = time::Duration::seconds(6);
    let long = gate.envoy.serial_numbers().await?;
    renew(ORDERS, short)?;
    // A connection that began with the first one would last for half an hour.
    gate.envoy.await_renewal(&long, LIMIT).await?;

    let (done, answers) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut load = JoinSet::new();
    for face in [FILTER, NATIVE] {
        let (gate, done) = (Arc::clone(&gate), Arc::clone(&done));
        let answers = Arc::clone(&answers);
        load.spawn(async move {
            let checkout = Caller::new(Some(&gate.pki.svid(CHECKOUT)?))?;
            let address = gate.address(ORDERS, face)?;
            let mut stays = checkout.connect(address, Http::Two).await?;
            while !done.load(Ordering::Relaxed) {
                let answer = stays.call(Call::new("GET", "/orders/7")).await?;
                ensure!(answer.status == 200, "{answer:?}");
                let answer = checkout
                    .call(address, Call::new("GET", "/orders/8"))
                    .await?;
                ensure!(answer.status == 200, "on a new connection: {answer:?}");
                answers.fetch_add(2, Ordering::Relaxed);
            }
            Ok(())
        });
    }
    let began = Instant::now();
    for second in 1..=SECONDS {
        tokio::time::sleep(Duration::from_secs(second).saturating_sub(began.elapsed())).await;
        renew(CALLGATE, time::Duration::hours(1))?;
        renew(ORDERS, short)?;
    }
    done.store(true, Ordering::Relaxed);
    while let Some(outcome) = load.join_next().await {
        outcome?.with_context(|| gate.report())?;
    }
    let answers = answers.load(Ordering::Relaxed);
    ensure!(answers > 200, "{answers} answers");
    eventually(LIMIT, "the last renewal", async || {
        let renewals = figure(&gate, "callgate_identity_renewals_total").await?;
        // Two that come together on a busy machine are one.
        Ok((renewals > SECONDS / 2).then_some(()))
    })
    .await?;
    let cluster = format!("cluster.{}.upstream_cx_total", cluster(FILTER));
    let connections = gate.envoy.stat(&cluster).await?;
    ensure!(
        connections >= 3,
        "the server ended none of Envoy's connections in time: {connections}"
    );
    Ok(())
}

fn cluster((host, _): Face) -> String {
    format!(
        "example-org-ns-shop-sa-orders_{}_spiffe_callgate",
        host.name()
    )
}

/// 503 in every form, seen by nobody behind.
async fn closed(gate: &Gate, reason: &str) -> Result<()> {
    let path = "/orders/closed";
    let answer = call(gate, FILTER, Call::new("GET", path)).await?;
    ensure!(
        answer.status == 503 && answer.reason() == Some(reason),
        "{answer:?}\n{}",
        gate.report()
    );
    let answer = call(gate, FILTER, grpc::unary("/shop.v1.Orders/Place", b"tea")).await?;
    ensure!(
        answer.grpc_status() == Some(14) && answer.reason() == Some(reason),
        "{answer:?}"
    );
    let answer = call(gate, NATIVE, Call::new("GET", path)).await?;
    ensure!(answer.status == 503, "{answer:?}");
    ensure!(gate.upstream.seen(path).is_empty(), "the service saw it");
    Ok(())
}

/// A sidecar with another service's key asks about this one.
#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_sidecar_learns_nothing_of_other_services() -> Result<()> {
    let gate = gate().asking_as("/ns/shop/sa/stock").start().await?;
    closed(&gate, "authz-protocol").await?;
    let refused = r#"callgate_refused_proxies_total{cause="not-its-service"}"#;
    ensure!(figure(&gate, refused).await? >= 3);
    let log = gate.server()?.process().log();
    let told = "/ns/shop/sa/stock` may not ask about `spiffe://example.org/ns/shop/sa/orders`";
    ensure!(log.contains(told), "{log}");
    let records = std::fs::read_to_string(gate.directory().join("callgate/decisions.jsonl"))?;
    ensure!(records.is_empty(), "{records}");
    Ok(())
}

/// A proxy in front of several services, here of another trust domain.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_asks_about_the_services_that_it_is_listed_for() -> Result<()> {
    const EDGE: &str = "spiffe://partner.example/edge";
    let listed = format!("gateways: [{{id: '{EDGE}', forServices: [{ORDERS}]}}]");
    let listed = POLICIES.replace("example.org}", &format!("example.org, {listed}}}"));
    let gate = gate().policy("all.yaml", &listed).asking_as(EDGE);
    let gate = gate.start().await?;
    for face in [FILTER, NATIVE] {
        let answer = call(&gate, face, Call::new("GET", "/orders/7")).await?;
        ensure!(answer.status == 200, "{answer:?}");
        let answer = call(&gate, face, Call::new("GET", "/elsewhere")).await?;
        let decision = answer.decision().context("no decision")?;
        let record = gate.server()?.record(decision).await?;
        ensure!(record["proxy"] == EDGE, "{record}");
    }
    Ok(())
}

/// Whoever answers at the server's address must be the server: another identity of the
/// same trust domain is not enough.
#[tokio::test(flavor = "multi_thread")]
async fn another_server_is_not_asked() -> Result<()> {
    let gate = gate().adapt(expect_another).start().await?;
    closed(&gate, "authz-unreachable").await?;
    let failed = format!("cluster.{}.ssl.fail_verify_san", cluster(FILTER));
    ensure!(gate.envoy.stat(&failed).await? > 0);
    Ok(())
}

fn expect_another(config: &mut Value) -> Result<()> {
    let clusters = config.pointer_mut("/static_resources/clusters");
    let clusters = clusters.and_then(Value::as_array_mut).context("clusters")?;
    for cluster in clusters {
        let name = "/transport_socket/typed_config/common_tls_context\
                    /combined_validation_context/default_validation_context\
                    /match_typed_subject_alt_names/0/matcher/exact";
        if let Some(name) = cluster.pointer_mut(name) {
            *name = json!("spiffe://example.org/ns/callgate/sa/another");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_carries_the_proxy_that_asked() -> Result<()> {
    let gate = gate().start().await?;
    for face in [FILTER, NATIVE] {
        let answer = call(&gate, face, Call::new("GET", "/elsewhere")).await?;
        let decision = answer.decision().context("no decision")?;
        let record = gate.server()?.record(decision).await?;
        ensure!(record["proxy"] == spiffe_id(ORDERS), "{record}");
    }
    Ok(())
}
