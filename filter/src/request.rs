//! What the filter takes from a request: one look at its headers, and the Check
//! that comes of it.

use std::{borrow::Cow, collections::BTreeMap, rc::Rc};

use callgate_wire::{
    envoy::service::auth::v3::{
        AttributeContext, CheckRequest,
        attribute_context::{HttpRequest, Peer, Request},
    },
    headers,
    problem::is_grpc,
    wanted,
    xfcc::{self, Xfcc},
};

use crate::{
    Attribute, Host, HostError, Plugin, Section,
    callee::{Callee, Names},
};

/// The longest `Chain` that is sent as a hint: four certificates, the most that
/// the server looks at, rarely reach 3 KiB each once URL-encoded.
const MAX_CHAIN: usize = 16 * 1024;

/// The longest `traceparent` (version 00 has 55 bytes; later ones may be longer).
const MAX_TRACEPARENT: usize = 256;

/// The headers of a request, as far as the filter cares.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    method: Vec<u8>,
    path: Vec<u8>,
    authority: Vec<u8>,
    scheme: Vec<u8>,
    request_id: Vec<u8>,
    content_type: Option<Vec<u8>>,
    upgrade: Option<Vec<u8>>,
    traceparent: Option<Vec<u8>>,
    client_cert: Option<Vec<u8>>,
    /// Names that only Callgate or the proxy may set.
    forged: Vec<Vec<u8>>,
    /// Names by which the service could be told another method or URL.
    overrides: Vec<Vec<u8>>,
    /// The callee, if the proxy has a name for it; a proxy that fails to say is told of
    /// later, when it is known whom a refusal is for.
    callee: Option<Result<Rc<Callee>, HostError>>,
    more: More,
    #[cfg(feature = "test-trap")]
    trap: bool,
}

/// What is left to do to the headers when the request goes on, and whom a
/// refusal is for.
#[derive(Debug)]
pub(crate) struct Passage {
    pub(crate) callee: Rc<Callee>,
    /// Whether the caller speaks gRPC.
    pub(crate) grpc: bool,
    /// Present, and removed unless the service keeps them.
    pub(crate) overrides: Vec<Vec<u8>>,
    /// What happens to `x-forwarded-client-cert`.
    pub(crate) client_cert: ClientCert,
}

/// The change that leaves of `x-forwarded-client-cert` what the proxy itself said, and
/// no `Chain`. If what others said is believed, the answer to the Check says so.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum ClientCert {
    /// There is nothing else in it.
    #[default]
    Keep,
    /// The same without it.
    Replace(String),
    /// There is only that in it, or it is not of the header's grammar, so that nobody
    /// can tell.
    Remove,
}

impl Seen {
    /// Looks at every header once.
    ///
    /// `plugin` knows which other headers decisions about a callee may read.
    pub(crate) fn read(host: &mut impl Host, plugin: &Plugin) -> Result<Self, HostError> {
        let callee = host.attribute(Attribute::LocalUriSan);
        let callee = callee.map(|name| plugin.callee(host, &text(name.unwrap_or_default())));
        let wanted = callee.as_ref().map(|callee| callee.wanted());
        let mut seen = Self {
            more: More::new(wanted.unwrap_or_default()),
            callee: Some(callee),
            ..Self::default()
        };
        host.fields(Section::Headers, &mut |name, value| seen.note(name, value))?;
        Ok(seen)
    }

    fn note(&mut self, name: &[u8], value: &[u8]) {
        self.more.note(name, value);
        match name {
            b":method" => value.clone_into(&mut self.method),
            b":path" => value.clone_into(&mut self.path),
            b":authority" => value.clone_into(&mut self.authority),
            b":scheme" => value.clone_into(&mut self.scheme),
            b"x-request-id" => value.clone_into(&mut self.request_id),
            b"content-type" => join(&mut self.content_type, value),
            b"upgrade" => join(&mut self.upgrade, value),
            b"traceparent" => join(&mut self.traceparent, value),
            b"x-forwarded-client-cert" => join(&mut self.client_cert, value),
            #[cfg(feature = "test-trap")]
            b"x-test-trap" => self.trap |= value == b"1",
            _ if headers::is_callgate(name) || headers::is_client_cert(name) => {
                self.forged.push(name.to_owned());
            }
            _ if headers::overrides_request(name) => self.overrides.push(name.to_owned()),
            _ => {}
        }
    }

    /// Whether the test build is asked to fall over.
    #[cfg(feature = "test-trap")]
    pub(crate) fn trap(&self) -> bool {
        self.trap
    }

    /// Names that only Callgate or the proxy may set; removed before the Check.
    pub(crate) fn forged(&self) -> &[Vec<u8>] {
        &self.forged
    }

    /// Whether Envoy answers this caller as gRPC: exactly `application/grpc` or
    /// `application/grpc+…`.
    pub(crate) fn is_grpc(&self) -> bool {
        self.content_type.as_deref().is_some_and(is_grpc)
    }

    /// What goes along as the Check's own metadata.
    pub(crate) fn traceparent(&self) -> Option<String> {
        let value = self
            .traceparent
            .as_ref()
            .filter(|value| value.len() <= MAX_TRACEPARENT)?;
        let text = std::str::from_utf8(value).ok()?;
        headers::is_value(value).then(|| text.to_owned())
    }

    /// The Check for this request, and what is left to do when it goes on.
    ///
    /// An attribute that the proxy has not is left out, and the server decides
    /// without; one that it fails to read is an error.
    pub(crate) fn into_check(
        mut self,
        host: &mut impl Host,
    ) -> Result<(CheckRequest, Passage), HostError> {
        let leaf = host.attribute(Attribute::PeerCertificate)?;
        let callee = match self.callee.take() {
            Some(callee) => callee?,
            None => Rc::new(Callee::new("", [0; 16])),
        };
        let protocol = host.attribute(Attribute::Protocol)?;
        let grpc = self.is_grpc();
        let traceparent = self.traceparent();
        let (client_cert, hint) = split_client_cert(self.client_cert);
        let named = [
            ("content-type", self.content_type.map(text)),
            ("upgrade", self.upgrade.map(text)),
            ("traceparent", traceparent),
            (headers::CLIENT_CERT, hint),
        ];
        let mut headers: BTreeMap<String, String> = named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect();
        let context_extensions = self.more.tell(&mut headers);
        let http = HttpRequest {
            id: String::from_utf8(self.request_id).unwrap_or_default(),
            method: text(self.method),
            headers,
            path: text(self.path),
            host: text(self.authority),
            scheme: text(self.scheme),
            protocol: text(protocol.unwrap_or_default()),
        };
        let source = Peer {
            certificate: text(leaf.unwrap_or_default()),
            ..Peer::default()
        };
        let destination = Peer {
            principal: callee.name().to_owned(),
            ..Peer::default()
        };
        let attributes = AttributeContext {
            source: Some(source),
            destination: Some(destination),
            request: Some(Request {
                time: None,
                http: Some(http),
            }),
            context_extensions,
        };
        let passage = Passage {
            callee,
            grpc,
            overrides: self.overrides,
            client_cert,
        };
        Ok((
            CheckRequest {
                attributes: Some(attributes),
            },
            passage,
        ))
    }
}

/// Adds to a Check the headers `names`, as far as the request has them.
pub(crate) fn look_for(
    host: &mut impl Host,
    names: Names,
    check: &mut CheckRequest,
) -> Result<(), HostError> {
    let mut more = More::new(names);
    host.fields(Section::Headers, &mut |name, value| more.note(name, value))?;
    if let Some(attributes) = &mut check.attributes {
        let request = attributes.request.as_mut();
        if let Some(http) = request.and_then(|request| request.http.as_mut()) {
            attributes.context_extensions = more.tell(&mut http.headers);
        }
    }
    Ok(())
}

/// Headers that are only sent because a decision reads them.
#[derive(Debug, Default)]
struct More {
    names: Names,
    /// Those of them that the request has.
    found: BTreeMap<usize, Vec<u8>>,
}

impl More {
    fn new(names: Names) -> Self {
        Self {
            names,
            found: BTreeMap::new(),
        }
    }

    fn note(&mut self, name: &[u8], value: &[u8]) {
        let mut names = self.names.iter();
        if let Some(place) = names.position(|wanted| wanted.as_bytes() == name) {
            let mut all = self.found.remove(&place);
            join(&mut all, value);
            self.found.extend(all.map(|all| (place, all)));
        }
    }

    /// Adds what was found to the headers of a Check, and gives the context extensions
    /// that say what was looked for.
    fn tell(self, headers: &mut BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut not_utf8 = String::new();
        for (place, value) in self.found {
            let Some(name) = self.names.get(place) else {
                continue;
            };
            match String::from_utf8(value) {
                Ok(value) => {
                    headers.insert(name.clone(), value);
                }
                Err(_) => {
                    let comma = if not_utf8.is_empty() { "" } else { "," };
                    not_utf8.push_str(comma);
                    not_utf8.push_str(name);
                }
            }
        }
        let mut told = BTreeMap::from([(wanted::LOOKED_FOR.to_owned(), self.names.join(","))]);
        if !not_utf8.is_empty() {
            told.insert(wanted::NOT_UTF8.to_owned(), not_utf8);
        }
        told
    }
}

/// Repeated headers are one, joined with `,` (RFC 9110 section 5.3).
fn join(all: &mut Option<Vec<u8>>, value: &[u8]) {
    match all {
        None => *all = Some(value.to_owned()),
        Some(all) => {
            all.push(b',');
            all.extend_from_slice(value);
        }
    }
}

/// The change for the service, and what the server is told: the two last elements, if
/// there are two; else the `Chain`, if there is more than the leaf in it.
fn split_client_cert(header: Option<Vec<u8>>) -> (ClientCert, Option<String>) {
    let Some(header) = header else {
        return (ClientCert::Keep, None);
    };
    let text = std::str::from_utf8(&header).unwrap_or(xfcc::UNREADABLE);
    let Ok(header) = Xfcc::parse(text) else {
        return (ClientCert::Remove, Some(xfcc::UNREADABLE.to_owned()));
    };
    let change = match xfcc::without_chains(header.own()) {
        Some(rest) if rest == text => ClientCert::Keep,
        Some(rest) => ClientCert::Replace(rest),
        None => ClientCert::Remove,
    };
    let told = match (header.forwarded(), header.own()) {
        (Some(forwarded), Some(own)) => Some(format!("{},{}", forwarded.to_text(), own.to_text())),
        _ => header.chain().and_then(hint),
    };
    (change, told)
}

fn hint(chain: Cow<'_, str>) -> Option<String> {
    // URL-encoded text has nothing in it that a quoted value would escape.
    let sendable = chain.len() <= MAX_CHAIN && has_more_than_one(&chain);
    (sendable && !chain.contains(['"', '\\'])).then(|| format!("Chain=\"{chain}\""))
}

/// Whether another certificate follows the first. Base 64 has no dash: the first
/// one behind the opening line begins the closing line.
fn has_more_than_one(chain: &str) -> bool {
    let Some(body) = chain.strip_prefix("-----BEGIN%20CERTIFICATE-----") else {
        return false;
    };
    let closing = body
        .find('-')
        .and_then(|at| body.get(at..))
        .unwrap_or_default();
    let after = closing.strip_prefix("-----END%20CERTIFICATE-----");
    after.is_some_and(|after| after.contains("-----BEGIN%20CERTIFICATE-----"))
}

/// The text of some bytes. Bytes that are not UTF-8 become `%XX`, which the server
/// takes for what it is: never the same as text that has them plain.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| {
        let mut text = String::new();
        for chunk in error.as_bytes().utf8_chunks() {
            text.push_str(chunk.valid());
            for byte in chunk.invalid() {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
        text
    })
}

#[cfg(test)]
mod tests;
