//! Which proxies may ask, and about what.
//!
//! A proxy may ask about its own service, a gateway about those that the `MeshPolicy`
//! lists it for: one that was stolen could otherwise try out the whole policy, and fill
//! the log with calls that never were.

use std::{fmt, sync::Arc};

use callgate_policy::{CallerPattern, SpiffeId, Timestamp};
use rustls_pki_types::CertificateDer;
use tokio::sync::Notify;

use crate::{
    live::Snapshot,
    svid::{MAX_HINTS, PeerCertificate, Svid, SvidError},
};

/// Who may finish a handshake.
#[derive(Clone, Debug)]
pub struct Admission(Arc<[CallerPattern]>);

/// Who sends a Check.
#[derive(Clone, Copy, Debug)]
pub enum Asker<'p> {
    /// Somebody on a connection without TLS, where only this machine, or a network
    /// that is trusted as a whole, can connect.
    Unnamed,
    /// A proxy that showed a certificate in the handshake.
    Proxy(&'p Proxy),
}

/// A proxy at the other end of a connection. Its certificate was good in the
/// handshake; whether it still is, is asked at every Check.
#[derive(Debug)]
pub struct Proxy {
    leaf: PeerCertificate,
    hints: Vec<Vec<u8>>,
    /// Tells the connection that it is of no more use.
    dismissed: Notify,
}

/// Why a proxy gets no answer. Not a decision: the call is not even looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyFault {
    /// Its certificate identifies nobody, or nobody any more.
    Identity(SvidError),
    /// It is revoked.
    Revoked {
        /// The proxy.
        proxy: SpiffeId,
        /// The revocation.
        revocation: String,
    },
    /// No `--proxy-id` covers it.
    NotAdmitted(SpiffeId),
    /// It asked about a service that is neither its own nor listed for it.
    NotItsService {
        /// The proxy.
        proxy: SpiffeId,
        /// What it asked about.
        destination: String,
    },
}

impl Admission {
    /// Admits the identities that one of `patterns` covers.
    #[must_use]
    pub fn new(patterns: impl IntoIterator<Item = CallerPattern>) -> Self {
        Self(patterns.into_iter().collect())
    }

    /// Whether nobody is admitted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The proxy that shows `chain`, leaf first, in a handshake at `now`.
    ///
    /// # Errors
    /// If it identifies nobody, or nobody who is admitted.
    pub(super) fn admit(
        &self,
        chain: &[CertificateDer<'_>],
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<(Proxy, Arc<Svid>), ProxyFault> {
        let proxy = Proxy::new(chain);
        let svid = proxy.verify(snapshot, now)?;
        if self.0.iter().any(|pattern| pattern.matches(&svid.id)) {
            Ok((proxy, svid))
        } else {
            Err(ProxyFault::NotAdmitted(svid.id.clone()))
        }
    }
}

impl Proxy {
    /// Who shows `chain`, leaf first. An empty one identifies nobody.
    pub(crate) fn new(chain: &[CertificateDer<'_>]) -> Self {
        let (leaf, hints) = match chain.split_first() {
            Some((leaf, hints)) => (leaf.to_vec(), hints),
            None => (Vec::new(), chain),
        };
        let hints = hints.iter().take(MAX_HINTS);
        Self {
            leaf: PeerCertificate::from_der(leaf),
            hints: hints.map(|der| der.to_vec()).collect(),
            dismissed: Notify::new(),
        }
    }

    /// Whom its certificate identifies at `now`.
    ///
    /// # Errors
    /// If it identifies nobody.
    pub(crate) fn verify(
        &self,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<Arc<Svid>, ProxyFault> {
        let svid = snapshot
            .verifier()
            .verify(&self.leaf, || self.hints.clone(), now)
            .map_err(ProxyFault::Identity)?;
        match snapshot.revocation_of(&svid, now) {
            None => Ok(svid),
            Some(revocation) => Err(ProxyFault::Revoked {
                proxy: svid.id.clone(),
                revocation: revocation.name.clone(),
            }),
        }
    }

    /// Ends its connection once what is under way is answered, so that it comes back
    /// with the certificate that it has by now.
    pub(crate) fn dismiss(&self) {
        self.dismissed.notify_one();
    }

    /// Returns once it was dismissed.
    pub(crate) async fn dismissed(&self) {
        self.dismissed.notified().await;
    }
}

impl ProxyFault {
    /// One word for it, for figures.
    #[must_use]
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Identity(error) => match error {
                SvidError::Invalid(_) => "identity-invalid",
                SvidError::UnknownTrustDomain | SvidError::NoPath => "identity-untrusted",
                SvidError::Expired(_) => "identity-expired",
            },
            Self::Revoked { .. } => "identity-revoked",
            Self::NotAdmitted(_) => "not-admitted",
            Self::NotItsService { .. } => "not-its-service",
        }
    }

    /// Every word that [`Self::cause`] has.
    pub(crate) const CAUSES: [&'static str; 6] = [
        "identity-invalid",
        "identity-untrusted",
        "identity-expired",
        "identity-revoked",
        "not-admitted",
        "not-its-service",
    ];
}

/// For the log. A proxy is told the cause and no more.
impl fmt::Display for ProxyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(error) => write!(f, "the proxy's certificate: {error}"),
            Self::Revoked { proxy, revocation } => {
                write!(f, "`{proxy}` is revoked by `{revocation}`")
            }
            Self::NotAdmitted(id) => write!(f, "no `--proxy-id` covers `{id}`"),
            Self::NotItsService { proxy, destination } => {
                let destination = destination.escape_debug();
                write!(f, "`{proxy}` may not ask about `{destination}`")
            }
        }
    }
}

impl std::error::Error for ProxyFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Identity(error) => Some(error),
            _ => None,
        }
    }
}
