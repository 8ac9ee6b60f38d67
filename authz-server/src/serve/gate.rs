//! `callgate.v1.Gate` on one connection.
//!
//! ```text
//!  WatchRequest ──► one announcement at once ─┬─ something changed: if it is news ─┐
//!                                             ├─ a second has passed ──────────────┤
//!                                             │                     announcement ◄─┘
//!                                             └─ the connection ends, the proxy may not
//!                                                ask any more: the stream ends
//! ```
//!
//! A stream has no task of its own: it is worked out when its connection has room for a
//! message, so that a proxy that does not read is told nothing that would be old when it
//! does. Streams begin when they are asked for, so their seconds are spread.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use callgate_wire::callgate::v1::{
    Announcement, RecordRequest, RecordResponse, WatchRequest, gate_server,
};
use futures_util::stream::{self, Stream};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Interval, MissedTickBehavior, interval},
};
use tonic::{Request, Response, Status, async_trait};

use super::{connection::Peer, service::Answering};
use crate::{
    clock,
    gate::{Callee, Unannounced, Unrecorded},
    identity::{Asker, ProxyFault},
};

/// Streams at once. Each takes some 2 KB besides its share of a connection.
pub(super) const MAX_WATCHERS: usize = 32_768;
/// Streams at once on one connection: a worker watches at most 64 services, and may not
/// have heard yet that an earlier stream has ended.
pub(super) const MAX_OF_CONNECTION: usize = 128;
/// Decisions of a batch that are recorded where Checks are answered: each takes as long as
/// one of these. Longer batches must not keep them waiting.
const AT_ONCE: usize = 256;
/// Between two announcements when nothing changes.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Answers one proxy.
#[derive(Debug)]
pub(super) struct GateService {
    pub(super) answering: Arc<Answering>,
    pub(super) peer: Peer,
    /// Told once, when the connection is to end.
    pub(super) ending: watch::Receiver<bool>,
    /// How many streams there may still be on this connection.
    pub(super) places: Arc<Semaphore>,
}

/// One stream, on the server's side.
struct Watching {
    answering: Arc<Answering>,
    peer: Peer,
    service: Callee,
    began: Instant,
    changes: watch::Receiver<()>,
    ending: watch::Receiver<bool>,
    heartbeat: Interval,
    /// What was announced last.
    last: Vec<u8>,
    over: bool,
    _watcher: Watcher,
}

/// Counted for as long as the stream is there.
struct Watcher {
    answering: Arc<Answering>,
    _places: [OwnedSemaphorePermit; 2],
}

type Announcements = Pin<Box<dyn Stream<Item = Result<Announcement, Status>> + Send>>;

#[async_trait]
impl gate_server::Gate for GateService {
    type WatchStream = Announcements;

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Announcements>, Status> {
        let began = Instant::now();
        let WatchRequest { service } = request.into_inner();
        let service = Callee::named(&service)
            .ok_or_else(|| Status::invalid_argument("`service` is too long"))?;
        let watching = Watching {
            // From now on no change is missed.
            changes: self.answering.gate.live().changes(),
            ending: self.ending.clone(),
            heartbeat: heartbeat(),
            answering: Arc::clone(&self.answering),
            peer: self.peer.clone(),
            service,
            began,
            last: Vec::new(),
            over: false,
            _watcher: self.watcher()?,
        };
        // Who may not watch is told so at once, and not in a stream.
        watching.announce()?;
        let stream = stream::unfold(watching, |mut watching| async {
            let next = watching.next().await?;
            Some((next, watching))
        });
        Ok(Response::new(Box::pin(stream)))
    }

    async fn record(
        &self,
        request: Request<RecordRequest>,
    ) -> Result<Response<RecordResponse>, Status> {
        let request = request.into_inner();
        let is_long = request.decisions.len() > AT_ONCE;
        let (answering, peer) = (Arc::clone(&self.answering), self.peer.clone());
        let record = move || {
            let asker = peer.asker();
            let recorded = answering.gate.record(asker, &request, clock::now());
            recorded.map_err(|error| match error {
                Unrecorded::Invalid(error) => Status::invalid_argument(error.to_string()),
                Unrecorded::Proxy(fault) => answering.refuse(asker, &fault),
            })
        };
        // Once begun it is finished, also if the proxy gives up meanwhile.
        let recorded = if is_long {
            let recorded = tokio::task::spawn_blocking(record).await;
            recorded.unwrap_or_else(|_| Err(Status::internal("the batch was not taken")))
        } else {
            record()
        };
        recorded.map(|()| Response::new(RecordResponse {}))
    }
}

impl GateService {
    fn watcher(&self) -> Result<Watcher, Status> {
        let place = |places: &Arc<Semaphore>| {
            let place = Arc::clone(places).try_acquire_owned();
            place.map_err(|_| Status::resource_exhausted("too many Watch streams"))
        };
        let places = [place(&self.places)?, place(&self.answering.watchers)?];
        self.answering.metrics.watcher_came();
        Ok(Watcher {
            answering: Arc::clone(&self.answering),
            _places: places,
        })
    }
}

impl Watching {
    /// The next message, or the status that ends the stream, or its end.
    async fn next(&mut self) -> Option<Result<Announcement, Status>> {
        while !self.over {
            let is_due = tokio::select! {
                biased;
                _ = self.ending.wait_for(|ending| *ending) => {
                    self.over = true;
                    return Some(Err(Status::unavailable("the connection ends")));
                }
                _ = self.changes.changed() => false,
                _ = self.heartbeat.tick() => true,
            };
            if !self.answering.health.is_current() {
                continue;
            }
            match self.announce() {
                Ok(announcement) if !is_due && announcement.revision == self.last => {}
                Ok(announcement) => {
                    self.last.clone_from(&announcement.revision);
                    return Some(Ok(announcement));
                }
                Err(status) => {
                    self.over = true;
                    return Some(Err(status));
                }
            }
        }
        None
    }

    fn announce(&self) -> Result<Announcement, Status> {
        let asker = self.peer.asker();
        // Before anything is looked at: what is announced then holds at a later moment.
        let elapsed = self.began.elapsed();
        let gate = &self.answering.gate;
        let announced = gate.announce(asker, &self.service, elapsed, clock::now());
        announced.map_err(|error| match error {
            Unannounced::NoPolicies => Status::unavailable(error.to_string()),
            Unannounced::Proxy(fault) => self.answering.refuse(asker, &fault),
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.answering.metrics.watcher_left();
    }
}

fn heartbeat() -> Interval {
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat
}

impl Answering {
    /// Notes that `asker` gets no answer; what it is told.
    pub(super) fn refuse(&self, asker: Asker<'_>, fault: &ProxyFault) -> Status {
        self.refused.note(fault);
        match (fault, asker) {
            (ProxyFault::Identity(_) | ProxyFault::Revoked { .. }, Asker::Proxy(proxy)) => {
                // It may have a better certificate by now.
                proxy.dismiss();
                Status::unauthenticated(fault.cause())
            }
            _ => Status::permission_denied(fault.cause()),
        }
    }
}
