//! The steps.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use callgate_tests::{
    caller::{Answer, Call, Caller, Connection, Http},
    pki::Identity,
    process::eventually,
};
use serde_json::Value;

use crate::{
    stage::{ORDERS, STOCK, Stage},
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
";

/// All of it, up to the first step that is not answered as told.
pub(crate) async fn tell(stage: &mut Stage, table: &mut Table) -> Result<()> {
    callers(stage, table).await?;
    edit(stage, table).await?;
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

/// The server dies: closed, not open.
async fn outage(stage: &mut Stage, table: &mut Table) -> Result<()> {
    let mut checkout = connect(stage, Some(&stage.checkout().await?)).await?;
    stage.server.kill()?;
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
    let record = record(stage, service, path, &answer).await?;
    table.row(step, &answer, record.as_ref());

    let rule = record.as_ref().and_then(|record| text(record, "/rule"));
    let actual = (answer.status, reason(&answer, record.as_ref()), rule);
    let expected = (step.status, step.reason, step.rule);
    ensure!(
        actual == expected,
        "step {}: expected {expected:?}, got {actual:?}",
        table.steps()
    );
    Ok(())
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
