//! DEVELOPMENT ONLY: an embedded SPIFFE issuer.
//!
//! What a SPIRE server and agent do for a mesh, in one process and for one machine,
//! so that Callgate can be tried and tested with identities that really rotate. Its
//! keys live in memory and die with it; whoever may open a socket gets the identity
//! behind it, unasked. Nothing here belongs near anything that matters, and every
//! certificate says so in its subject.
//!
//! ```text
//!   Config ──► Issuer ──► registry: each domain's authority, each workload's SVID
//!                 │          │ ticks: rotates what is due, then tells, at once
//!                 │          ▼
//!                 │       Snapshot: an SVID and the bundles that go with it
//!                 │          ├──► workload_api ┐  one unix socket
//!                 │          ├──► sds ─────────┘  for each workload
//!                 │          └──► endpoint          https on loopback, SPIFFE bundle
//!                 └──► DIR/example.org.json and .pem, replaced when roots change
//! ```
//!
//! Time comes in as an argument up to [`Issuer`], which has the clock.

mod authority;
mod bundle;
mod ca;
mod clock;
mod config;
mod endpoint;
mod error;
mod files;
mod issuer;
mod proto;
mod registry;
mod sds;
mod socket;
mod svid;
mod workload_api;

pub use bundle::{Bundle, BundleError};
pub use config::{Config, ConfigError, Domain, Foreign, SigningRoot, Workload};
pub use error::{IssuerError, StartError};
pub use issuer::Issuer;
pub use registry::Snapshot;
pub use svid::Svid;

/// The clients of what this issuer serves, for tests and tools.
pub mod api {
    pub use crate::proto::{discovery, secret, tls, workload};
}

/// Stands in the subject of every certificate.
pub const DEVELOPMENT_ONLY: &str = "DEVELOPMENT ONLY";
