//! A Check as it comes over the wire, read once and whole.

use std::{collections::BTreeMap, fmt};

use callgate_policy::{Header, Headers, SpiffeId, Unreadable};
use callgate_wire::{
    envoy::service::auth::v3::{
        AttributeContext, CheckRequest,
        attribute_context::{HttpRequest, Peer, Request},
    },
    headers,
    problem::is_grpc,
    terms, wanted,
};
use ulid::Ulid;

/// Headers of one request. Envoy takes 100 by default.
const MAX_HEADERS: usize = 256;
/// Characters that are copied into a record from fields which decide nothing: host
/// and traceparent. A DNS name has at most 253.
const MAX_NOTE_CHARACTERS: usize = 512;

/// What a Check asks, borrowed from its message.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// The leaf, PEM; None without a client certificate.
    pub(super) certificate: Option<&'a str>,
    /// `x-forwarded-client-cert`, for the chain in it.
    pub(super) client_cert: Option<&'a str>,
    /// The callee, if the proxy has a SPIFFE ID.
    pub(super) service: Option<SpiffeId>,
    /// The callee as the proxy names it.
    pub(super) destination: &'a str,
    pub(super) method: &'a str,
    /// With its query.
    pub(super) path: &'a str,
    pub(super) host: &'a str,
    pub(super) upgrade: Option<&'a str>,
    pub(super) content_type: Option<&'a str>,
    pub(super) traceparent: Option<&'a str>,
    /// Which proxy asks, by the certificate that it showed. What it says of itself, in
    /// the context extensions or elsewhere, would prove nothing.
    pub(super) proxy: Option<&'a str>,
    pub(super) headers: &'a BTreeMap<String, String>,
    /// Of a stream that is open: the id of the decision that let it in.
    pub(super) rechecks: Option<&'a str>,
    /// Whether the proxy understands terms.
    pub(super) wants_terms: bool,
    /// Whether it keeps what they lease.
    pub(super) keeps_leases: bool,
    /// What the proxy says of its headers; of all of them, if it says nothing.
    looked_for: Option<&'a str>,
    not_utf8: &'a str,
}

/// Why a message is no Check that could be decided. Answered with the gRPC status
/// INVALID_ARGUMENT, so not as a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidCheck {
    /// No `attributes.request.http`: not a question about an HTTP request.
    NoHttpRequest,
    /// More than 256 headers.
    TooManyHeaders,
    /// What it decides anew is no id of a decision.
    Rechecks,
}

impl<'a> TryFrom<&'a CheckRequest> for Call<'a> {
    type Error = InvalidCheck;

    fn try_from(check: &'a CheckRequest) -> Result<Self, InvalidCheck> {
        let CheckRequest { attributes } = check;
        let AttributeContext {
            source,
            destination,
            request,
            context_extensions,
        } = attributes.as_ref().ok_or(InvalidCheck::NoHttpRequest)?;
        // The time is the server's own, never one that the request carries.
        let Request { time: _, http } = request.as_ref().ok_or(InvalidCheck::NoHttpRequest)?;
        let HttpRequest {
            id: _,
            method,
            headers,
            path,
            host,
            scheme: _,
            protocol: _,
        } = http.as_ref().ok_or(InvalidCheck::NoHttpRequest)?;
        if headers.len() > MAX_HEADERS {
            return Err(InvalidCheck::TooManyHeaders);
        }
        // A principal of the source is what Envoy holds for a name; it may be a DNS
        // name or a subject, and nobody verified it at this request.
        let certificate = source.as_ref().and_then(|source| {
            let Peer {
                principal: _,
                certificate,
            } = source;
            (!certificate.is_empty()).then_some(certificate.as_str())
        });
        let destination = destination.as_ref().map_or("", |destination| {
            let Peer {
                principal,
                certificate: _,
            } = destination;
            principal
        });
        let header = |name: &str| headers.get(name).map(String::as_str);
        let extension = |name: &str| context_extensions.get(name).map(String::as_str);
        let rechecks = extension(terms::RECHECKS);
        if rechecks.is_some_and(|id| Ulid::from_string(id).is_err()) {
            return Err(InvalidCheck::Rechecks);
        }
        Ok(Self {
            certificate,
            client_cert: header(headers::CLIENT_CERT),
            service: SpiffeId::parse(destination).ok(),
            destination,
            method,
            path,
            host: note(host),
            upgrade: header("upgrade"),
            content_type: header("content-type"),
            traceparent: header("traceparent").map(note),
            proxy: None,
            headers,
            rechecks,
            wants_terms: extension(terms::WANTED) == Some(terms::VERSION),
            keeps_leases: extension(terms::NO_LEASES.0) != Some(terms::NO_LEASES.1),
            looked_for: extension(wanted::LOOKED_FOR),
            not_utf8: extension(wanted::NOT_UTF8).unwrap_or_default(),
        })
    }
}

impl Headers for Call<'_> {
    fn header(&self, name: &str) -> Header<'_> {
        let looked_for = self.looked_for;
        if looked_for.is_some_and(|names| !wanted::has(names, name)) {
            return Header::Unreadable(Unreadable::Unknown);
        }
        if wanted::has(self.not_utf8, name) {
            return Header::Unreadable(Unreadable::NotUtf8);
        }
        let value = self.headers.get(name);
        value.map_or(Header::Absent, |value| Header::Text(value.into()))
    }
}

impl Call<'_> {
    /// Whether the caller speaks gRPC, as Envoy decides it when it picks the form of
    /// a refusal.
    pub(super) fn is_grpc(&self) -> bool {
        self.content_type
            .is_some_and(|value| is_grpc(value.as_bytes()))
    }
}

/// As much of `text` as a record keeps.
pub(crate) fn note(text: &str) -> &str {
    match text.char_indices().nth(MAX_NOTE_CHARACTERS) {
        Some((end, _)) => text.get(..end).unwrap_or_default(),
        None => text,
    }
}

impl fmt::Display for InvalidCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHttpRequest => f.write_str("no `attributes.request.http`"),
            Self::TooManyHeaders => write!(f, "more than {MAX_HEADERS} headers"),
            Self::Rechecks => write!(f, "`{}` is no id of a decision", terms::RECHECKS),
        }
    }
}

impl std::error::Error for InvalidCheck {}
