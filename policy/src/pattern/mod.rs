//! What documents write in `from` and `to`: callers and operations.
//!
//! A pattern is parsed once, when documents are loaded, and every text that could
//! mean something other than its author thinks is refused there.

mod caller;
mod error;
mod operation;

pub use caller::CallerPattern;
pub use error::{PatternError, PatternErrorKind};
pub use operation::Operation;
