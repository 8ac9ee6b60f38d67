//! One server of several: what it knows now, whom it tells of it, and when.

use std::{collections::BTreeMap, time::Duration};

use callgate_policy::Timestamp;

use crate::{
    op::Way,
    state::{BASE, State},
};

/// The server announces that often besides at every change.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long messages are under way if nothing is wrong.
const NEAR: Duration = Duration::from_millis(1);

/// A server. Everything it is asked it answers by its state, and each time is the true
/// time since the run began.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) state: State,
    pub(crate) condition: Condition,
    /// Whether its store was rescanned of late: it announces nothing otherwise.
    pub(crate) scanned: bool,
    /// Its wall clock beyond the true time, in milliseconds.
    pub(crate) ahead: i64,
    /// How long a message to it is under way, an answer of it, and an announcement.
    pub(crate) up: Duration,
    pub(crate) down: Duration,
    announcements: Duration,
    pub(crate) watches: BTreeMap<Number, Watch>,
    /// What it knew, and from when on.
    history: Vec<(Duration, State)>,
}

/// Names a call: the worker that makes it, and the worker's own number.
pub(crate) type Number = (u64, u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Up,
    /// Stopped where it stands: whatever comes waits.
    Stopped,
    Down,
}

/// Somebody who listens.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) callee: usize,
    /// When the server took the request.
    pub(crate) taken: Duration,
    /// When it speaks next if nothing changes.
    pub(crate) next: Duration,
    /// When what it said last arrives: in a stream nothing overtakes.
    pub(crate) arrives: Duration,
}

impl Replica {
    pub(crate) fn new(state: State) -> Self {
        Self {
            state,
            condition: Condition::Up,
            scanned: true,
            ahead: 0,
            up: NEAR,
            down: NEAR,
            announcements: NEAR,
            watches: BTreeMap::new(),
            history: vec![(Duration::ZERO, state)],
        }
    }

    /// What its wall clock says.
    pub(crate) fn wall(&self, now: Duration) -> Timestamp {
        wall(now, self.ahead)
    }

    /// Messages are that long under way from now on.
    pub(crate) fn slow(&mut self, way: Way, time: Duration) {
        match way {
            Way::Up => self.up = time,
            Way::Down => self.down = time,
            Way::Announcements => self.announcements = time,
        }
    }

    /// It is near again, and keeps up with its store.
    pub(crate) fn heal(&mut self) {
        self.scanned = true;
        for way in [Way::Up, Way::Down, Way::Announcements] {
            self.slow(way, NEAR);
        }
    }

    /// Nobody listens to that any more.
    pub(crate) fn forget(&mut self, stream: Number) {
        self.watches.remove(&stream);
    }

    /// Somebody listens from now on.
    pub(crate) fn watch(&mut self, stream: Number, callee: usize, now: Duration) {
        let watch = Watch {
            callee,
            taken: now,
            next: now,
            arrives: now,
        };
        self.watches.insert(stream, watch);
    }

    /// It knows something else from now on, and says so at once.
    pub(crate) fn learn(&mut self, state: State, now: Duration) {
        if self.state != state {
            self.state = state;
            self.history.push((now, state));
            self.watches.values_mut().for_each(|watch| watch.next = now);
        }
    }

    /// All that it knew from `since` on.
    pub(crate) fn knew(&self, since: Duration) -> impl Iterator<Item = State> {
        let later = self.history.partition_point(|(from, _)| *from <= since);
        let known = self.history.iter().skip(later.saturating_sub(1));
        known.map(|(_, state)| *state)
    }

    /// When it speaks next, if it may.
    pub(crate) fn speaks_at(&self) -> Option<Duration> {
        let may = self.condition == Condition::Up && self.scanned;
        let next = self.watches.values().map(|watch| watch.next);
        may.then(|| next.min()).flatten()
    }

    /// Who is spoken to now: the stream, its callee, the time since it was taken, and when
    /// the message arrives.
    pub(crate) fn speak(&mut self, now: Duration) -> Vec<(Number, usize, Duration, Duration)> {
        let later = self.announcements;
        let due = self.watches.iter_mut().filter(|(_, it)| it.next <= now);
        due.map(|(stream, watch)| {
            watch.next = now + HEARTBEAT;
            watch.arrives = watch.arrives.max(now + later);
            (*stream, watch.callee, now - watch.taken, watch.arrives)
        })
        .collect()
    }
}

/// The wall clock of somebody who is that many milliseconds ahead.
pub(crate) fn wall(now: Duration, ahead: i64) -> Timestamp {
    let since = i64::try_from(now.as_millis()).unwrap();
    Timestamp::from_millis(BASE.as_millis() + since + ahead)
}
