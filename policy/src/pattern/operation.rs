//! Operations: one line of a rule that says what may be called.

use super::PatternError;
use crate::path::PathOptions;

/// What may be called, as one line of `to` says it.
///
/// ```text
/// GET /orders                     one method; GET covers HEAD
/// POST,PUT /orders/{order}        either method; a segment captured
/// POST /orders/{order}:cancel     literal text around a capture
/// ANY /flags/**                   any method; zero or more segments
/// GRPC shop.v1.Orders/Watch       a gRPC method
/// GRPC shop.v1.Orders/*           every method of a gRPC service
/// WEBSOCKET /ui/live              an upgrade to WebSocket
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {}

impl Operation {
    /// Parses a line for a service with these path options: `%2F` and `;` can
    /// stand in a pattern only where they can stand in a request.
    ///
    /// # Errors
    /// The first rule of the pattern language that `text` breaks.
    pub fn parse(text: &str, options: PathOptions) -> Result<Self, PatternError> {
        let _ = (text, options);
        Ok(Self {})
    }

    /// The names that the path captures, each once, in the order of the text.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        [].into_iter()
    }
}
