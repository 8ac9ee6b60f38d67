//! A request, read once: what rules are held against.

use std::fmt;

use crate::{
    CanonicalPath, PathError, PathOptions, Request, SpiffeId, Timestamp,
    condition::{Notes, Scene},
    table::Bits,
};

/// A verified caller's request with one reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) caller: &'a SpiffeId,
    pub(crate) method: Method<'a>,
    pub(crate) path: &'a CanonicalPath<'a>,
    /// Those of the path.
    pub(crate) bits: Bits,
    pub(crate) upgrade: Upgrade,
    /// The content type says gRPC.
    pub(crate) grpc: bool,
    /// All of it, for conditions.
    pub(crate) request: &'a Request<'a>,
    pub(crate) notes: &'a Notes,
}

/// A method, with a bit if it is one of the usual ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Method<'a> {
    pub(crate) text: &'a str,
    pub(crate) known: u16,
}

/// What a request wants to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upgrade {
    None,
    /// Exactly `websocket`.
    WebSocket,
    /// Anything else; `websocket` may be among several.
    Other {
        websocket: bool,
    },
}

/// Why a request has more than one reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ambiguity {
    /// The path has.
    Path(PathError),
    /// The method is not a token of at most 32 bytes (RFC 9110 section 9.1).
    Method,
    /// The method is CONNECT: what it names is a host, not a path.
    Connect,
}

impl Ambiguity {
    /// Why no request with `method` has one reading, if none has.
    #[must_use]
    pub fn of_method(method: &str) -> Option<Self> {
        Method::read(method).err()
    }
}

/// Refuses what no rule may be held against.
pub(crate) fn read<'a>(
    request: &Request<'a>,
    options: PathOptions,
) -> Result<(Method<'a>, CanonicalPath<'a>), Ambiguity> {
    let method = Method::read(request.method)?;
    let path = CanonicalPath::parse(request.path, options).map_err(Ambiguity::Path)?;
    Ok((method, path))
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        caller: &'a SpiffeId,
        request: &'a Request<'a>,
        method: Method<'a>,
        path: &'a CanonicalPath<'a>,
        notes: &'a Notes,
    ) -> Self {
        Self {
            caller,
            method,
            path,
            bits: Bits::of_path(path),
            upgrade: Upgrade::read(request.upgrade),
            grpc: request.content_type.is_some_and(is_grpc),
            request,
            notes,
        }
    }

    /// The same request by another caller.
    pub(crate) fn by<'r>(&self, caller: &'r SpiffeId) -> Call<'r>
    where
        'a: 'r,
    {
        Call { caller, ..*self }
    }

    /// What a condition is held against, where captures stand for this.
    pub(crate) const fn scene<'s>(
        &'s self,
        bindings: &'s [(&'s str, &'s str)],
        now: Timestamp,
    ) -> Scene<'s> {
        Scene {
            request: self.request,
            caller: self.caller,
            path: self.path,
            bindings,
            now,
            notes: self.notes,
        }
    }

    /// The same request with its path read in another way.
    pub(crate) fn reading<'r>(&self, path: &'r CanonicalPath<'r>) -> Call<'r>
    where
        'a: 'r,
    {
        let bits = Bits::of_path(path);
        Call {
            path,
            bits,
            ..*self
        }
    }
}

impl<'a> Method<'a> {
    /// Longer than any registered method (`UPDATEREDIRECTREF` has 17 bytes), and
    /// short enough for a record.
    pub(crate) const MAX_BYTES: usize = 32;

    fn read(text: &'a str) -> Result<Self, Ambiguity> {
        let known = Self::bit(text);
        if known == 0 {
            if text == "CONNECT" {
                return Err(Ambiguity::Connect);
            }
            if text.is_empty() || text.len() > Self::MAX_BYTES || !text.bytes().all(is_tchar) {
                return Err(Ambiguity::Method);
            }
        }
        Ok(Self { text, known })
    }

    /// Those with a bit of their own.
    pub(crate) const USUAL: [&'static str; 8] = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
    ];

    /// The bit of a usual method (RFC 9110 section 9.3, RFC 5789); 0 for others.
    pub(crate) fn bit(text: &str) -> u16 {
        match text {
            "GET" => 1,
            "HEAD" => 1 << 1,
            "POST" => 1 << 2,
            "PUT" => 1 << 3,
            "PATCH" => 1 << 4,
            "DELETE" => 1 << 5,
            "OPTIONS" => 1 << 6,
            "TRACE" => 1 << 7,
            _ => 0,
        }
    }

    pub(crate) fn is(self, text: &str) -> bool {
        self.text == text
    }
}

impl Upgrade {
    /// RFC 9110 section 7.8: a list of protocols, each `name[/version]`, without case.
    fn read(header: Option<&str>) -> Self {
        let Some(header) = header else {
            return Self::None;
        };
        let is_websocket = |name: &str| name.eq_ignore_ascii_case("websocket");
        if is_websocket(header) {
            return Self::WebSocket;
        }
        let mut names = header
            .split(',')
            .map(|protocol| protocol.split('/').next().unwrap_or_default().trim());
        Self::Other {
            websocket: names.any(is_websocket),
        }
    }
}

/// Exactly `application/grpc` or `application/grpc+…` (gRPC over HTTP/2, "Requests"),
/// as the proxy recognises it: no parameters, no second content type. To rules, nothing
/// else is gRPC.
#[must_use]
pub fn is_grpc(content_type: &str) -> bool {
    match content_type.strip_prefix("application/grpc") {
        Some("") => true,
        Some(rest) => rest
            .strip_prefix('+')
            .is_some_and(|format| !format.is_empty() && format.bytes().all(is_tchar)),
        None => false,
    }
}

/// RFC 9110 section 5.6.2.
const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

impl fmt::Display for Ambiguity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(error) => write!(f, "the path is ambiguous: {error}"),
            Self::Method => f.write_str("the method is not a token of at most 32 bytes"),
            Self::Connect => f.write_str("CONNECT names a host, not a path"),
        }
    }
}

impl std::error::Error for Ambiguity {}
