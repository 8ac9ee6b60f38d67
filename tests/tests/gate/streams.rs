//! gRPC and upgrades: each in its own form, allowed and refused.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use callgate_tests::{
    Gate, Host,
    caller::{Answer, Call, Http, grpc},
    pki::spiffe_id,
    suite::Suite,
};

use super::{CHECKOUT, connect, get, order, refused};

pub(crate) fn add(tests: &mut Suite<Gate>, host: Host) {
    let name = |test: &str| format!("{}/streams/{test}", host.name());
    tests.case(name("a_grpc_call_goes_on"), move |gate| {
        grpc_allowed(gate, host)
    });
    tests.case(
        name("a_refused_grpc_call_gets_trailers_only"),
        move |gate| grpc_refused(gate, host),
    );
    tests.case(
        name("an_ambiguous_grpc_path_gets_trailers_only"),
        move |gate| ambiguous(gate, host),
    );
    tests.case(name("a_grpc_rule_is_for_grpc"), move |gate| {
        grpc_by_json(gate, host)
    });
    tests.case(name("a_websocket_opens_over_http1"), move |gate| {
        websocket(gate, host)
    });
    tests.case(name("a_websocket_opens_over_http2"), move |gate| {
        websocket2(gate, host)
    });
    tests.case(name("a_get_rule_admits_no_upgrade"), move |gate| {
        upgrade_refused(gate, host)
    });
    tests.case(name("a_websocket_rule_admits_no_get"), move |gate| {
        get_refused(gate, host)
    });
}

async fn grpc_allowed(gate: Arc<Gate>, host: Host) -> Result<()> {
    let call = grpc::unary("/shop.v1.Orders/Place", b"tea");
    let answer = connect(&gate, host, Http::Two).await?.call(call).await?;
    ensure!(answer.grpc_status() == Some(0), "{answer:?}");
    ensure!(grpc::unframe(&answer.body)? == "tea");
    ensure!(
        answer.header("x-saw-caller") == Some(&spiffe_id(CHECKOUT)),
        "{answer:?}"
    );
    Ok(())
}

async fn grpc_refused(gate: Arc<Gate>, host: Host) -> Result<()> {
    let path = "/shop.v1.Orders/Drop";
    let answer = connect(&gate, host, Http::Two)
        .await?
        .call(grpc::unary(path, b"all"))
        .await?;
    trailers_only(&answer, 7, "no-rule")?;
    ensure!(gate.upstream.seen(path).is_empty(), "the service saw it");
    Ok(())
}

async fn ambiguous(gate: Arc<Gate>, host: Host) -> Result<()> {
    let call = grpc::unary("/shop.v1.Orders//Place", b"tea");
    let answer = connect(&gate, host, Http::Two).await?.call(call).await?;
    // Envoy makes its own of the 400 that native ext_authz was given.
    let status = if host == Host::Filter { 3 } else { 13 };
    trailers_only(&answer, status, "path-ambiguous")
}

fn trailers_only(answer: &Answer, status: i32, reason: &str) -> Result<()> {
    ensure!(
        answer.status == 200 && answer.headers_only,
        "not trailers-only: {answer:?}"
    );
    ensure!(answer.grpc_status() == Some(status), "{answer:?}");
    ensure!(
        answer.reason() == Some(reason) && answer.decision().is_some(),
        "{answer:?}"
    );
    let message = answer.grpc_message().context("no message")?;
    ensure!(
        !message.is_empty() && !message.contains('{'),
        "`{message}` is for programs"
    );
    Ok(())
}

async fn grpc_by_json(gate: Arc<Gate>, host: Host) -> Result<()> {
    for kind in [
        "application/json",
        "application/grpc-web",
        "application/grpcx",
    ] {
        let call = Call::new("POST", "/shop.v1.Orders/Place").header("content-type", kind);
        let answer = connect(&gate, host, Http::Two)
            .await?
            .call(call.body("{}"))
            .await?;
        ensure!(answer.reason() == Some("no-rule"), "{kind}: {answer:?}");
    }
    Ok(())
}

async fn websocket(gate: Arc<Gate>, host: Host) -> Result<()> {
    let mut connection = connect(&gate, host, Http::One).await?;
    let mut upgrade = connection.upgrade("/live", "websocket").await?.stream()?;
    ensure!(upgrade.echo(b"over HTTP/1.1").await? == b"over HTTP/1.1");
    Ok(())
}

async fn websocket2(gate: Arc<Gate>, host: Host) -> Result<()> {
    let mut connection = connect(&gate, host, Http::Two).await?;
    let mut stream = connection
        .extended_connect("/live", "websocket")
        .await?
        .stream()?;
    stream.send("over HTTP/2")?;
    ensure!(stream.receive().await?.context("ended")? == "over HTTP/2");
    Ok(())
}

async fn upgrade_refused(gate: Arc<Gate>, host: Host) -> Result<()> {
    let path = order(host, "upgrade");
    let answer = connect(&gate, host, Http::One)
        .await?
        .upgrade(&path, "websocket")
        .await?;
    refused(&gate, &path, &answer.refusal()?, 403, "no-rule")?;
    let mut connection = connect(&gate, host, Http::Two).await?;
    let answer = connection
        .extended_connect(&path, "websocket")
        .await?
        .refusal()?;
    refused(&gate, &path, &answer, 403, "no-rule")
}

async fn get_refused(gate: Arc<Gate>, host: Host) -> Result<()> {
    let answer = get(&gate, host, "/live").await?;
    ensure!(
        answer.status == 403 && answer.reason() == Some("no-rule"),
        "{answer:?}"
    );
    Ok(())
}
