//! What rules mean, found out before they are enforced.
//!
//! Everything here works on documents and decision logs, with the decision core and
//! nothing else: no server, no network. What is printed, and where files come from, is
//! the command's affair (`cli/`).

pub mod diff;
pub mod figure;
pub mod format;
pub mod generate;
pub mod import;
pub mod language;
pub mod lint;
pub mod log;
pub mod names;
pub mod reach;
pub mod replay;
pub mod suite;
pub mod trial;
