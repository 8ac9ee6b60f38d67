//! The authorization service.

pub mod bundle;
pub mod check;
pub mod clock;
#[cfg(test)]
mod fixture;
pub mod health;
pub mod live;
pub mod metrics;
#[cfg(test)]
mod mint;
pub mod record;
pub mod reload;
pub mod serve;
mod settle;
pub mod store;
pub mod svid;
