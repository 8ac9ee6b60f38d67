//! Load, and what it is put on.
//!
//! ```text
//!  server:  checks ──Check──► callgate serve | empty    (one core for either)
//!  watch:   subscribers ──Watch──► callgate serve
//!  proxy:   calls ──mTLS──► Envoy ──Check──► callgate serve
//!  leases:  calls, open, trace ──mTLS──► Envoy ──now and then──► callgate serve | OPA
//! ```
//!
//! The generators are as small as they can be, because they share the machine with
//! what they measure; every loop is bounded in count or time, and every answer is
//! looked at: a fast refusal is no throughput.

pub mod calls;
pub mod checks;
pub mod cores;
pub mod empty;
pub mod messages;
pub mod opa;
pub mod open;
pub mod subscribers;
pub mod trace;
pub mod variants;

mod frames;
mod headers;
mod kept;
mod timer;
