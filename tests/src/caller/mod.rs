//! Callers: whoever opens a connection to the gate, with whatever it has to show.
//!
//! A [`Caller`] holds a certificate (or none) and its TLS sessions; it opens
//! [`Connection`]s, one TCP connection each, on which [`Call`]s are made.
//! [`raw`] speaks bytes, for what no client library would send.

mod answer;
mod connection;
pub mod grpc;
pub mod raw;
pub mod stream;
mod tls;

use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

pub use answer::Answer;
pub use connection::{Connection, Http};
pub use tls::{Caller, Tls, TlsVersion};

/// A request.
#[derive(Clone, Debug)]
pub struct Call {
    /// Verbatim; not only what HTTP knows.
    pub method: String,
    /// Path and query, verbatim.
    pub path: String,
    /// Besides those that the protocol needs.
    pub headers: HeaderMap,
    /// Sent with its length.
    pub body: Bytes,
}

impl Call {
    /// Without headers or body.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// The same, with one more header.
    ///
    /// # Panics
    /// When HTTP does not allow the name or the value: the test is wrong.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a test that cannot be expressed must not run"
    )]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name: HeaderName = name.parse().expect("a header name");
        let value = HeaderValue::from_bytes(value.as_ref()).expect("a header value");
        self.headers.append(name, value);
        self
    }

    /// The same, with a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

impl Caller {
    /// One call on a connection of its own, over HTTP/1.1.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn call(&self, address: SocketAddr, call: Call) -> Result<Answer> {
        self.connect(address, Http::One).await?.call(call).await
    }
}
