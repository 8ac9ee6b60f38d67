//! The TLS side of the Check port: what is shown, and who is let in.

use std::{fmt, sync::Arc};

use callgate_policy::Timestamp;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature},
    server::{
        NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::{Admission, OwnIdentity, ProxyFault, RefusedProxies};
use crate::{live::Live, svid::SvidError};

/// Certificates are verified as callers' are: by the bundle of the trust domain in
/// the leaf's own SPIFFE ID, as it is at that moment.
struct ProxyVerifier {
    live: Arc<Live>,
    admission: Admission,
    refused: Arc<RefusedProxies>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// TLS for the Check port. Who connects must prove an identity that `admission` has.
///
/// # Errors
/// If the protocol versions and the algorithms do not fit, which is a mistake here.
pub fn server_config(
    identity: Arc<OwnIdentity>,
    live: Arc<Live>,
    admission: Admission,
    refused: Arc<RefusedProxies>,
) -> Result<ServerConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = ProxyVerifier {
        live,
        admission,
        refused,
        algorithms: provider.signature_verification_algorithms,
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(identity);
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A proxy keeps its connections, so resuming one saves nothing; without it, each
    // begins with a proof that the peer has the key, and a look at its certificate.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

impl ClientCertVerifier for ProxyVerifier {
    /// Names of roots would only tell strangers whom this server believes.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let mut chain = Vec::with_capacity(1 + intermediates.len());
        chain.push(end_entity.clone());
        chain.extend_from_slice(intermediates);
        let now = Timestamp::from_secs(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        match self.admission.admit(&chain, &self.live.current(), now) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(fault) => {
                self.refused.note(&fault);
                Err(alert(&fault))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The alert that the other side is told, so that its log names the cause as well.
fn alert(fault: &ProxyFault) -> Error {
    use rustls::CertificateError as Cause;
    Error::InvalidCertificate(match fault {
        ProxyFault::Identity(SvidError::Expired(_)) => Cause::Expired,
        ProxyFault::Identity(SvidError::UnknownTrustDomain | SvidError::NoPath) => {
            Cause::UnknownIssuer
        }
        ProxyFault::Identity(SvidError::Invalid(_)) => Cause::BadEncoding,
        ProxyFault::Revoked { .. } => Cause::Revoked,
        ProxyFault::NotAdmitted(_) | ProxyFault::NotItsService { .. } => {
            Cause::ApplicationVerificationFailure
        }
    })
}

impl fmt::Debug for ProxyVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyVerifier")
            .field("admission", &self.admission)
            .finish_non_exhaustive()
    }
}
