//! The decision core: who is calling, what they want, what the rules say.
//!
//! ```text
//!  documents (YAML) ──load──► PolicySet ─┐
//!                                        ├─decide──► Decision ──► Permit (goes on)
//!  Request {caller, service, method, …} ─┘              └──► reason, rule, nearest miss
//! ```
//!
//! Pure: no I/O, no clock, no async; the time is an argument. It is built for the
//! host and for wasm, and the server, the command line and the filter all decide
//! with this code. Reading documents needs the `documents` feature, which the
//! filter leaves off.

mod decide;
mod identity;
mod operation;
mod path;
mod reason;
mod request;
mod time;

#[cfg(feature = "documents")]
pub mod document;

pub use decide::{Clause, Decision, Location, NearestMiss, Permit, PolicySet, RuleRef, Verdict};
pub use identity::{SpiffeId, SpiffeIdError, TrustDomain};
pub use reason::Reason;
pub use request::{Caller, IdentityFault, Request};
pub use time::Timestamp;
