//! Many at once: nobody gets another one's answer.

use std::sync::Arc;

use anyhow::{Result, ensure};
use callgate_tests::{
    Gate, Host,
    caller::{Call, Caller, Http},
    pki::{Defect, spiffe_id},
    suite::Suite,
};
use tokio::task::JoinSet;

use super::{CHECKOUT, ORDERS, STOCK, caller, order, refused, seen_once, strict};

/// Connections, and calls on each: enough for many to wait for the server at once.
const CONNECTIONS: usize = 16;
const CALLS: usize = 12;

pub(crate) fn add(tests: &mut Suite<Gate>, host: Host) {
    let name = |test: &str| format!("{}/crowd/{test}", host.name());
    tests.case(name("each_gets_its_own_answer"), move |gate| {
        own_answers(gate, host)
    });
    tests.case(name("each_callee_has_its_own_policy"), move |gate| {
        own_policy(gate, host)
    });
}

async fn own_answers(gate: Arc<Gate>, host: Host) -> Result<()> {
    let mut crowd = JoinSet::new();
    for member in 0..CONNECTIONS {
        crowd.spawn(calls(Arc::clone(&gate), host, member));
    }
    while let Some(outcome) = crowd.join_next().await {
        outcome??;
    }
    Ok(())
}

/// Every other caller may, every third path may not.
async fn calls(gate: Arc<Gate>, host: Host, member: usize) -> Result<()> {
    let (id, known) = if member.is_multiple_of(2) {
        (CHECKOUT, true)
    } else {
        ("/ns/shop/sa/web", false)
    };
    let http = if member % 4 < 2 { Http::One } else { Http::Two };
    let caller = Caller::new(Some(&gate.pki.svid(id)?))?;
    let mut connection = caller
        .connect(gate.address(ORDERS, strict(host))?, http)
        .await?;
    for call in 0..CALLS {
        let path = order(host, &format!("crowd-{member}-{call}"));
        let path = if call % 3 == 0 {
            format!("/not{path}")
        } else {
            path
        };
        let answer = connection.call(Call::new("GET", &path)).await?;
        if known && call % 3 != 0 {
            ensure!(answer.status == 200, "{path}: {answer:?}");
            let seen = seen_once(&gate, &path)?;
            ensure!(
                seen.header("x-callgate-caller") == Some(&spiffe_id(id)),
                "{seen:?}"
            );
        } else {
            refused(&gate, &path, &answer, 403, "no-rule")?;
        }
    }
    Ok(())
}

/// The callee is who the listener's own certificate says, whatever VM it shares.
async fn own_policy(gate: Arc<Gate>, host: Host) -> Result<()> {
    let path = order(host, "at-stock");
    let address = gate.address(STOCK, strict(host))?;
    let answer = caller(&gate, Defect::None)?
        .call(address, Call::new("GET", &path))
        .await?;
    refused(&gate, &path, &answer, 403, "no-policy")
}
