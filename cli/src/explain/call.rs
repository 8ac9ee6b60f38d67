//! A call, as one argument: what a rule would say of it, but with values.

use std::{fmt, str::FromStr};

/// `GET /orders/7?x=1`, `GRPC shop.v1.Orders/Watch` or `WEBSOCKET /ui/live`.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    verb: String,
    target: String,
}

/// A header of the request.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    /// In lower case, as HTTP/2 has it.
    name: String,
    value: String,
}

/// What a request of this call consists of.
pub(crate) struct Parts {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) upgrade: Option<String>,
    pub(crate) content_type: Option<String>,
}

impl Call {
    /// The request, with these headers. What the verb implies (`GRPC` a content type,
    /// `WEBSOCKET` an upgrade) holds where no header says otherwise.
    pub(crate) fn parts(&self, headers: &[Header]) -> Parts {
        let given = |name| joined(headers, name);
        let (method, target) = match &*self.verb {
            "GRPC" => ("POST", format!("/{}", self.target)),
            "WEBSOCKET" => ("GET", self.target.clone()),
            method => (method, self.target.clone()),
        };
        let implied = |verb, value: &str| (self.verb == verb).then(|| value.to_owned());
        Parts {
            method: method.to_owned(),
            target,
            upgrade: given("upgrade").or_else(|| implied("WEBSOCKET", "websocket")),
            content_type: given("content-type").or_else(|| implied("GRPC", "application/grpc")),
        }
    }
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

impl FromStr for Call {
    type Err = CallError;

    fn from_str(text: &str) -> Result<Self, CallError> {
        let (verb, target) = text.split_once(' ').ok_or(CallError::NoTarget)?;
        if verb.is_empty() || target.is_empty() {
            return Err(CallError::NoTarget);
        }
        if verb == "ANY" || verb.contains(',') {
            return Err(CallError::SeveralMethods);
        }
        if verb == "GRPC" {
            let is_method = |(service, method): (&str, &str)| {
                !service.is_empty() && !method.is_empty() && !method.contains('/')
            };
            if !target.split_once('/').is_some_and(is_method) {
                return Err(CallError::Grpc);
            }
        }
        Ok(Self {
            verb: verb.to_owned(),
            target: target.to_owned(),
        })
    }
}

impl FromStr for Header {
    type Err = CallError;

    fn from_str(text: &str) -> Result<Self, CallError> {
        let (name, value) = text.split_once('=').ok_or(CallError::Header)?;
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(CallError::Header);
        }
        Ok(Self {
            name: name.to_ascii_lowercase(),
            value: value.to_owned(),
        })
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.target.escape_debug())
    }
}

/// What is wrong with an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallError {
    /// Not two words.
    NoTarget,
    /// What only rules may say.
    SeveralMethods,
    /// A gRPC method is `package.Service/Method`.
    Grpc,
    /// A header is `name=value`.
    Header,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoTarget => "a call is a method and a path in one argument: 'GET /orders/7'",
            Self::SeveralMethods => "a call has one method",
            Self::Grpc => "a gRPC call is 'GRPC package.Service/Method'",
            Self::Header => "a header is NAME=VALUE",
        })
    }
}

impl std::error::Error for CallError {}

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
            let parts = text.parse::<Call>().unwrap().parts(&[]);
            assert_eq!((&*parts.method, &*parts.target), (method, target), "{text}");
            assert_eq!(parts.upgrade.as_deref(), upgrade, "{text}");
            assert_eq!(parts.content_type.as_deref(), content_type, "{text}");
        }
    }

    #[test]
    fn headers_say_otherwise_and_join() {
        let header = |text: &str| text.parse::<Header>().unwrap();
        let headers = [header("Content-Type=text/html"), header("content-type=a=b")];
        let parts = "GRPC a.B/C".parse::<Call>().unwrap().parts(&headers);
        assert_eq!(parts.content_type.as_deref(), Some("text/html,a=b"));
    }

    #[test]
    fn what_is_no_call_is_refused() {
        let cases = [
            ("GET", CallError::NoTarget),
            ("/orders", CallError::NoTarget),
            (" /orders", CallError::NoTarget),
            ("GET ", CallError::NoTarget),
            ("ANY /orders", CallError::SeveralMethods),
            ("GET,PUT /orders", CallError::SeveralMethods),
            ("GRPC a.B", CallError::Grpc),
            ("GRPC /a.B/C", CallError::Grpc),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Call>().err(), Some(error), "{text}");
        }
        for text in ["x", "=x", "a b=c", ""] {
            assert_eq!(
                text.parse::<Header>().err(),
                Some(CallError::Header),
                "{text}"
            );
        }
    }
}
