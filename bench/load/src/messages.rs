//! Checks as the filter sends them, and as native ext_authz does.

use std::collections::BTreeMap;

use anyhow::Result;
use callgate_bench_mesh::Request;
use callgate_tests::pki::{Identity, Pki};
use callgate_wire::envoy::service::auth::v3::{
    AttributeContext, CheckRequest,
    attribute_context::{HttpRequest, Peer, Request as Attributes},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use prost::Message as _;

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Callgate's filter: what the decision needs.
    Filter,
    /// Envoy's ext_authz: the leaf URL-encoded, the principals and more headers.
    Native,
}

/// Each request as a gRPC message, each caller with a certificate of its own.
///
/// # Errors
/// When a certificate cannot be minted.
pub fn framed(pki: &Pki, requests: &[Request], form: Form) -> Result<Vec<Vec<u8>>> {
    let mut identities = BTreeMap::new();
    requests
        .iter()
        .map(|request| {
            let identity = match identities.entry(&request.caller) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(pki.svid(&request.caller)?)
                }
            };
            Ok(frame(&check(request, identity, form).encode_to_vec()))
        })
        .collect()
}

/// Uncompressed, and the length (gRPC over HTTP/2, "Length-Prefixed-Message").
fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], length.to_be_bytes().as_slice(), message].concat()
}

fn check(request: &Request, identity: &Identity, form: Form) -> CheckRequest {
    let pem = identity.chain_pem();
    let source = match form {
        Form::Filter => Peer {
            principal: String::new(),
            certificate: pem,
        },
        Form::Native => Peer {
            principal: request.caller.clone(),
            certificate: utf8_percent_encode(&pem, NON_ALPHANUMERIC).to_string(),
        },
    };
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(source),
            destination: Some(Peer {
                principal: request.service.clone(),
                certificate: String::new(),
            }),
            request: Some(Attributes {
                time: None,
                http: Some(http(request, form)),
            }),
            ..AttributeContext::default()
        }),
    }
}

fn http(request: &Request, form: Form) -> HttpRequest {
    let mut headers = BTreeMap::from([(
        "traceparent".to_owned(),
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
    )]);
    if request.grpc {
        headers.insert("content-type".into(), "application/grpc".into());
    }
    if form == Form::Native {
        headers.insert(
            "x-forwarded-client-cert".into(),
            format!("URI={}", request.caller),
        );
    }
    HttpRequest {
        id: "6f2a9c1e-5f0b-4a57-9d38-1e6f9f0e7a11".into(),
        method: request.method.into(),
        headers,
        path: request.path.clone(),
        host: "orders.shop.svc.cluster.local".into(),
        scheme: "https".into(),
        protocol: "HTTP/1.1".into(),
    }
}
