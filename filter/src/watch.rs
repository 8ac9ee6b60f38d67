//! Which revision each service stands at, as the server announces it.
//!
//! ```text
//!  want ─► Closed ──opened──► Open ──announced──► Open, standing
//!            ▲                  │
//!            └── a while, and ──┘ closed, or silent for too long
//!                longer each time
//! ```
//!
//! Pure: what has to be opened it says, and whoever has a host opens it. What it was told
//! holds from the moment at which the server said it at the earliest (the dispatch of the
//! `WatchRequest` and the time that the server counted since), never from the arrival: a
//! message may be under way for as long as it likes.

use std::{rc::Rc, time::Duration};

use callgate_wire::callgate::v1::{Announcement, WatchRequest};
use prost::Message as _;

use crate::CallId;

/// A service revision, `Announcement.revision`.
pub type Revision = [u8; 32];

/// The most services that one plugin watches: a proxy stands in front of one, a gateway in
/// front of some.
pub const MAX_CALLEES: usize = 64;

/// The least and the most time until a Watch that ended is opened again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How much longer the next time may be.
const BACKOFF_GROWS: u32 = 3;

/// The server speaks each second; one that did not three times is not there.
const LEAST_SILENCE: Duration = Duration::from_secs(3);

/// A Watch that lived so long was not opened in vain: the next one waits the least time.
const PROVEN: Duration = Duration::from_secs(2);

/// The Watches of one plugin, one for each service that it stands in front of.
#[derive(Debug)]
pub struct Watches {
    max_stale: Duration,
    watches: Vec<Watch>,
    /// State of the generator of jitter; 0 until [`Watches::seed`].
    jitter: u64,
    /// Whether a service was added since this was last asked.
    new: bool,
}

#[derive(Debug)]
struct Watch {
    callee: Rc<str>,
    stream: Stream,
    standing: Option<Standing>,
    /// What was announced last, and when it arrived.
    told: Option<(Revision, Duration)>,
    backoff: Duration,
}

#[derive(Debug)]
enum Stream {
    /// To be opened at this moment.
    Closed { until: Duration },
    Open {
        call: CallId,
        dispatched: Duration,
        /// When a message last came, or it was opened.
        arrived: Duration,
        announced: bool,
    },
}

#[derive(Debug)]
struct Standing {
    revision: Revision,
    heard_at: Duration,
}

/// What an announcement comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// The revision that was known.
    Same,
    /// Another one, or the first.
    Changed(Rc<str>),
    /// It makes no sense: the Watch is over, and the call to be given up.
    Nonsense(Rc<str>),
    /// It is of no Watch.
    Nobody,
}

impl Watches {
    /// `max_stale` is how long after the server said it a revision stands.
    pub(crate) fn new(max_stale: Duration) -> Self {
        Self {
            max_stale,
            watches: Vec::new(),
            jitter: 0,
            new: false,
        }
    }

    /// The revision that `service` stands at: the one announced last, if the server said so
    /// less than `maxStale` ago. Both are asked for with the monotonic clock.
    #[must_use]
    pub fn standing(&self, service: &str, now: Duration) -> Option<Revision> {
        let standing = self.of(service)?.standing.as_ref()?;
        let age = now.saturating_sub(standing.heard_at);
        (age < self.max_stale).then_some(standing.revision)
    }

    /// The same, if also the Watch that announced it is open: what a new lease has to agree
    /// with.
    #[must_use]
    pub fn announced(&self, service: &str, now: Duration) -> Option<Revision> {
        match self.of(service)?.stream {
            Stream::Open {
                announced: true, ..
            } => self.standing(service, now),
            Stream::Open { .. } | Stream::Closed { .. } => None,
        }
    }

    /// The revision that was announced last, if that arrived less than `maxStale` ago, however
    /// long it was under way. It may be too old to decide by; but what stands on another one
    /// is to be decided anew.
    pub(crate) fn told(&self, service: &str, now: Duration) -> Option<Revision> {
        let (revision, arrived) = self.of(service)?.told?;
        (now.saturating_sub(arrived) < self.max_stale).then_some(revision)
    }

    /// Watches `service` from now on; false if there are too many, or it has no name.
    pub(crate) fn want(&mut self, service: &str) -> bool {
        if self.of(service).is_some() {
            return true;
        }
        if service.is_empty() || self.watches.len() >= MAX_CALLEES {
            return false;
        }
        self.watches.push(Watch {
            callee: Rc::from(service),
            stream: Stream::Closed {
                until: Duration::ZERO,
            },
            standing: None,
            told: None,
            backoff: BACKOFF.0,
        });
        self.new = true;
        true
    }

    /// Whether services came to be watched since this was last asked.
    pub(crate) fn take_new(&mut self) -> bool {
        std::mem::take(&mut self.new)
    }

    /// Whether the jitter has no beginning yet.
    pub(crate) fn is_unseeded(&self) -> bool {
        self.jitter == 0
    }

    /// Gives the jitter a beginning that other workers do not have.
    pub(crate) fn seed(&mut self, random: u64) {
        self.jitter = random | 1;
    }

    /// A service whose Watch is to be opened now.
    pub(crate) fn to_open(&self, now: Duration) -> Option<Rc<str>> {
        let due = self
            .watches
            .iter()
            .find(|watch| matches!(watch.stream, Stream::Closed { until } if until <= now));
        due.map(|watch| Rc::clone(&watch.callee))
    }

    /// The message that opens a Watch of `service`.
    pub(crate) fn request(service: &str) -> Vec<u8> {
        WatchRequest {
            service: service.to_owned(),
        }
        .encode_to_vec()
    }

    /// The Watch of `service` is under way, as `call`.
    pub(crate) fn opened(&mut self, service: &str, call: CallId, now: Duration) {
        if let Some(watch) = self.of_mut(service) {
            watch.stream = Stream::Open {
                call,
                dispatched: now,
                arrived: now,
                announced: false,
            };
        }
    }

    /// The Watch of `service` could not even be sent.
    pub(crate) fn not_opened(&mut self, service: &str, now: Duration) {
        let place = self.watches.iter().position(|it| &*it.callee == service);
        self.wait(place, now);
    }

    /// A message of the server's.
    pub(crate) fn announced_by(&mut self, call: CallId, message: &[u8], now: Duration) -> News {
        let Some(place) = self.place(call) else {
            return News::Nobody;
        };
        let announcement = Announcement::decode(message).ok();
        let told = announcement
            .and_then(|it| Some((Revision::try_from(it.revision).ok()?, it.elapsed_ms)));
        let Some(watch) = self.watches.get_mut(place) else {
            return News::Nobody;
        };
        let callee = Rc::clone(&watch.callee);
        let Some((revision, elapsed)) = told else {
            self.wait(Some(place), now);
            return News::Nonsense(callee);
        };
        let Stream::Open {
            dispatched,
            arrived,
            announced,
            ..
        } = &mut watch.stream
        else {
            return News::Nobody;
        };
        let said_at = dispatched.saturating_add(Duration::from_millis(elapsed));
        (*arrived, *announced) = (now, true);
        watch.told = Some((revision, now));
        let known = watch.standing.replace(Standing {
            revision,
            // Nothing is said before its time.
            heard_at: said_at.min(now),
        });
        match known {
            Some(known) if known.revision == revision => News::Same,
            _ => News::Changed(callee),
        }
    }

    /// A Watch ended. What it said stands for as long as it would have.
    pub(crate) fn closed(&mut self, call: CallId, now: Duration) -> Option<Rc<str>> {
        let place = self.place(call)?;
        self.wait(Some(place), now);
        let watch = self.watches.get(place)?;
        Some(Rc::clone(&watch.callee))
    }

    /// Gives up the Watches that have been silent for too long, and says which.
    pub(crate) fn silent(&mut self, now: Duration) -> Vec<(CallId, Rc<str>)> {
        let most = self.max_stale.max(LEAST_SILENCE);
        let silent = self.watches.iter().filter_map(|watch| match watch.stream {
            Stream::Open { call, arrived, .. } if now.saturating_sub(arrived) >= most => {
                Some((call, Rc::clone(&watch.callee)))
            }
            Stream::Open { .. } | Stream::Closed { .. } => None,
        });
        let silent: Vec<_> = silent.collect();
        for (call, _) in &silent {
            self.wait(self.place(*call), now);
        }
        silent
    }

    /// Forgets the revisions that stand no more, and says whose they were.
    pub(crate) fn expired(&mut self, now: Duration) -> Vec<Rc<str>> {
        let mut gone = Vec::new();
        for watch in &mut self.watches {
            let stale = |it: &Standing| now.saturating_sub(it.heard_at) >= self.max_stale;
            if watch.standing.take_if(|it| stale(it)).is_some() {
                gone.push(Rc::clone(&watch.callee));
            }
        }
        gone
    }

    /// Every Watch that is open, all of which are over then.
    pub(crate) fn close_all(&mut self) -> Vec<CallId> {
        let all = std::mem::take(&mut self.watches).into_iter();
        all.filter_map(|watch| match watch.stream {
            Stream::Open { call, .. } => Some(call),
            Stream::Closed { .. } => None,
        })
        .collect()
    }

    fn of(&self, service: &str) -> Option<&Watch> {
        self.watches.iter().find(|watch| &*watch.callee == service)
    }

    fn of_mut(&mut self, service: &str) -> Option<&mut Watch> {
        let mut watches = self.watches.iter_mut();
        watches.find(|watch| &*watch.callee == service)
    }

    fn place(&self, call: CallId) -> Option<usize> {
        self.watches
            .iter()
            .position(|watch| matches!(watch.stream, Stream::Open { call: it, .. } if it == call))
    }

    /// Has a Watch opened again after a while: a random time up to what it was the last
    /// time and as much again, so that a server that comes back is not met by all at once.
    fn wait(&mut self, place: Option<usize>, now: Duration) {
        let random = self.random();
        let Some(watch) = place.and_then(|place| self.watches.get_mut(place)) else {
            return;
        };
        if let Stream::Open {
            dispatched,
            arrived,
            ..
        } = watch.stream
            && arrived.saturating_sub(dispatched) >= PROVEN
        {
            watch.backoff = BACKOFF.0;
        }
        let (least, most) = BACKOFF;
        let reach = watch.backoff.saturating_mul(BACKOFF_GROWS).min(most);
        let beyond = reach.saturating_sub(least).saturating_mul(random);
        watch.backoff = least.saturating_add(beyond.checked_div(1 << 16).unwrap_or_default());
        watch.stream = Stream::Closed {
            until: now.saturating_add(watch.backoff),
        };
    }

    /// 16 bits of xorshift64*, which is good enough to be apart from others.
    fn random(&mut self) -> u32 {
        self.jitter ^= self.jitter.unbounded_shr(12);
        self.jitter ^= self.jitter.unbounded_shl(25);
        self.jitter ^= self.jitter.unbounded_shr(27);
        let mixed = self.jitter.wrapping_mul(0x2545_F491_4F6C_DD1D);
        let [high, low, ..] = mixed.to_be_bytes();
        u16::from_be_bytes([high, low]).into()
    }
}

#[cfg(test)]
mod tests;
