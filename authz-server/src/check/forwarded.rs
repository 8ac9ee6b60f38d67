//! Calls that a forwarder passes on: for whom it says they are, and what that is worth.
//!
//! ```text
//!  x-forwarded-client-cert: …,By=FORWARDER;Hash=…;Cert="…";URI=CALLER,By=SERVICE;Hash=…
//!                             └─ what the forwarder saw ─────────────┘ └─ this hop ────┘
//! ```
//!
//! Whether anybody is believed at all is for the policies to say; this reads what is
//! said, and verifies the certificate if it is there. Whatever Envoy would not write is
//! refused: a forwarder that is not understood must not be taken for the caller.

use std::{borrow::Cow, fmt, sync::Arc};

use callgate_policy::{
    Decision, IdentityFault, SpiffeId, SpiffeIdError, Timestamp, document::Revocation,
};
use callgate_wire::xfcc::{Element, Xfcc, XfccError, without_chains};

use super::call::Call;
use crate::{
    live::Snapshot,
    metrics::Metrics,
    record::Source,
    svid::{PeerCertificate, PemError, Svid, fingerprint_of_hex},
};

/// For whom a call is passed on.
#[derive(Debug)]
pub(super) struct Original<'s> {
    /// Who it is; whether the forwarder may say so, the decision tells.
    pub(super) id: Result<SpiffeId, IdentityFault>,
    /// Whose certificate came along, if it ever verified.
    pub(super) known: Option<Arc<Svid>>,
    /// The SHA-256 of the certificate that the forwarder saw, in hex.
    pub(super) sha256: Option<String>,
    /// Of a caller who is revoked: by what.
    pub(super) revocation: Option<&'s Revocation>,
}

/// What becomes of `x-forwarded-client-cert` before the service.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ClientCert {
    Keep,
    Set(String),
    Remove,
}

/// What a forwarder says, read and not yet verified.
#[derive(Debug)]
struct Assertion {
    id: SpiffeId,
    sha256: String,
    certificate: Option<WithHints>,
}

/// A leaf, and what may help to verify it.
type WithHints = (PeerCertificate, Vec<Vec<u8>>);

/// Why what a forwarder says cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
enum AssertionError {
    /// The header is not of its grammar.
    Header(XfccError),
    /// The last element is not about this connection: this service's proxy does not
    /// append to the header, so that all of it is somebody else's.
    NotThisConnection,
    /// `By` is not the forwarder: it passes on what another proxy said.
    NotItsOwn,
    /// The element does not have this key.
    Missing(&'static str),
    /// The element has this key more than once.
    Several(&'static str),
    /// `URI` is not a SPIFFE ID.
    Id(SpiffeIdError),
    /// `Hash` is not a SHA-256 in hex.
    Hash,
    /// `Cert` or `Chain` cannot be read.
    Certificate(PemError),
    /// `Cert`, `Chain` and `Hash` are not about one certificate.
    Certificates,
}

impl<'s> Original<'s> {
    /// For whom `peer`, who is verified, passes this call on; None if nobody listens to
    /// it, or it says nothing: the call is its own.
    pub(super) fn of(
        call: &Call<'_>,
        peer: &Svid,
        snapshot: &'s Snapshot,
        metrics: &Metrics,
        now: Timestamp,
    ) -> Option<Self> {
        let set = &snapshot.policies()?.set;
        let header = call.client_cert?;
        if !set.is_forwarder(&peer.id, call.service.as_ref()?) {
            return None;
        }
        match Assertion::read(header, peer) {
            Ok(assertion) => Some(assertion?.verified(snapshot, metrics, now)),
            Err(error) => {
                tracing::debug!(%error, forwarder = %peer.id, "what a forwarder says is refused");
                Some(Self {
                    id: Err(IdentityFault::Invalid),
                    known: None,
                    sha256: None,
                    revocation: None,
                })
            }
        }
    }
}

impl<'s> Original<'s> {
    /// The same, unless it is revoked: by its certificate, or the one that the forwarder
    /// says it saw, or by any of its names. Of a certificate that does not verify nobody
    /// is told.
    fn revoked(self, snapshot: &'s Snapshot, now: Timestamp) -> Self {
        let revocation = match (&self.known, &self.id) {
            (Some(svid), _) => snapshot.revocation_of(svid, now),
            (None, Ok(id)) => {
                let sha256 = self.sha256.as_deref().and_then(fingerprint_of_hex);
                let by_certificate =
                    sha256.and_then(|sha256| snapshot.revocations().of_sha256(&sha256, now));
                by_certificate.or_else(|| snapshot.revocation_of_id(id, now))
            }
            (None, Err(_)) => None,
        };
        match revocation {
            None => self,
            Some(_) => Self {
                id: Err(IdentityFault::Revoked),
                revocation,
                ..self
            },
        }
    }

    /// What a record says of it. Whom a forwarder merely names it does not name, unless
    /// the decision took it for the caller.
    pub(super) fn source(&self, decision: &Decision<'_>) -> Source<'_> {
        if let Some(svid) = &self.known {
            return Source::Verified(&svid.noted);
        }
        let named = self.id.as_ref().ok().filter(|_| decision.recognized);
        Source::Unverified {
            id: named.map(SpiffeId::as_str),
            certificate_sha256: self.sha256.as_deref(),
        }
    }
}

impl Assertion {
    fn read(header: &str, peer: &Svid) -> Result<Option<Self>, AssertionError> {
        let header = Xfcc::parse(header).map_err(AssertionError::Header)?;
        let (Some(said), Some(own)) = (header.forwarded(), header.own()) else {
            return Ok(None);
        };
        if sha256(own)? != peer.sha256 {
            return Err(AssertionError::NotThisConnection);
        }
        if one(said, "By")? != peer.id.as_str() {
            return Err(AssertionError::NotItsOwn);
        }
        let assertion = Self {
            id: SpiffeId::parse(&one(said, "URI")?).map_err(AssertionError::Id)?,
            sha256: sha256(said)?,
            certificate: certificate(said)?,
        };
        match &assertion.certificate {
            Some((leaf, _)) if leaf.sha256() != assertion.sha256 => {
                Err(AssertionError::Certificates)
            }
            _ => Ok(Some(assertion)),
        }
    }

    /// The certificate speaks for itself, if it is there: the forwarder saw it at a
    /// handshake, which may be long ago.
    fn verified<'s>(
        self,
        snapshot: &'s Snapshot,
        metrics: &Metrics,
        now: Timestamp,
    ) -> Original<'s> {
        let Self {
            id,
            sha256,
            certificate,
        } = self;
        let verifier = snapshot.verifier();
        let verified = certificate.map(|(leaf, hints)| verifier.verify(&leaf, || hints, now));
        let (id, known) = match verified {
            None => (Ok(id), None),
            Some(Ok(svid)) if svid.id == id => (Ok(id), Some(svid)),
            Some(Ok(_)) => (Err(IdentityFault::Invalid), None),
            Some(Err(error)) => {
                tracing::debug!(%error, sha256, "a forwarded certificate is refused");
                metrics.count_svid_failure(error.cause());
                (Err(error.fault()), error.into_known())
            }
        };
        let original = Original {
            id,
            known,
            sha256: Some(sha256),
            revocation: None,
        };
        original.revoked(snapshot, now)
    }
}

/// The only value under `key`.
fn one<'e>(element: &Element<'e>, key: &'static str) -> Result<Cow<'e, str>, AssertionError> {
    optional(element, key)?.ok_or(AssertionError::Missing(key))
}

fn optional<'e>(
    element: &Element<'e>,
    key: &'static str,
) -> Result<Option<Cow<'e, str>>, AssertionError> {
    let mut values = element.values(key);
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(AssertionError::Several(key)),
    }
}

/// `Hash`, in lower case as Envoy writes it and records have it.
fn sha256(element: &Element<'_>) -> Result<String, AssertionError> {
    let hash = one(element, "Hash")?;
    match fingerprint_of_hex(&hash) {
        Some(_) => Ok(hash.into_owned()),
        None => Err(AssertionError::Hash),
    }
}

/// The leaf of `Cert` or `Chain`, which are of one certificate if both are there.
fn certificate(element: &Element<'_>) -> Result<Option<WithHints>, AssertionError> {
    let cert = optional(element, "Cert")?;
    let chain = optional(element, "Chain")?;
    let cert = cert.map(|pem| PeerCertificate::from_pem(&pem));
    let chain = chain.map(|pem| PeerCertificate::from_chain(&pem));
    let cert = cert.transpose().map_err(AssertionError::Certificate)?;
    let chain = chain.transpose().map_err(AssertionError::Certificate)?;
    match (cert, chain) {
        (Some(cert), Some((leaf, _))) if leaf != cert => Err(AssertionError::Certificates),
        (_, Some(chain)) => Ok(Some(chain)),
        (cert, None) => Ok(cert.map(|leaf| (leaf, Vec::new()))),
    }
}

impl ClientCert {
    /// What the service gets of what the server was told: what its own proxy says and,
    /// if that is `believed`, what the forwarder says; of neither the `Chain`. The filter
    /// leaves no more than the former by itself; native ext_authz leaves everything as it
    /// came.
    pub(super) fn of(header: Option<&str>, believed: bool) -> Self {
        let Some(text) = header else {
            return Self::Keep;
        };
        let Ok(header) = Xfcc::parse(text) else {
            return Self::Remove;
        };
        let said = header.forwarded().filter(|_| believed);
        let left = without_chains(said.into_iter().chain(header.own()));
        let several = header.forwarded().is_some();
        match left {
            // Of several, the filter has taken all but the last away.
            Some(left) if several || left != text => Self::Set(left),
            None if several => Self::Remove,
            // As it should be, or nothing but a `Chain`: that is how the filter sends one.
            _ => Self::Keep,
        }
    }
}

impl fmt::Display for AssertionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(error) => error.fmt(f),
            Self::NotThisConnection => f.write_str("the last element is of another connection"),
            Self::NotItsOwn => f.write_str("`By` is not the forwarder"),
            Self::Missing(key) => write!(f, "no `{key}`"),
            Self::Several(key) => write!(f, "more than one `{key}`"),
            Self::Id(error) => write!(f, "`URI`: {error}"),
            Self::Hash => f.write_str("`Hash` is not a SHA-256"),
            Self::Certificate(error) => write!(f, "the certificate is {error}"),
            Self::Certificates => f.write_str("`Cert`, `Chain` and `Hash` are not of one"),
        }
    }
}

impl std::error::Error for AssertionError {}

#[cfg(test)]
mod tests;
