//! From many threads that must not wait to one that may.

use std::{
    cell::RefCell,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use serde::Serialize;

use super::sink::Sink;

/// Bytes that wait to be written. 16 MiB are about 25,000 records: half a second of
/// one core's decisions. As much again may be in the writer's hands.
const MAX_WAITING_BYTES: usize = 16 * 1_048_576;
/// How long the writer lets records gather. A wake-up for each would cost as much as
/// the decision.
const GATHERING: Duration = Duration::from_millis(5);

/// Takes records and has them written. Cheap to clone; all clones are one queue.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// None: records go nowhere.
    queue: Option<Arc<Queue>>,
}

/// What became of the records so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordFigures {
    /// Handed to the file or stream.
    pub written: u64,
    /// Lost because the writer could not keep up.
    pub dropped_full: u64,
    /// Lost because writing failed.
    pub dropped_failed: u64,
}

#[derive(Debug)]
struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    limit: usize,
    written: AtomicU64,
    dropped_full: AtomicU64,
    dropped_failed: AtomicU64,
    /// Closed by the writer's end.
    ended: Mutex<mpsc::Receiver<()>>,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    count: u64,
    idle: bool,
    reopen: bool,
    closed: bool,
}

impl Recorder {
    /// Records go nowhere and are not counted.
    #[must_use]
    pub const fn discard() -> Self {
        Self { queue: None }
    }

    /// Starts a thread that writes to `sink`.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(sink: Sink) -> std::io::Result<Self> {
        Self::with_limit(sink, MAX_WAITING_BYTES)
    }

    pub(super) fn with_limit(sink: Sink, limit: usize) -> std::io::Result<Self> {
        let (end, ended) = mpsc::channel();
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            wake: Condvar::new(),
            limit,
            written: AtomicU64::new(0),
            dropped_full: AtomicU64::new(0),
            dropped_failed: AtomicU64::new(0),
            ended: Mutex::new(ended),
        });
        let writer = Arc::clone(&queue);
        std::thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || {
                writer.write_to(sink);
                drop(end);
            })?;
        Ok(Self { queue: Some(queue) })
    }

    /// Hands over one record as a line of JSON. Never waits: when too much is
    /// waiting already, it is dropped and counted.
    pub fn append(&self, record: &impl Serialize) {
        thread_local! {
            /// Kept, so that a record costs no allocation.
            static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let Some(queue) = &self.queue else {
            return;
        };
        LINE.with_borrow_mut(|line| {
            line.clear();
            if serde_json::to_writer(&mut *line, record).is_ok() {
                line.push(b'\n');
                queue.push(line);
            }
        });
    }

    /// Opens the file anew before the next record, as log rotation wants it.
    pub fn reopen(&self) {
        if let Some(queue) = &self.queue {
            queue.waiting().reopen = true;
            queue.wake.notify_one();
        }
    }

    /// Writes what is waiting, and ends the writer; what is appended later is
    /// dropped. False if that is not done within `patience`: a pipe that nobody reads
    /// must not keep a server from stopping.
    #[must_use]
    pub fn close(&self, patience: Duration) -> bool {
        let Some(queue) = &self.queue else {
            return true;
        };
        queue.waiting().closed = true;
        queue.wake.notify_one();
        let ended = queue.ended.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(
            ended.recv_timeout(patience),
            Err(mpsc::RecvTimeoutError::Disconnected)
        )
    }

    /// What became of the records so far.
    #[must_use]
    pub fn figures(&self) -> RecordFigures {
        let Some(queue) = &self.queue else {
            return RecordFigures::default();
        };
        RecordFigures {
            written: queue.written.load(Ordering::Relaxed),
            dropped_full: queue.dropped_full.load(Ordering::Relaxed),
            dropped_failed: queue.dropped_failed.load(Ordering::Relaxed),
        }
    }
}

impl Queue {
    /// Nothing is done under the lock that can panic half-way.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.closed || waiting.lines.len() + line.len() > self.limit {
            self.dropped_full.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.lines.extend_from_slice(line);
        waiting.count += 1;
        let idle = std::mem::take(&mut waiting.idle);
        drop(waiting);
        if idle {
            self.wake.notify_one();
        }
    }

    fn write_to(&self, mut sink: Sink) {
        let mut lines = Vec::new();
        loop {
            let (count, reopen, closed) = self.next(&mut lines);
            if reopen && let Err(error) = sink.reopen() {
                tracing::error!(%error, "cannot reopen the decision log, the old file stays");
            }
            if count > 0 {
                let counter = match sink.write(&lines) {
                    Ok(()) => &self.written,
                    Err(error) => {
                        tracing::error!(%error, records = count, "cannot write decision records");
                        &self.dropped_failed
                    }
                };
                counter.fetch_add(count, Ordering::Relaxed);
            }
            if closed {
                return;
            }
        }
    }

    /// Waits for records and moves all that are there into `lines`. Tells how many,
    /// whether to reopen first, and whether these are the last.
    fn next(&self, lines: &mut Vec<u8>) -> (u64, bool, bool) {
        lines.clear();
        let mut waiting = self.waiting();
        while waiting.lines.is_empty() && !waiting.closed && !waiting.reopen {
            waiting.idle = true;
            waiting = self
                .wake
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
        waiting.idle = false;
        if !waiting.closed {
            // More may come; only closing and reopening wake this up.
            waiting = self
                .wake
                .wait_timeout(waiting, GATHERING)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        std::mem::swap(&mut waiting.lines, lines);
        (
            std::mem::take(&mut waiting.count),
            std::mem::take(&mut waiting.reopen),
            waiting.closed,
        )
    }
}
