//! The request of a row: one argument, as in a rule.

use anyhow::{Context as _, Result, bail, ensure};

use callgate_policy::{Header, Headers, Unreadable};

use super::Protocol;

/// A request as its caller sends it, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What sort of request.
    pub kind: Kind,
    /// The HTTP method, verbatim.
    pub method: String,
    /// The request target, verbatim.
    pub target: Vec<u8>,
    /// Names and values in order, those that its kind needs among them; `host` and
    /// pseudo-headers are the runner's affair.
    pub headers: Vec<(String, Vec<u8>)>,
    /// It names the host it calls.
    pub authority: bool,
}

/// What sort of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Written with a method.
    Http,
    /// Written `GRPC package.Service/Method`.
    Grpc,
    /// Written `WEBSOCKET /path`: an upgrade on HTTP/1.1, an extended CONNECT on HTTP/2.
    Websocket,
}

impl Call {
    /// From `GET /orders/7` and its headers.
    pub(super) fn parse(request: &str, headers: Vec<(String, Option<String>)>) -> Result<Self> {
        let request = expand(request)?;
        let (verb, target) = request
            .split_once(' ')
            .context("a request is a verb and a target")?;
        let (kind, method, target) = match verb {
            "GRPC" => (Kind::Grpc, "POST", format!("/{target}")),
            "WEBSOCKET" => (Kind::Websocket, "GET", target.to_owned()),
            method => (Kind::Http, method, target.to_owned()),
        };
        let mut call = Self {
            kind,
            method: method.to_owned(),
            target: latin1(&target)?,
            headers: Vec::new(),
            authority: true,
        };
        call.add_headers(headers)?;
        Ok(call)
    }

    /// The protocols on which real Envoy is asked, unless the row says otherwise.
    pub(super) fn usual_protocols(&self) -> Vec<Protocol> {
        match self.kind {
            Kind::Http | Kind::Websocket => vec![Protocol::Http1, Protocol::Http2],
            Kind::Grpc => vec![Protocol::Http2],
        }
    }

    /// The values of a header, joined with `,` as a proxy joins them.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Vec<u8>> {
        let values: Vec<&[u8]> = self
            .headers
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, v)| v.as_slice())
            .collect();
        (!values.is_empty()).then(|| values.join(&b","[..]))
    }

    /// Whether a refusal takes the form of gRPC: Envoy decides it by this.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.header("content-type")
            .is_some_and(|v| v == b"application/grpc" || v.starts_with(b"application/grpc+"))
    }

    fn add_headers(&mut self, headers: Vec<(String, Option<String>)>) -> Result<()> {
        match self.kind {
            Kind::Http => {}
            Kind::Grpc => {
                self.push("content-type", "application/grpc");
                self.push("te", "trailers");
            }
            Kind::Websocket => self.push("upgrade", "websocket"),
        }
        for (name, value) in headers {
            match value {
                Some(value) => self.headers.push((name, latin1(&expand(&value)?)?)),
                None if name == "host" => self.authority = false,
                None => bail!("only `host` can be left out, not `{name}`"),
            }
        }
        Ok(())
    }

    fn push(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_owned(), value.into()));
    }
}

/// One character, one byte.
pub(super) fn latin1(text: &str) -> Result<Vec<u8>> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).with_context(|| format!("`{c}` is more than a byte")))
        .collect()
}

/// `{{a*3}}` becomes `aaa`.
fn expand(text: &str) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (times, tail) = after.split_once("}}").context("`{{` without `}}`")?;
        let (what, count) = times.split_once('*').context("`{{` without `*`")?;
        let count: usize = count.parse()?;
        ensure!(count <= 1 << 20, "{count} is beyond what any row needs");
        out.push_str(before);
        out.push_str(&what.repeat(count));
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

impl Headers for Call {
    fn header(&self, name: &str) -> Header<'_> {
        match self.header(name).map(String::from_utf8) {
            None => Header::Absent,
            Some(Ok(value)) => Header::Text(value.into()),
            Some(Err(_)) => Header::Unreadable(Unreadable::NotUtf8),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_a_byte() {
        let call = Call::parse("GET /caf\u{c3}\u{a9}\u{1}", Vec::new()).unwrap();
        assert_eq!(call.target, b"/caf\xc3\xa9\x01");
        assert!(Call::parse("GET /\u{2603}", Vec::new()).is_err());
    }

    #[test]
    fn text_repeats() {
        assert_eq!(expand("x{{ab*3}}y").unwrap(), "xabababy");
        assert!(expand("{{a}}").is_err());
    }

    #[test]
    fn grpc_is_a_post_with_its_content_type() {
        let call = Call::parse("GRPC a.B/C", Vec::new()).unwrap();
        assert_eq!(
            (call.method.as_str(), call.target.as_slice()),
            ("POST", &b"/a.B/C"[..])
        );
        assert!(call.is_grpc());
    }
}
