//! What the filter and the server say to each other.
//!
//! The messages of `envoy.service.auth.v3`, as much as Callgate reads or writes, and
//! those of `callgate.v1`, under the paths that the protocols give them; what the two
//! say within ext_authz, [`wanted`] and [`terms`]; the limits of a [`batch`]; what both tell whom they refuse,
//! [`problem`]; and the text formats that both ends meet, [`headers`] and [`xfcc`].
//!
//! With the `grpc` feature also the tonic client and server and the descriptors
//! for reflection. The filter leaves it off: it calls through its proxy.

pub mod batch;
pub mod headers;
pub mod problem;
pub mod terms;
pub mod wanted;
pub mod xfcc;

/// Package `callgate`.
pub mod callgate {
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/callgate.v1.rs"));
    }
}

/// Package `envoy`.
pub mod envoy {
    pub mod config {
        pub mod core {
            pub mod v3 {
                include!(concat!(env!("OUT_DIR"), "/envoy.config.core.v3.rs"));
            }
        }
    }
    pub mod service {
        pub mod auth {
            pub mod v3 {
                include!(concat!(env!("OUT_DIR"), "/envoy.service.auth.v3.rs"));
            }
        }
    }
    pub mod r#type {
        pub mod v3 {
            include!(concat!(env!("OUT_DIR"), "/envoy.r#type.v3.rs"));
        }
    }
}

/// Package `google`.
pub mod google {
    pub mod rpc {
        include!(concat!(env!("OUT_DIR"), "/google.rpc.rs"));
    }
}

/// The compiled descriptors of every message above, for gRPC reflection.
#[cfg(feature = "grpc")]
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
