//! What came back.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// All of it.
    pub body: Bytes,
    /// HTTP/2 only.
    pub trailers: HeaderMap,
    /// Nothing followed the headers: with `grpc-status` among them, what gRPC calls
    /// trailers-only. Always false on HTTP/1.1.
    pub headers_only: bool,
    /// From the request's first byte to the answer's last.
    pub took: Duration,
}

impl Answer {
    /// A header's value, when there is exactly that: text, once.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }

    /// `x-callgate-reason`.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.header("x-callgate-reason")
    }

    /// `x-callgate-decision`.
    #[must_use]
    pub fn decision(&self) -> Option<&str> {
        self.header("x-callgate-decision")
    }

    /// `grpc-status`, from wherever it came.
    #[must_use]
    pub fn grpc_status(&self) -> Option<i32> {
        self.grpc("grpc-status")?.parse().ok()
    }

    /// `grpc-message` as sent, percent-encoding included.
    #[must_use]
    pub fn grpc_message(&self) -> Option<&str> {
        self.grpc("grpc-message")
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is not.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("`{}` is not JSON", String::from_utf8_lossy(&self.body)))
    }

    fn grpc(&self, name: &str) -> Option<&str> {
        let value = self.headers.get(name).or_else(|| self.trailers.get(name))?;
        value.to_str().ok()
    }
}
