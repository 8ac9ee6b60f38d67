//! Identities over time: the same story over the development issuer, in seconds and
//! with every run of the tests, and over a real SPIRE, in minutes and where there is
//! one.
//!
//! ```text
//!   story ──► stage: orders' sidecar, checkout's and a partner's client sidecar,
//!     │              callgate serve; every identity over SDS or the Workload API
//!     └─────► provider: renews, forgets a workload, hangs
//!               ├── embedded   the development issuer
//!               └── spire      spire-server and spire-agent, one of each for each domain
//! ```

mod embedded;
mod spire;
mod stage;
mod story;

use std::{path::PathBuf, time::Duration};

use anyhow::Result;

pub use embedded::Embedded;
pub use spire::{Missing, Spire};
pub use story::tell;

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// The service that is called.
    Orders,
    /// The service that calls it.
    Checkout,
    /// A caller of another trust domain.
    Picker,
    /// `callgate serve`.
    Callgate,
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Orders, Self::Checkout, Self::Picker, Self::Callgate];

    /// A word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Checkout => "checkout",
            Self::Picker => "picker",
            Self::Callgate => "callgate",
        }
    }

    /// Its SPIFFE ID.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Orders => "spiffe://example.org/ns/shop/sa/orders",
            Self::Checkout => "spiffe://example.org/ns/shop/sa/checkout",
            Self::Picker => "spiffe://partner.example/ns/depot/sa/picker",
            Self::Callgate => "spiffe://example.org/ns/callgate/sa/callgate",
        }
    }
}

/// Who gives them their identities.
#[derive(Debug)]
pub enum Provider {
    /// The development issuer.
    Embedded(Box<Embedded>),
    /// A real SPIRE.
    Spire(Box<Spire>),
}

impl Provider {
    /// How long an SVID lives.
    #[must_use]
    pub const fn life(&self) -> Duration {
        match self {
            Self::Embedded(_) => embedded::SVID_TTL,
            Self::Spire(_) => spire::SVID_TTL,
        }
    }

    /// How long a change of an entry takes to reach a workload, at the most.
    #[must_use]
    pub const fn lag(&self) -> Duration {
        match self {
            Self::Embedded(_) => Duration::from_secs(2),
            Self::Spire(_) => spire::SYNC_LIMIT,
        }
    }

    /// The socket with SDS and the Workload API for that workload.
    ///
    /// # Errors
    /// When it has none.
    pub fn socket(&self, workload: Workload) -> Result<PathBuf> {
        match self {
            Self::Embedded(embedded) => embedded.socket(workload),
            Self::Spire(spire) => Ok(spire.socket(workload)),
        }
    }

    /// The program to run as that workload: SPIRE tells workloads apart by it.
    ///
    /// # Errors
    /// When there is none.
    pub fn program(&self, workload: Workload) -> Result<PathBuf> {
        match self {
            Self::Embedded(_) => match workload {
                Workload::Callgate => crate::artifact::callgate(),
                _ => crate::artifact::envoy(),
            },
            Self::Spire(spire) => Ok(spire.program(workload)),
        }
    }

    /// Deletes a workload's entry.
    ///
    /// # Errors
    /// When it cannot be deleted.
    pub fn forget(&mut self, workload: Workload) -> Result<()> {
        match self {
            Self::Embedded(embedded) => embedded.forget(workload),
            Self::Spire(spire) => spire.forget(workload),
        }
    }

    /// Creates it anew.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn remember(&mut self, workload: Workload) -> Result<()> {
        match self {
            Self::Embedded(embedded) => embedded.remember(workload),
            Self::Spire(spire) => spire.remember(workload),
        }
    }

    /// Renews nothing, until it goes on.
    ///
    /// # Errors
    /// When it is gone.
    pub fn hang(&self, hanging: bool) -> Result<()> {
        match self {
            Self::Embedded(embedded) => {
                embedded.hang(hanging);
                Ok(())
            }
            Self::Spire(spire) => spire.hang(hanging),
        }
    }

    /// The end of what it printed, for a failure.
    #[must_use]
    pub fn report(&self) -> String {
        match self {
            Self::Embedded(_) => String::new(),
            Self::Spire(spire) => spire.report(),
        }
    }
}
