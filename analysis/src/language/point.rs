//! One request.

use std::fmt;

use callgate_policy::{Caller, CanonicalPath, Request, SpiffeId};

use super::kind::Kind;

/// A request that can be decided: what stands for all of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Point {
    caller: SpiffeId,
    kind: Kind,
    path: String,
}

impl Point {
    pub(super) fn new(caller: SpiffeId, kind: Kind, segments: &[String], slash: bool) -> Self {
        let path = CanonicalPath::spell(segments.iter().map(String::as_str), slash);
        Self { caller, kind, path }
    }

    /// The request, made to `service`.
    #[must_use]
    pub fn request<'a>(&'a self, service: Option<&'a SpiffeId>) -> Request<'a> {
        self.kind
            .request(Caller::Verified(&self.caller), service, &self.path)
    }

    /// The same with a query.
    pub(crate) fn with_query(&self, query: &str) -> Self {
        Self {
            path: format!("{}{query}", self.path),
            ..self.clone()
        }
    }

    /// Who calls.
    #[must_use]
    pub const fn caller(&self) -> &SpiffeId {
        &self.caller
    }

    /// The request target.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.kind.method()
    }

    /// The `upgrade` header.
    #[must_use]
    pub const fn upgrade(&self) -> Option<&str> {
        self.kind.upgrade()
    }

    /// The `content-type` header.
    #[must_use]
    pub const fn content_type(&self) -> Option<&str> {
        self.kind.content_type()
    }
}

/// The call as the command line takes it: `GET /orders/7`, `GRPC shop.v1.Orders/Watch`,
/// `WEBSOCKET /ui/live`.
impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.write_call(&self.path, f)
    }
}

#[cfg(test)]
impl Point {
    pub(crate) fn example(
        caller: SpiffeId,
        method: &str,
        upgrade: Option<&'static str>,
        segments: &[String],
        slash: bool,
    ) -> Self {
        Self::new(caller, Kind::example(method, upgrade), segments, slash)
    }
}
