//! SPIFFE bundle endpoints (SPIFFE Federation, sections 4 and 5): fetched again and
//! again, as often as the bundle asks for, within limits.

mod address;
mod copies;
mod fetch;
mod poll;
#[cfg(test)]
pub(crate) mod served;
mod tls;

pub use address::{AddressError, BundleEndpoint};
pub use poll::{Endpoints, EndpointsError};
pub use tls::TlsError;
