//! The authorization service: verifies who calls, decides, answers and records.
//!
//! ```text
//!   proxy ──CheckRequest──► serve (gRPC) ──► check::Authorizer
//!                                             │  1 svid: leaf ──► SPIFFE ID, or a fault
//!   policies/ ──store──┐                      │  2 policy::decide
//!        └─revocation──┼─► live (one swap) ──►│  3 answer ──CheckResponse──► proxy
//!   ca.pem ───bundle───┘                      └─ 4 record ──► JSON lines
//!        └──── reload: watched and polled
//!
//!   svid.pem, key.pem ──► identity ──► serve: mutual TLS, and which proxies may ask
//!
//!   health, metrics ──► serve (admin): /healthz /readyz /metrics
//! ```
//!
//! [`check::Authorizer`] is synchronous, does no I/O and takes the time as an
//! argument; [`serve::start`] puts a whole server around it. Whatever is not known is
//! refused: there is no path to an answer that lets a call go on but through a
//! decision that permits it.

pub mod bundle;
mod cache;
mod candidate;
pub mod check;
pub mod clock;
#[cfg(test)]
mod fixture;
pub mod gate;
pub mod health;
pub mod identity;
pub mod live;
mod look;
pub mod metrics;
#[cfg(test)]
mod mint;
mod outlook;
pub mod record;
pub mod reload;
pub mod revocation;
mod seldom;
pub mod serve;
mod settle;
pub mod store;
pub mod svid;
