//! Callgate end to end: what the tests and the demo stand on.
//!
//! ```text
//!  pki ── mints ──► certificates, named by their defect
//!  mesh ── renews ─► the identities of everything that runs, over SDS
//!                        │
//!  caller ──mTLS──► envoy ────────────► upstream   (reports what reached it)
//!                     │
//!                     └──Check──► callgate | authz (a server that misbehaves on cue)
//! ```
//!
//! [`Gate`] starts all of it from the configurations in `envoy/`, which are used
//! as they stand: only their `${NAMES}` are filled in. Everything binds port 0, is
//! awaited until it answers, and ends with the value that owns it.

pub mod agent;
pub mod artifact;
pub mod authz;
pub mod caller;
pub mod callgate;
pub mod conformance;
pub mod envoy;
mod gate;
pub mod lifetimes;
pub mod live;
pub mod mesh;
pub mod pki;
pub mod process;
pub mod sidecar;
pub mod suite;
pub mod table;
pub mod upstream;

pub use gate::{Asked, Client, Face, Gate, GateBuilder};
pub use sidecar::{Host, Validation, append_client_cert, configure_filters};
