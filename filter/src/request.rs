//! What the filter takes from a request: one look at its headers, kept in one block for as
//! long as the request is open.

mod check;
mod client_cert;
mod kept;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, rc::Rc};

use callgate_wire::{headers, problem};

pub(crate) use self::client_cert::{Change, ClientCert};
use self::kept::{Kept, Piece};
use crate::{
    Callee, Host, HostError, Plugin, Section, callee::Names, connection::Connection,
    lease::Fingerprint,
};

/// The longest `traceparent` (version 00 has 55 bytes; later ones may be longer).
const MAX_TRACEPARENT: usize = 256;

/// As much of the host as a record keeps: a DNS name has at most 253 bytes.
const MAX_HOST: usize = 512;

/// The longest request line, with the headers beside it that rules and records know, which
/// is decided by a lease: what a record keeps of it has to wait in memory.
const MAX_LINE: usize = 16 * 1024;

/// One request, as far as the filter cares.
#[derive(Debug)]
pub(crate) struct Seen {
    connection: Rc<Connection>,
    kept: Kept,
    method: Piece,
    path: Piece,
    authority: Piece,
    scheme: Piece,
    request_id: Piece,
    content_type: Option<Piece>,
    upgrade: Option<Piece>,
    traceparent: Option<Piece>,
    client_cert: Rc<ClientCert>,
    /// Names that only Callgate or the proxy may set.
    forged: Vec<Piece>,
    /// Names by which the service could be told another method or URL.
    overrides: Vec<Piece>,
    more: More,
    #[cfg(feature = "test-trap")]
    trap: bool,
}

/// The proxy failed to show a request.
#[derive(Debug)]
pub(crate) struct Unseen {
    /// Whether the caller speaks gRPC, as far as that is known.
    pub(crate) grpc: bool,
    pub(crate) error: HostError,
}

/// Headers that are only sent because a decision reads them.
#[derive(Debug, Default)]
struct More {
    names: Names,
    /// Those of them that the request has, by their place.
    found: Vec<(usize, Piece)>,
}

/// What rules and records know of a request. All of it is text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    pub(crate) method: &'a str,
    /// With its query.
    pub(crate) path: &'a str,
    /// As much of it as a record keeps.
    pub(crate) host: &'a str,
    pub(crate) upgrade: Option<&'a str>,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) traceparent: Option<&'a str>,
}

impl Seen {
    /// Looks at every header once.
    ///
    /// `plugin` knows which headers decisions about a callee read besides.
    pub(crate) fn read(host: &mut impl Host, plugin: &Plugin) -> Result<Self, Unseen> {
        let (connection, failure) = match plugin.connection(host) {
            Ok(connection) => (connection, None),
            // Told when it is known whom the refusal is for.
            Err(error) => (Rc::new(Connection::unknown()), Some(error)),
        };
        let mut seen = Self::new(connection);
        let mut client_cert = Shown::Nothing;
        let shown = host.fields(Section::Headers, &mut |name, value| {
            if name == headers::CLIENT_CERT.as_bytes() {
                client_cert.add(&seen.connection, value);
            } else {
                seen.note(name, value);
            }
        });
        seen.client_cert = client_cert.read(&seen.connection);
        match shown.err().or(failure) {
            None => Ok(seen),
            Some(error) => Err(Unseen {
                grpc: seen.is_grpc(),
                error,
            }),
        }
    }

    fn new(connection: Rc<Connection>) -> Self {
        let more = More {
            names: connection.callee().wanted(),
            found: Vec::new(),
        };
        Self {
            connection,
            kept: Kept::new(),
            method: Piece::EMPTY,
            path: Piece::EMPTY,
            authority: Piece::EMPTY,
            scheme: Piece::EMPTY,
            request_id: Piece::EMPTY,
            content_type: None,
            upgrade: None,
            traceparent: None,
            client_cert: Rc::default(),
            forged: Vec::new(),
            overrides: Vec::new(),
            more,
            #[cfg(feature = "test-trap")]
            trap: false,
        }
    }

    fn note(&mut self, name: &[u8], value: &[u8]) {
        self.more.note(&mut self.kept, name, value);
        let kept = &mut self.kept;
        match name {
            b":method" => self.method = kept.add(value),
            b":path" => self.path = kept.add(value),
            b":authority" => self.authority = kept.add(value),
            b":scheme" => self.scheme = kept.add(value),
            b"x-request-id" => self.request_id = kept.add(value),
            b"content-type" => self.content_type = Some(kept.join(self.content_type, value)),
            b"upgrade" => self.upgrade = Some(kept.join(self.upgrade, value)),
            b"traceparent" => self.traceparent = Some(kept.join(self.traceparent, value)),
            #[cfg(feature = "test-trap")]
            b"x-test-trap" => self.trap |= value == b"1",
            _ if headers::is_callgate(name) || headers::is_client_cert(name) => {
                self.forged.push(kept.add(name));
            }
            _ if headers::overrides_request(name) => self.overrides.push(kept.add(name)),
            _ => {}
        }
    }

    /// Whether the test build is asked to fall over.
    #[cfg(feature = "test-trap")]
    pub(crate) fn trap(&self) -> bool {
        self.trap
    }

    /// The service that is called.
    pub(crate) fn callee(&self) -> &Callee {
        self.connection.callee()
    }

    /// The caller's certificate, if the request may be decided by it here.
    pub(crate) fn leaf(&self) -> Option<&Fingerprint> {
        self.connection.leaf()
    }

    /// Names that only Callgate or the proxy may set; removed before anything is decided.
    pub(crate) fn forged(&self) -> impl Iterator<Item = &[u8]> {
        self.forged.iter().map(|name| self.kept.get(*name))
    }

    /// Names that override method or URL; removed unless the service keeps them.
    pub(crate) fn overrides(&self) -> impl Iterator<Item = &[u8]> {
        self.overrides.iter().map(|name| self.kept.get(*name))
    }

    /// Whether Envoy answers this caller as gRPC: exactly `application/grpc` or
    /// `application/grpc+…`.
    pub(crate) fn is_grpc(&self) -> bool {
        let content_type = self.content_type.map(|value| self.kept.get(value));
        content_type.is_some_and(problem::is_grpc)
    }

    /// What goes along as the Check's own metadata.
    pub(crate) fn traceparent(&self) -> Option<&str> {
        let value = self.kept.get(self.traceparent?);
        let sendable = value.len() <= MAX_TRACEPARENT && headers::is_value(value);
        std::str::from_utf8(value).ok().filter(|_| sendable)
    }

    /// `x-forwarded-client-cert`.
    pub(crate) fn client_cert(&self) -> &ClientCert {
        &self.client_cert
    }

    /// What a lease is asked about; None if it is not all text, or too long.
    pub(crate) fn line(&self) -> Option<Line<'_>> {
        let plain = |piece| std::str::from_utf8(self.kept.get(piece)).ok();
        let optional = |piece: Option<Piece>| piece.map_or(Some(None), |it| plain(it).map(Some));
        let line = Line {
            method: plain(self.method)?,
            path: plain(self.path)?,
            host: beginning(plain(self.authority)?, MAX_HOST),
            upgrade: optional(self.upgrade)?,
            content_type: optional(self.content_type)?,
            traceparent: self.traceparent(),
        };
        let optional = [line.upgrade, line.content_type].into_iter().flatten();
        let parts = [line.method, line.path].into_iter().chain(optional);
        let length = parts.map(str::len).fold(0, usize::saturating_add);
        (length <= MAX_LINE).then_some(line)
    }

    /// Looks for the headers `names` in place of those that were looked for before.
    pub(crate) fn look_for(&mut self, host: &mut impl Host, names: Names) -> Result<(), HostError> {
        self.more = More {
            names,
            found: Vec::new(),
        };
        let Self { more, kept, .. } = self;
        host.fields(Section::Headers, &mut |name, value| {
            more.note(kept, name, value);
        })
    }
}

impl More {
    fn note(&mut self, kept: &mut Kept, name: &[u8], value: &[u8]) {
        let mut names = self.names.iter();
        let Some(place) = names.position(|wanted| wanted.as_bytes() == name) else {
            return;
        };
        let known = self.found.iter_mut().find(|(found, _)| *found == place);
        match known {
            Some((_, all)) => *all = kept.join(Some(*all), value),
            None => self.found.push((place, kept.add(value))),
        }
    }
}

/// `x-forwarded-client-cert` while a request is looked at.
#[derive(Clone, Debug)]
enum Shown {
    Nothing,
    /// What the connection had before.
    Known(Rc<ClientCert>),
    /// Another text, or several.
    New(Vec<u8>),
}

impl Shown {
    /// Repeated ones are one, joined with `,` (RFC 9110 section 5.3).
    fn add(&mut self, connection: &Connection, value: &[u8]) {
        let mut all = match std::mem::replace(self, Self::Nothing) {
            Self::Nothing => {
                *self = match connection.knows(value) {
                    Some(known) => Self::Known(known),
                    None => Self::New(value.to_vec()),
                };
                return;
            }
            Self::Known(before) => before.text().unwrap_or_default().to_vec(),
            Self::New(before) => before,
        };
        all.push(b',');
        all.extend_from_slice(value);
        *self = Self::New(all);
    }

    fn read(self, connection: &Connection) -> Rc<ClientCert> {
        match self {
            Self::Nothing => Rc::default(),
            Self::Known(known) => known,
            Self::New(text) => connection.read(text),
        }
    }
}

/// At most `most` bytes of a text.
fn beginning(text: &str, most: usize) -> &str {
    let ends = (0..=most.min(text.len())).rev();
    let end = ends.into_iter().find(|&end| text.is_char_boundary(end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// The text of some bytes. Bytes that are not UTF-8 become `%XX`, which the server
/// takes for what it is: never the same as text that has them plain.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    Cow::Owned(text)
}
