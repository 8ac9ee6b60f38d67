//! Decision logs: what a server recorded, read again.
//!
//! ```text
//!  file, gzip, zstd ──LogReader──► Block (whole lines) ──lines──► Line: a Record, or what is odd
//!                                   └─ for another thread               └──► Recorded::of
//!                                                                            (decide it again)
//! ```
//!
//! A log is somebody else's file: a line that is no record is told apart and counted, and
//! ends nothing. Memory is bounded by a few blocks, whatever the length of the log.

mod again;
mod block;
mod odd;
mod record;
mod unpack;

#[cfg(test)]
mod tests;

use std::io::{self, Read};

pub use again::{Recorded, Undecidable};
pub use block::{Block, Line, LogReader};
pub use odd::{Odd, OddLines};
pub use record::{InputValue, Inputs, Record, Source};

/// Gives every line of a log to `take`; `log` may be compressed.
///
/// # Errors
/// If it cannot be read, or what is compressed is damaged. That its end is missing is no
/// error, but an odd line.
pub fn read(log: impl Read + Send + 'static, mut take: impl FnMut(Line<'_>)) -> io::Result<()> {
    let mut log = LogReader::new(log)?;
    while let Some(block) = log.next_block()? {
        block.lines().for_each(&mut take);
    }
    Ok(())
}
