//! Replay: recorded decisions, decided again by other rules.
//!
//! ```text
//!  LogReader ──block──► worker ─┐   each: parse, decide at the record's own time,
//!      (one lock)  └──► worker ─┴──► Tally ──merge──► Replayed    compare, count
//! ```
//!
//! Each worker takes the next block when it is done with its last one, so that one of them
//! unpacks while the other decides. What is kept is counts, and one sample of each kind of
//! change: memory does not grow with the log.

mod change;
mod tally;

#[cfg(test)]
mod tests;

use std::{
    io::{self, Read},
    sync::{Mutex, PoisonError},
    thread,
};

use callgate_policy::{PolicySet, Timestamp};

use crate::log::{LogReader, Recorded};

pub use change::{Change, Direction, Now, Outcome, Parties, Was};
pub use tally::{Changed, Replayed, Sample};

use tally::{Place, Tally};

/// Threads that decide. Two keep up with what one unpacks, and leave the rest of the
/// machine to others.
const WORKERS: usize = 2;

/// Decides logs again by one set of rules.
#[derive(Debug)]
pub struct Replay<'p> {
    set: &'p PolicySet,
    window: Window,
    logs: usize,
    tally: Tally,
}

/// Which records count, by when they were decided.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    /// This moment and later.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
}

impl Window {
    /// Whether `time` is in it.
    #[must_use]
    pub fn holds(self, time: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= time) && self.until.is_none_or(|until| time < until)
    }
}

impl<'p> Replay<'p> {
    /// Decides by `set` what was recorded within `window`.
    #[must_use]
    pub fn new(set: &'p PolicySet, window: Window) -> Self {
        Self {
            set,
            window,
            logs: 0,
            tally: Tally::default(),
        }
    }

    /// Decides everything in `log` again; it may be compressed. Samples tell logs by their
    /// number, in the order of these calls, counted from 0.
    ///
    /// # Errors
    /// If the log cannot be read, or what is compressed is damaged.
    pub fn read(&mut self, log: impl Read + Send + 'static) -> io::Result<()> {
        let reader = Mutex::new(LogReader::new(log)?);
        let (log, reader, this) = (self.logs, &reader, &*self);
        let tallies = thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS)
                .map(|_| scope.spawn(move || this.work(log, reader)))
                .collect();
            let ended = workers.into_iter().map(thread::ScopedJoinHandle::join);
            ended.collect::<Vec<_>>()
        });
        for tally in tallies {
            let tally = tally.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            self.tally.merge(tally);
        }
        self.logs += 1;
        Ok(())
    }

    /// What became of it all.
    #[must_use]
    pub fn finish(self) -> Replayed {
        self.tally.finish()
    }

    fn work(&self, log: usize, reader: &Mutex<LogReader>) -> io::Result<Tally> {
        let mut tally = Tally::default();
        loop {
            // A worker that panicked takes the whole replay with it, a little later.
            let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            let block = reader.next_block();
            drop(reader);
            let Some(block) = block? else {
                return Ok(tally);
            };
            for line in block.lines() {
                let place = Place {
                    log,
                    line: line.number,
                };
                match line.content {
                    Err(odd) => tally.odd(place, odd),
                    Ok(record) if !self.window.holds(record.time) => tally.outside(),
                    Ok(record) => {
                        let recorded = Recorded::of(&record);
                        let again = recorded.and_then(|recorded| recorded.decide(self.set));
                        tally.record(place, &record, again);
                    }
                }
            }
        }
    }
}
