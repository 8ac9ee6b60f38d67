//! Whether whoever sends a Check may ask it.

use std::{fmt, sync::Arc};

use callgate_policy::{SpiffeId, Timestamp};

use super::call::{InvalidCheck, note};
use crate::{
    identity::{Asker, ProxyFault},
    live::Snapshot,
    svid::Svid,
};

/// Why a Check gets no answer. Not a decision, so there is no record of it either.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unanswered {
    /// It is none.
    Invalid(InvalidCheck),
    /// The proxy that sent it may not ask it.
    Proxy(ProxyFault),
}

impl Asker<'_> {
    /// The proxy's identity at `now`, if it may ask about `service`; None of somebody
    /// unnamed.
    ///
    /// # Errors
    /// If its certificate identifies nobody any more, or it asks about a service that
    /// is neither its own nor one that the `MeshPolicy` lists it for.
    pub(crate) fn may_ask(
        self,
        service: Option<&SpiffeId>,
        destination: &str,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<Option<Arc<Svid>>, ProxyFault> {
        let proxy = match self {
            Self::Unnamed => return Ok(None),
            Self::Proxy(proxy) => proxy.verify(snapshot, now)?,
        };
        let may = match (snapshot.policies(), service) {
            // Nobody knows yet who is a gateway, and all are told the same.
            (None, _) => true,
            (Some(policies), Some(service)) => policies.set.may_ask(&proxy.id, service),
            (Some(_), None) => false,
        };
        if may {
            return Ok(Some(proxy));
        }
        Err(ProxyFault::NotItsService {
            proxy: proxy.id.clone(),
            destination: note(destination).to_owned(),
        })
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => error.fmt(f),
            Self::Proxy(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for Unanswered {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Invalid(error) => Some(error),
            Self::Proxy(fault) => Some(fault),
        }
    }
}
