//! What documents write in `from` and `to`: callers and operations.
//!
//! A pattern is parsed once, when documents are loaded, and every text that could
//! mean something other than its author thinks is refused there.

mod bindings;
mod caller;
mod capture;
#[cfg(feature = "documents")]
mod cover;
mod error;
mod grpc;
mod hints;
mod operation;
mod pair;
mod parts;
mod path;
mod source;
#[cfg(test)]
mod tests;
mod verb;

pub(crate) use bindings::Bindings;
pub use caller::CallerPattern;
pub(crate) use caller::IdSegment;
pub use error::{PatternError, PatternErrorKind};
pub use operation::Operation;
pub use pair::Side;
pub use parts::CallerSegment;
pub use path::PathSegment;
pub(crate) use path::{PathPattern, TrailingSlash};
pub(crate) use verb::Verb;
