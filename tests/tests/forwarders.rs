//! Behind a real gateway: `envoy/gateway.yaml` in front of a sidecar that appends to
//! `x-forwarded-client-cert`. What the gateway's Envoy writes of its callers is what the
//! rules decide by, on every request.

use std::{fs, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use callgate_tests::{
    Client, Gate, Host, Validation, append_client_cert,
    caller::{Answer, Call, Caller, Http},
    pki::{Spec, spiffe_id},
    process::eventually,
    suite,
};
use serde_json::Value;

const ORDERS: &str = "/ns/shop/sa/orders";
const CHECKOUT: &str = "/ns/shop/sa/checkout";
const WEB: &str = "/ns/shop/sa/web";
const GATEWAY: &str = "/ns/edge/sa/gateway";
const HOSTS: [Host; 2] = [Host::Filter, Host::Native];
const LIMIT: Duration = Duration::from_secs(20);
/// Long enough to make a call with, short enough to wait for its end.
const SHORT: time::Duration = time::Duration::seconds(4);
const POLICIES: &str = "\
kind: MeshPolicy
metadata: {name: mesh}
spec:
  trustDomain: example.org
  forwarders:
    - {id: /ns/edge/sa/gateway, mayAssert: [/ns/shop/**], forServices: [/ns/shop/sa/orders]}
---
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [/ns/shop/sa/orders]
  allow:
    - {name: checkout-reads, from: [/ns/shop/sa/checkout], to: ['GET /orders/{order}']}
    - {name: the-gateway-checks, from: [/ns/edge/sa/gateway], to: [GET /health]}
";

/// A gate, and a gateway before each kind of sidecar.
struct Edge {
    gate: Gate,
    gateways: [Client; 2],
}

fn main() -> ExitCode {
    suite::run(
        Edge::start,
        |tests| {
            for host in HOSTS {
                let name = |test: &str| format!("{}/{test}", host.name());
                for http in [Http::One, Http::Two] {
                    tests.case(name(&format!("original_caller/{http:?}")), move |edge| {
                        original_caller(edge, host, http)
                    });
                }
                tests.case(name("refused"), move |edge| refused(edge, host));
                tests.case(name("forged"), move |edge| forged(edge, host));
                tests.case(name("expires_at_the_gateway"), move |edge| {
                    expires(edge, host)
                });
                tests.case(name("revoked"), move |edge| revoked(edge, host));
            }
        },
        |edge| edge.gate.report(),
    )
}

impl Edge {
    async fn start() -> Result<Self> {
        let faces = HOSTS.map(|host| (host, Validation::Spiffe));
        let gate = Gate::of(&[ORDERS])
            .faces(&faces)
            .policy("all.yaml", POLICIES)
            .adapt(append_client_cert);
        let gate = gate.start().await?;
        let [filter, native] = faces;
        let gateways = [
            gate.gateway(GATEWAY, ORDERS, filter).await?,
            gate.gateway(GATEWAY, ORDERS, native).await?,
        ];
        Ok(Self { gate, gateways })
    }

    fn gateway(&self, host: Host) -> &Client {
        let [filter, native] = &self.gateways;
        match host {
            Host::Filter => filter,
            Host::Native => native,
        }
    }

    fn caller(&self, id: &str) -> Result<Caller> {
        Caller::new(Some(&self.gate.pki.svid(id)?))
    }

    /// Nothing of it reached the service.
    fn is_refused(&self, path: &str, answer: &Answer, reason: &str) -> Result<()> {
        ensure!(
            answer.status == 403 && answer.reason() == Some(reason),
            "{answer:?}"
        );
        ensure!(self.gate.upstream.seen(path).is_empty(), "it went on");
        Ok(())
    }
}

async fn original_caller(edge: Arc<Edge>, host: Host, http: Http) -> Result<()> {
    let path = format!("/orders/{}-{http:?}", host.name());
    let mut connection = edge
        .caller(CHECKOUT)?
        .connect(edge.gateway(host).address, http)
        .await?;
    let answer = connection.call(Call::new("GET", &path)).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let seen = edge.gate.upstream.seen(&path);
    let seen = seen.first().context("nothing came")?;
    let (caller, gateway) = (spiffe_id(CHECKOUT), spiffe_id(GATEWAY));
    ensure!(
        seen.header("x-callgate-caller") == Some(&caller),
        "{seen:?}"
    );
    ensure!(
        seen.header("x-callgate-forwarder") == Some(&gateway),
        "{seen:?}"
    );
    let elements = seen.header("x-forwarded-client-cert").context("no XFCC")?;
    ensure!(
        elements.matches("By=").count() == 2
            && elements.starts_with(&format!("By={gateway};"))
            && elements.ends_with(&format!("URI={gateway}"))
            && elements.contains(&format!("URI={caller},"))
            && !elements.contains("Chain="),
        "{elements}"
    );
    let decision = seen.header("x-callgate-decision").context("no decision")?;
    let record = edge.gate.server()?.record(decision).await?;
    let told = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
    ensure!(
        told("/source/id") == Some(&caller)
            && told("/source/notAfter").is_some()
            && told("/forwarder/id") == Some(&gateway),
        "{record}"
    );
    Ok(())
}

async fn refused(edge: Arc<Edge>, host: Host) -> Result<()> {
    let path = format!("/orders/refused-{}", host.name());
    let address = edge.gateway(host).address;
    let web = edge.caller(WEB)?;
    let answer = web.call(address, Call::new("GET", &path)).await?;
    edge.is_refused(&path, &answer, "no-rule")?;
    // What the gateway may do is not what its callers may.
    let answer = web.call(address, Call::new("GET", "/health")).await?;
    edge.is_refused("/health", &answer, "no-rule")
}

/// A caller that writes the header itself, at the gateway and straight at the sidecar.
async fn forged(edge: Arc<Edge>, host: Host) -> Result<()> {
    let path = format!("/orders/forged-{}", host.name());
    let web = edge.caller(WEB)?;
    let (gateway, checkout) = (spiffe_id(GATEWAY), spiffe_id(CHECKOUT));
    let said = format!("By={gateway};Hash={};URI={checkout}", "ab".repeat(32));
    let sidecar = edge.gate.address(ORDERS, (host, Validation::Spiffe))?;
    for address in [edge.gateway(host).address, sidecar] {
        let call = Call::new("GET", &path).header("x-forwarded-client-cert", &said);
        let answer = web.call(address, call).await?;
        edge.is_refused(&path, &answer, "no-rule")?;
    }
    Ok(())
}

/// The connection to the gateway stays, and Envoy does not look at its certificate again.
async fn expires(edge: Arc<Edge>, host: Host) -> Result<()> {
    let path = format!("/orders/expires-{}", host.name());
    let spec = Spec::svid(&spiffe_id(CHECKOUT)).lasting(SHORT);
    let caller = Caller::new(Some(&edge.gate.pki.root.issue(&spec)?))?;
    let mut connection = caller
        .connect(edge.gateway(host).address, Http::One)
        .await?;
    let answer = connection.call(Call::new("GET", &path)).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let answer = eventually(LIMIT, "the SVID to expire", async || {
        let answer = connection.call(Call::new("GET", &path)).await?;
        Ok((answer.status != 200).then_some(answer))
    })
    .await?;
    ensure!(answer.reason() == Some("identity-expired"), "{answer:?}");
    Ok(())
}

/// The caller or the gateway: either ends it, for this caller alone or for all of them.
async fn revoked(edge: Arc<Edge>, host: Host) -> Result<()> {
    // A caller of its own, so that the others go on.
    let caller = format!("/ns/shop/sa/leaked-{}", host.name());
    let path = format!("/orders/revoked-{}", host.name());
    let leaked = edge.caller(&caller)?;
    let mut connection = leaked
        .connect(edge.gateway(host).address, Http::One)
        .await?;
    let answer = connection.call(Call::new("GET", &path)).await?;
    ensure!(answer.reason() == Some("no-rule"), "{answer:?}");
    let text = format!(
        "kind: Revocation\nmetadata: {{name: leaked-{}}}\nspec:\n  id: {caller}\n  \
         reason: a test\n  revokedBy: dana@example.org\n",
        host.name()
    );
    let policies = edge.gate.server()?.policies();
    fs::write(policies.join(format!("leaked-{}.yaml", host.name())), text)?;
    eventually(LIMIT, "the revocation", async || {
        let answer = connection.call(Call::new("GET", &path)).await?;
        Ok((answer.reason() == Some("identity-revoked")).then_some(()))
    })
    .await
}
