//! The bundle endpoint, by the profile `https_spiffe`.

use std::sync::Arc;

use crate::stage::{DOMAIN, Stage, start};
use bytes::Bytes;
use callgate_issuer::Bundle;
use callgate_policy::TrustDomain;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring::default_provider,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Believes the SVIDs of one bundle.
#[derive(Debug)]
struct Believes {
    bundle: Arc<Bundle>,
    id: String,
}

impl ServerCertVerifier for Believes {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let roots = self.bundle.roots().iter();
        let anchors: Vec<_> = roots
            .map(|root| webpki::anchor_from_trusted_cert(root).unwrap())
            .collect();
        let parsed = webpki::EndEntityCert::try_from(leaf).unwrap();
        let usage = webpki::KeyUsage::server_auth();
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        let verified = parsed.verify_for_usage(algorithms, &anchors, above, now, usage, None, None);
        verified.map_err(|error| Error::General(error.to_string()))?;
        assert!(parsed.valid_uri_names().any(|id| id == self.id));
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, leaf, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, leaf, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

async fn get(stage: &Stage, path: &str, method: &str) -> (StatusCode, Bytes) {
    let (_, address, id) = stage.issuer.endpoints().next().unwrap();
    let bundle = stage.issuer.bundle(DOMAIN).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Believes { bundle, id }))
        .with_no_client_auth();
    let tcp = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::from(address.ip());
    let tls = connector.connect(name, tcp).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status();
    (
        status,
        response.into_body().collect().await.unwrap().to_bytes(),
    )
}

async fn serving() -> Stage {
    start(|config| config.domains[0].endpoint = "127.0.0.1:0".parse().ok()).await
}

#[tokio::test]
async fn it_serves_the_bundle_of_its_domain_and_what_becomes_of_it() {
    let stage = serving().await;
    for roots in 1..=3 {
        let (status, body) = get(&stage, "/", "GET").await;
        assert_eq!(status, StatusCode::OK);
        let domain = TrustDomain::parse(DOMAIN).unwrap();
        let bundle = Bundle::parse(domain, &body).unwrap();
        assert_eq!(bundle.roots().len(), roots);
        let file = std::fs::read(stage.issuer.bundle_json(DOMAIN)).unwrap();
        assert_eq!(file, body);
        stage.issuer.rotate_root(DOMAIN).unwrap();
    }
}

#[tokio::test]
async fn anything_else_is_not_there() {
    let stage = serving().await;
    assert_eq!(get(&stage, "/x", "GET").await.0, StatusCode::NOT_FOUND);
    let (status, _) = get(&stage, "/", "POST").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn it_does_not_listen_for_other_machines() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = crate::stage::config(directory.path());
    config.domains[0].endpoint = "0.0.0.0:0".parse().ok();
    let refused = callgate_issuer::Issuer::start(config).await.unwrap_err();
    assert!(refused.to_string().contains("loopback"), "{refused}");
}
