//! The caller's side of mutual TLS.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use rustls::{
    ClientConfig, HandshakeKind, SignatureScheme,
    client::{
        ResolvesClientCert, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring::default_provider, ring::sign::any_supported_type},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Connection, Http};
use crate::pki::Identity;

/// A handshake on one machine takes milliseconds.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// A TLS connection to the gate.
pub type Tls = TlsStream<TcpStream>;

/// Which TLS a caller speaks; it offers no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    V12,
    /// RFC 8446.
    V13,
}

/// Somebody who calls. Two connections of one caller may share a TLS session.
#[derive(Clone, Debug)]
pub struct Caller {
    config: Arc<ClientConfig>,
}

impl Caller {
    /// With TLS 1.3, and no certificate when `identity` is `None`.
    ///
    /// # Errors
    /// When the key is not one that TLS can use.
    pub fn new(identity: Option<&Identity>) -> Result<Self> {
        Self::speaking(TlsVersion::V13, identity)
    }

    /// The same, with that version of TLS.
    ///
    /// # Errors
    /// When the key is not one that TLS can use.
    pub fn speaking(version: TlsVersion, identity: Option<&Identity>) -> Result<Self> {
        let provider = Arc::new(default_provider());
        let versions = match version {
            TlsVersion::V12 => [&rustls::version::TLS12],
            TlsVersion::V13 => [&rustls::version::TLS13],
        };
        let shown = identity.map(certified_key).transpose()?;
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
            .with_client_cert_resolver(Arc::new(Shown(shown)));
        config.resumption = Resumption::in_memory_sessions(8);
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// Opens a connection and completes the handshake.
    ///
    /// With TLS 1.3 a refused certificate shows only when something is read.
    ///
    /// # Errors
    /// When the gate refuses it.
    pub async fn handshake(&self, address: SocketAddr, http: Http) -> Result<Tls> {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = vec![http.alpn().to_vec()];
        let connect = async {
            let tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            let name = ServerName::try_from("callee.test")?;
            Ok::<_, anyhow::Error>(
                TlsConnector::from(Arc::new(config))
                    .connect(name, tcp)
                    .await?,
            )
        };
        timeout(HANDSHAKE_LIMIT, connect)
            .await
            .context("the handshake took too long")?
    }

    /// Opens a connection for calls.
    ///
    /// # Errors
    /// When the gate refuses it.
    pub async fn connect(&self, address: SocketAddr, http: Http) -> Result<Connection> {
        let tls = self.handshake(address, http).await?;
        let resumed = tls.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        Connection::over(tls, http, resumed).await
    }
}

fn certified_key(identity: &Identity) -> Result<Arc<CertifiedKey>> {
    let key = any_supported_type(&identity.key)?;
    Ok(Arc::new(CertifiedKey::new(identity.chain.clone(), key)))
}

/// Shows the one certificate, whichever authorities the server says it wants: a
/// defective one is to reach it too.
#[derive(Debug)]
struct Shown(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

/// Takes any server: these callers test the gate, not themselves.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
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
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
