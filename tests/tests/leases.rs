//! Leases on a real Envoy: what is decided in the proxy, when it no longer is, and that
//! every decision is in the log, once.

use std::{
    collections::BTreeSet,
    fs,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use callgate_tests::{
    Face, Gate, GateBuilder, Host, Validation,
    caller::{Answer, Call, Caller, Connection, Http, grpc},
    callgate::Callgate,
    configure_filters,
    pki::{Spec, TRUST_DOMAIN, spiffe_id},
    process::eventually,
    suite,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const ORDERS: &str = "/ns/shop/sa/orders";
const STOCK: &str = "/ns/shop/sa/stock";
const FILTER: Face = (Host::Filter, Validation::Spiffe);
/// Envoy lets everybody in, and the server judges.
const ANY: Face = (Host::Filter, Validation::AcceptAny);
const LIMIT: Duration = Duration::from_secs(20);
/// How often a test may begin anew that a certificate's renewal got in the way of.
const ATTEMPTS: usize = 4;

const MESH: &str = "\
kind: MeshPolicy
metadata: {name: mesh}
spec: {trustDomain: example.org}
";
const ORDERS_POLICY: &str = r##"
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [/ns/shop/sa/orders]
  owner: team-orders
  help: "#team-orders"
  allow:
    - {name: reads, from: [/ns/shop/sa/*], to: ["GET /orders/{order}"]}
    - {name: places, from: [/ns/shop/sa/*], to: [GRPC shop.v1.Orders/Place]}
    - name: reports
      from: [/ns/shop/sa/*]
      to: ["GET /reports/{report}"]
      when: request.headers["x-purpose"] == "reporting"
"##;
const STOCK_POLICY: &str = "\
kind: ServicePolicy
metadata: {name: stock}
spec:
  services: [/ns/shop/sa/stock]
  allow:
    - {name: items, from: [/ns/shop/sa/*], to: ['GET /items/{item}']}
";

fn main() -> ExitCode {
    suite::run(
        || gate().start(),
        |tests| {
            tests.test("one_check_for_many_paths", many_paths);
            tests.test("refusals_are_leased", refusals);
            tests.test("conditions_are_asked_about", conditions);
            tests.test("two_services_in_one_vm", two_services);
            tests.test("without_leases", without_leases);
            tests.test("what_ends_a_lease", changes);
            tests.test("the_server_goes_and_comes", goes_and_comes);
            tests.test("a_proxy_that_is_drained", drained);
        },
        Gate::report,
    )
}

fn gate() -> GateBuilder {
    Gate::of(&[ORDERS, STOCK])
        .policy("mesh.yaml", MESH)
        .policy("orders.yaml", ORDERS_POLICY)
        .policy("stock.yaml", STOCK_POLICY)
}

/// A caller of its own, so that the log tells its calls from everybody's.
struct Someone {
    id: String,
    caller: Caller,
    connection: Connection,
    made: usize,
}

/// What the log has of somebody.
#[derive(Debug)]
struct Told {
    asked: Vec<Value>,
    leased: Vec<Value>,
}

impl Someone {
    async fn new(gate: &Gate, name: &str, callee: &str) -> Result<Self> {
        let id = spiffe_id(&format!("/ns/shop/sa/{name}"));
        let caller = Caller::new(Some(&gate.pki.svid(&id)?))?;
        Self::with(gate, id, caller, callee).await
    }

    async fn with(gate: &Gate, id: String, caller: Caller, callee: &str) -> Result<Self> {
        let address = gate.address(callee, FILTER)?;
        Ok(Self {
            connection: caller.connect(address, Http::Two).await?,
            id,
            caller,
            made: 0,
        })
    }

    async fn call(&mut self, call: Call) -> Result<Answer> {
        let answer = self.connection.call(call).await?;
        self.made += 1;
        Ok(answer)
    }

    async fn get(&mut self, path: &str, status: u16) -> Result<Answer> {
        let answer = self.call(Call::new("GET", path)).await?;
        ensure!(answer.status == status, "{path}: {answer:?}");
        Ok(answer)
    }

    /// Calls until one is decided in the proxy.
    async fn warm(&mut self, gate: &Gate, path: &str) -> Result<()> {
        let server = gate.server()?;
        eventually(LIMIT, "a call to be decided by a lease", async || {
            self.get(path, 200).await?;
            let told = self.told(server).await?;
            Ok((!told.leased.is_empty()).then_some(()))
        })
        .await
    }

    /// What the log has, once it has every call; each id once.
    async fn told(&self, server: &Callgate) -> Result<Told> {
        let (id, made) = (json!(self.id), self.made);
        let what = format!("{made} records of {id}");
        let records = eventually(LIMIT, &what, async || {
            let mut records = server.records()?;
            records.retain(|record| record.pointer("/source/id") == Some(&id));
            ensure!(records.len() <= made, "{} of {what}", records.len());
            Ok((records.len() == made).then_some(records))
        })
        .await?;
        let ids: BTreeSet<&str> = records.iter().filter_map(|one| text(one, "/id")).collect();
        ensure!(ids.len() == made, "{} ids of {what}", ids.len());
        let (leased, asked) = records.into_iter().partition(is_leased);
        Ok(Told { asked, leased })
    }
}

fn is_leased(record: &Value) -> bool {
    record.pointer("/leased") == Some(&json!(true))
}

fn text<'a>(record: &'a Value, field: &str) -> Option<&'a str> {
    record.pointer(field).and_then(Value::as_str)
}

/// 200 paths under one template are one Check, and every call reaches the service as if it
/// had been asked about.
async fn many_paths(gate: Arc<Gate>) -> Result<()> {
    let server = gate.server()?;
    let mut first = Someone::new(&gate, "many-first", ORDERS).await?;
    first.warm(&gate, "/orders/first").await?;
    let mut asked = Vec::new();
    for attempt in 0..ATTEMPTS {
        let name = format!("many-{attempt}");
        let mut someone = Someone::new(&gate, &name, ORDERS).await?;
        for order in 0..200 {
            let path = format!("/orders/{name}-{order}");
            someone.get(&format!("{path}?page=2"), 200).await?;
            passed(&gate, &someone, &path)?;
        }
        let told = someone.told(server).await?;
        let first = told.asked.first().context("nothing was asked")?;
        told.leased
            .iter()
            .try_for_each(|record| as_if_asked(record, first))?;
        if told.asked.len() == 1 {
            return Ok(());
        }
        asked.push(told.asked.len());
    }
    anyhow::bail!("Checks for 200 paths, each time: {asked:?}")
}

/// A record by a lease tells what that of a Check does.
fn as_if_asked(leased: &Value, asked: &Value) -> Result<()> {
    for field in [
        "/verdict",
        "/reason",
        "/rule",
        "/policy",
        "/revision",
        "/source",
        "/destination",
        "/method",
        "/host",
        "/grpc",
        "/proxy",
    ] {
        ensure!(
            leased.pointer(field).is_some() && leased.pointer(field) == asked.pointer(field),
            "{field} of {leased}, and of {asked}"
        );
    }
    let path = text(leased, "/path").context("no path")?;
    ensure!(!path.contains('?'), "{leased}");
    Ok(())
}

/// The service heard who calls, and the decision.
fn passed(gate: &Gate, someone: &Someone, path: &str) -> Result<()> {
    let seen = gate.upstream.seen(path).pop().context("not there")?;
    ensure!(
        seen.header("x-callgate-caller") == Some(&someone.id),
        "{seen:?}"
    );
    let id = seen.header("x-callgate-decision");
    ensure!(id.is_some_and(|id| id.len() == 26), "{seen:?}");
    let chained = seen.header("x-forwarded-client-cert");
    ensure!(
        chained.is_none_or(|value| !value.contains("Chain=")),
        "{seen:?}"
    );
    Ok(())
}

/// A caller that is refused all the time is told the same by the proxy as by the server,
/// and costs the server nothing.
async fn refusals(gate: Arc<Gate>) -> Result<()> {
    let server = gate.server()?;
    let mut first = Someone::new(&gate, "refused-first", ORDERS).await?;
    first.warm(&gate, "/orders/refused").await?;
    let mut someone = Someone::new(&gate, "refused", ORDERS).await?;
    let mut answers: Vec<(Answer, Answer)> = Vec::new();
    for _ in 0..50 {
        let http = someone.call(Call::new("DELETE", "/orders/7")).await?;
        let grpc = grpc::unary("/shop.v1.Orders/Cancel", b"tea");
        answers.push((http, someone.call(grpc).await?));
    }
    let told = someone.told(server).await?;
    ensure!(told.leased.len() >= 90, "{} leased", told.leased.len());
    for record in &told.leased {
        ensure!(text(record, "/reason") == Some("no-rule"), "{record}");
        let miss = record.pointer("/nearestMiss").context("no nearest miss")?;
        ensure!(miss.is_object(), "{record}");
    }
    let (first_http, first_grpc) = answers.first().context("no answers")?;
    ensure!(first_http.status == 403, "{first_http:?}");
    ensure!(
        text(&first_http.json()?, "/owner") == Some("team-orders"),
        "{first_http:?}"
    );
    ensure!(first_grpc.grpc_status() == Some(7), "{first_grpc:?}");
    for (http, grpc) in &answers {
        ensure!(shape(http)? == shape(first_http)?, "{http:?}");
        ensure!(shape(grpc)? == shape(first_grpc)?, "{grpc:?}");
    }
    ensure!(
        gate.upstream.seen("/shop.v1.Orders/Cancel").is_empty(),
        "the service saw it"
    );
    Ok(())
}

/// All of an answer but for its decision, the date, and how long it took.
fn shape(answer: &Answer) -> Result<(Vec<(String, String)>, String)> {
    let id = answer.decision().context("no decision")?;
    let lines = answer.headers.iter().filter(|(name, _)| *name != "date");
    let lines =
        lines.map(|(name, value)| Ok((name.to_string(), value.to_str()?.replace(id, "ID"))));
    let body = String::from_utf8(answer.body.to_vec())?.replace(id, "ID");
    Ok((lines.collect::<Result<_>>()?, body))
}

/// What the proxy cannot decide it asks about, each time; what else the same caller does
/// stays leased.
async fn conditions(gate: Arc<Gate>) -> Result<()> {
    let server = gate.server()?;
    let mut someone = Someone::new(&gate, "conditional", ORDERS).await?;
    someone.warm(&gate, "/orders/conditional").await?;
    let before = someone.told(server).await?;
    for (purpose, status) in [("reporting", 200), ("curiosity", 403)].repeat(10) {
        let call = Call::new("GET", "/reports/1").header("x-purpose", purpose);
        let answer = someone.call(call).await?;
        ensure!(answer.status == status, "{purpose}: {answer:?}");
    }
    let told = someone.told(server).await?;
    let conditional = |record: &&Value| text(record, "/path") == Some("/reports/1");
    ensure!(
        told.asked.iter().filter(conditional).count() == 20,
        "{told:?}"
    );
    ensure!(told.leased.len() == before.leased.len(), "{told:?}");
    Ok(())
}

/// Two listeners share a VM; their leases are apart.
async fn two_services(gate: Arc<Gate>) -> Result<()> {
    let server = gate.server()?;
    let mut orders = Someone::new(&gate, "both", ORDERS).await?;
    orders.warm(&gate, "/orders/both").await?;
    let (id, caller) = (orders.id.clone(), orders.caller);
    let mut stock = Someone::with(&gate, id, caller, STOCK).await?;
    stock.made = orders.made;
    for _ in 0..10 {
        stock.get("/orders/both", 403).await?;
        stock.get("/items/both", 200).await?;
    }
    eventually(LIMIT, "leases for stock", async || {
        stock.get("/items/both", 200).await?;
        let told = stock.told(server).await?;
        let callee = json!(spiffe_id(STOCK));
        let mut leased = told.leased.iter();
        Ok(leased
            .any(|one| {
                one.pointer("/destination/id")
                    .or(one.pointer("/destination"))
                    == Some(&callee)
            })
            .then_some(()))
    })
    .await?;
    ensure!(
        gate.envoy.stat("wasm.envoy.wasm.runtime.v8.active").await? > 0,
        "no VM"
    );
    Ok(())
}

/// `leases: false`: every call is a Check.
async fn without_leases(_: Arc<Gate>) -> Result<()> {
    let gate = gate().adapt(no_leases).start().await?;
    let mut someone = Someone::new(&gate, "asking", ORDERS).await?;
    for order in 0..50 {
        someone.get(&format!("/orders/{order}"), 200).await?;
    }
    let told = someone.told(gate.server()?).await?;
    ensure!(told.leased.is_empty(), "{told:?}");
    Ok(())
}

fn no_leases(config: &mut Value) -> Result<()> {
    configure_filters(config, "leases", &json!(false))
}

/// Each of these ends what a lease allowed, at a gate of their own.
async fn changes(_: Arc<Gate>) -> Result<()> {
    let gate = gate().faces(&[FILTER, ANY]).start().await?;
    let roots = format!(
        "{}{}",
        gate.pki.root.bundle_pem(),
        gate.pki.foreign.bundle_pem()
    );
    set_bundle(&gate, &roots)?;
    // Until the server has it, a call under way may be decided anew, which is recorded too.
    let mut believed = foreign(&gate, "believed").await?;
    until(&mut believed, "/orders/believed", 200, "allow").await?;
    document(&gate).await.context("a document")?;
    revocation(&gate).await.context("a revocation")?;
    exception(&gate).await.context("an exception")?;
    certificate(&gate).await.context("a certificate")?;
    bundle(&gate).await.context("a bundle")
}

/// A rule is taken away, and given back; who calls another service notices nothing.
async fn document(gate: &Gate) -> Result<()> {
    let server = gate.server()?;
    let mut orders = Someone::new(gate, "edited", ORDERS).await?;
    let mut stock = Someone::new(gate, "untouched", STOCK).await?;
    orders.warm(gate, "/orders/edited").await?;
    stock.warm(gate, "/items/untouched").await?;
    let before = stock.told(server).await?;
    let without = ORDERS_POLICY.replace("{order}", "{order}/lines");
    replace(gate, "orders.yaml", &without)?;
    until(&mut orders, "/orders/edited", 403, "no-rule").await?;
    for _ in 0..20 {
        stock.get("/items/untouched", 200).await?;
    }
    let after = stock.told(server).await?;
    // A renewed certificate may have had it ask meanwhile, the change has not.
    ensure!(after.leased.len() >= before.leased.len() + 18, "{after:?}");
    replace(gate, "orders.yaml", ORDERS_POLICY)?;
    until(&mut orders, "/orders/edited", 200, "allow").await
}

async fn revocation(gate: &Gate) -> Result<()> {
    let mut someone = Someone::new(gate, "leaked", ORDERS).await?;
    someone.warm(gate, "/orders/leaked").await?;
    let text = format!(
        "kind: Revocation\nmetadata: {{name: leaked}}\n\
         spec: {{id: \"{}\", reason: a test, revokedBy: dana@example.org}}\n",
        someone.id
    );
    replace(gate, "revocation.yaml", &text)?;
    until(&mut someone, "/orders/leaked", 403, "identity-revoked").await
}

/// Nobody tells the proxy: it reads the time in the lease.
async fn exception(gate: &Gate) -> Result<()> {
    let expires = OffsetDateTime::now_utc() + Duration::from_secs(6);
    let rule = format!(
        "    - name: exported
      from: [/ns/shop/sa/*]
      to: [GET /export/**]
      exception:
        reason: until it is split
        ticket: SEC-123
        approvedBy: dana@example.org
        expires: {}\n",
        expires.replace_nanosecond(0)?.format(&Rfc3339)?
    );
    replace(gate, "orders.yaml", &format!("{ORDERS_POLICY}{rule}"))?;
    let mut someone = Someone::new(gate, "excepted", ORDERS).await?;
    until(&mut someone, "/export/a", 200, "allow").await?;
    someone.warm(gate, "/export/b").await?;
    until(&mut someone, "/export/a", 403, "exception-expired").await?;
    ensure!(OffsetDateTime::now_utc() >= expires.replace_nanosecond(0)?);
    replace(gate, "orders.yaml", ORDERS_POLICY)
}

async fn certificate(gate: &Gate) -> Result<()> {
    let id = spiffe_id("/ns/shop/sa/ending");
    let spec = Spec::svid(&id).lasting(time::Duration::seconds(6));
    let identity = gate.pki.root.issue(&spec)?;
    let caller = Caller::new(Some(&identity))?;
    let mut someone = Someone::with(gate, id, caller, ORDERS).await?;
    someone.warm(gate, "/orders/ending").await?;
    until(&mut someone, "/orders/ending", 403, "identity-expired").await?;
    // A certificate knows seconds only.
    ensure!(OffsetDateTime::now_utc() >= identity.not_after.replace_nanosecond(0)?);
    Ok(())
}

/// An authority of callers is no longer believed; that of the proxies still is.
/// Who is signed by a root that is believed for a while.
async fn foreign(gate: &Gate, name: &str) -> Result<Someone> {
    let id = spiffe_id(&format!("/ns/shop/sa/{name}"));
    let identity = gate.pki.foreign.issue(&Spec::svid(&id))?;
    let caller = Caller::new(Some(&identity))?;
    let address = gate.address(ORDERS, ANY)?;
    Ok(Someone {
        connection: caller.connect(address, Http::Two).await?,
        id,
        caller,
        made: 0,
    })
}

async fn bundle(gate: &Gate) -> Result<()> {
    let mut someone = foreign(gate, "unsigned").await?;
    someone.warm(gate, "/orders/unsigned").await?;
    set_bundle(gate, &gate.pki.root.bundle_pem())?;
    until(&mut someone, "/orders/unsigned", 403, "identity-untrusted").await
}

/// The first answer with that status, and how long it took to come.
async fn until(someone: &mut Someone, path: &str, status: u16, reason: &str) -> Result<()> {
    let start = Instant::now();
    let answer = eventually(LIMIT, reason, async || {
        let answer = someone.call(Call::new("GET", path)).await?;
        Ok((answer.status == status).then_some(answer))
    })
    .await?;
    println!("{reason}: after {:?}", start.elapsed());
    let given = answer.reason().unwrap_or("allow");
    ensure!(given == reason, "{answer:?}");
    Ok(())
}

fn replace(gate: &Gate, file: &str, text: &str) -> Result<()> {
    let path = gate.server()?.policies().join(file);
    let aside = path.with_extension("new");
    fs::write(&aside, text)?;
    Ok(fs::rename(aside, path)?)
}

fn set_bundle(gate: &Gate, pem: &str) -> Result<()> {
    let bundle = gate.directory().join(format!("{TRUST_DOMAIN}.pem"));
    let aside = bundle.with_extension("new");
    fs::write(&aside, pem)?;
    Ok(fs::rename(aside, bundle)?)
}

/// Stopped, the server has its leases outlive it by `maxStale` and no longer; killed and
/// started anew, it is asked again, and then leases again. Nothing is lost of the log.
async fn goes_and_comes(_: Arc<Gate>) -> Result<()> {
    let mut gate = gate().timeout("0.5s").start().await?;
    let mut someone = Someone::new(&gate, "patient", ORDERS).await?;
    someone.warm(&gate, "/orders/patient").await?;

    let server = gate.server()?;
    server.process().pause()?;
    let start = Instant::now();
    someone.get("/orders/patient", 200).await?;
    let answer = eventually(LIMIT, "the leases to end", async || {
        let answer = someone
            .connection
            .call(Call::new("GET", "/orders/patient"))
            .await?;
        someone.made += usize::from(answer.status == 200);
        Ok((answer.status != 200).then_some(answer))
    })
    .await?;
    println!(
        "a server that says nothing: refused after {:?}",
        start.elapsed()
    );
    ensure!(
        answer.status == 503 && answer.reason() == Some("authz-timeout"),
        "{answer:?}"
    );
    server.process().signal(Signal::SIGCONT)?;
    // What it was asked before it stopped it may decide now, and record.
    let mut again = Someone::new(&gate, "patient-again", ORDERS).await?;
    warmed(&mut again, &gate, "/orders/patient").await?;

    let mut server = gate.server.take().context("no server")?;
    server.kill()?;
    again.get("/orders/patient", 200).await?;
    server.restart().await?;
    gate.server = Some(server);
    let mut anew = Someone::new(&gate, "patient-anew", ORDERS).await?;
    warmed(&mut anew, &gate, "/orders/patient").await?;
    for _ in 0..20 {
        again.get("/orders/patient", 200).await?;
    }
    again.told(gate.server()?).await.map(drop)
}

/// As [`Someone::warm`], where the first calls may not be answered by anybody.
async fn warmed(someone: &mut Someone, gate: &Gate, path: &str) -> Result<()> {
    eventually(LIMIT, "to be served", async || {
        let answer = someone.connection.call(Call::new("GET", path)).await?;
        someone.made += usize::from(answer.status == 200);
        Ok((answer.status == 200).then_some(()))
    })
    .await?;
    someone.warm(gate, path).await
}

/// The log is complete when the proxy has ended.
async fn drained(_: Arc<Gate>) -> Result<()> {
    let gate = gate().start().await?;
    let mut someone = Someone::new(&gate, "last", ORDERS).await?;
    someone.warm(&gate, "/orders/last").await?;
    for _ in 0..100 {
        someone.get("/orders/last", 200).await?;
    }
    gate.envoy.order("/drain_listeners").await?;
    let told = someone.told(gate.server()?).await?;
    ensure!(told.leased.len() >= 95, "{} leased", told.leased.len());
    leased_are_counted(gate.server()?).await
}

/// The server's metrics have as many as its log.
async fn leased_are_counted(server: &Callgate) -> Result<()> {
    let leased = server
        .records()?
        .iter()
        .filter(|one| is_leased(one))
        .count();
    let metrics = String::from_utf8(server.admin("/metrics").await?.body.to_vec())?;
    let counted: usize = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("callgate_leased_decisions_total{"))
        .filter_map(|rest| rest.rsplit(' ').next()?.parse::<usize>().ok())
        .sum();
    ensure!(counted == leased, "{counted} counted, {leased} in the log");
    let dropped = metrics
        .lines()
        .filter(|line| line.starts_with("callgate_leased_records_dropped_total"))
        .any(|line| !line.ends_with(" 0"));
    ensure!(!dropped, "{metrics}");
    Ok(())
}
