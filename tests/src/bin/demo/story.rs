//! The steps.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use callgate_tests::{
    caller::{Answer, Call, Caller, Connection, Http, grpc},
    pki::Identity,
    process::eventually,
};
use serde_json::Value;

use crate::{
    stage::{ORDERS, STOCK, Stage, WEB},
    table::{Step, Table, reason, text},
};

/// Nothing here takes that long, the life of an SVID included; what does has failed.
const LIMIT: Duration = Duration::from_secs(40);

const ALLOWED: &str = "checkout-places-orders";
/// What is added to orders' policy while everything runs.
const NEW_RULE: &str = "    - name: web-shows-orders
      from: [/ns/shop/sa/web]
      to:
        - GET /orders/{order}
        - GRPC shop.v1.Orders/Follow
";
/// What web follows orders by, for as long as it may.
const FOLLOW: &str = "/shop.v1.Orders/Follow";
/// Calls on one template, of which the first is asked about.
const CALLS: usize = 100;

/// All of it, up to the first step that is not answered as told.
pub(crate) async fn tell(stage: &mut Stage, table: &mut Table) -> Result<()> {
    callers(stage, table).await?;
    edit(stage, table).await?;
    lease(stage, table).await?;
    stream(stage, table).await?;
    outage(stage, table).await?;
    expiry(stage, table).await
}

async fn callers(stage: &Stage, table: &mut Table) -> Result<()> {
    let mut checkout = connect(stage, Some(&stage.checkout().await?)).await?;
    let mut orders = Connection::plain(stage.stock_from_orders()?).await?;
    let mut web = connect(stage, Some(&stage.web().await?)).await?;
    let mut nobody = connect(stage, None).await?;

    let step = allow(
        "a call that a rule allows",
        "checkout",
        "POST /orders",
        ALLOWED,
    );
    perform(stage, table, &step, ORDERS, &mut checkout, &[]).await?;
    let step = allow(
        "service to service, through sidecars",
        "orders",
        "GET /items/tea",
        "orders-reserves-items",
    );
    perform(stage, table, &step, STOCK, &mut orders, &[]).await?;
    let step = deny(
        "the wrong method",
        "checkout",
        "DELETE /orders/7",
        "no-rule",
    );
    perform(stage, table, &step, ORDERS, &mut checkout, &[]).await?;
    let step = deny(
        "a caller that no rule names",
        "web",
        "GET /orders/7",
        "no-rule",
    );
    perform(stage, table, &step, ORDERS, &mut web, &[]).await?;
    let step = deny(
        "the same, with a stolen bearer token",
        "web",
        "GET /orders/7",
        "no-rule",
    );
    let stolen = [("authorization", "Bearer the-token-of-checkout")];
    perform(stage, table, &step, ORDERS, &mut web, &stolen).await?;
    let step = deny(
        "a caller without a certificate",
        "-",
        "GET /orders/7",
        "identity-missing",
    );
    perform(stage, table, &step, ORDERS, &mut nobody, &[]).await
}

/// A rule is added on disk; nothing is restarted or told.
async fn edit(stage: &Stage, table: &mut Table) -> Result<()> {
    let mut web = connect(stage, Some(&stage.web().await?)).await?;
    let path = stage.orders_policy();
    let text = fs::read_to_string(&path)? + NEW_RULE;
    let aside = path.with_extension("new");
    fs::write(&aside, text)?;
    fs::rename(&aside, &path)?;
    let saved = Instant::now();

    eventually(LIMIT, "the new rule to be live", async || {
        let answer = web.call(Call::new("GET", "/orders/8")).await?;
        Ok((answer.status == 200).then_some(()))
    })
    .await?;
    let live = saved.elapsed();
    let step = allow(
        "a rule for web, saved a moment ago",
        "web",
        "GET /orders/7",
        "web-shows-orders",
    );
    perform(stage, table, &step, ORDERS, &mut web, &[]).await?;
    table.note(&format!(
        "live {} ms after it was saved, without a restart",
        live.as_millis()
    ));
    Ok(())
}

/// What was asked once is decided in the proxy from then on.
async fn lease(stage: &Stage, table: &mut Table) -> Result<()> {
    let mut checkout = connect(stage, Some(&stage.checkout().await?)).await?;
    until_leased(stage, &mut checkout).await?;
    let mut took = Vec::new();
    for order in 0..CALLS {
        let path = format!("/orders/leased-{order}");
        let answer = checkout.call(Call::new("GET", &path)).await?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
        took.push(answer.took);
    }
    took.sort();
    let step = allow(
        "decided in the proxy, by a lease",
        "checkout",
        "GET /orders/12",
        ALLOWED,
    );
    perform(stage, table, &step, ORDERS, &mut checkout, &[]).await?;
    let id = stage
        .decision(ORDERS, "/orders/12")
        .context("no decision")?;
    let record = stage.server.record(&id).await?;
    ensure!(is_leased(&record), "the server was asked: {record}");
    eventually(LIMIT, "the records of all of them", async || {
        let records = stage.server.records()?;
        let paths = records.iter().filter_map(|record| text(record, "/path"));
        let leased = paths.filter(|path| path.starts_with("/orders/leased-"));
        Ok((leased.count() == CALLS).then_some(()))
    })
    .await?;
    let median = took.get(CALLS / 2).copied().unwrap_or_default();
    table.note(&format!(
        "{CALLS} more before it: {} µs each, in the middle; all of them are in the log",
        median.as_micros()
    ));
    Ok(())
}

/// Calls until the proxy decides by itself.
async fn until_leased(stage: &Stage, connection: &mut Connection) -> Result<()> {
    eventually(LIMIT, "a decision by a lease", async || {
        let path = "/orders/11";
        let answer = connection.call(Call::new("GET", path)).await?;
        let record = record(stage, ORDERS, path, &answer).await?;
        Ok(record.is_some_and(|it| is_leased(&it)).then_some(()))
    })
    .await
}

/// A stream that was let in ends with the authorization that let it in.
async fn stream(stage: &Stage, table: &mut Table) -> Result<()> {
    let mut web = connect(stage, Some(&stage.web().await?)).await?;
    let started = Instant::now();
    let call = Call::new("POST", FOLLOW)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let mut follows = web.open(&call).await?.stream()?;
    let opened = Answer {
        status: follows.head.status().as_u16(),
        headers: follows.head.headers().clone(),
        body: bytes::Bytes::new(),
        trailers: http::HeaderMap::new(),
        headers_only: false,
        took: started.elapsed(),
    };
    let step = allow(
        "a stream that stays open",
        "web",
        "GRPC …/Follow",
        "web-shows-orders",
    );
    hold(stage, table, &step, (ORDERS, FOLLOW), &opened).await?;
    let let_in = stage.decision(ORDERS, FOLLOW).context("no decision")?;
    let order = grpc::frame(b"an order");
    follows.send(order.clone())?;
    ensure!(follows.receive().await? == Some(order), "no echo");

    stage.revoke(WEB, "found-in-a-build-log")?;
    let saved = Instant::now();
    // Reset, as gRPC has no answer any more that it could give another status.
    let end = follows.receive().await;
    ensure!(!matches!(end, Ok(Some(_))), "it goes on: {end:?}");
    let cut = saved.elapsed();
    let step = deny("web is revoked", "web", "GET /orders/7", "identity-revoked");
    perform(stage, table, &step, ORDERS, &mut web, &[]).await?;
    table.note(&format!(
        "its open stream was cut {} ms after the revocation was saved",
        cut.as_millis()
    ));
    eventually(LIMIT, "the record of the end", async || {
        let records = stage.server.records()?;
        let again = |record: &&Value| text(record, "/rechecks") == Some(&let_in);
        Ok(records.iter().find(again).map(|_| ()))
    })
    .await
}

/// The server dies: closed, not open, once no lease can be trusted any more.
async fn outage(stage: &mut Stage, table: &mut Table) -> Result<()> {
    let mut checkout = connect(stage, Some(&stage.checkout().await?)).await?;
    until_leased(stage, &mut checkout).await?;
    stage.server.kill()?;
    let killed = Instant::now();
    eventually(LIMIT, "the leases to end", async || {
        let answer = checkout.call(Call::new("POST", "/orders")).await?;
        Ok((answer.status == 503).then_some(()))
    })
    .await?;
    let leased = killed.elapsed();
    let step = Step {
        status: 503,
        reason: "authz-unreachable",
        rule: None,
        ..allow(
            "the server is killed: closed, not open",
            "checkout",
            "POST /orders",
            ALLOWED,
        )
    };
    perform(stage, table, &step, ORDERS, &mut checkout, &[]).await?;
    table.note(&format!(
        "leases outlived it by {:.1} s, of 5 at most",
        leased.as_secs_f64()
    ));

    stage.server.restart().await?;
    let back = Instant::now();
    eventually(LIMIT, "calls to be served again", async || {
        let answer = checkout.call(Call::new("GET", "/orders/9")).await?;
        Ok((answer.status == 200).then_some(()))
    })
    .await?;
    let served = back.elapsed();
    let step = allow("it is back", "checkout", "POST /orders", ALLOWED);
    perform(stage, table, &step, ORDERS, &mut checkout, &[]).await?;
    table.note(&format!(
        "served {} ms after it said that it is ready",
        served.as_millis()
    ));
    Ok(())
}

/// One connection, open before and after its certificate's end.
async fn expiry(stage: &Stage, table: &mut Table) -> Result<()> {
    // Not renewed by whoever holds on to it, while everybody else's is.
    let kept = stage.checkout().await?;
    let mut checkout = connect(stage, Some(&kept)).await?;
    let step = allow(
        "an SVID with seconds to live",
        "checkout",
        "GET /orders/7",
        ALLOWED,
    );
    perform(stage, table, &step, ORDERS, &mut checkout, &[]).await?;

    eventually(LIMIT, "the SVID to expire", async || {
        let answer = checkout.call(Call::new("GET", "/orders/10")).await?;
        Ok((answer.status != 200).then_some(()))
    })
    .await?;
    let step = deny(
        "it has expired, on the open connection",
        "checkout",
        "GET /orders/7",
        "identity-expired",
    );
    perform(stage, table, &step, ORDERS, &mut checkout, &[]).await?;
    let renewals = stage.renewals().await?;
    ensure!(renewals > 0, "no certificate was renewed");
    table.note(&format!(
        "renewed meanwhile: the certificate of orders' own sidecar, {renewals} of them, unnoticed"
    ));
    Ok(())
}

async fn connect(stage: &Stage, identity: Option<&Identity>) -> Result<Connection> {
    Caller::new(identity)?
        .connect(stage.orders()?, Http::Two)
        .await
}

const fn allow(
    title: &'static str,
    caller: &'static str,
    call: &'static str,
    rule: &'static str,
) -> Step {
    Step {
        title,
        caller,
        call,
        status: 200,
        reason: "allow",
        rule: Some(rule),
    }
}

const fn deny(
    title: &'static str,
    caller: &'static str,
    call: &'static str,
    reason: &'static str,
) -> Step {
    Step {
        title,
        caller,
        call,
        status: 403,
        reason,
        rule: None,
    }
}

/// Makes the call, prints its row, and holds the answer to what was told.
async fn perform(
    stage: &Stage,
    table: &mut Table,
    step: &Step,
    service: &str,
    connection: &mut Connection,
    headers: &[(&str, &str)],
) -> Result<()> {
    let (method, path) = step
        .call
        .split_once(' ')
        .context("a call is a method and a path")?;
    let call = headers
        .iter()
        .fold(Call::new(method, path), |call, (n, v)| call.header(n, v));
    let answer = connection.call(call).await?;
    hold(stage, table, step, (service, path), &answer).await
}

/// Prints the row of an answer, and holds it to what was told.
async fn hold(
    stage: &Stage,
    table: &mut Table,
    step: &Step,
    (service, path): (&str, &str),
    answer: &Answer,
) -> Result<()> {
    let record = record(stage, service, path, answer).await?;
    table.row(step, answer, record.as_ref());

    let rule = record.as_ref().and_then(|record| text(record, "/rule"));
    let actual = (answer.status, reason(answer, record.as_ref()), rule);
    let expected = (step.status, step.reason, step.rule);
    ensure!(
        actual == expected,
        "step {}: expected {expected:?}, got {actual:?}",
        table.steps()
    );
    Ok(())
}

fn is_leased(record: &Value) -> bool {
    record.pointer("/leased") == Some(&Value::Bool(true))
}

/// What the server wrote down about it; nothing when the server did not decide.
async fn record(
    stage: &Stage,
    service: &str,
    path: &str,
    answer: &Answer,
) -> Result<Option<Value>> {
    let decision = match answer.status {
        503 => None,
        200 => stage.decision(service, path),
        _ => answer.decision().map(str::to_owned),
    };
    match decision {
        Some(id) => stage.server.record(&id).await.map(Some),
        None => Ok(None),
    }
}
