//! A certificate is judged on every request, on whatever connection: open for long,
//! or taken up from an earlier TLS session.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use callgate_tests::{
    Gate, Host, Validation,
    caller::{Call, Caller, Http, TlsVersion},
    pki::{Defect, Identity, Spec, spiffe_id},
    process::eventually,
    suite::Suite,
};

use super::{CHECKOUT, ORDERS, caller, order, refused, strict};

/// Long enough to make a call with, short enough to wait for its end.
const SHORT: time::Duration = time::Duration::seconds(4);
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn add(tests: &mut Suite<Gate>, host: Host) {
    let name = |test: &str| format!("{}/identity/{test}", host.name());
    for http in [Http::One, Http::Two] {
        tests.case(
            name(&format!("expires_on_an_open_connection/{http:?}")),
            move |gate| open_connection(gate, host, http),
        );
    }
    for version in [TlsVersion::V12, TlsVersion::V13] {
        tests.case(
            name(&format!("expires_before_a_resumed_session/{version:?}")),
            move |gate| resumed(gate, host, version),
        );
    }
    tests.case(name("none_is_answered"), move |gate| none(gate, host));
    for (defect, reason) in [
        (Defect::ForeignCa, "identity-untrusted"),
        (Defect::SelfSigned, "identity-untrusted"),
        (Defect::SignedByPartner, "identity-untrusted"),
        (Defect::IntermediateMissing, "identity-untrusted"),
        (Defect::Expired, "identity-expired"),
        (Defect::TwoUriSans, "identity-invalid"),
        (Defect::LeafIsCa, "identity-invalid"),
    ] {
        tests.case(name(&format!("that_envoy_took/{defect}")), move |gate| {
            taken_by_envoy(gate, host, defect, reason)
        });
    }
}

fn short_lived(gate: &Gate) -> Result<Identity> {
    gate.pki
        .root
        .issue(&Spec::svid(&spiffe_id(CHECKOUT)).lasting(SHORT))
}

async fn open_connection(gate: Arc<Gate>, host: Host, http: Http) -> Result<()> {
    let path = order(host, &format!("open-{http:?}"));
    let caller = Caller::new(Some(&short_lived(&gate)?))?;
    let mut connection = caller
        .connect(gate.address(ORDERS, strict(host))?, http)
        .await?;
    let answer = connection.call(Call::new("GET", &path)).await?;
    ensure!(answer.status == 200, "{answer:?}");

    let answer = eventually(LIMIT, "the SVID to expire", async || {
        let answer = connection.call(Call::new("GET", &path)).await?;
        Ok((answer.status != 200).then_some(answer))
    })
    .await?;
    let before = gate.upstream.seen(&path).len();
    ensure!(answer.reason() == Some("identity-expired"), "{answer:?}");
    let answer = connection.call(Call::new("GET", &path)).await?;
    ensure!(
        answer.status == 403 && gate.upstream.seen(&path).len() == before,
        "{answer:?}"
    );
    Ok(())
}

async fn resumed(gate: Arc<Gate>, host: Host, version: TlsVersion) -> Result<()> {
    let path = order(host, &format!("resumed-{version:?}"));
    let address = gate.address(ORDERS, strict(host))?;
    let _still = gate.still(ORDERS, &[strict(host)]).await?;
    let identity = short_lived(&gate)?;
    let caller = Caller::speaking(version, Some(&identity))?;
    for first in [true, false] {
        let mut connection = caller.connect(address, Http::One).await?;
        ensure!(
            connection.resumed != first,
            "resumption is not what this test takes it for"
        );
        ensure!(connection.call(Call::new("GET", &path)).await?.status == 200);
    }
    eventually(LIMIT, "the SVID to expire", async || {
        Ok((time::OffsetDateTime::now_utc() > identity.not_after).then_some(()))
    })
    .await?;
    // Certificates count whole seconds, and both ends round.
    let answer = eventually(LIMIT, "a refusal", async || {
        let mut connection = caller.connect(address, Http::One).await?;
        ensure!(connection.resumed, "Envoy made a full handshake");
        let answer = connection.call(Call::new("GET", &path)).await?;
        Ok((answer.status != 200).then_some(answer))
    })
    .await?;
    ensure!(
        answer.status == 403 && answer.reason() == Some("identity-expired"),
        "{answer:?}"
    );
    Ok(())
}

async fn none(gate: Arc<Gate>, host: Host) -> Result<()> {
    let path = order(host, "nobody");
    let address = gate.address(ORDERS, (host, Validation::Optional))?;
    let answer = Caller::new(None)?
        .call(address, Call::new("GET", &path))
        .await?;
    refused(&gate, &path, &answer, 403, "identity-missing")
}

/// Behind a proxy that takes every certificate, or was talked into it.
async fn taken_by_envoy(
    gate: Arc<Gate>,
    host: Host,
    defect: Defect,
    reason: &'static str,
) -> Result<()> {
    let path = order(host, defect.name());
    let address = gate.address(ORDERS, (host, Validation::AcceptAny))?;
    let answer = caller(&gate, defect)?
        .call(address, Call::new("GET", &path))
        .await?;
    refused(&gate, &path, &answer, 403, reason)
}
