//! The Check port over mutual TLS: who gets in, what they may ask, and what happens
//! when certificates change.

use std::sync::atomic::{AtomicBool, AtomicUsize};

use callgate_policy::CallerPattern;
use callgate_wire::callgate::v1::{Announcement, WatchRequest};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;

use super::*;
use crate::{
    fixture::SHADOWED,
    mint::{Authority, uri},
};

const SERVER: &str = "spiffe://example.org/ns/callgate/sa/server";
const OUTSIDER: &str = "spiffe://example.org/ns/batch/sa/job";

/// A server with an identity of its own; proxies of the shop may ask.
fn mutual(mesh: &Mesh) -> Config {
    write_svid(mesh);
    Config {
        identity: Some(IdentitySource::Files {
            chain: mesh.path("svid.pem"),
            key: mesh.path("svid.key"),
        }),
        proxy_ids: vec![pattern("spiffe://example.org/ns/shop/**")],
        ..config(mesh)
    }
}

fn pattern(text: &str) -> CallerPattern {
    CallerPattern::parse(text, None).unwrap()
}

/// A new SVID of the server's, in the place of the last.
fn write_svid(mesh: &Mesh) -> Vec<u8> {
    let (certificate, key) = mesh
        .root
        .leaf_and_key(|params| params.subject_alt_names = vec![uri(SERVER)]);
    fs::write(mesh.path("svid.key"), key.serialize_pem()).unwrap();
    fs::write(mesh.path("svid.pem"), certificate.pem()).unwrap();
    certificate.der().to_vec()
}

/// What a proxy shows: the chain and its key.
type Shown = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn shown(root: &Authority, id: &str, edit: impl FnOnce(&mut CertificateParams)) -> Shown {
    let (certificate, key) = root.leaf_and_key(|params| {
        params.subject_alt_names = vec![uri(id)];
        edit(params);
    });
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    (vec![certificate.der().clone()], key)
}

/// Takes the server's certificate as it is, and remembers it.
#[derive(Debug)]
struct Curious;

impl ServerCertVerifier for Curious {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// A connection as a proxy makes it.
struct Client {
    requests: h2::client::SendRequest<Bytes>,
    connection: tokio::task::JoinHandle<Result<(), h2::Error>>,
    /// The leaf that the server showed.
    server: Vec<u8>,
}

impl Client {
    /// # Errors
    /// If the handshake fails, on either side: with TLS 1.3 a refusal shows at the
    /// first bytes after it.
    async fn connect(running: &Running, shown: Option<Shown>) -> Result<Self, String> {
        Self::speaking(running, shown, &rustls::version::TLS13).await
    }

    async fn speaking(
        running: &Running,
        shown: Option<Shown>,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> Result<Self, String> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Curious));
        let mut config = match shown {
            Some((chain, key)) => config.with_client_auth_cert(chain, key).unwrap(),
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tcp = tokio::net::TcpStream::connect(socket(running.check_address()))
            .await
            .unwrap();
        let name = ServerName::try_from("callgate.test").unwrap();
        let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp);
        let tls = tls.await.map_err(|error| error.to_string())?;
        let chain = tls.get_ref().1.peer_certificates().unwrap();
        let server = chain[0].to_vec();
        let (requests, connection) = h2::client::handshake(tls)
            .await
            .map_err(|error| error.to_string())?;
        let mut client = Self {
            requests,
            connection: tokio::spawn(connection),
            server,
        };
        // The server's settings come only once it has admitted us.
        let probe = http::Request::get("https://a/").body(()).unwrap();
        client.send(probe, None).await?;
        Ok(client)
    }

    async fn send(
        &mut self,
        request: http::Request<()>,
        body: Option<Bytes>,
    ) -> Result<(http::HeaderMap, Option<Bytes>), String> {
        let text = |error: h2::Error| error.to_string();
        let mut ready = self.requests.clone().ready().await.map_err(text)?;
        let (response, mut sending) = ready.send_request(request, body.is_none()).map_err(text)?;
        if let Some(body) = body {
            sending.send_data(body, true).map_err(text)?;
        }
        let (head, mut body) = response.await.map_err(text)?.into_parts();
        let message = match body.data().await {
            Some(message) => Some(message.map_err(text)?),
            None => None,
        };
        let trailers = body.trailers().await.map_err(text)?;
        Ok((trailers.unwrap_or(head.headers), message))
    }

    /// The gRPC status, and the code in the answer if there is one.
    async fn check(&mut self, request: &CheckRequest) -> Result<(Code, Option<i32>), String> {
        let head = http::Request::post("https://a/envoy.service.auth.v3.Authorization/Check")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        let (trailers, answer) = self.send(head, Some(message(request))).await?;
        let code = Code::from_bytes(trailers["grpc-status"].as_bytes());
        let answer = answer.map(|bytes| CheckResponse::decode(bytes.slice(5..)).unwrap());
        Ok((code, answer.map(|answer| answer.status.unwrap().code)))
    }

    /// Calls a method of the Gate; what it sends is read one by one.
    async fn gate(&mut self, method: &str, request: &impl prost::Message) -> Answers {
        let head = http::Request::post(format!("https://a/callgate.v1.Gate/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        let mut ready = self.requests.clone().ready().await.unwrap();
        let (response, mut sending) = ready.send_request(head, false).unwrap();
        sending.send_data(message(request), true).unwrap();
        Answers(response.await.unwrap())
    }

    /// Returns once the server has ended the connection, in good order.
    async fn ended(self) {
        drop(self.requests);
        let ended = tokio::time::timeout(PATIENCE, self.connection).await;
        ended.expect("in time").unwrap().unwrap();
    }
}

/// What comes back, message by message.
struct Answers(http::Response<h2::RecvStream>);

impl Answers {
    /// The next message, or the status at the end. No message here is longer than a frame.
    async fn next(&mut self) -> Result<Bytes, Code> {
        let code = |headers: &http::HeaderMap| {
            let status = headers.get("grpc-status");
            status.map(|status| Code::from_bytes(status.as_bytes()))
        };
        if let Some(code) = code(self.0.headers()) {
            return Err(code);
        }
        let body = self.0.body_mut();
        let next = async {
            while let Some(bytes) = body.data().await {
                let bytes = bytes.unwrap();
                body.flow_control().release_capacity(bytes.len()).unwrap();
                if !bytes.is_empty() {
                    return Ok(bytes.slice(5..));
                }
            }
            let trailers = body.trailers().await.unwrap().unwrap();
            Err(code(&trailers).unwrap())
        };
        tokio::time::timeout(PATIENCE, next).await.expect("in time")
    }

    /// The status at the end.
    async fn end(mut self) -> Code {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }
}

fn watching(service: &str) -> WatchRequest {
    WatchRequest {
        service: service.to_owned(),
    }
}

#[tokio::test]
async fn a_proxy_watches_its_own_service_until_it_is_revoked() {
    let mesh = Mesh::of_today();
    let running = start(&mutual(&mesh)).await.unwrap();
    let proxy = shown(&mesh.root, ORDERS, |_| {});
    let mut proxy = Client::connect(&running, Some(proxy)).await.unwrap();
    let mut other = proxy.gate("Watch", &watching(SHADOWED)).await;
    assert_eq!(other.next().await, Err(Code::PermissionDenied));
    let mut own = proxy.gate("Watch", &watching(ORDERS)).await;
    let first = Announcement::decode(own.next().await.unwrap()).unwrap();
    assert_eq!(first.revision.len(), 32);

    let mut elsewhere = super::records::batch(1, 1);
    elsewhere.service = SHADOWED.to_owned();
    let mut refused = proxy.gate("Record", &elsewhere).await;
    assert_eq!(refused.next().await, Err(Code::PermissionDenied));
    let mut recorded = proxy.gate("Record", &super::records::batch(1, 1)).await;
    assert_eq!(recorded.next().await.map(|bytes| bytes.len()), Ok(0));
    assert_eq!(recorded.end().await, Code::Ok);

    fs::write(
        mesh.policies().join("revoked.yaml"),
        format!(
            "kind: Revocation\nmetadata: {{name: stolen}}\nspec:\n  id: {ORDERS}\n  \
             reason: a test\n  revokedBy: dana@example.org\n"
        ),
    )
    .unwrap();
    assert_eq!(own.end().await, Code::Unauthenticated);
    proxy.ended().await;
    assert!(running.drain(PATIENCE).await.records);
    let records = fs::read_to_string(mesh.path("decisions.jsonl")).unwrap();
    assert_eq!(records.lines().count(), 1);
    let own = format!(r#""proxy":"{ORDERS}""#);
    assert!(records.contains(&own), "{records}");
}

#[tokio::test]
async fn a_stream_ends_with_its_connection_well_before_the_certificate() {
    let mesh = Mesh::of_today();
    let running = start(&mutual(&mesh)).await.unwrap();
    let until = time::OffsetDateTime::now_utc() + time::Duration::SECOND * 6;
    let proxy = shown(&mesh.root, ORDERS, |params| params.not_after = until);
    let mut proxy = Client::connect(&running, Some(proxy)).await.unwrap();
    let own = proxy.gate("Watch", &watching(ORDERS)).await;
    assert_eq!(own.end().await, Code::Unavailable, "come back with another");
    proxy.ended().await;
    assert!(time::OffsetDateTime::now_utc() < until);
    assert!(running.drain(PATIENCE).await.requests);
}

#[tokio::test]
async fn a_proxy_asks_about_its_own_service() {
    let mesh = Mesh::of_today();
    let running = start(&mutual(&mesh)).await.unwrap();
    let leaf = mesh.root.leaf(|_| {});
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let proxy = shown(&mesh.root, ORDERS, |_| {});
        let mut proxy = Client::speaking(&running, Some(proxy), version)
            .await
            .unwrap();
        let own = ask(Some(&leaf), ORDERS, "GET /orders");
        assert_eq!(proxy.check(&own).await, Ok((Code::Ok, Some(0))));
        let other = ask(Some(&leaf), SHADOWED, "GET /orders");
        assert_eq!(
            proxy.check(&other).await,
            Ok((Code::PermissionDenied, None))
        );
        assert_eq!(
            proxy.check(&own).await,
            Ok((Code::Ok, Some(0))),
            "and the connection goes on"
        );
    }
    let (_, figures) = page(running.admin_address(), "/metrics").await;
    for line in [
        r#"callgate_refused_proxies_total{cause="not-its-service"} 2"#,
        r#"callgate_refused_proxies_total{cause="not-admitted"} 0"#,
        "callgate_identity_renewals_total 1",
    ] {
        assert!(figures.contains(line), "{line} in {figures}");
    }
    let line = figures
        .lines()
        .find_map(|line| line.strip_prefix("callgate_identity_remaining_seconds "));
    let remaining: i64 = line.unwrap().parse().unwrap();
    assert!((3_500..=3_600).contains(&remaining), "{remaining}");
    assert!(running.drain(PATIENCE).await.records);
    let records = fs::read_to_string(mesh.path("decisions.jsonl")).unwrap();
    assert_eq!(records.lines().count(), 4);
    assert!(
        records
            .lines()
            .all(|line| line.contains(&format!(r#""proxy":"{ORDERS}""#))),
        "{records}"
    );
}

#[tokio::test]
async fn who_proves_nothing_gets_no_word_in() {
    let mesh = Mesh::of_today();
    let running = start(&mutual(&mesh)).await.unwrap();
    let other = Authority::root_of_today("root");
    let cases = [
        ("nobody", None, ""),
        (
            "another authority's",
            Some(shown(&other, ORDERS, |_| {})),
            "identity-untrusted",
        ),
        (
            "another trust domain's",
            Some(shown(&mesh.root, "spiffe://partner.example/a", |_| {})),
            "identity-untrusted",
        ),
        (
            "no longer valid",
            Some(shown(&mesh.root, ORDERS, |params| {
                params.not_after = time::OffsetDateTime::now_utc() - time::Duration::SECOND * 2;
            })),
            "identity-expired",
        ),
        (
            "for servers only",
            Some(shown(&mesh.root, ORDERS, |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            })),
            "identity-invalid",
        ),
        (
            "not a proxy",
            Some(shown(&mesh.root, OUTSIDER, |_| {})),
            "not-admitted",
        ),
    ];
    for (name, shown, cause) in cases {
        let refused = Client::connect(&running, shown).await.map(|_| ());
        assert!(refused.is_err(), "{name}");
        if !cause.is_empty() {
            let (_, figures) = page(running.admin_address(), "/metrics").await;
            let line = format!(r#"callgate_refused_proxies_total{{cause="{cause}"}}"#);
            let zero = format!("{line} 0\n");
            assert!(
                figures.contains(&line) && !figures.contains(&zero),
                "{name}: {figures}"
            );
        }
    }
    // Without TLS nobody understands anybody.
    let address = socket(running.check_address());
    let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    let (requests, connection) = h2::client::handshake(tcp).await.unwrap();
    assert!(connection.await.is_err());
    drop(requests);
    assert!(running.drain(PATIENCE).await.requests);
}

#[tokio::test]
async fn a_connection_ends_before_its_certificate_does() {
    let mesh = Mesh::of_today();
    let running = start(&mutual(&mesh)).await.unwrap();
    let until = time::OffsetDateTime::now_utc() + time::Duration::SECOND * 6;
    let proxy = shown(&mesh.root, ORDERS, |params| params.not_after = until);
    let mut proxy = Client::connect(&running, Some(proxy)).await.unwrap();
    let own = ask(Some(&mesh.root.leaf(|_| {})), ORDERS, "GET /orders");
    assert_eq!(proxy.check(&own).await, Ok((Code::Ok, Some(0))));
    proxy.ended().await;
    assert!(
        time::OffsetDateTime::now_utc() < until,
        "in time to come back with another"
    );
    assert!(running.drain(PATIENCE).await.requests);
}

#[tokio::test]
async fn a_proxy_whose_authority_is_gone_is_refused_on_its_open_connection() {
    let mesh = Mesh::of_today();
    let running = start(&mutual(&mesh)).await.unwrap();
    let proxy = shown(&mesh.root, ORDERS, |_| {});
    let mut proxy = Client::connect(&running, Some(proxy)).await.unwrap();
    let own = ask(Some(&mesh.root.leaf(|_| {})), ORDERS, "GET /orders");
    assert_eq!(proxy.check(&own).await, Ok((Code::Ok, Some(0))));

    let other = Authority::root_of_today("other");
    fs::write(mesh.bundle(), other.certificate.pem()).unwrap();
    until(&running, |condition| {
        condition.bundles[&trust_domain()].succeeded == 2
    })
    .await;
    assert_eq!(proxy.check(&own).await, Ok((Code::Unauthenticated, None)));
    proxy.ended().await;
    let records = {
        assert!(running.drain(PATIENCE).await.records);
        fs::read_to_string(mesh.path("decisions.jsonl")).unwrap()
    };
    assert_eq!(records.lines().count(), 1, "no answer, no record");
}

#[tokio::test]
async fn a_certificate_is_renewed_under_load_without_a_failure() {
    const RENEWALS: u64 = 12;
    let mesh = Mesh::of_today();
    let running = Arc::new(start(&mutual(&mesh)).await.unwrap());
    let own = ask(Some(&mesh.root.leaf(|_| {})), ORDERS, "GET /orders");
    let proxy = shown(&mesh.root, ORDERS, |_| {});
    let done = Arc::new(AtomicBool::new(false));
    let answers = Arc::new(AtomicUsize::new(0));
    let mut callers = tokio::task::JoinSet::new();
    for stays in [true, false] {
        let (running, own) = (Arc::clone(&running), own.clone());
        let (done, answers) = (Arc::clone(&done), Arc::clone(&answers));
        let (chain, key) = (proxy.0.clone(), proxy.1.clone_key());
        callers.spawn(async move {
            let show = || Some((chain.clone(), key.clone_key()));
            let mut client = Client::connect(&running, show()).await.unwrap();
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                if !stays {
                    client = Client::connect(&running, show()).await.unwrap();
                }
                assert_eq!(client.check(&own).await, Ok((Code::Ok, Some(0))));
                answers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        });
    }
    for renewal in 2..=RENEWALS {
        let leaf = write_svid(&mesh);
        until(&running, |condition| {
            condition.identity.as_ref().unwrap().loads.succeeded == renewal
        })
        .await;
        let fresh = Client::connect(&running, Some((proxy.0.clone(), proxy.1.clone_key())));
        assert_eq!(
            fresh.await.unwrap().server,
            leaf,
            "the next handshake shows it"
        );
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    assert!(answers.load(std::sync::atomic::Ordering::Relaxed) > 50);
}

#[tokio::test]
async fn an_identity_is_for_others_and_needs_to_know_them() {
    let mesh = Mesh::of_today();
    let whole = mutual(&mesh);
    let open = Config {
        listen: Listen::Tcp("0.0.0.0:0".parse().unwrap()),
        ..whole.clone()
    };
    let running = start(&open).await.expect("TLS is what a public port needs");
    assert!(running.drain(PATIENCE).await.requests);
    let cases = [
        (
            "no proxies",
            Config {
                proxy_ids: vec![],
                ..whole.clone()
            },
            "no `--proxy-id`",
        ),
        (
            "no identity",
            Config {
                identity: None,
                ..whole.clone()
            },
            "`--proxy-id` without",
        ),
        (
            "no certificate",
            Config {
                identity: Some(IdentitySource::Files {
                    chain: mesh.bundle(),
                    key: mesh.path("svid.key"),
                }),
                ..whole
            },
            "not an X.509-SVID",
        ),
    ];
    for (name, config, expected) in cases {
        let error = start(&config).await.map(|_| ()).expect_err(name);
        assert!(error.to_string().contains(expected), "{name}: {error}");
    }
}
