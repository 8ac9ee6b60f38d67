//! Whole lines, many at a time.

use std::io::{self, Read};

use super::{Odd, Record, unpack::unpack};

/// Bytes of a block, and of the longest line in it. A record has some 700; its longest
/// fields are bounded by what a proxy takes as a header.
const BLOCK_BYTES: usize = 1 << 20;

/// Reads a log block by block.
pub struct LogReader {
    log: Box<dyn Read + Send>,
    /// The beginning of a line whose end is still to come.
    carry: Vec<u8>,
    /// The number of the next line.
    next_line: u64,
    /// Within a line that is too long to be kept.
    skipping: bool,
    ended: bool,
}

/// Some lines of a log, whole ones. It can be looked through in another thread than the
/// one that reads.
#[derive(Debug)]
pub struct Block {
    bytes: Vec<u8>,
    first_line: u64,
    /// The line before the first one: what was wrong with it.
    before: Option<Odd>,
    /// The log ends without the end of its last line.
    unended: bool,
    /// The log ends within what is compressed.
    cut_off: bool,
}

/// One line of a log.
#[derive(Debug)]
pub struct Line<'b> {
    /// Counted from 1.
    pub number: u64,
    /// The record that it is, or why it is none.
    pub content: Result<Record<'b>, Odd>,
}

impl LogReader {
    /// Reads `log`, which may be compressed with gzip or zstd.
    ///
    /// # Errors
    /// If its beginning cannot be read.
    pub fn new(log: impl Read + Send + 'static) -> io::Result<Self> {
        Ok(Self {
            log: unpack(log)?,
            carry: Vec::new(),
            next_line: 1,
            skipping: false,
            ended: false,
        })
    }

    /// The next lines; None after the last ones.
    ///
    /// # Errors
    /// If the log cannot be read, or what is compressed is damaged.
    pub fn next_block(&mut self) -> io::Result<Option<Block>> {
        while !self.ended {
            let mut bytes = std::mem::take(&mut self.carry);
            let cut_off = self.fill(&mut bytes)?;
            let before = self.skip(&mut bytes);
            if !self.ended {
                match memchr::memrchr(b'\n', &bytes) {
                    Some(end) => self.carry = bytes.split_off(end + 1),
                    None if bytes.len() < BLOCK_BYTES => self.carry = std::mem::take(&mut bytes),
                    // Nothing but the beginning of a line, and no room for the rest.
                    None => {
                        self.skipping = true;
                        bytes.clear();
                    }
                }
            }
            let block = Block {
                first_line: self.next_line,
                unended: self.ended && !bytes.ends_with(b"\n"),
                before,
                cut_off,
                bytes,
            };
            self.next_line += memchr::memchr_iter(b'\n', &block.bytes).count() as u64;
            if !block.is_empty() {
                return Ok(Some(block));
            }
        }
        Ok(None)
    }

    /// Reads until `bytes` is as long as a block may be, or to the end; whether the end
    /// is missing.
    fn fill(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool> {
        let room = BLOCK_BYTES.saturating_sub(bytes.len());
        bytes.reserve_exact(room);
        match self.log.by_ref().take(room as u64).read_to_end(bytes) {
            Ok(read) => {
                self.ended = read < room;
                Ok(false)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.ended = true;
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Passes over the rest of a line that is too long.
    fn skip(&mut self, bytes: &mut Vec<u8>) -> Option<Odd> {
        if !self.skipping {
            return None;
        }
        match memchr::memchr(b'\n', bytes) {
            Some(end) => {
                bytes.drain(..=end);
            }
            None if self.ended => bytes.clear(),
            None => {
                bytes.clear();
                return None;
            }
        }
        self.skipping = false;
        self.next_line += 1;
        Some(Odd::TooLong)
    }
}

impl Block {
    /// How many bytes it has.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    const fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.before.is_none() && !self.cut_off
    }

    /// Its lines, in order; empty ones are passed over.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let before = self.before.clone().map(|odd| Line {
            number: self.first_line.saturating_sub(1),
            content: Err(odd),
        });
        let texts: Vec<(u64, &[u8])> = (self.first_line..).zip(self.texts()).collect();
        let mut texts = texts.into_iter();
        let last = match self.unended || self.cut_off {
            true => texts.next_back(),
            false => None,
        };
        let whole = texts
            .filter(|(_, text)| !text.trim_ascii().is_empty())
            .map(|(number, text)| Line::of(number, text));
        before
            .into_iter()
            .chain(whole)
            .chain(last.and_then(|(number, text)| self.last(number, text)))
    }

    /// What stands before, between and behind the line feeds.
    fn texts(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        let ends = memchr::memchr_iter(b'\n', &self.bytes).chain([self.bytes.len()]);
        ends.map(move |end| {
            let text = self.bytes.get(start..end).unwrap_or_default();
            start = end + 1;
            text
        })
    }

    /// The last line of a log, which has no end. It may be whole all the same.
    fn last<'b>(&self, number: u64, text: &'b [u8]) -> Option<Line<'b>> {
        if text.trim_ascii().is_empty() && !self.cut_off {
            return None;
        }
        let line = Line::of(number, text);
        Some(Line {
            content: line.content.map_err(|_| Odd::Torn),
            ..line
        })
    }
}

impl<'b> Line<'b> {
    fn of(number: u64, text: &'b [u8]) -> Self {
        Self {
            number,
            content: Record::parse(text).map_err(|error| Odd::foreign(&error)),
        }
    }
}
