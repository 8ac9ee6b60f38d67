//! A body waits until its request is decided: then it goes on whole, or nowhere.

use std::sync::Arc;

use anyhow::{Result, ensure};
use bytes::Bytes;
use callgate_tests::{
    Gate, Host,
    caller::{Call, Http},
    suite::Suite,
};

use super::{connect, refused};

/// Far more than the proxy's windows hold.
const SIZE: usize = 3 << 20;

pub(crate) fn add(tests: &mut Suite<Gate>, host: Host) {
    for http in [Http::One, Http::Two] {
        let name = |test: &str| format!("{}/body/{http:?}/{test}", host.name());
        tests.case(name("goes_on_whole"), move |gate| whole(gate, host, http));
        tests.case(name("of_a_refused_request_goes_nowhere"), move |gate| {
            nowhere(gate, host, http)
        });
    }
}

async fn whole(gate: Arc<Gate>, host: Host, http: Http) -> Result<()> {
    let body = body();
    let call = Call::new("POST", "/echo").body(body.clone());
    let answer = connect(&gate, host, http).await?.call(call).await?;
    ensure!(
        answer.status == 200,
        "{} {:?}",
        answer.status,
        answer.reason()
    );
    ensure!(answer.body == body, "{} bytes came back", answer.body.len());
    Ok(())
}

async fn nowhere(gate: Arc<Gate>, host: Host, http: Http) -> Result<()> {
    let path = format!("/refused-body/{}/{http:?}", host.name());
    let call = Call::new("POST", &path).body(body());
    let answer = connect(&gate, host, http).await?.call(call).await?;
    refused(&gate, &path, &answer, 403, "no-rule")
}

/// No two windows of it are alike.
fn body() -> Bytes {
    (0_u32..).flat_map(u32::to_le_bytes).take(SIZE).collect()
}
