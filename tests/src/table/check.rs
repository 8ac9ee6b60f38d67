//! Checks as Envoy's own `ext_authz` sends them, and answers as they come.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use callgate_policy::SpiffeId;
use callgate_wire::envoy::{
    config::core::v3::HeaderValueOption,
    service::auth::v3::{
        AttributeContext, CheckRequest, CheckResponse, OkHttpResponse,
        attribute_context::{HttpRequest, Peer, Request},
        check_response::HttpResponse,
    },
};

use percent_encoding::{CONTROLS, percent_encode};

use super::{Forwarded, Got, Headers, Proxy, Refusal, Shown, url_encoded};

/// The Check that native `ext_authz` sends of the request that `proxy` holds: every
/// header, and the certificate URL-encoded.
#[must_use]
pub fn native_check(
    proxy: &Proxy,
    peer: Option<&Shown>,
    callee: Option<&SpiffeId>,
) -> CheckRequest {
    let mut headers = BTreeMap::<String, String>::new();
    // `disallowed_headers` of the shipped configuration.
    let kept_back = ["authorization", "proxy-authorization", "cookie"];
    let sent = proxy.headers().0.into_iter();
    for (name, value) in sent.filter(|(name, _)| !kept_back.contains(&name.as_str())) {
        let joined = headers
            .remove(&name)
            .map(|before| before + ",")
            .unwrap_or_default();
        headers.insert(name, joined + &sanitized(&value));
    }
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    // normalize_path has encoded what is not ASCII before ext_authz sees it.
    let path = proxy
        .headers()
        .0
        .into_iter()
        .find(|(name, _)| name == ":path");
    let path = path
        .map(|(_, path)| percent_encode(&path, CONTROLS).to_string())
        .unwrap_or_default();
    let http = HttpRequest {
        method: header(":method"),
        path,
        host: header(":authority"),
        scheme: header(":scheme"),
        protocol: "HTTP/1.1".to_owned(),
        headers,
        ..HttpRequest::default()
    };
    let source = Peer {
        // Envoy's own idea of who calls, which nobody here believes.
        principal: "spiffe://example.org/ns/shop/sa/admin".to_owned(),
        certificate: peer
            .map(|shown| url_encoded(&shown.leaf))
            .unwrap_or_default(),
    };
    let destination = Peer {
        principal: callee.map(ToString::to_string).unwrap_or_default(),
        ..Peer::default()
    };
    let attributes = AttributeContext {
        source: Some(source),
        destination: Some(destination),
        request: Some(Request {
            time: None,
            http: Some(http),
        }),
        ..AttributeContext::default()
    };
    CheckRequest {
        attributes: Some(attributes),
    }
}

/// Protobuf's `string` is UTF-8; Envoy writes `!` for every byte that is not.
fn sanitized(value: &[u8]) -> String {
    let mut text = String::new();
    for chunk in value.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '!'));
    }
    text
}

/// What `answer` does to a request with `headers`.
///
/// # Errors
/// When it has no status or contradicts itself.
pub fn answered(answer: CheckResponse, headers: Headers) -> Result<Got> {
    let CheckResponse {
        status,
        dynamic_metadata: _,
        http_response,
    } = answer;
    let code = status.context("an answer without a status")?.code;
    match http_response.context("an answer without a response")? {
        HttpResponse::OkResponse(ok) => {
            ensure!(code == 0, "allowed with status {code}");
            let headers = changed(headers, ok)?;
            Ok(Got::Forwarded(Box::new(Forwarded {
                path: None,
                headers,
                record: None,
            })))
        }
        HttpResponse::DeniedResponse(denied) => {
            ensure!(code != 0, "refused with status OK");
            let status = denied.status.context("a refusal without a status")?.code;
            let headers = denied
                .headers
                .into_iter()
                .map(pair)
                .collect::<Result<_>>()?;
            Ok(Got::Refused(Box::new(Refusal {
                http: Some(u16::try_from(status)?),
                grpc: Some(code),
                headers: Headers(headers),
                body: denied.body.into_bytes(),
                record: None,
            })))
        }
    }
}

/// In the order of native `ext_authz`: what is set, then what is removed.
fn changed(mut headers: Headers, ok: OkHttpResponse) -> Result<Headers> {
    for option in ok.headers {
        let (name, value) = pair(option)?;
        headers.0.retain(|(present, _)| *present != name);
        headers.0.push((name, value));
    }
    headers
        .0
        .retain(|(name, _)| !ok.headers_to_remove.contains(name));
    Ok(headers)
}

fn pair(option: HeaderValueOption) -> Result<(String, Vec<u8>)> {
    let header = option.header.context("an option without a header")?;
    let raw = if header.raw_value.is_empty() {
        header.value.into_bytes()
    } else {
        header.raw_value
    };
    Ok((header.key, raw))
}
