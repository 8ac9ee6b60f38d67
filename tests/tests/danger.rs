//! `danger_allow_on_error` on a real Envoy: lets pass what no server decided, as
//! nobody in particular, and nothing else.

use std::{process::ExitCode, sync::Arc};

use anyhow::{Result, ensure};
use callgate_tests::{
    Face, Gate, Host, Validation,
    authz::{Authz, Script, path_of},
    caller::{Call, Caller},
    suite,
};

const ORDERS: &str = "/ns/shop/sa/orders";
const FACE: Face = (Host::Filter, Validation::Spiffe);
/// Goes where a duration belongs, and brings the switch along.
const TIMEOUT: &str = r#"0.5s", danger_allow_on_error: true, maxStale: "5s"#;

fn main() -> ExitCode {
    suite::run(
        async || {
            let authz = Authz::start(|check| cue(path_of(check))).await?;
            let gate = Gate::of(&[ORDERS])
                .faces(&[FACE])
                .asking(&authz)
                .timeout(TIMEOUT);
            // The server lives as long as the gate.
            Ok((gate.start().await?, authz))
        },
        |tests| {
            for (path, status) in [
                ("/unreachable", 200),
                ("/silence", 200),
                ("/internal", 503),
                ("/no-status", 503),
                ("/nonsense", 503),
            ] {
                tests.case(path, move |shared: Arc<(Gate, Authz)>| {
                    passes(shared, path, status)
                });
            }
        },
        |(gate, _)| gate.report(),
    )
}

fn cue(path: &str) -> Script {
    match path {
        "/unreachable" => Script::Status(14, Vec::new()),
        "/silence" => Script::Silence,
        "/internal" => Script::Status(13, Vec::new()),
        "/no-status" => Script::Answer(Box::default()),
        _ => Script::Bytes(vec![0xff; 8]),
    }
}

async fn passes(shared: Arc<(Gate, Authz)>, path: &str, status: u16) -> Result<()> {
    let (gate, _) = &*shared;
    let checkout = Caller::new(Some(&gate.pki.svid("/ns/shop/sa/checkout")?))?;
    let call = Call::new("GET", path)
        .header("x-callgate-caller", "spiffe://example.org/admin")
        .header("x-http-method-override", "DELETE");
    let answer = checkout.call(gate.address(ORDERS, FACE)?, call).await?;
    ensure!(answer.status == status, "{answer:?}");
    let seen = gate.upstream.seen(path);
    ensure!(seen.len() == usize::from(status == 200), "{seen:?}");
    for seen in seen {
        ensure!(seen.header("x-callgate-caller").is_none(), "{seen:?}");
        ensure!(seen.header("x-http-method-override").is_none(), "{seen:?}");
    }
    Ok(())
}
