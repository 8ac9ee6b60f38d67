//! Time, the network, servers and a proxy, and who is told what when.
//!
//! There is one true time. Everybody's monotonic clock goes with it; wall clocks are ahead
//! of it or behind, and are set. Whatever is sent arrives after the delay that its way has
//! at that moment, so that answers overtake each other; in a stream nothing does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use callgate_filter::TICK;
use callgate_wire::{
    callgate::v1::{Announcement, WatchRequest},
    envoy::service::auth::v3::CheckRequest,
};
use prost::Message as _;

use crate::{
    books::Books,
    callers::{CALLEES, Callers, Made, WHATS, callee},
    judge::{Judge, Spoke},
    op::Op,
    proxy::{Outgoing, Sent},
    replica::{Condition, Number, Replica, wall},
    state::{Answers, State},
    worker::Worker,
};

pub(crate) const REPLICAS: usize = 2;

/// The filter asks about 64 open streams at once.
const CROWD: usize = 70;
/// How long a stream that broke off takes to be noticed.
const MOMENT: Duration = Duration::from_millis(1);
/// In which a proxy that ends has handed over what there is to hand over.
const END: Duration = Duration::from_millis(100);
/// gRPC's UNAVAILABLE.
const UNAVAILABLE: u32 = 14;

pub(crate) struct World<'a> {
    pub(crate) now: Duration,
    pub(crate) answers: &'a mut Answers,
    pub(crate) callers: Arc<Callers>,
    events: BTreeMap<(Duration, u64), Event>,
    events_so_far: u64,
    pub(crate) replicas: Vec<Replica>,
    route: usize,
    /// The proxy's wall clock beyond the true time, in milliseconds.
    pub(crate) ahead: i64,
    /// When anybody's was set last.
    pub(crate) set: Duration,
    pub(crate) worker: Worker,
    calls: BTreeMap<Number, Call>,
    /// What came to a server that is stopped.
    held: Vec<(usize, Number, Vec<u8>)>,
    pub(crate) judge: Judge,
    /// What each service stood at when the worker last heard, and since when.
    pub(crate) heard: BTreeMap<usize, (State, Duration)>,
    /// Requests that are not over once they have gone on, by their context.
    pub(crate) staying: BTreeSet<u32>,
    /// Those of them that have gone on, and when.
    pub(crate) open: BTreeMap<u32, (Made, Duration)>,
    pub(crate) books: Books,
    pub(crate) tally: Tally,
}

/// A call that is under way, or a stream.
#[derive(Clone, Copy, Debug)]
struct Call {
    to: usize,
    sent: Duration,
    what: Asks,
}

#[derive(Clone, Copy, Debug)]
enum Asks {
    Check { context: u32, made: Made },
    Watch,
    Record,
}

#[derive(Clone, Debug)]
enum Event {
    Taken(Number, Vec<u8>),
    Answered(Number, Vec<u8>),
    Announced(Number, usize, State, Vec<u8>),
    Failed(Number),
    Tick(u64),
}

/// How much runs were about.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    pub(crate) leased_on: u64,
    pub(crate) leased_refusals: u64,
    pub(crate) ended: u64,
    pub(crate) ended_by_lease: u64,
    pub(crate) unanswered: u64,
    pub(crate) recorded: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.leased_on += other.leased_on;
        self.leased_refusals += other.leased_refusals;
        self.ended += other.ended;
        self.ended_by_lease += other.ended_by_lease;
        self.unanswered += other.unanswered;
        self.recorded += other.recorded;
    }
}

impl<'a> World<'a> {
    pub(crate) fn new(answers: &'a mut Answers, callers: &Arc<Callers>) -> Self {
        let replicas = (0..REPLICAS).map(|_| Replica::new(State::default()));
        let mut world = Self {
            now: Duration::ZERO,
            answers,
            callers: Arc::clone(callers),
            events: BTreeMap::new(),
            events_so_far: 0,
            replicas: replicas.collect(),
            route: 0,
            ahead: 0,
            set: Duration::ZERO,
            worker: Worker::new(0, Arc::clone(callers)),
            calls: BTreeMap::new(),
            held: Vec::new(),
            judge: Judge::default(),
            heard: BTreeMap::new(),
            staying: BTreeSet::new(),
            open: BTreeMap::new(),
            books: Books::default(),
            tally: Tally::default(),
        };
        world.later(TICK, Event::Tick(0));
        world
    }

    pub(crate) fn apply(&mut self, op: &Op) {
        match *op {
            Op::Call { made, open } => self.call(made, open),
            Op::Crowd(made) => (0..CROWD).for_each(|_| self.call(made, true)),
            Op::Close(place) => {
                let context = self.open.keys().nth(place).copied();
                context.into_iter().for_each(|context| self.over(context));
            }
            Op::Wait(milliseconds) => self.wait(Duration::from_millis(milliseconds)),
            Op::Documents { replica, version } => self.learn(replica, |state| {
                state.documents = version;
            }),
            Op::Revoked { replica, which } => self.learn(replica, |state| state.revoked = which),
            Op::Bundles { replica, which } => self.learn(replica, |state| state.bundles = which),
            Op::Agree { from } => self.agree(self.replicas[from].state),
            Op::Clock { whose, ahead } => {
                let clock = match whose {
                    Some(replica) => &mut self.replicas[replica].ahead,
                    None => &mut self.ahead,
                };
                *clock = ahead * 1_000;
                self.set = self.now;
            }
            Op::Slow {
                replica,
                way,
                milliseconds,
            } => self.replicas[replica].slow(way, Duration::from_millis(milliseconds)),
            Op::Heal => self.heal(),
            Op::Condition { replica, to } => self.condition(replica, to),
            Op::Scanned { replica, so } => self.replicas[replica].scanned = so,
            Op::Cut { replica, told } => self.cut(replica, told),
            Op::Route(replica) => self.route = replica,
            Op::Trap => self.trap(),
        }
    }

    /// Every server is up and near.
    fn heal(&mut self) {
        for replica in 0..REPLICAS {
            self.replicas[replica].heal();
            self.condition(replica, Condition::Up);
        }
    }

    /// Every server is up and near, and knows the same; and that is all for a while.
    pub(crate) fn calm(&mut self, state: State, time: Duration) {
        self.heal();
        self.agree(state);
        self.wait(time);
    }

    /// The proxy ends, in the middle of everything; then the books are closed. A request
    /// holds on to its plugin, so that those under way are over first.
    pub(crate) fn finish(&mut self) {
        for what in 0..WHATS.len() {
            let made = Made {
                caller: 0,
                callee: 0,
                what,
            };
            self.call(made, false);
        }
        let passing: Vec<u32> = self.worker.proxy.passing.keys().copied().collect();
        passing.into_iter().for_each(|context| self.over(context));
        self.clocks();
        self.worker.end();
        self.send();
        self.wait(END);
        assert_eq!(self.worker.proxy.ends, Some(true), "it does not end");
        self.tally.recorded += u64::try_from(self.books.balance()).unwrap();
    }

    /// Time passes.
    pub(crate) fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let event = self.events.first_key_value().map(|((at, _), _)| *at);
            let speaks = self.replicas.iter().filter_map(Replica::speaks_at).min();
            let next = event.into_iter().chain(speaks).min();
            let Some(next) = next.filter(|next| *next <= until) else {
                break;
            };
            self.now = self.now.max(next);
            self.speak();
            if event == Some(next)
                && let Some((_, event)) = self.events.pop_first()
            {
                self.happen(event);
            }
        }
        self.now = until;
    }

    /// A request comes.
    pub(crate) fn call(&mut self, made: Made, open: bool) {
        self.tally.calls += 1;
        self.clocks();
        let context = self.worker.request(made);
        if open {
            self.staying.insert(context);
        }
        self.settle(None);
    }

    /// A request leaves the proxy.
    pub(crate) fn over(&mut self, context: u32) {
        self.staying.remove(&context);
        self.open.remove(&context);
        self.clocks();
        self.worker.over(context);
        self.send();
    }

    /// What the filter sent goes its way.
    pub(crate) fn send(&mut self) {
        for Sent { call, what } in self.worker.sent() {
            let number = (self.worker.number, call);
            let (message, timeout, what) = match what {
                Outgoing::Check {
                    context,
                    message,
                    timeout,
                } => {
                    let made = self.worker.proxy.passing[&context].made;
                    (message, Some(timeout), Asks::Check { context, made })
                }
                Outgoing::Watch(message) => (message, None, Asks::Watch),
                Outgoing::Record { message, timeout } => (message, Some(timeout), Asks::Record),
                Outgoing::Cancel => {
                    self.calls.remove(&number);
                    self.replicas.iter_mut().for_each(|it| it.forget(number));
                    continue;
                }
            };
            let call = Call {
                to: self.route,
                sent: self.now,
                what,
            };
            self.calls.insert(number, call);
            // What is sent together may overtake each other all the same.
            let shuffled = Duration::from_millis(self.events_so_far * 7 % 4);
            let up = self.replicas[self.route].up + shuffled;
            self.later(up, Event::Taken(number, message));
            if let Some(timeout) = timeout {
                self.later(timeout, Event::Failed(number));
            }
        }
    }

    fn agree(&mut self, known: State) {
        (0..REPLICAS).for_each(|replica| self.learn(replica, |state| *state = known));
    }

    fn learn(&mut self, replica: usize, change: impl FnOnce(&mut State)) {
        let replica = &mut self.replicas[replica];
        let mut state = replica.state;
        change(&mut state);
        replica.learn(state, self.now);
    }

    fn condition(&mut self, replica: usize, to: Condition) {
        self.replicas[replica].condition = to;
        match to {
            Condition::Stopped => {}
            Condition::Down => {
                self.held.retain(|(held, ..)| *held != replica);
                self.replicas[replica].watches.clear();
                let calls = self.calls.iter().filter(|(_, call)| call.to == replica);
                let lost: Vec<Number> = calls.map(|(number, _)| *number).collect();
                for number in lost {
                    self.later(MOMENT, Event::Failed(number));
                }
            }
            Condition::Up => {
                let held = std::mem::take(&mut self.held);
                let (own, others) = held.into_iter().partition(|(to, ..)| *to == replica);
                self.held = others;
                let own: Vec<(usize, Number, Vec<u8>)> = own;
                for (_, number, message) in own {
                    self.taken(number, &message);
                }
            }
        }
    }

    fn cut(&mut self, replica: usize, told: bool) {
        let lost = std::mem::take(&mut self.replicas[replica].watches);
        for number in lost.into_keys().filter(|_| told) {
            self.later(MOMENT, Event::Failed(number));
        }
    }

    fn trap(&mut self) {
        let number = self.worker.number + 1;
        self.worker = Worker::new(number, Arc::clone(&self.callers));
        self.replicas.iter_mut().for_each(|it| it.watches.clear());
        self.calls.clear();
        self.staying.clear();
        self.open.clear();
        self.heard.clear();
        self.books.fell_over();
        self.later(TICK, Event::Tick(number));
    }

    /// Has `event` happen after that time.
    fn later(&mut self, after: Duration, event: Event) {
        self.events_so_far += 1;
        self.events
            .insert((self.now + after, self.events_so_far), event);
    }

    /// The servers announce what is due.
    fn speak(&mut self) {
        for place in 0..REPLICAS {
            let replica = &mut self.replicas[place];
            if replica.speaks_at().is_none_or(|at| at > self.now) {
                continue;
            }
            let state = replica.state;
            for (number, place, elapsed, arrives) in replica.speak(self.now) {
                let announcement = Announcement {
                    revision: self.answers.revision(state, &callee(place)),
                    elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap(),
                };
                self.judge.spoke(Spoke {
                    at: self.now,
                    worker: number.0,
                    callee: place,
                    state,
                });
                let message = announcement.encode_to_vec();
                let event = Event::Announced(number, place, state, message);
                self.later(arrives - self.now, event);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Taken(number, message) => self.taken(number, &message),
            Event::Answered(number, message) => {
                let Some(call) = self.calls.remove(&number) else {
                    return;
                };
                self.clocks();
                self.worker.answered(number.1, &message);
                self.settle(match call.what {
                    Asks::Check { context, .. } => Some(context),
                    Asks::Watch | Asks::Record => None,
                });
            }
            Event::Announced(number, place, state, message) => {
                if self.calls.contains_key(&number) {
                    self.hear(place, state);
                    self.clocks();
                    self.worker.answered(number.1, &message);
                    self.settle(None);
                }
            }
            Event::Failed(number) => {
                if self.calls.remove(&number).is_some() {
                    self.clocks();
                    self.worker.failed(number.1, UNAVAILABLE);
                    self.settle(None);
                }
            }
            Event::Tick(number) => {
                if number == self.worker.number {
                    self.clocks();
                    self.worker.tick();
                    self.settle(None);
                    self.later(TICK, Event::Tick(number));
                    self.no_stream_outlives_its_notice();
                    self.no_stream_outlives_its_certificate();
                }
            }
        }
    }

    /// A message is at its server.
    fn taken(&mut self, number: Number, message: &[u8]) {
        let Some(call) = self.calls.get(&number).copied() else {
            return;
        };
        let (now, replica) = (self.now, &mut self.replicas[call.to]);
        match replica.condition {
            Condition::Up => {}
            Condition::Stopped => {
                self.held.push((call.to, number, message.to_vec()));
                return;
            }
            Condition::Down => {
                let down = replica.down;
                return self.later(down, Event::Failed(number));
            }
        }
        let (state, wall, down) = (replica.state, replica.wall(now), replica.down);
        match call.what {
            Asks::Check { made, .. } => {
                let check = CheckRequest::decode(message).unwrap();
                let answer = self.answers.answer(state, &check, wall);
                let sent = (number.0, call.sent, made);
                self.judge.answered(&answer, sent).unwrap();
                self.later(down, Event::Answered(number, answer.encode_to_vec()));
            }
            Asks::Watch => {
                let request = WatchRequest::decode(message).unwrap();
                let mut places = 0..CALLEES.len();
                let place = places.find(|place| callee(*place).as_str() == request.service);
                replica.watch(number, place.unwrap(), now);
            }
            Asks::Record => {
                let answer = self.books.record(call.to, message);
                self.later(down, Event::Answered(number, answer));
            }
        }
    }

    /// The worker hears what a service stands at.
    fn hear(&mut self, place: usize, state: State) {
        let known = self.heard.get(&place).map(|(known, _)| *known);
        let service = callee(place);
        let same = known.is_some_and(|known| {
            self.answers.revision(known, &service) == self.answers.revision(state, &service)
        });
        if !same {
            self.heard.insert(place, (state, self.now));
        }
    }

    fn clocks(&mut self) {
        self.worker.clocks(self.now, wall(self.now, self.ahead));
    }
}
