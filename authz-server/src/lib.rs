//! The authorization service.

pub mod store;
