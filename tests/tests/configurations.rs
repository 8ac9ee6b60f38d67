//! The configurations on a real Envoy, in what does not depend on who decides: the
//! server says yes to everything here.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use callgate_tests::{
    Face, Gate, Host, Validation,
    authz::{Authz, Script, path_of},
    caller::{Answer, Call, Caller, Connection, Http, grpc, stream::Opened},
    envoy::{Envoy, Template, config_path, merge},
    pki::{Defect, spiffe_id},
    suite,
};
use callgate_wire::{
    envoy::{
        config::core::v3::{HeaderValue, HeaderValueOption},
        service::auth::v3::{CheckResponse, OkHttpResponse, check_response::HttpResponse},
    },
    google::rpc::Status,
    headers,
};
use serde_json::json;

const ORDERS: &str = "/ns/shop/sa/orders";
const CHECKOUT: &str = "/ns/shop/sa/checkout";
const STRICT: Face = (Host::Native, Validation::Spiffe);
const OPTIONAL: Face = (Host::Native, Validation::Optional);
const LIMIT: Duration = Duration::from_secs(10);

struct Yes {
    gate: Gate,
    authz: Authz,
}

fn main() -> ExitCode {
    suite::run(
        async || {
            let authz = Authz::start(|check| yes_with(path_of(check))).await?;
            let gate = Gate::of(&[ORDERS])
                .faces(&[STRICT, OPTIONAL])
                .asking(&authz);
            Ok(Yes {
                gate: gate.start().await?,
                authz,
            })
        },
        |tests| {
            tests.test(
                "bundle/a_caller_without_certificate_is_cut_off",
                no_certificate_cut_off,
            );
            tests.test(
                "bundle/defects_end_the_handshake",
                defects_end_the_handshake,
            );
            tests.test(
                "bundle_optional/a_caller_without_certificate_is_asked_about",
                no_certificate_asked,
            );
            tests.test(
                "bundle_optional/a_bad_certificate_is_not_none",
                bad_is_not_none,
            );
            tests.test(
                "sidecar/what_the_caller_says_of_certificates_is_dropped",
                forged_xfcc,
            );
            tests.test("sidecar/a_bearer_secret_stays_in_the_proxy", bearer_stays);
            tests.test(
                "sidecar/underscores_in_header_names_are_refused",
                underscores,
            );
            tests.test("sidecar/one_path_for_the_rule_and_the_service", one_path);
            tests.test("sidecar/a_renewed_svid_is_taken_up", renewed_svid);
            tests.test(
                "native/what_overrides_may_be_removed_and_nothing_else_touched",
                mutations,
            );
            tests.test("client/http1_http2_grpc_and_websocket_pass", client_passes);
            tests.test(
                "client/another_callee_is_not_called",
                client_refuses_another,
            );
            tests.test("probes/only_their_paths_pass", probes);
        },
        |yes| yes.gate.report(),
    )
}

/// Yes, with the change to the request that the path asks for: `/remove/NAME` and
/// `/set/NAME`.
fn yes_with(path: &str) -> Script {
    let mut ok = OkHttpResponse::default();
    if let Some(name) = path.strip_prefix("/remove/") {
        ok.headers_to_remove.push(name.to_owned());
    }
    if let Some(name) = path.strip_prefix("/set/") {
        let header = HeaderValue {
            key: name.to_owned(),
            value: "x".into(),
            ..HeaderValue::default()
        };
        ok.headers.push(HeaderValueOption {
            header: Some(header),
            ..HeaderValueOption::default()
        });
    }
    Script::Answer(Box::new(CheckResponse {
        status: Some(Status {
            code: 0,
            ..Status::default()
        }),
        http_response: Some(HttpResponse::OkResponse(ok)),
        ..CheckResponse::default()
    }))
}

impl Yes {
    fn caller(&self, defect: Defect) -> Result<Caller> {
        Caller::new(Some(&self.gate.pki.mint(defect, CHECKOUT)?))
    }

    async fn call(&self, call: Call) -> Result<Answer> {
        self.caller(Defect::None)?
            .call(self.gate.address(ORDERS, STRICT)?, call)
            .await
    }
}

async fn no_certificate_cut_off(yes: Arc<Yes>) -> Result<()> {
    let outcome = Caller::new(None)?
        .call(yes.gate.address(ORDERS, STRICT)?, Call::new("GET", "/"))
        .await;
    let error = outcome.err().context("answered")?;
    ensure!(
        format!("{error:#}").contains("CertificateRequired"),
        "{error:#}"
    );
    Ok(())
}

/// What Envoy's SPIFFE validator stops by itself, and what it lets through: those
/// are Callgate's to refuse.
async fn defects_end_the_handshake(yes: Arc<Yes>) -> Result<()> {
    const PASS: [Defect; 11] = [
        Defect::None,
        Defect::OneIntermediate,
        Defect::TwoIntermediates,
        Defect::FiveIntermediates,
        Defect::DnsNameToo,
        Defect::NameConstraint,
        Defect::TwoUriSans,
        Defect::SecondUriSan,
        Defect::IdWithQuery,
        Defect::IdWithTrailingSlash,
        Defect::IdTooLong,
    ];
    let address = yes.gate.address(ORDERS, STRICT)?;
    for defect in Defect::ALL {
        let outcome = yes
            .caller(*defect)?
            .call(address, Call::new("GET", "/"))
            .await;
        ensure!(
            outcome.is_ok() == PASS.contains(defect),
            "{defect}: {outcome:?}"
        );
    }
    Ok(())
}

async fn no_certificate_asked(yes: Arc<Yes>) -> Result<()> {
    let nobody = Caller::new(None)?;
    let forged = format!("Hash=00;URI={}", spiffe_id(CHECKOUT));
    let call = Call::new("GET", "/nobody").header("x-forwarded-client-cert", forged);
    let answer = nobody
        .call(yes.gate.address(ORDERS, OPTIONAL)?, call)
        .await?;
    ensure!(answer.status == 200, "{answer:?}");
    let (check, _) = yes.authz.asked("/nobody").pop().context("not asked")?;
    let attributes = check.attributes.context("attributes")?;
    ensure!(attributes.source.context("source")?.certificate.is_empty());
    let request = attributes.request.and_then(|r| r.http).context("request")?;
    ensure!(
        !request.headers.contains_key("x-forwarded-client-cert"),
        "{:?}",
        request.headers
    );
    ensure!(
        yes.gate
            .upstream
            .seen("/nobody")
            .iter()
            .all(|s| s.header("x-forwarded-client-cert").is_none())
    );
    Ok(())
}

async fn bad_is_not_none(yes: Arc<Yes>) -> Result<()> {
    for defect in [Defect::Expired, Defect::ForeignCa, Defect::SelfSigned] {
        let outcome = yes
            .caller(defect)?
            .call(yes.gate.address(ORDERS, OPTIONAL)?, Call::new("GET", "/"))
            .await;
        ensure!(outcome.is_err(), "{defect}: {outcome:?}");
    }
    Ok(())
}

async fn forged_xfcc(yes: Arc<Yes>) -> Result<()> {
    let forged = format!("Hash=00;URI={}", spiffe_id("/ns/shop/sa/admin"));
    let call = Call::new("GET", "/xfcc").header("x-forwarded-client-cert", forged);
    ensure!(yes.call(call).await?.status == 200);
    let seen = yes
        .gate
        .upstream
        .seen("/xfcc")
        .pop()
        .context("not called")?;
    let told = seen
        .header("x-forwarded-client-cert")
        .context("no header")?;
    ensure!(
        told.contains(&format!("URI={}", spiffe_id(CHECKOUT))) && !told.contains("admin"),
        "{told}"
    );
    Ok(())
}

async fn bearer_stays(yes: Arc<Yes>) -> Result<()> {
    let call = Call::new("GET", "/bearer")
        .header("authorization", "Bearer stolen")
        .header("proxy-authorization", "Basic stolen")
        .header("cookie", "session=stolen");
    ensure!(yes.call(call).await?.status == 200);
    let (check, metadata) = yes.authz.asked("/bearer").pop().context("not asked")?;
    ensure!(
        !format!("{check:?}{metadata:?}").contains("stolen"),
        "{check:?} {metadata:?}"
    );
    let seen = yes
        .gate
        .upstream
        .seen("/bearer")
        .pop()
        .context("not called")?;
    ensure!(
        seen.header("authorization") == Some("Bearer stolen"),
        "the service lost its header"
    );
    Ok(())
}

async fn underscores(yes: Arc<Yes>) -> Result<()> {
    let call = || {
        Call::new("GET", "/underscore").header("x_callgate_caller", "spiffe://example.org/admin")
    };
    ensure!(yes.call(call()).await?.status == 400);
    let mut connection = yes
        .caller(Defect::None)?
        .connect(yes.gate.address(ORDERS, STRICT)?, Http::Two)
        .await?;
    ensure!(
        connection.call(call()).await.is_err(),
        "HTTP/2 resets the stream"
    );
    ensure!(yes.gate.upstream.seen("/underscore").is_empty());
    Ok(())
}

/// What was asked about is what is forwarded, whatever was sent.
async fn one_path(yes: Arc<Yes>) -> Result<()> {
    for (sent, means) in [
        ("/one/a/../b", "/one/b"),
        ("/one/./b/%2e%2e/c", "/one/c"),
        ("/one/%61", "/one/a"),
        ("/one//a", "/one//a"),
        ("/one/a%2fb", "/one/a%2fb"),
        ("/one/a%2Fb", "/one/a%2Fb"),
        ("/one/a%5cb", "/one/a%5cb"),
        ("/one\\a", "/one/a"),
        ("/one/%252fa", "/one/%252fa"),
        ("/one/a;b=c", "/one/a;b=c"),
    ] {
        let raw = format!("GET {sent} HTTP/1.1\r\nhost: a\r\n\r\n");
        let caller = yes.caller(Defect::None)?;
        let answer = caller
            .send_raw(yes.gate.address(ORDERS, STRICT)?, raw.as_bytes())
            .await?
            .answer()?;
        ensure!(answer.status == 200, "{sent}: {answer:?}");
        ensure!(
            !yes.authz.asked(means).is_empty(),
            "{sent}: not asked about {means}"
        );
        ensure!(
            !yes.gate.upstream.seen(means).is_empty(),
            "{sent}: not forwarded as {means}"
        );
    }
    Ok(())
}

/// Envoy itself refuses an answer that goes further than Callgate's answers go.
async fn mutations(yes: Arc<Yes>) -> Result<()> {
    let overrides = headers::OVERRIDES
        .iter()
        .filter_map(|name| std::str::from_utf8(name).ok());
    for name in overrides.chain(["x-callgate-anything"]) {
        let path = format!("/remove/{name}");
        let answer = yes
            .call(Call::new("GET", &path).header(name, "DELETE"))
            .await?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
        let seen = yes.gate.upstream.seen(&path).pop().context("not called")?;
        ensure!(seen.header(name).is_none(), "{name} got through");
    }
    for name in [
        ":path",
        ":method",
        ":authority",
        "host",
        "te",
        "authorization",
        "x-other",
    ] {
        let path = format!("/set/{name}");
        let answer = yes.call(Call::new("GET", &path)).await?;
        ensure!(answer.status == 500, "{path}: {answer:?}");
        ensure!(yes.gate.upstream.seen(&path).is_empty(), "{path}");
    }
    Ok(())
}

async fn renewed_svid(yes: Arc<Yes>) -> Result<()> {
    let before = yes.gate.envoy.serial_numbers().await?;
    let own = yes
        .gate
        .directory()
        .join(spiffe_id(ORDERS).replace(['/', ':'], "_"));
    yes.gate.pki.svid(ORDERS)?.write_to(&own)?;
    yes.gate.envoy.await_renewal(&before, LIMIT).await?;
    ensure!(yes.call(Call::new("GET", "/renewed")).await?.status == 200);
    Ok(())
}

async fn client_passes(yes: Arc<Yes>) -> Result<()> {
    let client = yes.gate.client(CHECKOUT, ORDERS, STRICT).await?;
    let mut one = Connection::plain(client.address).await?;
    ensure!(one.call(Call::new("GET", "/through-1")).await?.status == 200);
    let mut upgrade = one.upgrade("/through-ws", "websocket").await?.stream()?;
    ensure!(upgrade.echo(b"over HTTP/1.1").await? == b"over HTTP/1.1");

    let mut two = Connection::plain_http2(client.address).await?;
    let answer = two
        .call(grpc::unary("/shop.v1.Orders/Place", b"tea"))
        .await?;
    ensure!(
        answer.grpc_status() == Some(0) && grpc::unframe(&answer.body)? == "tea",
        "{answer:?}"
    );
    let Opened::Stream(mut stream) = two.extended_connect("/through-ws2", "websocket").await?
    else {
        anyhow::bail!("not opened");
    };
    stream.send("over HTTP/2")?;
    ensure!(stream.receive().await?.context("ended")? == "over HTTP/2");

    let (check, _) = yes.authz.asked("/through-1").pop().context("not asked")?;
    let source = check.attributes.and_then(|a| a.source).context("source")?;
    ensure!(
        source.principal == spiffe_id(CHECKOUT),
        "{}",
        source.principal
    );
    ensure!(
        client
            .envoy
            .stat("cluster.callee.ssl.versions.TLSv1.3")
            .await?
            > 0
    );
    Ok(())
}

async fn client_refuses_another(yes: Arc<Yes>) -> Result<()> {
    let client = yes
        .gate
        .client_expecting(CHECKOUT, "/ns/shop/sa/somebody", ORDERS, STRICT)
        .await?;
    let mut connection = Connection::plain(client.address).await?;
    let answer = connection.call(Call::new("GET", "/another")).await?;
    ensure!(answer.status == 503, "{answer:?}");
    ensure!(
        client
            .envoy
            .stat("cluster.callee.ssl.fail_verify_san")
            .await?
            > 0
    );
    ensure!(yes.authz.asked("/another").is_empty());
    Ok(())
}

async fn probes(yes: Arc<Yes>) -> Result<()> {
    let app = json!({"static_resources": {"clusters": [{
        "name": "orders_app",
        "load_assignment": {"cluster_name": "orders_app", "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": {"socket_address": {
                "address": "127.0.0.1", "port_value": yes.gate.upstream.address.port()}}}}]}]},
    }]}});
    let names = Template::new()
        .with("SERVICE", "orders")
        .with("PROBE_ADDRESS", "127.0.0.1")
        .with("PROBE_PORT", 0);
    let mut config = app;
    merge(&mut config, names.parse(&config_path("probes.yaml"))?)?;
    merge(
        &mut config,
        json!({"admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}}),
    )?;
    let envoy = Envoy::start(&config, &yes.gate.directory().join("probes")).await?;
    let address = envoy.listener("orders_probes")?;

    for (method, path, status) in [
        ("GET", "/healthz", 200),
        ("GET", "/readyz?verbose=1", 200),
        ("POST", "/healthz", 403),
        ("GET", "/healthz/", 403),
        ("GET", "/healthz/../orders", 403),
        ("GET", "/healthz%2f..%2forders", 400),
        ("GET", "/orders", 403),
        ("GET", "/", 403),
    ] {
        let call =
            Call::new(method, path).header("x-callgate-caller", "spiffe://example.org/admin");
        let answer = Connection::plain(address).await?.call(call).await?;
        ensure!(answer.status == status, "{method} {path}: {answer:?}");
    }
    let seen = yes.gate.upstream.seen("/healthz");
    ensure!(
        !seen.is_empty() && seen.iter().all(|s| s.header("x-callgate-caller").is_none()),
        "{seen:?}"
    );
    ensure!(yes.gate.upstream.seen("/orders").is_empty());
    Ok(())
}
