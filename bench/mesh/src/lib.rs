//! A made-up mesh: services, the rules their teams wrote, and requests whose answer
//! is known because of how they were made.
//!
//! The rules are data, so that each engine is given them in its own language. The
//! generator is seeded: two runs measure the same rules and the same requests.

mod document;
mod generate;
mod requests;
mod rule;

pub use document::{OPERATOR, document};
pub use generate::mesh;
pub use requests::{Answer, Request, Sample, requests};
pub use rule::{Callers, Effect, Mesh, Operation, Rule, Segment, Service, Verb};

/// What every identity of the mesh belongs to.
pub const TRUST_DOMAIN: &str = "example.org";
