//! What a request carries before the gate, in the Check, and behind it.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use callgate_tests::{
    Gate, Host,
    caller::{Call, Http},
    pki::{Defect, spiffe_id},
    suite::Suite,
};
use callgate_wire::headers::OVERRIDES;

use super::{CHECKOUT, ORDERS, caller, connect, get, order, refused, seen_once, strict};

pub(crate) fn add(tests: &mut Suite<Gate>, host: Host) {
    let name = |test: &str| format!("{}/headers/{test}", host.name());
    tests.case(name("the_service_learns_the_caller"), move |gate| {
        learns(gate, host)
    });
    tests.case(
        name("what_only_callgate_sets_cannot_be_sent"),
        move |gate| spoofed(gate, host),
    );
    tests.case(
        name("what_overrides_method_or_url_is_removed"),
        move |gate| overrides(gate, host),
    );
    tests.case(name("a_bearer_secret_decides_nothing"), move |gate| {
        bearer(gate, host)
    });
    if host == Host::Filter {
        tests.test(name("the_chain_stays_in_the_proxy"), chain);
    }
}

async fn learns(gate: Arc<Gate>, host: Host) -> Result<()> {
    let path = order(host, "learns");
    ensure!(get(&gate, host, &path).await?.status == 200);
    let seen = seen_once(&gate, &path)?;
    ensure!(
        seen.header("x-callgate-caller") == Some(&spiffe_id(CHECKOUT)),
        "{seen:?}"
    );

    let decision = seen
        .header("x-callgate-decision")
        .context("no decision id")?;
    let record = gate.server()?.record(decision).await?;
    for (field, value) in [
        ("/verdict", "Allow"),
        ("/reason", "allow"),
        ("/rule", "checkout-orders"),
        ("/source/id", &spiffe_id(CHECKOUT)),
        ("/destination", &spiffe_id(ORDERS)),
        ("/path", &path),
    ] {
        let recorded = record.pointer(field);
        ensure!(
            recorded.is_some_and(|recorded| recorded == value),
            "{field}: {record}"
        );
    }
    Ok(())
}

async fn spoofed(gate: Arc<Gate>, host: Host) -> Result<()> {
    let path = order(host, "spoofed");
    let call = Call::new("GET", &path)
        .header("x-callgate-caller", "spiffe://example.org/admin")
        .header("x-callgate-caller", "spiffe://example.org/admin-too")
        .header("x-callgate-decision", "00000000000000000000000000")
        .header("x-callgate-anything", "x")
        .header(
            "x-forwarded-client-cert",
            "Hash=00;URI=spiffe://example.org/admin",
        );
    for http in [Http::One, Http::Two] {
        ensure!(
            connect(&gate, host, http)
                .await?
                .call(call.clone())
                .await?
                .status
                == 200
        );
    }
    for seen in gate.upstream.seen(&path) {
        ensure!(
            seen.header("x-callgate-caller") == Some(&spiffe_id(CHECKOUT)),
            "{seen:?}"
        );
        ensure!(seen.header("x-callgate-anything").is_none(), "{seen:?}");
        ensure!(!format!("{seen:?}").contains("admin"), "{seen:?}");
        ensure!(
            !format!("{seen:?}").contains("0000000000000000"),
            "{seen:?}"
        );
    }
    Ok(())
}

async fn overrides(gate: Arc<Gate>, host: Host) -> Result<()> {
    let path = order(host, "overrides");
    let names = OVERRIDES
        .iter()
        .filter_map(|name| std::str::from_utf8(name).ok());
    let call = names.clone().fold(Call::new("GET", &path), |call, name| {
        call.header(name, "/admin")
    });
    let answer = connect(&gate, host, Http::Two).await?.call(call).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let seen = seen_once(&gate, &path)?;
    for name in names {
        ensure!(seen.header(name).is_none(), "{name} got through");
    }
    Ok(())
}

/// Stolen from somebody who may: the answer is about who holds the key.
async fn bearer(gate: Arc<Gate>, host: Host) -> Result<()> {
    let path = order(host, "bearer");
    let web = gate.pki.svid("/ns/shop/sa/web")?;
    let web = callgate_tests::caller::Caller::new(Some(&web))?;
    let call = Call::new("GET", &path).header("authorization", "Bearer of-checkout");
    let answer = web.call(gate.address(ORDERS, strict(host))?, call).await?;
    refused(&gate, &path, &answer, 403, "no-rule")?;
    let log = std::fs::read_to_string(gate.directory().join("callgate/decisions.jsonl"))?;
    ensure!(
        !log.contains("of-checkout"),
        "a record holds a bearer secret"
    );
    Ok(())
}

async fn chain(gate: Arc<Gate>) -> Result<()> {
    let path = order(Host::Filter, "chain");
    let address = gate.address(ORDERS, strict(Host::Filter))?;
    let caller = caller(&gate, Defect::TwoIntermediates)?;
    ensure!(caller.call(address, Call::new("GET", &path)).await?.status == 200);
    let seen = seen_once(&gate, &path)?;
    let told = seen
        .header("x-forwarded-client-cert")
        .context("no x-forwarded-client-cert")?;
    ensure!(
        !told.contains("Chain=") && !told.contains("BEGIN"),
        "{told}"
    );
    ensure!(
        told.contains(&format!("URI={}", spiffe_id(CHECKOUT))),
        "{told}"
    );
    Ok(())
}
