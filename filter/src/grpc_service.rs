//! How Envoy is told where a gRPC call goes: `envoy.config.core.v3.GrpcService`,
//! as much of it as a call needs.
//!
//! Envoy also takes a bare cluster name, but only when its bytes do not happen to
//! parse as this message, so a name alone would be a gamble.

use prost::Message;

use crate::answer::MAX_ANSWER;

#[derive(Clone, PartialEq, Message)]
struct GrpcService {
    #[prost(message, optional, tag = "1")]
    envoy_grpc: Option<EnvoyGrpc>,
}

#[derive(Clone, PartialEq, Message)]
struct EnvoyGrpc {
    #[prost(string, tag = "1")]
    cluster_name: String,
    /// A `google.protobuf.UInt32Value`. Envoy ends the call with
    /// `RESOURCE_EXHAUSTED` beyond it, before the answer takes the VM's memory.
    #[prost(message, optional, tag = "4")]
    max_receive_message_length: Option<u32>,
    /// No `x-envoy-…` and `x-forwarded-for` on the Check: the server reads neither.
    #[prost(bool, tag = "5")]
    skip_envoy_headers: bool,
}

/// The encoded service for calls to `cluster`.
pub(crate) fn encode(cluster: &str) -> Vec<u8> {
    let envoy_grpc = EnvoyGrpc {
        cluster_name: cluster.to_owned(),
        max_receive_message_length: u32::try_from(MAX_ANSWER).ok(),
        skip_envoy_headers: true,
    };
    GrpcService {
        envoy_grpc: Some(envoy_grpc),
    }
    .encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_cluster_and_bounds_the_answer() {
        // 0a: envoy_grpc { 0a: "authz", 22: { 08: 65536 }, 28: true }
        assert_eq!(
            encode("authz"),
            b"\x0a\x0f\x0a\x05authz\x22\x04\x08\x80\x80\x04\x28\x01"
        );
    }
}
