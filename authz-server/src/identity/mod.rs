//! Who this server is, and which proxies may ask it.
//!
//! ```text
//!  Workload API ──workload_api──┐                       ┌─► tls: handshakes
//!  svid.pem, key.pem ──files────┴─► Credential ─► own ──┤
//!                                                       └─► health: how long it lasts
//!
//!  a proxy's certificate ──► proxy: an identity, now, that may ask about this service?
//! ```
//!
//! A new certificate takes effect at the next handshake; connections that are open
//! stay as they are. A proxy is verified in the handshake and again for every Check.

mod credential;
mod files;
mod keeper;
mod own;
mod proxy;
mod refused;
mod tls;
mod workload_api;

pub use credential::{Credential, CredentialError};
pub use files::{CredentialFileError, CredentialFiles};
pub use keeper::IdentityKeeper;
pub use own::{Life, OwnIdentity};
pub use proxy::{Admission, Asker, Proxy, ProxyFault};
pub use refused::RefusedProxies;
pub use tls::server_config;
pub(crate) use workload_api::Heard;
pub use workload_api::{NoIdentity, WorkloadApi, WorkloadApiAddress, WorkloadApiAddressError};

#[cfg(test)]
mod tests;
