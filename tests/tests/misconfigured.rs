//! A filter whose configuration is wrong refuses everything, and Envoy's log says why.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use callgate_tests::{
    Gate, Host, Validation,
    authz::{Authz, Script},
    caller::{Call, Caller, Http, grpc},
    suite,
};

const ORDERS: &str = "/ns/shop/sa/orders";

fn main() -> ExitCode {
    suite::run(
        async || Ok(()),
        |tests| {
            // Each goes into the configuration where a duration belongs.
            for (name, timeout, says) in [
                ("not_a_duration", "soon", "`soon`"),
                ("out_of_bounds", "1h", "`1h`"),
                ("zero", "0s", "`0s`"),
                ("an_unknown_key", r#"1s", "timout": "1s"#, "`timout`"),
            ] {
                tests.case(name, move |_| refuses(timeout, says));
            }
        },
        |()| String::new(),
    )
}

async fn refuses(timeout: &'static str, says: &'static str) -> Result<()> {
    let authz = Authz::start(|_| Script::Silence).await?;
    let face = (Host::Filter, Validation::Optional);
    let gate = Gate::of(&[ORDERS])
        .faces(&[face])
        .asking(&authz)
        .timeout(timeout);
    let gate = gate.start().await?;
    let checkout = gate.pki.svid("/ns/shop/sa/checkout")?;
    for caller in [Caller::new(Some(&checkout))?, Caller::new(None)?] {
        let mut connection = caller
            .connect(gate.address(ORDERS, face)?, Http::Two)
            .await?;
        let answer = connection.call(Call::new("GET", "/orders/7")).await?;
        ensure!(
            answer.status == 503 && answer.reason() == Some("filter-misconfigured"),
            "{answer:?}"
        );
        let answer = connection
            .call(grpc::unary("/shop.v1.Orders/Place", b"tea"))
            .await?;
        ensure!(
            answer.grpc_status() == Some(14) && answer.headers_only,
            "{answer:?}"
        );
    }
    ensure!(authz.asked("/orders/7").is_empty() && gate.upstream.seen("/orders/7").is_empty());
    let log = gate.envoy.process().log();
    let told = log
        .lines()
        .any(|l| l.contains("filter configuration") && l.contains(says));
    ensure!(
        told,
        "the log does not say {says}:\n{}",
        gate.envoy.process().tail()
    );
    Ok(())
}
