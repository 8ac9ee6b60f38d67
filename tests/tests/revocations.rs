//! Who was believed and is no longer: revoked, or of a CA that the bundle lost. In
//! effect at the next request, on connections that are open and on TLS sessions that
//! are resumed, and whatever the proxy's own idea of certificates is.

use std::{
    fs,
    process::{Command, ExitCode},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use callgate_tests::{
    Gate, Host, Validation, artifact,
    caller::{Answer, Call, Caller, Connection, Http, TlsVersion},
    pki::{Authority, Defect, Identity, Spec, TRUST_DOMAIN, spiffe_id},
    process::eventually,
    suite,
};
use serde_json::{Value, json};

const ORDERS: &str = "/ns/shop/sa/orders";
const HOSTS: [Host; 2] = [Host::Filter, Host::Native];
const LIMIT: Duration = Duration::from_secs(20);
const POLICIES: &str = "\
kind: MeshPolicy
metadata: {name: mesh}
spec: {trustDomain: example.org}
---
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [/ns/shop/sa/orders]
  allow:
    - {name: all, from: [/ns/shop/sa/*], to: ['GET /orders/{order}']}
";

fn main() -> ExitCode {
    suite::run(
        || gate().start(),
        |tests| {
            for host in HOSTS {
                let name = |test: &str| format!("{}/{test}", host.name());
                for http in [Http::One, Http::Two] {
                    tests.case(name(&format!("open_connection/{http:?}")), move |gate| {
                        open_connection(gate, host, http)
                    });
                }
                for version in [TlsVersion::V12, TlsVersion::V13] {
                    tests.case(name(&format!("resumed_session/{version:?}")), move |gate| {
                        resumed_session(gate, host, version)
                    });
                }
                tests.case(name("one_certificate"), move |gate| {
                    one_certificate(gate, host)
                });
            }
            tests.test("a_broken_policy_holds_none_back", beside_a_broken_policy);
            tests.test("who_called_is_told_from_the_log", who_called);
            tests.test("a_ca_that_the_bundle_lost", a_lost_ca);
            tests.test("a_proxy_that_validates_nothing", no_validation);
            tests.test("a_proxy_that_trusts_everybody", no_trust);
        },
        Gate::report,
    )
}

fn gate() -> callgate_tests::GateBuilder {
    let faces = HOSTS.map(|host| (host, Validation::Spiffe));
    Gate::of(&[ORDERS])
        .faces(&faces)
        .policy("all.yaml", POLICIES)
}

/// `callgate revoke`, and how long it took until `connection` was refused for it.
struct Revoked {
    file: std::path::PathBuf,
    answer: Answer,
}

async fn revoke(
    gate: &Gate,
    what: &[&str],
    name: &str,
    connection: &mut Connection,
) -> Result<Revoked> {
    let policies = gate.server()?.policies();
    let output = Command::new(artifact::callgate()?)
        .arg("revoke")
        .args(what)
        .args(["--reason", "a test", "--by", "dana@example.org"])
        .args(["--name", name])
        .arg("--policies")
        .arg(policies)
        .output()?;
    ensure!(output.status.success(), "{output:?}");
    let start = Instant::now();
    let path = format!("/orders/{name}");
    let answer = until(connection, &path, 403, "the revocation").await?;
    println!(
        "{name}: refused {:?} after the file was there",
        start.elapsed()
    );
    Ok(Revoked {
        file: policies.join(format!("revocation-{name}.yaml")),
        answer,
    })
}

fn is_refused(answer: &Answer, reason: &str) -> Result<()> {
    ensure!(
        answer.status == 403 && answer.reason() == Some(reason),
        "{answer:?}"
    );
    Ok(())
}

async fn is_served(connection: &mut Connection, path: &str) -> Result<()> {
    let answer = connection.call(Call::new("GET", path)).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(())
}

/// Each test revokes a caller of its own.
fn somebody(gate: &Gate, name: &str) -> Result<(String, Identity)> {
    let id = spiffe_id(&format!("/ns/shop/sa/{name}"));
    let identity = gate.pki.svid(&id)?;
    Ok((id, identity))
}

async fn open_connection(gate: Arc<Gate>, host: Host, http: Http) -> Result<()> {
    let name = format!("open-{}-{http:?}", host.name()).to_lowercase();
    let (id, identity) = somebody(&gate, &name)?;
    let address = gate.address(ORDERS, (host, Validation::Spiffe))?;
    let mut connection = Caller::new(Some(&identity))?.connect(address, http).await?;
    let path = format!("/orders/{name}");
    is_served(&mut connection, &path).await?;

    let revoked = revoke(&gate, &[&id], &name, &mut connection).await?;
    is_refused(&revoked.answer, "identity-revoked")?;
    let before = gate.upstream.seen(&path).len();
    let answer = connection.call(Call::new("GET", &path)).await?;
    is_refused(&answer, "identity-revoked")?;
    ensure!(
        gate.upstream.seen(&path).len() == before,
        "the service saw it"
    );
    let decision = answer.decision().context("no decision")?;
    let record = gate.server()?.record(decision).await?;
    ensure!(
        record.pointer("/revocation") == Some(&json!(name)),
        "{record}"
    );
    ensure!(record.pointer("/source/id") == Some(&json!(id)), "{record}");

    // Lifted, the same connection goes on.
    fs::remove_file(revoked.file)?;
    let lifted = until(&mut connection, &path, 200, "the revocation to be lifted");
    lifted.await.map(drop)
}

async fn resumed_session(gate: Arc<Gate>, host: Host, version: TlsVersion) -> Result<()> {
    let name = format!("resumed-{}-{version:?}", host.name()).to_lowercase();
    let (id, identity) = somebody(&gate, &name)?;
    let face = (host, Validation::Spiffe);
    let address = gate.address(ORDERS, face)?;
    let _still = gate.still(ORDERS, &[face]).await?;
    let caller = Caller::speaking(version, Some(&identity))?;
    let mut open = resuming(&caller, address, &name).await?;
    revoke(&gate, &[&id], &name, &mut open).await?;
    let mut connection = caller.connect(address, Http::One).await?;
    ensure!(connection.resumed, "Envoy made a full handshake");
    let path = format!("/orders/{name}");
    is_refused(
        &connection.call(Call::new("GET", &path)).await?,
        "identity-revoked",
    )
}

/// A resumed connection of a caller that is served.
async fn resuming(
    caller: &Caller,
    address: std::net::SocketAddr,
    order: &str,
) -> Result<Connection> {
    let path = format!("/orders/{order}");
    is_served(&mut caller.connect(address, Http::One).await?, &path).await?;
    let mut resumed = caller.connect(address, Http::One).await?;
    ensure!(resumed.resumed, "Envoy made a full handshake");
    is_served(&mut resumed, &path).await?;
    Ok(resumed)
}

/// The next certificate of the same workload goes on.
async fn one_certificate(gate: Arc<Gate>, host: Host) -> Result<()> {
    let name = format!("certificate-{}", host.name());
    let (id, leaked) = somebody(&gate, &name)?;
    let next = gate.pki.svid(&id)?;
    let file = gate.directory().join(format!("{name}.pem"));
    fs::write(&file, leaked.chain_pem())?;
    let address = gate.address(ORDERS, (host, Validation::Spiffe))?;
    let [mut leaked, mut next] = [
        Caller::new(Some(&leaked))?
            .connect(address, Http::Two)
            .await?,
        Caller::new(Some(&next))?
            .connect(address, Http::Two)
            .await?,
    ];
    let path = format!("/orders/{name}");
    is_served(&mut leaked, &path).await?;
    let file = file.display().to_string();
    let what = ["--certificate", file.as_str()];
    let revoked = revoke(&gate, &what, &name, &mut leaked).await?;
    is_refused(&revoked.answer, "identity-revoked")?;
    is_served(&mut next, &path).await
}

async fn beside_a_broken_policy(gate: Arc<Gate>) -> Result<()> {
    let policies = gate.server()?.policies();
    fs::write(policies.join("broken.yaml"), "kind: [\n")?;
    let (id, identity) = somebody(&gate, "beside")?;
    let address = gate.address(ORDERS, (Host::Filter, Validation::Spiffe))?;
    let mut connection = Caller::new(Some(&identity))?
        .connect(address, Http::Two)
        .await?;
    is_served(&mut connection, "/orders/beside").await?;
    let revoked = revoke(&gate, &[&id], "beside", &mut connection).await?;
    is_refused(&revoked.answer, "identity-revoked")?;
    fs::remove_file(policies.join("broken.yaml"))?;
    Ok(())
}

/// `callgate identities`, over records of proxies that proved who they are.
async fn who_called(gate: Arc<Gate>) -> Result<()> {
    let (id, identity) = somebody(&gate, "seen")?;
    let address = gate.address(ORDERS, (Host::Filter, Validation::Spiffe))?;
    let mut connection = Caller::new(Some(&identity))?
        .connect(address, Http::Two)
        .await?;
    is_served(&mut connection, "/orders/seen").await?;
    let answer = connection.call(Call::new("DELETE", "/orders/seen")).await?;
    let server = gate.server()?;
    server
        .record(answer.decision().context("no decision")?)
        .await?;
    let output = Command::new(artifact::callgate()?)
        .args(["identities", "--format", "json"])
        .arg(server.decisions())
        .output()?;
    ensure!(output.status.success(), "{output:?}");
    let told: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    let own = told
        .iter()
        .find(|one| one.pointer("/id") == Some(&json!(id)));
    let own = own.with_context(|| format!("{told:?}"))?;
    for (field, expected) in [
        ("/certificates", json!(1)),
        ("/calls", json!(2)),
        ("/refused", json!(1)),
        ("/issuer", json!(format!("CN={TRUST_DOMAIN} root"))),
    ] {
        ensure!(own.pointer(field) == Some(&expected), "{field} of {own}");
    }
    Ok(())
}

/// On open connections, and on sessions that Envoy resumes without a look at the chain.
/// The proxy's own authority stays.
async fn a_lost_ca(_: Arc<Gate>) -> Result<()> {
    let faces = HOSTS.map(|host| (host, Validation::AcceptAny));
    let gate = gate().faces(&faces).start().await?;
    let _still = gate.still(ORDERS, &faces).await?;
    let [own, old] = [&gate.pki.root, &gate.pki.foreign].map(Authority::bundle_pem);
    set_bundle(&gate, &format!("{own}{old}"))?;
    let mut callers = Vec::new();
    for face in faces {
        for version in [TlsVersion::V12, TlsVersion::V13] {
            let name = format!("lost-{}-{version:?}", face.0.name()).to_lowercase();
            let id = spiffe_id(&format!("/ns/shop/sa/{name}"));
            let identity = gate.pki.foreign.issue(&Spec::svid(&id))?;
            let address = gate.address(ORDERS, face)?;
            let caller = Caller::speaking(version, Some(&identity))?;
            let path = format!("/orders/{name}");
            let mut first = caller.connect(address, Http::One).await?;
            until(&mut first, &path, 200, "the second root").await?;
            let open = resuming(&caller, address, &name).await?;
            callers.push((caller, address, open, path));
        }
    }
    set_bundle(&gate, &own)?;
    for (caller, address, mut open, path) in callers {
        let answer = until(&mut open, &path, 403, "the bundle without it").await?;
        is_refused(&answer, "identity-untrusted").context("open")?;
        let mut resumed = caller.connect(address, Http::One).await?;
        ensure!(resumed.resumed, "Envoy made a full handshake");
        let answer = resumed.call(Call::new("GET", &path)).await?;
        is_refused(&answer, "identity-untrusted").context("resumed")?;
    }
    Ok(())
}

/// What the server believes of the tests' trust domain.
fn set_bundle(gate: &Gate, pem: &str) -> Result<()> {
    let bundle = gate.directory().join(format!("{TRUST_DOMAIN}.pem"));
    let aside = bundle.with_extension("new");
    fs::write(&aside, pem)?;
    Ok(fs::rename(aside, bundle)?)
}

/// The first answer with that status.
async fn until(connection: &mut Connection, path: &str, status: u16, what: &str) -> Result<Answer> {
    eventually(LIMIT, what, async || {
        let answer = connection.call(Call::new("GET", path)).await?;
        Ok((answer.status == status).then_some(answer))
    })
    .await
}

/// Without any validation context Envoy asks nobody for a certificate, whatever
/// `require_client_certificate` says: then nobody has one.
async fn no_validation(_: Arc<Gate>) -> Result<()> {
    let gate = gate().adapt(validate_nothing).start().await?;
    for defect in [Defect::ForeignCa, Defect::SelfSigned, Defect::None] {
        judged(&gate, defect, "identity-missing").await?;
    }
    Ok(())
}

/// Envoy asks for a certificate and takes any: the server judges all the same.
async fn no_trust(_: Arc<Gate>) -> Result<()> {
    let gate = gate().adapt(accept_untrusted).start().await?;
    for (defect, reason) in [
        (Defect::ForeignCa, "identity-untrusted"),
        (Defect::SelfSigned, "identity-untrusted"),
        (Defect::SignedByPartner, "identity-untrusted"),
        (Defect::Expired, "identity-expired"),
        (Defect::TwoUriSans, "identity-invalid"),
    ] {
        judged(&gate, defect, reason).await?;
    }
    let own = gate.pki.svid("/ns/shop/sa/checkout")?;
    for host in HOSTS {
        let address = gate.address(ORDERS, (host, Validation::Spiffe))?;
        let mut connection = Caller::new(Some(&own))?.connect(address, Http::Two).await?;
        is_served(&mut connection, "/orders/own").await?;
    }
    Ok(())
}

/// A certificate with that defect is refused for that reason, by filter and native.
async fn judged(gate: &Gate, defect: Defect, reason: &str) -> Result<()> {
    let shown = gate.pki.mint(defect, "/ns/shop/sa/checkout")?;
    for host in HOSTS {
        let path = format!("/orders/{}-{defect}", host.name());
        let address = gate.address(ORDERS, (host, Validation::Spiffe))?;
        let caller = Caller::new(Some(&shown))?;
        let mut connection = caller.connect(address, Http::Two).await?;
        let answer = connection.call(Call::new("GET", &path)).await?;
        is_refused(&answer, reason).with_context(|| format!("{defect}"))?;
        ensure!(gate.upstream.seen(&path).is_empty(), "the service saw it");
    }
    Ok(())
}

fn validate_nothing(config: &mut Value) -> Result<()> {
    validate_by(config, None)
}

fn accept_untrusted(config: &mut Value) -> Result<()> {
    let context = json!({"trust_chain_verification": "ACCEPT_UNTRUSTED"});
    validate_by(config, Some(&context))
}

/// Puts another validation into every listener, as a careless operator might.
fn validate_by(config: &mut Value, context: Option<&Value>) -> Result<()> {
    let listeners = config.pointer_mut("/static_resources/listeners");
    let listeners = listeners.and_then(Value::as_array_mut);
    for listener in listeners.context("no listeners")? {
        let tls = listener.pointer_mut("/filter_chains/0/transport_socket/typed_config");
        let tls = tls.context("no TLS")?;
        if let Some(tls) = tls.as_object_mut() {
            tls.insert("require_client_certificate".to_owned(), json!(true));
        }
        let common = tls.pointer_mut("/common_tls_context");
        let common = common.and_then(Value::as_object_mut).context("no TLS")?;
        let removed = common.remove("validation_context_sds_secret_config");
        ensure!(removed.is_some(), "nothing is validated as it is");
        if let Some(context) = context {
            common.insert("validation_context".to_owned(), context.clone());
        }
    }
    Ok(())
}
