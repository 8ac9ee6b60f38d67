//! Who may serve a bundle: the TLS side of the two profiles.

use std::{fmt, sync::Arc};

use callgate_policy::SpiffeId;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore,
    SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::address::Profile;
use crate::{
    clock,
    live::Live,
    svid::{PeerCertificate, SvidError},
};

/// Why endpoints could never be verified.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// The profile `https_web` needs CA certificates, and the system has none that can be
    /// used; the first reason why not, if there is one.
    NoRoots(Option<rustls_native_certs::Error>),
    /// The crypto provider has no cipher suite of TLS 1.2 or 1.3.
    Provider(Error),
}

/// Verifies a server as one workload of SPIFFE, by the bundles that are current then.
#[derive(Debug)]
struct Workload {
    id: SpiffeId,
    live: Arc<Live>,
    provider: Arc<CryptoProvider>,
}

/// A server that verifies, but as somebody else.
#[derive(Debug)]
struct AnotherWorkload {
    expected: SpiffeId,
    found: SpiffeId,
}

/// How connections to endpoints of `profile` are made. Those of the profile `https_spiffe`
/// are verified by the bundles that are in `live` at that time, the others by the CAs
/// that `roots` finds.
///
/// # Errors
/// If it finds none, though there is need.
pub(super) fn config(
    profile: &Profile,
    live: &Arc<Live>,
    roots: impl FnOnce() -> Result<RootCertStore, TlsError>,
) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Provider)?;
    let builder = match profile {
        Profile::HttpsWeb => builder.with_root_certificates(roots()?),
        Profile::HttpsSpiffe(id) => {
            let verifier = Workload {
                id: id.clone(),
                live: Arc::clone(live),
                provider,
            };
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed session shows no certificate, and an endpoint is asked seldom.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Those that the system trusts, or the ones that `SSL_CERT_FILE` and `SSL_CERT_DIR`
/// name.
///
/// # Errors
/// If there is none that can be used.
pub(super) fn roots_of_the_system() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        let error = found.errors.into_iter().next();
        return Err(TlsError::NoRoots(error));
    }
    Ok(roots)
}

impl ServerCertVerifier for Workload {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let leaf = PeerCertificate::from_der(end_entity.to_vec());
        let chain: Vec<Vec<u8>> = intermediates.iter().map(|der| der.to_vec()).collect();
        let snapshot = self.live.current();
        let svid = snapshot
            .verifier()
            .verify_server(&leaf, &chain, clock::now())
            .map_err(refusal)?;
        if svid.id == self.id {
            return Ok(ServerCertVerified::assertion());
        }
        let other = AnotherWorkload {
            expected: self.id.clone(),
            found: svid.id.clone(),
        };
        Err(Error::InvalidCertificate(CertificateError::Other(
            OtherError(Arc::new(other)),
        )))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

fn refusal(error: SvidError) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
}

impl fmt::Display for AnotherWorkload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected, found } = self;
        write!(f, "the endpoint is `{found}`, not `{expected}`")
    }
}

impl std::error::Error for AnotherWorkload {}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoots(error) => {
                f.write_str("`https_web` needs CA certificates, and the system has none; ")?;
                f.write_str("`SSL_CERT_FILE` names others")?;
                error.iter().try_for_each(|error| write!(f, ": {error}"))
            }
            Self::Provider(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TlsError {}
