//! A bundle endpoint for tests, and what it can answer.

use std::sync::{Arc, Mutex};

use rcgen::{Certificate, CertificateParams, KeyPair, SanType};
use rustls::{ServerConfig, crypto::ring};
use rustls_pki_types::PrivateKeyDer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::BundleEndpoint;
use crate::mint::uri;

pub(crate) const DOMAIN: &str = "partner.example";
pub(crate) const SERVER: &str = "spiffe://partner.example/spire/server";

/// A bundle endpoint. It answers one request on each connection, and ends when dropped.
pub(crate) struct Server {
    port: u16,
    shown: Arc<Mutex<Shown>>,
    task: JoinHandle<()>,
}

/// What it shows, until told otherwise.
struct Shown {
    tls: Arc<ServerConfig>,
    answer: Vec<u8>,
}

impl Server {
    pub(crate) async fn start(certificate: (Certificate, KeyPair), answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tls = identity(certificate);
        let shown = Arc::new(Mutex::new(Shown { tls, answer }));
        let now = Arc::clone(&shown);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (tls, answer) = {
                    let now = now.lock().unwrap();
                    (Arc::clone(&now.tls), now.answer.clone())
                };
                // A client that does not like the certificate goes away.
                let Ok(mut stream) = TlsAcceptor::from(tls).accept(stream).await else {
                    continue;
                };
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else {
                        break;
                    };
                    request.push(byte);
                }
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { port, shown, task }
    }

    pub(crate) fn show(&self, answer: Vec<u8>) {
        self.shown.lock().unwrap().answer = answer;
    }

    pub(crate) fn be(&self, certificate: (Certificate, KeyPair)) {
        self.shown.lock().unwrap().tls = identity(certificate);
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}/bundle", self.port)
    }

    /// As an endpoint of the profile `https_spiffe` that serves its own trust domain.
    pub(crate) fn spiffe(&self) -> BundleEndpoint {
        let text = format!("{DOMAIN}=https_spiffe,{SERVER},{}", self.url());
        text.parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn identity((certificate, key): (Certificate, KeyPair)) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    Arc::new(config)
}

pub(crate) fn answer(status: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{fields}\r\n");
    [head.as_bytes(), body].concat()
}

pub(crate) fn ok(body: &str) -> Vec<u8> {
    answer(
        "200 OK",
        "content-type: application/json\r\n",
        body.as_bytes(),
    )
}

pub(crate) fn named(id: &str) -> impl Fn(&mut CertificateParams) {
    let id = uri(id);
    move |params| params.subject_alt_names = vec![id.clone()]
}

pub(crate) fn on_loopback(params: &mut CertificateParams) {
    params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
}
