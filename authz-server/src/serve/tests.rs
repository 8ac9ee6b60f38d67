use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use callgate_policy::TrustDomain;
use callgate_wire::envoy::service::auth::v3::{
    CheckRequest, CheckResponse, authorization_client::AuthorizationClient,
};
use prost::Message as _;
use rcgen::Certificate;
use tonic::{Code, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::*;
use crate::{
    bundle::endpoint::served,
    check::LeaseTtl,
    fixture::{DOCUMENTS, Mesh, ORDERS, ask, http, trust_domain},
    mint::{Authority, spiffe_bundle},
};

mod mutual_tls;
mod records;
mod watch;

const PATIENCE: Duration = Duration::from_secs(10);

fn config(mesh: &Mesh) -> Config {
    let any_port = || Listen::Tcp("127.0.0.1:0".parse().unwrap());
    Config {
        candidate: None,
        policies: mesh.policies(),
        trust_domain: None,
        trust_bundles: vec![(trust_domain(), mesh.bundle())],
        bundle_endpoints: vec![],
        bundle_cache: None,
        listen: any_port(),
        admin: any_port(),
        decision_log: Some(mesh.path("decisions.jsonl")),
        identity: None,
        proxy_ids: Vec::new(),
        lease_ttl: LeaseTtl::default(),
        danger_plaintext: false,
    }
}

fn socket(listen: &Listen) -> SocketAddr {
    match listen {
        Listen::Tcp(address) => *address,
        Listen::Unix(path) => panic!("{}", path.display()),
    }
}

async fn channel(listen: &Listen) -> Channel {
    let address = match listen {
        Listen::Tcp(address) => format!("http://{address}"),
        Listen::Unix(path) => format!("unix:{}", path.display()),
    };
    tonic::transport::Endpoint::try_from(address)
        .unwrap()
        .connect()
        .await
        .unwrap()
}

async fn check(channel: &Channel, request: CheckRequest) -> Result<CheckResponse, tonic::Status> {
    let mut client = AuthorizationClient::new(channel.clone());
    client.check(request).await.map(tonic::Response::into_inner)
}

/// The code of the answer for a call to the orders service.
async fn code(channel: &Channel, leaf: &Certificate, call: &str) -> i32 {
    let response = check(channel, ask(Some(leaf), ORDERS, call)).await.unwrap();
    response.status.unwrap().code
}

async fn health(channel: &Channel, service: &str) -> i32 {
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    let mut client = HealthClient::new(channel.clone());
    client.check(request).await.unwrap().into_inner().status
}

/// Status and body of a page of the admin side.
async fn page(admin: &Listen, path: &str) -> (u16, String) {
    let (admin, path) = (socket(admin), path.to_owned());
    tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(admin).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    })
    .await
    .unwrap()
}

/// Waits until the server's condition is as `wanted`.
async fn until(running: &Running, wanted: impl FnMut(&crate::health::Condition) -> bool) {
    let mut condition = running.health().watch();
    tokio::time::timeout(PATIENCE, condition.wait_for(wanted))
        .await
        .expect("in time")
        .unwrap();
}

#[tokio::test]
async fn checks_health_and_figures_are_served() {
    let mesh = Mesh::of_today();
    let running = start(&config(&mesh)).await.unwrap();
    let channel = channel(running.check_address()).await;
    let leaf = mesh.root.leaf(|_| {});
    assert_eq!(code(&channel, &leaf, "GET /orders").await, 0);
    assert_eq!(code(&channel, &leaf, "PUT /orders").await, 7);
    for service in ["", "envoy.service.auth.v3.Authorization"] {
        assert_eq!(health(&channel, service).await, 1, "SERVING");
    }
    let admin = running.admin_address();
    assert_eq!(page(admin, "/healthz").await, (200, "alive\n".to_owned()));
    assert_eq!(page(admin, "/readyz").await, (200, "ready\n".to_owned()));
    assert_eq!(page(admin, "/nothing").await.0, 404);
    let (status, figures) = page(admin, "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        r#"callgate_checks_total{verdict="Allow",reason="allow"} 1"#,
        r#"callgate_checks_total{verdict="Deny",reason="no-rule"} 1"#,
        "callgate_check_duration_seconds_count 2",
        "callgate_svid_cache_entries 1",
        "callgate_svid_cache_hits_total 1",
        "callgate_svid_cache_misses_total 1",
        "callgate_policy_loads_total 1",
        "callgate_policy_rules 2",
        r#"callgate_trust_bundle_anchors{trust_domain="example.org"} 1"#,
        "callgate_ready 1",
        "callgate_degraded 0",
    ] {
        assert!(figures.contains(line), "{line} in {figures}");
    }
    drop(channel);
    let drained = running.drain(PATIENCE).await;
    assert_eq!((drained.requests, drained.records), (true, true));
    let records = fs::read_to_string(mesh.path("decisions.jsonl")).unwrap();
    assert_eq!(records.lines().count(), 2);
}

#[tokio::test]
async fn a_unix_socket_serves_and_a_stale_one_is_replaced() {
    let mesh = Mesh::of_today();
    let path = mesh.path("callgate.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let config = Config {
        listen: Listen::Unix(path.clone()),
        ..config(&mesh)
    };
    let running = start(&config).await.unwrap();
    let channel = channel(running.check_address()).await;
    assert_eq!(
        code(&channel, &mesh.root.leaf(|_| {}), "GET /orders").await,
        0
    );
    let in_use = start(&config).await.unwrap_err().to_string();
    assert!(in_use.contains("in use"), "{in_use}");
    drop(channel);
    assert!(running.drain(PATIENCE).await.requests);
    assert!(!path.exists(), "removed at the end");
}

#[tokio::test]
async fn who_others_can_reach_needs_tls() {
    let mesh = Mesh::of_today();
    let open = || Listen::Tcp("0.0.0.0:0".parse().unwrap());
    for (option, config) in [
        (
            "--listen",
            Config {
                listen: open(),
                ..config(&mesh)
            },
        ),
        (
            "--admin",
            Config {
                admin: open(),
                ..config(&mesh)
            },
        ),
    ] {
        let error = start(&config).await.unwrap_err().to_string();
        assert!(
            error.contains(option) && error.contains("--danger-plaintext"),
            "{error}"
        );
        let told = Config {
            danger_plaintext: true,
            ..config
        };
        assert!(start(&told).await.unwrap().drain(PATIENCE).await.requests);
    }
}

#[tokio::test]
async fn what_cannot_be_done_starts_nothing() {
    let mesh = Mesh::of_today();
    let holder = start(&config(&mesh)).await.unwrap();
    let taken = holder.check_address().clone();
    let missing = mesh.path("missing");
    let cases = [
        (
            "no directory",
            Config {
                policies: missing.clone(),
                ..config(&mesh)
            },
            "missing",
        ),
        (
            "a file",
            Config {
                policies: mesh.bundle(),
                ..config(&mesh)
            },
            "not a directory",
        ),
        (
            "no bundle",
            Config {
                trust_bundles: vec![],
                ..config(&mesh)
            },
            "--trust-bundle",
        ),
        (
            "a cache that is no directory",
            Config {
                bundle_cache: Some(mesh.bundle()),
                ..config(&mesh)
            },
            "--bundle-cache",
        ),
        (
            "two endpoints of a trust domain",
            Config {
                bundle_endpoints: vec![
                    "a=https_spiffe,spiffe://a/b,https://one/".parse().unwrap(),
                    "a=https_spiffe,spiffe://a/b,https://two/".parse().unwrap(),
                ],
                ..config(&mesh)
            },
            "`a`: given twice",
        ),
        (
            "a bundle that is not there",
            Config {
                trust_bundles: vec![(trust_domain(), missing.clone())],
                ..config(&mesh)
            },
            "missing",
        ),
        (
            "no directory for the log",
            Config {
                decision_log: Some(missing.join("log")),
                ..config(&mesh)
            },
            "--decision-log",
        ),
        (
            "a port in use",
            Config {
                admin: taken,
                ..config(&mesh)
            },
            "--admin",
        ),
    ];
    for (name, config, expected) in cases {
        let error = start(&config)
            .await
            .map(|_| ())
            .expect_err(name)
            .to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
    assert!(holder.drain(PATIENCE).await.requests);
}

#[tokio::test]
async fn broken_policies_start_a_server_that_is_not_ready_until_they_are_mended() {
    let mesh = Mesh::of_today();
    mesh.write_policies("kind: Nothing\n");
    let running = start(&config(&mesh)).await.unwrap();
    let channel = channel(running.check_address()).await;
    let leaf = mesh.root.leaf(|_| {});
    assert_eq!(code(&channel, &leaf, "GET /orders").await, 14);
    assert_eq!(health(&channel, "").await, 2, "NOT_SERVING");
    let (status, body) = page(running.admin_address(), "/readyz").await;
    assert_eq!(status, 503);
    assert!(body.contains("mesh.yaml:1:"), "{body}");

    mesh.write_policies(DOCUMENTS);
    until(&running, |condition| condition.policies.succeeded == 1).await;
    assert_eq!(code(&channel, &leaf, "GET /orders").await, 0);
    assert_eq!(page(running.admin_address(), "/readyz").await.0, 200);
}

#[tokio::test]
async fn an_edit_on_disk_decides_without_a_restart() {
    let mesh = Mesh::of_today();
    let running = start(&config(&mesh)).await.unwrap();
    let channel = channel(running.check_address()).await;
    let leaf = mesh.root.leaf(|_| {});
    assert_eq!(code(&channel, &leaf, "DELETE /orders").await, 7);
    mesh.write_policies(&DOCUMENTS.replace("[GET /orders]", "[ANY /orders]"));
    until(&running, |condition| condition.policies.succeeded == 2).await;
    assert_eq!(code(&channel, &leaf, "DELETE /orders").await, 0);

    mesh.write_policies("kind: [");
    until(&running, |condition| condition.policies.failed == 1).await;
    assert_eq!(
        code(&channel, &leaf, "DELETE /orders").await,
        0,
        "the last good set"
    );
    let (status, body) = page(running.admin_address(), "/readyz").await;
    assert_eq!(
        (status, body.starts_with("degraded: policies: mesh.yaml:1:")),
        (200, true),
        "{body}"
    );

    let other = crate::mint::Authority::root_of_today("other");
    fs::write(mesh.bundle(), other.certificate.pem()).unwrap();
    until(&running, |condition| {
        condition.bundles[&trust_domain()].succeeded == 2
    })
    .await;
    assert_eq!(
        code(&channel, &leaf, "DELETE /orders").await,
        7,
        "its root is gone"
    );
}

#[tokio::test]
async fn a_ca_that_leaves_a_bundle_stops_its_leaves_at_the_next_request() {
    let mesh = Mesh::of_today();
    let (old, new) = (&mesh.root, Authority::root_of_today("next"));
    let running = start(&config(&mesh)).await.unwrap();
    let channel = channel(running.check_address()).await;
    let (of_old, of_new) = (old.leaf(|_| {}), new.leaf(|_| {}));
    assert_eq!(code(&channel, &of_old, "GET /orders").await, 0);
    assert_eq!(code(&channel, &of_new, "GET /orders").await, 7);
    let loaded = |times| {
        move |condition: &crate::health::Condition| {
            let bundle = condition.bundles.get(&trust_domain());
            bundle.is_some_and(|loads| loads.succeeded == times)
        }
    };
    // From PEM to a SPIFFE bundle with both, and then without the old one.
    fs::write(mesh.bundle(), spiffe_bundle(&[old, &new], 1, 60)).unwrap();
    until(&running, loaded(2)).await;
    assert_eq!(code(&channel, &of_old, "GET /orders").await, 0);
    assert_eq!(code(&channel, &of_new, "GET /orders").await, 0);
    fs::write(mesh.bundle(), spiffe_bundle(&[&new], 2, 60)).unwrap();
    until(&running, loaded(3)).await;
    assert_eq!(code(&channel, &of_old, "GET /orders").await, 7);
    assert_eq!(code(&channel, &of_new, "GET /orders").await, 0);
    running.drain(PATIENCE).await;
}

#[tokio::test]
async fn a_bundle_endpoint_is_polled_while_the_server_runs() {
    let mesh = Mesh::of_today();
    let partner = Authority::root_of_today("partner");
    let published = |roots: &[&Authority], n| served::ok(&spiffe_bundle(roots, n, 1));
    let certificate = partner.leaf_and_key(served::named(served::SERVER));
    let endpoint = served::Server::start(certificate, published(&[&partner], 1)).await;
    fs::write(mesh.path("partner.pem"), partner.certificate.pem()).unwrap();
    let domain = TrustDomain::parse(served::DOMAIN).unwrap();
    let mut config = config(&mesh);
    config
        .trust_bundles
        .push((domain.clone(), mesh.path("partner.pem")));
    config.bundle_endpoints.push(endpoint.spiffe());
    mesh.write_policies(&DOCUMENTS.replace(
        "[/ns/shop/sa/checkout]",
        "[/ns/shop/sa/checkout, spiffe://partner.example/depot]",
    ));
    let running = start(&config).await.unwrap();
    let channel = channel(running.check_address()).await;
    let depot = partner.leaf(served::named("spiffe://partner.example/depot"));
    assert_eq!(code(&channel, &depot, "GET /orders").await, 0);
    let (_, figures) = page(running.admin_address(), "/metrics").await;
    let age = r#"callgate_trust_bundle_age_seconds{trust_domain="partner.example"} "#;
    assert!(figures.contains(age), "{figures}");

    // Its keys are revoked, all of them.
    endpoint.show(published(&[], 2));
    until(&running, |condition| {
        condition.bundles[&domain].succeeded == 2
    })
    .await;
    assert_eq!(code(&channel, &depot, "GET /orders").await, 7);
    let own = mesh.root.leaf(|_| {});
    assert_eq!(code(&channel, &own, "GET /orders").await, 0);
    let (status, ready) = page(running.admin_address(), "/readyz").await;
    assert_eq!(status, 200);
    assert!(
        ready.contains("`partner.example`: it has no root"),
        "{ready}"
    );
    running.drain(PATIENCE).await;
}

#[tokio::test]
async fn a_revocation_beside_broken_policies_stops_its_caller_until_it_is_lifted() {
    let mesh = Mesh::of_today();
    let running = start(&config(&mesh)).await.unwrap();
    let channel = channel(running.check_address()).await;
    let [leaf, web] = [
        root_leaf(&mesh, None),
        root_leaf(&mesh, Some("/ns/shop/sa/web")),
    ];
    assert_eq!(code(&channel, &leaf, "GET /orders").await, 0);

    let file = mesh.policies().join("revoked.yaml");
    let revoked = "kind: Revocation\nmetadata: {name: leaked-key}\nspec:\n  \
        id: /ns/shop/sa/checkout\n  reason: a test\n  revokedBy: dana@example.org\n";
    fs::write(mesh.policies().join("broken.yaml"), "kind: [\n").unwrap();
    fs::write(&file, revoked).unwrap();
    until(&running, |condition| condition.revocations.succeeded == 1).await;
    assert_eq!(code(&channel, &leaf, "GET /orders").await, 7);
    let admin = running.admin_address();

    // One that is broken keeps what it said, and is told.
    fs::write(&file, revoked.replace("reason: a test", "reason:")).unwrap();
    until(&running, |condition| condition.revocations.failed == 1).await;
    assert_eq!(code(&channel, &leaf, "GET /orders").await, 7);
    let (status, ready) = page(admin, "/readyz").await;
    assert_eq!(status, 200);
    let fault = "revocations: revoked.yaml:5:3: error[CG011]";
    assert!(ready.contains(fault), "{ready}");
    let forged = Authority::root_of_today("root").leaf(|_| {});
    assert_eq!(code(&channel, &forged, "GET /orders").await, 7);
    assert_eq!(code(&channel, &web, "GET /orders").await, 7);
    let (_, figures) = page(admin, "/metrics").await;
    for line in [
        r#"callgate_checks_total{verdict="Deny",reason="identity-revoked"} 2"#,
        r#"callgate_revocations{state="active"} 1"#,
        r#"callgate_revocations{state="lapsed"} 0"#,
        "callgate_revocation_faulty 1",
        "callgate_revocation_load_failures_total 1",
        "callgate_policy_loads_total 1",
        "callgate_policy_load_failures_total 1",
        r#"callgate_svid_failures_total{cause="no-path"} 1"#,
        r#"callgate_svid_failures_total{cause="expired"} 0"#,
        "callgate_callers 2",
        "callgate_svids_overdue 0",
        "callgate_svid_rotations_total 0",
        r#"callgate_caller_svid_remaining_seconds{caller="spiffe://example.org/ns/shop/sa/web",of="min"} 35"#,
        r#"callgate_caller_svid_remaining_seconds{caller="spiffe://example.org/ns/shop/sa/web",of="p50"} 35"#,
    ] {
        assert!(figures.contains(line), "{line} in {figures}");
    }
    fs::remove_file(&file).unwrap();
    until(&running, |condition| condition.revocations.succeeded == 2).await;
    assert_eq!(code(&channel, &leaf, "GET /orders").await, 0);
    running.drain(PATIENCE).await;
}

/// A leaf of checkout, or of another one in its trust domain.
fn root_leaf(mesh: &Mesh, path: Option<&str>) -> Certificate {
    mesh.root.leaf(|params| {
        if let Some(path) = path {
            let id = format!("spiffe://example.org{path}");
            params.subject_alt_names = vec![crate::mint::uri(&id)];
        }
    })
}

#[tokio::test]
async fn what_is_too_large_or_no_check_is_an_error_for_that_call_only() {
    let mesh = Mesh::of_today();
    let running = start(&config(&mesh)).await.unwrap();
    let channel = channel(running.check_address()).await;
    let leaf = mesh.root.leaf(|_| {});
    let mut large = ask(Some(&leaf), ORDERS, "GET /orders");
    http(&mut large)
        .headers
        .insert("h".to_owned(), "x".repeat(300_000));
    let large = check(&channel, large).await.unwrap_err();
    assert_eq!(large.code(), Code::OutOfRange, "{large}");
    let empty = check(&channel, CheckRequest::default()).await.unwrap_err();
    assert_eq!(empty.code(), Code::InvalidArgument, "{empty}");
    assert_eq!(code(&channel, &leaf, "GET /orders").await, 0);
    let (_, figures) = page(running.admin_address(), "/metrics").await;
    assert!(
        figures.contains("callgate_invalid_checks_total 1"),
        "{figures}"
    );
}

/// The bytes of a gRPC message.
fn message(check: &impl prost::Message) -> Bytes {
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(u32::try_from(check.encoded_len()).unwrap());
    check.encode(&mut message).unwrap();
    message.freeze()
}

/// One whole exchange: everything sent before it has arrived.
async fn arrived(client: &mut h2::client::SendRequest<Bytes>) {
    let request = http::Request::get("http://a/").body(()).unwrap();
    let mut ready = client.clone().ready().await.unwrap();
    let (response, _) = ready.send_request(request, true).unwrap();
    response.await.unwrap();
}

#[tokio::test]
async fn a_drain_answers_what_has_begun_and_takes_nothing_new() {
    let mesh = Mesh::of_today();
    let running = start(&config(&mesh)).await.unwrap();
    let address = socket(running.check_address());
    let admin = running.admin_address().clone();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();

    // Five Checks of which the server has only half.
    let whole = message(&ask(Some(&mesh.root.leaf(|_| {})), ORDERS, "GET /orders"));
    let half = whole.len() / 2;
    let mut begun = Vec::new();
    for _ in 0..5 {
        let request = http::Request::post("http://a/envoy.service.auth.v3.Authorization/Check")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        let (response, mut body) = client.send_request(request, false).unwrap();
        body.send_data(whole.slice(..half), false).unwrap();
        begun.push((response, body));
        client = client.ready().await.unwrap();
    }
    arrived(&mut client).await;

    let health = Arc::clone(running.health());
    let draining = tokio::spawn(running.drain(PATIENCE));
    let mut condition = health.watch();
    condition
        .wait_for(|condition| condition.draining)
        .await
        .unwrap();
    assert_eq!(
        page(&admin, "/readyz").await,
        (503, "not ready: draining\n".to_owned())
    );
    tokio::time::timeout(PATIENCE, async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the listener closes");

    for (response, mut body) in begun {
        body.send_data(whole.slice(half..), true).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        let answer = body.data().await.unwrap().unwrap();
        let answer = CheckResponse::decode(answer.slice(5..)).unwrap();
        assert_eq!(answer.status.unwrap().code, 0);
        let trailers = body.trailers().await.unwrap().unwrap();
        assert_eq!(trailers["grpc-status"], "0");
    }
    drop(client);
    connection.await.unwrap().unwrap();
    let drained = draining.await.unwrap();
    assert_eq!((drained.requests, drained.records), (true, true));
    let records = fs::read_to_string(mesh.path("decisions.jsonl")).unwrap();
    assert_eq!(records.lines().count(), 5);
}

#[tokio::test]
async fn a_drain_does_not_wait_for_ever() {
    let mesh = Mesh::of_today();
    let running = start(&config(&mesh)).await.unwrap();
    let stream = tokio::net::TcpStream::connect(socket(running.check_address()))
        .await
        .unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let _connection = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let request = http::Request::post("http://a/envoy.service.auth.v3.Authorization/Check")
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let (_response, mut body) = client.send_request(request, false).unwrap();
    body.send_data(Bytes::from_static(&[0, 0, 0, 1]), false)
        .unwrap();
    arrived(&mut client).await;
    let drained = running.drain(Duration::from_millis(200)).await;
    assert!(!drained.requests, "one was given up");
    assert!(drained.records);
}

#[tokio::test]
async fn health_watchers_are_told_and_let_go() {
    let mesh = Mesh::of_today();
    let running = start(&config(&mesh)).await.unwrap();
    let mut client = HealthClient::new(channel(running.check_address()).await);
    let mut statuses = client
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(statuses.message().await.unwrap().unwrap().status, 1);
    let draining = tokio::spawn(running.drain(PATIENCE));
    assert_eq!(statuses.message().await.unwrap().unwrap().status, 2);
    assert!(statuses.message().await.unwrap().is_none());
    drop((statuses, client));
    assert!(draining.await.unwrap().requests);
}

#[test]
fn addresses_are_read_as_they_are_shown() {
    for text in [
        "127.0.0.1:9191",
        "[::1]:0",
        "unix:/run/callgate.sock",
        "unix:relative",
    ] {
        assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "9191",
        "localhost:9191",
        "127.0.0.1",
        "unix:",
        "http://127.0.0.1:1",
    ] {
        assert!(text.parse::<Listen>().is_err(), "{text}");
    }
    for (text, local) in [
        ("127.0.0.1:1", true),
        ("127.8.0.1:1", true),
        ("[::1]:1", true),
        ("[::ffff:127.0.0.1]:1", true),
        ("unix:/a", true),
        ("0.0.0.0:1", false),
        ("[::]:1", false),
        ("10.0.0.1:1", false),
    ] {
        assert_eq!(text.parse::<Listen>().unwrap().is_local(), local, "{text}");
    }
}
