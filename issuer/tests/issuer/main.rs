//! An issuer, asked from outside.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test, a panic is the report"
)]

mod endpoint;
mod stage;
mod workload_api;
