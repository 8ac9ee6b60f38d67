//! The server's own identity at this moment: handshakes read it, sources write it.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use callgate_policy::Timestamp;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::Credential;
use crate::health::Health;

/// A certificate is renewed at about half of its life, by SPIRE and by everything
/// like it. One of which less than a third is left should have been.
const SHORT: i64 = 3;

/// What the server shows in handshakes. Swapped as a whole; who holds the old one in
/// a handshake finishes with it.
pub struct OwnIdentity {
    current: ArcSwap<Credential>,
    health: Arc<Health>,
}

/// How much of a certificate's life is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Life {
    /// Enough.
    #[default]
    Well,
    /// Less than a third: it should have been renewed.
    Short,
    /// None: nobody who verifies it connects any more.
    Expired,
}

impl OwnIdentity {
    /// Begins as `first`, and tells `health`.
    #[must_use]
    pub fn new(first: Credential, health: Arc<Health>, now: Timestamp) -> Self {
        let identity = Self {
            current: ArcSwap::from_pointee(first),
            health,
        };
        identity.announce(now);
        identity
    }

    /// What is shown now.
    #[must_use]
    pub fn current(&self) -> Arc<Credential> {
        self.current.load_full()
    }

    /// Shows `next` from the next handshake on. A certificate that would do harm is
    /// refused and the last good one stays: one that has expired, or of another
    /// identity, which no proxy that pins this one would talk to.
    ///
    /// The same one again is no renewal; it only says that its source is well.
    pub fn renew(&self, next: Credential, now: Timestamp) {
        let current = self.current();
        if next.is_same(&current) {
            return self.health.change(|condition| {
                condition.identity.get_or_insert_default().loads.fault = None;
            });
        }
        if next.id() != current.id() {
            return self.keep(format!(
                "a certificate of `{}` instead of `{}`: restart to become another",
                next.id(),
                current.id()
            ));
        }
        if next.not_after() < now {
            return self.keep("a certificate that has expired".to_owned());
        }
        tracing::info!(
            id = %next.id(),
            not_after = %next.not_after(),
            "own certificate renewed"
        );
        // First the change, then the word of it: who hears it may rely on it.
        self.current.store(Arc::new(next));
        self.announce(now);
    }

    /// Notes that there is no newer one, because of `fault`. Said once, however often
    /// it is found.
    pub fn keep(&self, fault: String) {
        let mut new = false;
        self.health.change(|condition| {
            let own = condition.identity.get_or_insert_default();
            new = own.loads.fault.as_ref() != Some(&fault);
            if new {
                own.loads.refused(fault.clone());
            }
        });
        if new {
            tracing::error!("own certificate: {fault}; the last good one stays");
        }
    }

    /// Judges how long the certificate lasts and tells `health`. To be asked every
    /// second or so.
    pub fn assess(&self, now: Timestamp) {
        let current = self.current.load();
        let (life, not_after) = (current.life(now), current.not_after());
        let mut before = life;
        self.health.change(|condition| {
            let own = condition.identity.get_or_insert_default();
            before = std::mem::replace(&mut own.life, life);
        });
        if before == life {
            return;
        }
        match life {
            Life::Well => tracing::info!(%not_after, "own certificate: {life}"),
            Life::Short => tracing::warn!(%not_after, "own certificate: {life}"),
            Life::Expired => tracing::error!(%not_after, "own certificate: {life}"),
        }
    }

    fn announce(&self, now: Timestamp) {
        let current = self.current.load();
        let (life, not_after) = (current.life(now), current.not_after());
        self.health.change(|condition| {
            let own = condition.identity.get_or_insert_default();
            own.loads.taken(now);
            own.life = life;
            own.not_after = Some(not_after);
        });
    }
}

impl ResolvesServerCert for OwnIdentity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load().certified())
    }
}

impl Credential {
    /// How much is left of it at `now`.
    #[must_use]
    pub fn life(&self, now: Timestamp) -> Life {
        let left = self.not_after().as_millis() - now.as_millis();
        let whole = self.not_after().as_millis() - self.not_before().as_millis();
        if left < 0 {
            Life::Expired
        } else if left < whole / SHORT {
            Life::Short
        } else {
            Life::Well
        }
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Well => "most of its life is left",
            Self::Short => "it should have been renewed by now",
            Self::Expired => "it has expired",
        })
    }
}

/// The key is nobody's business.
impl fmt::Debug for OwnIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnIdentity")
            .field("id", &self.current.load().id().as_str())
            .finish_non_exhaustive()
    }
}
