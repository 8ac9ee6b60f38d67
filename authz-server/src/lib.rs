//! The authorization service.

pub mod bundle;
#[cfg(test)]
mod mint;
pub mod store;
pub mod svid;
