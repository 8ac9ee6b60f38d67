//! What patterns consist of, for who reasons about them instead of matching.

use super::{CallerPattern, IdSegment, Operation, PathSegment, Verb};

/// One segment of a pattern over SPIFFE IDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerSegment<'p> {
    /// This text.
    Literal(&'p str),
    /// One whole segment.
    Any,
    /// One whole segment, captured under this name.
    Capture(&'p str),
}

impl CallerPattern {
    /// The segments in order, without a trailing `/**`; of an exact identity all are
    /// literal.
    #[must_use]
    pub fn parts(&self) -> Vec<CallerSegment<'_>> {
        match self.exact() {
            Some(id) => id.segments().map(CallerSegment::Literal).collect(),
            None => self.segments().iter().map(CallerSegment::from).collect(),
        }
    }
}

impl Operation {
    /// The segments of the path in order, without a trailing `/**`. A gRPC method is the
    /// path that its calls have.
    pub fn segments(&self) -> impl Iterator<Item = PathSegment<'_>> {
        self.path.segments()
    }

    /// Whether the path ends in `/**`.
    #[must_use]
    pub const fn has_tail(&self) -> bool {
        self.path.has_tail()
    }

    /// Whether the path ends in `/`.
    #[must_use]
    pub const fn has_trailing_slash(&self) -> bool {
        self.path.has_trailing_slash()
    }

    /// The first word of the line: methods, each once, without the HEAD that GET covers;
    /// or `ANY`, `GRPC`, `WEBSOCKET`.
    #[must_use]
    pub fn verb(&self) -> String {
        match &self.verb {
            Verb::Any => "ANY".to_owned(),
            Verb::Grpc => "GRPC".to_owned(),
            Verb::WebSocket => "WEBSOCKET".to_owned(),
            Verb::Methods(_) => {
                let mut methods = self.methods();
                if methods.contains(&"GET") {
                    methods.retain(|method| *method != "HEAD");
                }
                methods.join(",")
            }
        }
    }

    /// The methods that the line names, with HEAD where GET stands for it; none of
    /// `ANY`, `GRPC` and `WEBSOCKET`.
    #[must_use]
    pub fn methods(&self) -> Vec<&str> {
        match &self.verb {
            Verb::Methods(methods) => methods.names().collect(),
            Verb::Any | Verb::Grpc | Verb::WebSocket => Vec::new(),
        }
    }
}

impl<'p> From<&'p IdSegment> for CallerSegment<'p> {
    fn from(segment: &'p IdSegment) -> Self {
        match segment {
            IdSegment::Literal(text) => Self::Literal(text),
            IdSegment::Any => Self::Any,
            IdSegment::Capture(name) => Self::Capture(name),
        }
    }
}
