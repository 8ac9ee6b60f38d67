//! Requests as people write them: one line, as in a rule but with values, and headers.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crate::{Caller, Request, SpiffeId};

/// A request on one line: `GET /orders/7?x=1`, `GRPC shop.v1.Orders/Watch` or
/// `WEBSOCKET /ui/live`. What is no request of good will (`GET //`) is one too: somebody
/// may send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLine {
    verb: String,
    target: String,
}

/// A header of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// In lower case, as HTTP/2 has it.
    name: String,
    value: String,
}

/// A request that owns its parts, for who decides one that nobody sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRequest {
    method: String,
    target: String,
    upgrade: Option<String>,
    content_type: Option<String>,
    host: Option<String>,
    headers: BTreeMap<String, String>,
}

impl RequestLine {
    /// The request, with these headers. What the verb implies (`GRPC` a content type,
    /// `WEBSOCKET` an upgrade) holds where no header says otherwise.
    #[must_use]
    pub fn with(&self, headers: &[Header]) -> OwnedRequest {
        let given = |name: &str| joined(headers, name);
        let (method, target) = match &*self.verb {
            "GRPC" => ("POST", format!("/{}", self.target)),
            "WEBSOCKET" => ("GET", self.target.clone()),
            method => (method, self.target.clone()),
        };
        let implied = |verb, value: &str| (self.verb == verb).then(|| value.to_owned());
        OwnedRequest {
            method: method.to_owned(),
            target,
            upgrade: given("upgrade").or_else(|| implied("WEBSOCKET", "websocket")),
            content_type: given("content-type").or_else(|| implied("GRPC", "application/grpc")),
            host: given("host"),
            headers: all(headers),
        }
    }
}

impl OwnedRequest {
    /// The same, by `caller` to `service`.
    #[must_use]
    pub fn by<'r>(&'r self, caller: Caller<'r>, service: Option<&'r SpiffeId>) -> Request<'r> {
        Request {
            caller,
            service,
            method: &self.method,
            path: &self.target,
            upgrade: self.upgrade.as_deref(),
            content_type: self.content_type.as_deref(),
            host: self.host.as_deref(),
            headers: &self.headers,
        }
    }
}

impl Header {
    /// A header; its name is folded to lower case.
    ///
    /// # Errors
    /// A name that is no token (RFC 9110, section 5.1), a value with line breaks or other
    /// controls (section 5.5).
    pub fn new(name: &str, value: &str) -> Result<Self, RequestError> {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(RequestError::HeaderName);
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(RequestError::HeaderValue);
        }
        Ok(Self {
            name: name.to_ascii_lowercase(),
            value: value.to_owned(),
        })
    }

    /// Its name, in lower case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// Every header, by name.
fn all(headers: &[Header]) -> BTreeMap<String, String> {
    let names = headers.iter().map(Header::name);
    names
        .filter_map(|name| Some((name.to_owned(), joined(headers, name)?)))
        .collect()
}

/// Repeated headers as one (RFC 9110, section 5.3).
fn joined(headers: &[Header], name: &str) -> Option<String> {
    let values: Vec<&str> = headers
        .iter()
        .filter(|one| one.name == name)
        .map(|one| &*one.value)
        .collect();
    (!values.is_empty()).then(|| values.join(","))
}

impl FromStr for RequestLine {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, RequestError> {
        let (verb, target) = text.split_once(' ').ok_or(RequestError::NoTarget)?;
        if verb.is_empty() || target.is_empty() {
            return Err(RequestError::NoTarget);
        }
        if verb == "ANY" || verb.contains(',') {
            return Err(RequestError::SeveralMethods);
        }
        if verb == "GRPC" {
            let is_method = |(service, method): (&str, &str)| {
                !service.is_empty() && !method.is_empty() && !method.contains('/')
            };
            if !target.split_once('/').is_some_and(is_method) {
                return Err(RequestError::Grpc);
            }
        }
        Ok(Self {
            verb: verb.to_owned(),
            target: target.to_owned(),
        })
    }
}

/// As it was written, fit for a terminal.
impl fmt::Display for RequestLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}",
            self.verb.escape_debug(),
            self.target.escape_debug()
        )
    }
}

/// Why a text is no request, or no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// Not two words.
    NoTarget,
    /// What only rules may say.
    SeveralMethods,
    /// A gRPC method is `package.Service/Method`.
    Grpc,
    /// The name of a header is a token.
    HeaderName,
    /// The value of a header is one line.
    HeaderValue,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoTarget => "a call is a method and a path in one argument: 'GET /orders/7'",
            Self::SeveralMethods => "a call has one method",
            Self::Grpc => "a gRPC call is 'GRPC package.Service/Method'",
            Self::HeaderName => "the name of a header has letters, digits and `-`",
            Self::HeaderValue => "the value of a header has no line breaks and no controls",
        })
    }
}

impl std::error::Error for RequestError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_imply_what_their_requests_have() {
        let cases = [
            ("GET /orders/7?x=1", "GET", "/orders/7?x=1", None, None),
            (
                "GRPC a.B/C",
                "POST",
                "/a.B/C",
                None,
                Some("application/grpc"),
            ),
            ("WEBSOCKET /ui", "GET", "/ui", Some("websocket"), None),
            ("OPTIONS *", "OPTIONS", "*", None, None),
        ];
        for (text, method, target, upgrade, content_type) in cases {
            let parts = text.parse::<RequestLine>().unwrap().with(&[]);
            assert_eq!((&*parts.method, &*parts.target), (method, target), "{text}");
            assert_eq!(parts.upgrade.as_deref(), upgrade, "{text}");
            assert_eq!(parts.content_type.as_deref(), content_type, "{text}");
        }
    }

    #[test]
    fn headers_say_otherwise_and_join() {
        let header = |name, value| Header::new(name, value).unwrap();
        let headers = [
            header("Content-Type", "text/html"),
            header("content-type", "a=b"),
        ];
        let parts = "GRPC a.B/C".parse::<RequestLine>().unwrap().with(&headers);
        assert_eq!(parts.content_type.as_deref(), Some("text/html,a=b"));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let cases = [
            ("GET", RequestError::NoTarget),
            ("/orders", RequestError::NoTarget),
            (" /orders", RequestError::NoTarget),
            ("GET ", RequestError::NoTarget),
            ("ANY /orders", RequestError::SeveralMethods),
            ("GET,PUT /orders", RequestError::SeveralMethods),
            ("GRPC a.B", RequestError::Grpc),
            ("GRPC /a.B/C", RequestError::Grpc),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<RequestLine>().err(), Some(error), "{text}");
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let cases = [
            ("", "x", RequestError::HeaderName),
            ("a b", "x", RequestError::HeaderName),
            (":path", "x", RequestError::HeaderName),
            ("a", "b\r\nc: d", RequestError::HeaderValue),
        ];
        for (name, value, error) in cases {
            assert_eq!(Header::new(name, value).err(), Some(error), "{name}");
        }
        assert!(Header::new("x-a", "").is_ok());
    }
}
