//! Streams that are open when their authorization ends, on a real Envoy: they end within
//! about a second, whatever ended it, and those that are still allowed feel nothing.

use std::{
    fs,
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use callgate_tests::{
    Face, Gate, GateBuilder, Host, Validation, artifact,
    caller::{Call, Caller, Http},
    live::{Kind, Live},
    pki::{Identity, Pki, Spec, spiffe_id},
    process::eventually,
    suite,
};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const ORDERS: &str = "/ns/shop/sa/orders";
const STAYS: &str = "/ns/shop/sa/stays";
const GATED: Face = (Host::Filter, Validation::Spiffe);
/// Much more than the second that it should take: a test must not fail because a machine
/// is busy.
const LIMIT: Duration = Duration::from_secs(10);
/// As long as a certificate or an exception holds that a test waits for the end of.
const SHORT: Duration = Duration::from_secs(8);
const POLICY: &str = "\
kind: MeshPolicy
metadata: {name: mesh}
spec: {trustDomain: example.org}
---
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [/ns/shop/sa/orders]
  allow:
    - name: streams
      from: [/ns/shop/sa/stays, /ns/shop/sa/revoked, /ns/shop/sa/expires, members]
      to: [GET /flow, GRPC shop.v1.Orders/Watch, WEBSOCKET /live]
";

fn main() -> ExitCode {
    suite::run(
        || gate().start(),
        |tests| {
            tests.test("a_change_of_rules", rules_change);
            tests.test("a_revocation", revoked);
            tests.test("a_certificate_that_expires", certificate_expires);
            tests.test("an_exception_that_expires", exception_expires);
            tests.test("hundreds_at_once", hundreds);
            tests.test("without_leases", without_leases);
            tests.test("a_server_that_restarts", server_restarts);
            tests.test("nobody_to_ask", nobody_to_ask);
            tests.test("a_filter_that_dies", filter_dies);
            tests.test("a_proxy_that_ends", proxy_ends);
        },
        Gate::report,
    )
}

fn gate() -> GateBuilder {
    Gate::of(&[ORDERS])
        .faces(&[GATED])
        .policy("orders.yaml", POLICY)
        .policy("members.yaml", &members(&["/ns/shop/sa/leaves"]))
}

fn members(ids: &[&str]) -> String {
    let ids = ids.join(", ");
    format!(
        "kind: CallerGroup\nmetadata: {{name: members}}\nspec: {{owner: team, members: [{ids}]}}\n"
    )
}

fn revocation(name: &str, id: &str) -> String {
    format!(
        "kind: Revocation\nmetadata: {{name: {name}}}\n\
         spec: {{id: {id}, reason: a test, revokedBy: dana@example.org}}\n"
    )
}

/// A file of the server's, there all at once.
fn write(gate: &Gate, name: &str, text: &str) -> Result<()> {
    let policies = gate.server()?.policies();
    let whole = policies.join(format!("{name}.tmp"));
    fs::write(&whole, text)?;
    Ok(fs::rename(whole, policies.join(name))?)
}

fn caller(pki: &Pki, id: &str) -> Result<Caller> {
    Caller::new(Some(&pki.svid(id)?))
}

/// One stream of each kind.
async fn open_each(caller: &Caller, address: SocketAddr) -> Result<Vec<Live>> {
    let mut streams = Vec::new();
    for kind in Kind::ALL {
        let mut connection = kind.connect(caller, address).await?;
        streams.push(Live::open(kind, &mut connection).await?);
    }
    Ok(streams)
}

/// All of them end within the limit after `notice`; how long each took is printed.
async fn all_end(what: &str, notice: Instant, streams: Vec<Live>) -> Result<()> {
    for stream in streams {
        let kind = stream.kind;
        let left = LIMIT + notice.saturating_duration_since(Instant::now());
        let end = stream.ends(left).await.with_context(|| what.to_owned())?;
        let took = end.at.saturating_duration_since(notice);
        println!("{what}: {kind:?} ended {took:?} after it: {}", end.how);
        ensure!(end.at >= notice, "{what}: {kind:?} ended before it");
        ensure!(!end.how.contains("other bytes"), "{}", end.how);
    }
    Ok(())
}

/// All of them go on for more than a second, with every byte that belongs there.
async fn all_go_on(streams: &[Live]) -> Result<()> {
    for stream in streams {
        stream.passes(40).await.context("one that is allowed")?;
    }
    Ok(())
}

async fn is_alive(gate: &Gate) -> Result<()> {
    let caller = caller(&gate.pki, STAYS)?;
    let address = gate.address(ORDERS, GATED)?;
    let stream = Live::open(Kind::Grpc, &mut caller.connect(address, Http::Two).await?).await?;
    stream.passes(3).await?;
    let again = gate.envoy.stat("wasm.callgate.vm_reload_success").await?;
    ensure!(again == 0, "the filter died {again} times");
    Ok(())
}

/// One worker has one Watch: neither the VM of the main thread, which sees no request, nor one
/// that is gone has another.
async fn one_watches(gate: &Gate) -> Result<()> {
    eventually(LIMIT, "one Watch", async || {
        let metrics = gate.server()?.admin("/metrics").await?;
        let text = String::from_utf8_lossy(&metrics.body).into_owned();
        Ok(text.contains("callgate_watchers 1\n").then_some(()))
    })
    .await
}

async fn rules_change(gate: Arc<Gate>) -> Result<()> {
    let address = gate.address(ORDERS, GATED)?;
    let staying = open_each(&caller(&gate.pki, STAYS)?, address).await?;
    let leaving = open_each(&caller(&gate.pki, "/ns/shop/sa/leaves")?, address).await?;
    let notice = Instant::now();
    write(&gate, "members.yaml", &members(&["/ns/shop/sa/nobody"]))?;
    all_end("rules", notice, leaving).await?;
    all_go_on(&staying).await?;
    is_alive(&gate).await
}

async fn revoked(gate: Arc<Gate>) -> Result<()> {
    let id = "/ns/shop/sa/revoked";
    let address = gate.address(ORDERS, GATED)?;
    let staying = open_each(&caller(&gate.pki, STAYS)?, address).await?;
    let leaving = open_each(&caller(&gate.pki, id)?, address).await?;
    let notice = Instant::now();
    write(&gate, "revocation-one.yaml", &revocation("one", id))?;
    all_end("revocation", notice, leaving).await?;
    all_go_on(&staying).await?;
    is_alive(&gate).await
}

/// A moment [`SHORT`] from now that is a whole second of the clock, as the ends of
/// certificates and exceptions are.
fn shortly() -> Result<(OffsetDateTime, Instant)> {
    let now = OffsetDateTime::now_utc();
    let end = (now + SHORT).replace_nanosecond(0)?;
    Ok((end, Instant::now() + (end - now).unsigned_abs()))
}

/// Somebody whose certificate holds until shortly, and until when.
fn expiring(gate: &Gate) -> Result<(Identity, Instant)> {
    let (end, notice) = shortly()?;
    let spec = Spec::svid(&spiffe_id("/ns/shop/sa/expires"));
    // The rest of a second is cut off.
    let holds = end - OffsetDateTime::now_utc() + Duration::from_millis(500);
    Ok((gate.pki.root.issue(&spec.lasting(holds))?, notice))
}

async fn certificate_expires(gate: Arc<Gate>) -> Result<()> {
    let address = gate.address(ORDERS, GATED)?;
    let staying = open_each(&caller(&gate.pki, STAYS)?, address).await?;
    let (identity, notice) = expiring(&gate)?;
    let leaving = open_each(&Caller::new(Some(&identity))?, address).await?;
    all_end("certificate", notice, leaving).await?;
    all_go_on(&staying).await?;
    is_alive(&gate).await
}

async fn exception_expires(_: Arc<Gate>) -> Result<()> {
    let gate = gate().start().await?;
    let address = gate.address(ORDERS, GATED)?;
    let staying = open_each(&caller(&gate.pki, STAYS)?, address).await?;
    let (expires, notice) = shortly()?;
    let expires = expires.format(&Rfc3339)?;
    let exception = format!(
        "    - name: for-now\n      from: [/ns/shop/sa/excepted]\n      \
         to: [GET /flow, GRPC shop.v1.Orders/Watch, WEBSOCKET /live]\n      \
         exception: {{reason: a test, ticket: T-1, approvedBy: dana@example.org, expires: {expires}}}\n"
    );
    write(&gate, "orders.yaml", &format!("{POLICY}{exception}"))?;
    let excepted = caller(&gate.pki, "/ns/shop/sa/excepted")?;
    eventually(LIMIT, "the exception to hold", async || {
        let mut connection = excepted.connect(address, Http::One).await?;
        let flow = connection.download(&Call::new("GET", "/flow")).await?;
        Ok(flow.stream().is_ok().then_some(()))
    })
    .await?;
    let leaving = open_each(&excepted, address).await?;
    all_end("exception", notice, leaving).await?;
    all_go_on(&staying).await?;
    is_alive(&gate).await
}

async fn hundreds(_: Arc<Gate>) -> Result<()> {
    let gate = gate().start().await?;
    let id = "/ns/shop/sa/revoked";
    let address = gate.address(ORDERS, GATED)?;
    let staying = open_each(&caller(&gate.pki, STAYS)?, address).await?;
    let leaving = caller(&gate.pki, id)?;
    let mut streams = Vec::new();
    // A connection carries a hundred.
    for kind in [Kind::Grpc, Kind::Download2] {
        let mut connection = leaving.connect(address, Http::Two).await?;
        for _ in 0..100 {
            streams.push(Live::open(kind, &mut connection).await?);
        }
    }
    for kind in [Kind::Download, Kind::WebSocket] {
        for _ in 0..50 {
            let mut connection = leaving.connect(address, Http::One).await?;
            streams.push(Live::open(kind, &mut connection).await?);
        }
    }
    let notice = Instant::now();
    write(&gate, "revocation-all.yaml", &revocation("all", id))?;
    let mut last = Duration::ZERO;
    for stream in streams {
        let end = stream.ends(LIMIT).await?;
        last = last.max(end.at.saturating_duration_since(notice));
    }
    println!("300 streams: the last one ended {last:?} after the revocation");
    all_go_on(&staying).await?;
    is_alive(&gate).await
}

async fn without_leases(_: Arc<Gate>) -> Result<()> {
    let gate = gate().adapt(no_leases).start().await?;
    let address = gate.address(ORDERS, GATED)?;
    let staying = open_each(&caller(&gate.pki, STAYS)?, address).await?;
    let leaving = open_each(&caller(&gate.pki, "/ns/shop/sa/leaves")?, address).await?;
    let notice = Instant::now();
    write(&gate, "members.yaml", &members(&["/ns/shop/sa/nobody"]))?;
    all_end("rules, without leases", notice, leaving).await?;
    all_go_on(&staying).await?;
    one_watches(&gate).await?;
    is_alive(&gate).await
}

fn no_leases(config: &mut Value) -> Result<()> {
    let listeners = config.pointer_mut("/static_resources/listeners");
    let listeners = listeners.and_then(Value::as_array_mut);
    for listener in listeners.context("no listeners")? {
        let path = "/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config\
                    /config/configuration/value";
        let value = listener.pointer_mut(path).context("no filter")?;
        value["leases"] = false.into();
    }
    Ok(())
}

/// What is open outlives the server, and what changed meanwhile takes effect when it is back.
async fn server_restarts(_: Arc<Gate>) -> Result<()> {
    let mut gate = gate().start().await?;
    let address = gate.address(ORDERS, GATED)?;
    let staying = open_each(&caller(&gate.pki, STAYS)?, address).await?;
    let leaving = open_each(&caller(&gate.pki, "/ns/shop/sa/leaves")?, address).await?;
    gate.server.as_mut().context("no server")?.kill()?;
    write(&gate, "members.yaml", &members(&["/ns/shop/sa/nobody"]))?;
    // Longer than a revision stands without a word.
    tokio::time::sleep(Duration::from_secs(6)).await;
    all_go_on(&leaving).await?;
    let back = Instant::now();
    gate.server.as_mut().context("no server")?.restart().await?;
    all_end("a restart", back, leaving).await?;
    all_go_on(&staying).await?;
    is_alive(&gate).await
}

/// A certificate that ends while nobody can be asked ends the stream, after `maxStale`.
async fn nobody_to_ask(_: Arc<Gate>) -> Result<()> {
    let mut gate = gate().start().await?;
    let address = gate.address(ORDERS, GATED)?;
    let staying = open_each(&caller(&gate.pki, STAYS)?, address).await?;
    let (identity, notice) = expiring(&gate)?;
    let leaving = open_each(&Caller::new(Some(&identity))?, address).await?;
    gate.server.as_mut().context("no server")?.kill()?;
    all_end("a certificate, unanswered", notice, leaving).await?;
    all_go_on(&staying).await?;
    gate.server.as_mut().context("no server")?.restart().await?;
    is_alive(&gate).await
}

/// A new VM watches as the old one did.
async fn filter_dies(_: Arc<Gate>) -> Result<()> {
    let gate = gate().filter(artifact::trapping_filter()?).start().await?;
    let address = gate.address(ORDERS, GATED)?;
    let leaver = caller(&gate.pki, "/ns/shop/sa/leaves")?;
    let open = open_each(&leaver, address).await?;
    let kills = Call::new("GET", "/flow").header("x-test-trap", "1");
    let killed = leaver.call(address, kills).await?;
    ensure!(killed.status == 503, "{killed:?}");
    for stream in open {
        stream.ends(LIMIT).await?;
    }
    eventually(LIMIT, "the filter to be back", async || {
        let mut connection = leaver.connect(address, Http::One).await?;
        let flow = connection.download(&Call::new("GET", "/flow")).await?;
        Ok(flow.stream().is_ok().then_some(()))
    })
    .await?;
    let leaving = open_each(&leaver, address).await?;
    let notice = Instant::now();
    write(&gate, "members.yaml", &members(&["/ns/shop/sa/nobody"]))?;
    all_end("rules, after a trap", notice, leaving).await?;
    one_watches(&gate).await
}

/// With streams open, a Watch, and Checks under way for streams that wait to be decided.
async fn proxy_ends(_: Arc<Gate>) -> Result<()> {
    let mut gate = gate().start().await?;
    let address = gate.address(ORDERS, GATED)?;
    let streams = open_each(&caller(&gate.pki, STAYS)?, address).await?;
    write(&gate, "members.yaml", &members(&["/ns/shop/sa/nobody"]))?;
    let code = gate.envoy.stop().await?;
    ensure!(code == 0, "Envoy ended with {code}");
    for stream in streams {
        stream.ends(LIMIT).await?;
    }
    Ok(())
}
