//! The peer of the connection: who calls, unless it passes the call on for others.

use std::sync::Arc;

use callgate_policy::{IdentityFault, Timestamp, document::Revocation};
use callgate_wire::xfcc::Xfcc;

use super::call::Call;
use crate::{
    live::Snapshot,
    metrics::{Metrics, NOT_PEM},
    record::Source,
    svid::{self, PeerCertificate, Svid},
};

/// Who makes the connection, by its certificate.
pub(super) struct Peer<'s> {
    pub(super) svid: Result<Arc<Svid>, IdentityFault>,
    /// Whose certificate it is, if it ever verified.
    known: Option<Arc<Svid>>,
    /// Of a certificate that did not.
    unknown_sha256: Option<String>,
    /// Of a caller who is revoked: by what.
    pub(super) revocation: Option<&'s Revocation>,
}

impl<'s> Peer<'s> {
    /// Verifies the certificate of `call`, and looks whether it is revoked.
    pub(super) fn of(
        call: &Call<'_>,
        snapshot: &'s Snapshot,
        metrics: &Metrics,
        now: Timestamp,
    ) -> Self {
        Self::verified(call, snapshot, metrics, now).revoked(snapshot, now)
    }

    /// What a record says of it.
    pub(super) fn source(&self) -> Source<'_> {
        match &self.known {
            Some(svid) => Source::Verified(&svid.noted),
            None => Source::Unverified {
                id: None,
                certificate_sha256: self.unknown_sha256.as_deref(),
            },
        }
    }

    fn verified(call: &Call<'_>, snapshot: &Snapshot, metrics: &Metrics, now: Timestamp) -> Self {
        let Some(certificate) = call.certificate else {
            return Self::faulty(IdentityFault::Missing, None);
        };
        let leaf = match snapshot.verifier().read(certificate) {
            Ok(leaf) => leaf,
            Err(error) => {
                tracing::debug!(%error, "client certificate is not PEM");
                metrics.count_svid_failure(NOT_PEM);
                return Self::faulty(IdentityFault::Invalid, None);
            }
        };
        match snapshot
            .verifier()
            .verify(&leaf, || hints(call, &leaf), now)
        {
            Ok(svid) => Self {
                known: Some(Arc::clone(&svid)),
                svid: Ok(svid),
                unknown_sha256: None,
                revocation: None,
            },
            Err(error) => {
                tracing::debug!(%error, sha256 = leaf.sha256(), "client certificate is refused");
                metrics.count_svid_failure(error.cause());
                let (fault, known) = (error.fault(), error.into_known());
                Self {
                    svid: Err(fault),
                    unknown_sha256: known.is_none().then(|| leaf.sha256()),
                    known,
                    revocation: None,
                }
            }
        }
    }

    /// The same, unless it is revoked. Of one that verified only: whoever shows a forged
    /// certificate learns nothing of revocations. One that has expired as well is
    /// revoked, because only that never passes, whatever Shadow setting there is.
    fn revoked(self, snapshot: &'s Snapshot, now: Timestamp) -> Self {
        let known = self.known.as_deref();
        match known.and_then(|svid| snapshot.revocation_of(svid, now)) {
            None => self,
            Some(revocation) => Self {
                svid: Err(IdentityFault::Revoked),
                revocation: Some(revocation),
                ..self
            },
        }
    }

    const fn faulty(fault: IdentityFault, unknown_sha256: Option<String>) -> Self {
        Self {
            svid: Err(fault),
            known: None,
            unknown_sha256,
            revocation: None,
        }
    }
}

/// The chain that our own proxy saw, if it sends one; unreadable, it is none.
fn hints(call: &Call<'_>, leaf: &PeerCertificate) -> Vec<Vec<u8>> {
    let chain = call
        .client_cert
        .and_then(|header| Xfcc::parse(header).ok())
        .and_then(|xfcc| xfcc.chain().map(|chain| svid::chain_hints(&chain, leaf)));
    chain.unwrap_or_default()
}
