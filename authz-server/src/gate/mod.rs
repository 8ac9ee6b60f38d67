//! `callgate.v1.Gate`: what a proxy that decides by leases has to be told, and tells.
//!
//! ```text
//!  live ──change──┐
//!  each second ───┴─► watch: the service's revision ──Announcement──► proxy
//!
//!  proxy ──RecordRequest──► batch ──► taken before? ──no──► decide again ──► record
//! ```
//!
//! Synchronous and without I/O, as a Check is; the streams are in `serve`.

mod batch;
mod record;
mod taken;
mod watch;

use std::sync::Arc;

use callgate_policy::SpiffeId;

use self::taken::Taken;
use crate::{live::Live, metrics::Metrics, record::Recorder, seldom::Seldom};

pub use batch::InvalidBatch;
pub use record::Unrecorded;
pub use watch::Unannounced;

/// The longest name of a service: a SPIFFE ID has at most 2,048 bytes (SPIFFE ID,
/// section 2.3).
const MAX_NAME_BYTES: usize = 2_048;

/// Answers the Gate's methods by what is live. One for the whole server; also usable
/// without it.
#[derive(Debug)]
pub struct Gate {
    live: Arc<Live>,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    taken: Taken,
    disagreements: Seldom,
}

/// A service as a proxy names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callee {
    name: Box<str>,
    id: Option<SpiffeId>,
}

impl Gate {
    /// Announces what is `live`, notes what proxies decided with `recorder`, and counts
    /// both.
    #[must_use]
    pub fn new(live: Arc<Live>, recorder: Recorder, metrics: Arc<Metrics>) -> Self {
        Self {
            live,
            recorder,
            metrics,
            taken: Taken::new(),
            disagreements: Seldom::new(),
        }
    }

    /// What it announces.
    #[must_use]
    pub const fn live(&self) -> &Arc<Live> {
        &self.live
    }
}

impl Callee {
    /// The service of that name; None if that is too long to be one. As in a Check, a
    /// name that is no SPIFFE ID is a service without a policy.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        (name.len() <= MAX_NAME_BYTES).then(|| Self {
            name: name.into(),
            id: SpiffeId::parse(name).ok(),
        })
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &str {
        &self.name
    }

    /// Its SPIFFE ID, if it has one.
    #[must_use]
    pub const fn id(&self) -> Option<&SpiffeId> {
        self.id.as_ref()
    }
}

#[cfg(test)]
mod tests;
