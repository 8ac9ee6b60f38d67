//! The generated messages and services, by shorter names.
#![expect(
    unreachable_pub,
    missing_docs,
    reason = "generated; a part of it is re-exported"
)]

/// The SPIFFE Workload API, which has no package.
pub mod workload {
    include!(concat!(env!("OUT_DIR"), "/_.rs"));
}

/// The protocol of discovery: requests, answers, acknowledgements.
pub mod discovery {
    pub use super::envoy::service::discovery::v3::*;
}

/// The secret discovery service.
pub mod secret {
    pub use super::envoy::service::secret::v3::*;
}

/// What it serves.
pub mod tls {
    pub use super::envoy::{
        config::core::v3::{DataSource, Node, TypedExtensionConfig, data_source},
        extensions::transport_sockets::tls::v3::*,
    };
}

mod envoy {
    pub mod config {
        pub mod core {
            pub mod v3 {
                include!(concat!(env!("OUT_DIR"), "/envoy.config.core.v3.rs"));
            }
        }
    }
    pub mod service {
        pub mod discovery {
            pub mod v3 {
                include!(concat!(env!("OUT_DIR"), "/envoy.service.discovery.v3.rs"));
            }
        }
        pub mod secret {
            pub mod v3 {
                include!(concat!(env!("OUT_DIR"), "/envoy.service.secret.v3.rs"));
            }
        }
    }
    pub mod extensions {
        pub mod transport_sockets {
            pub mod tls {
                pub mod v3 {
                    include!(concat!(
                        env!("OUT_DIR"),
                        "/envoy.extensions.transport_sockets.tls.v3.rs"
                    ));
                }
            }
        }
    }
}

mod google {
    pub mod rpc {
        include!(concat!(env!("OUT_DIR"), "/google.rpc.rs"));
    }
}
