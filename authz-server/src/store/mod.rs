//! Where policies come from: a directory of documents.

mod read;

pub use read::{ReadError, read_sources};
