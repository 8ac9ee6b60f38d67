//! What was decided by leases, on its way to the server's decision log.
//!
//! ```text
//!  note ──► open batch ──64 KiB, or 200 ms old──► under way ──acknowledged──► gone
//!            │                                      └─failed──► again, with its number
//!            └─ beyond 1 MiB: allowed decisions go first, the oldest of them; refusals last
//! ```
//!
//! One for each callee of a plugin. Decisions are encoded as they are made; at most one
//! batch is under way, so that they arrive in order. What cannot be kept is counted, and
//! the counts go with each batch.

mod batch;
mod encode;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Duration};

use callgate_policy::{Reason, RuleRef, Timestamp};
use callgate_wire::{batch::MAX_BYTES, callgate::v1};

pub(crate) use self::batch::NotedCaller;
use self::batch::{Batch, Head};

/// A batch of that size is sent at once: some hundred decisions, and far from the size at
/// which a server refuses a message.
const FULL: usize = 64 * 1024;

/// How old the oldest decision of a batch gets before it is sent.
const AGE: Duration = Duration::from_millis(200);

/// What may wait for a server that does not answer.
const MAX_WAITING: usize = MAX_BYTES;

/// Between a batch that failed and the next attempt.
const RETRY: Duration = Duration::from_secs(1);

/// gRPC's INVALID_ARGUMENT and OUT_OF_RANGE: what the server says to a batch that it will
/// never take, however often it is sent.
const NEVER: [u32; 2] = [3, 11];

/// One decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noted<'a> {
    pub(crate) id: &'a str,
    /// The later of the server's clock and the proxy's: what it was decided by.
    pub(crate) time: Timestamp,
    pub(crate) caller: &'a NotedCaller,
    pub(crate) reason: Reason,
    pub(crate) rule: Option<RuleRef<'a>>,
    /// The service revision.
    pub(crate) revision: &'a [u8],
    pub(crate) method: &'a str,
    /// Without its query.
    pub(crate) path: &'a str,
    pub(crate) upgrade: Option<&'a str>,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) host: &'a str,
    pub(crate) traceparent: Option<&'a str>,
    /// Of an open stream: the id of its first decision.
    pub(crate) rechecks: Option<&'a str>,
}

/// The decisions about one service that have not reached the server.
#[derive(Debug)]
pub struct Ledger {
    service: String,
    worker: [u8; 16],
    /// The oldest first; decisions are added to the last one.
    waiting: VecDeque<Batch>,
    /// The first of them is on its way.
    under_way: bool,
    /// Batches so far.
    sequence: u64,
    /// Not before this moment of the monotonic clock.
    retry_at: Duration,
    dropped_allowed: u64,
    dropped_denied: u64,
}

impl Ledger {
    /// Of decisions about `service`; `worker` names who sends them.
    pub(crate) fn new(service: &str, worker: [u8; 16]) -> Self {
        Self {
            service: service.to_owned(),
            worker,
            waiting: VecDeque::new(),
            under_way: false,
            sequence: 0,
            retry_at: Duration::ZERO,
            dropped_allowed: 0,
            dropped_denied: 0,
        }
    }

    /// Adds a decision; `now` is the monotonic clock.
    pub(crate) fn note(&mut self, noted: &Noted<'_>, now: Duration) {
        let open = self.waiting.back_mut();
        match open.filter(|batch| batch.is_open() && batch.size() < FULL) {
            Some(batch) => batch.add(noted),
            None => {
                self.sequence = self.sequence.saturating_add(1);
                let mut batch = Batch::new(self.sequence, now);
                batch.add(noted);
                self.waiting.push_back(batch);
            }
        }
        self.make_room();
    }

    /// Whether a batch should be sent now.
    #[must_use]
    pub fn is_due(&self, now: Duration) -> bool {
        if self.under_way || now < self.retry_at {
            return false;
        }
        let oldest = self.waiting.front();
        oldest.is_some_and(|batch| {
            self.waiting.len() > 1
                || batch.size() >= FULL
                || now.saturating_sub(batch.began()) >= AGE
        })
    }

    /// The next batch, an encoded `RecordRequest`; the same until it is acknowledged.
    /// `None` if there is none, or one is under way.
    pub fn batch(&mut self) -> Option<Vec<u8>> {
        let head = self.head();
        let batch = self.waiting.front_mut().filter(|_| !self.under_way)?;
        Some(batch.encode(&head))
    }

    /// What [`Ledger::batch`] gave was sent.
    pub fn sent(&mut self) {
        self.under_way = true;
    }

    /// The server has it.
    pub fn acknowledged(&mut self) {
        if std::mem::take(&mut self.under_way) {
            self.waiting.pop_front();
        }
    }

    /// It was not sent, or not answered: later once more, unless the server will never
    /// take it.
    pub fn failed(&mut self, grpc_status: u32, now: Duration) {
        self.under_way = false;
        self.retry_at = now.saturating_add(RETRY);
        if NEVER.contains(&grpc_status)
            && let Some(batch) = self.waiting.pop_front()
        {
            let (allowed, denied) = batch.counts();
            self.count_dropped(allowed, denied);
        }
    }

    /// Everything that waits, encoded: the proxy is about to end.
    pub fn drain(&mut self) -> Vec<Vec<u8>> {
        let head = self.head();
        self.under_way = false;
        let batches = self.waiting.drain(..);
        batches.map(|mut batch| batch.encode(&head)).collect()
    }

    /// The decisions that were dropped so far: allowed ones, refusals.
    #[must_use]
    pub fn dropped(&self) -> (u64, u64) {
        (self.dropped_allowed, self.dropped_denied)
    }

    /// Bytes that wait.
    pub(crate) fn size(&self) -> usize {
        let sizes = self.waiting.iter().map(Batch::size);
        sizes.fold(0, usize::saturating_add)
    }

    fn head(&self) -> Head {
        Head {
            service: self.service.clone(),
            worker: self.worker,
            dropped_allowed: self.dropped_allowed,
            dropped_denied: self.dropped_denied,
        }
    }

    /// A batch that was sent stays as it is: the server may have it.
    fn make_room(&mut self) {
        // One alone is less: what is leased is bounded, and a batch ends when it is full.
        while self.waiting.len() > 1 && self.size() > MAX_WAITING {
            let mut unsent = self.waiting.iter_mut().filter(|batch| batch.is_open());
            if let Some(batch) = unsent.find(|batch| batch.counts().0 > 0) {
                let allowed = batch.forget_allowed();
                self.count_dropped(allowed, 0);
                continue;
            }
            let oldest = self.waiting.iter().position(Batch::is_open);
            let Some(batch) = oldest.and_then(|place| self.waiting.remove(place)) else {
                return;
            };
            let (allowed, denied) = batch.counts();
            self.count_dropped(allowed, denied);
        }
    }

    fn count_dropped(&mut self, allowed: u64, denied: u64) {
        self.dropped_allowed = self.dropped_allowed.saturating_add(allowed);
        self.dropped_denied = self.dropped_denied.saturating_add(denied);
    }
}

/// Who calls, encoded once for all records of a lease.
impl From<&v1::Caller> for NotedCaller {
    fn from(caller: &v1::Caller) -> Self {
        Self::new(prost::Message::encode_to_vec(caller))
    }
}
