//! What becomes of requests, and whether that is right.

use std::{collections::BTreeSet, time::Duration};

use callgate_filter::Reply;
use callgate_policy::Timestamp;
use callgate_wire::headers;

use crate::{
    callers::{Made, OVERRIDE},
    judge::{Came, Leased, MAX_STALE},
    proxy::Stands,
    replica::wall,
    state::State,
    world::World,
};

/// From the notice that takes an authorization away to the end of the stream, at most:
/// `maxStale` where nobody answers, and what it takes to begin and to end.
const NOTICE: Duration = Duration::from_secs(MAX_STALE.as_secs() + 2);
/// An answer that the worker has from a server is not older than its Check's timeout.
const ANSWER: Duration = Duration::from_secs(1);

/// Reasons that the filter gives for want of a decision.
const OWN: [&[u8]; 2] = [b"authz-unreachable", b"authz-timeout"];

impl World<'_> {
    /// Sees to what came of something that the worker did. `answered` is the request whose
    /// Check was answered by it.
    pub(crate) fn settle(&mut self, answered: Option<u32>) {
        self.send();
        let passing = self.worker.proxy.passing.iter();
        let came: Vec<(u32, Made, Stands)> = passing
            .filter(|(context, passing)| match passing.stands {
                Stands::Waiting => false,
                Stands::WentOn => !self.open.contains_key(context),
                Stands::Refused(_) | Stands::Ended(_) => true,
            })
            .map(|(context, passing)| (*context, passing.made, passing.stands.clone()))
            .collect();
        for (context, made, stands) in came {
            let by_server = answered == Some(context);
            match stands {
                Stands::WentOn => self.went_on(context, made, by_server),
                Stands::Refused(reply) => self.refused(made, &reply, by_server, false),
                Stands::Ended(reply) => {
                    self.open.remove(&context);
                    self.refused(made, &reply, by_server, true);
                }
                Stands::Waiting => {}
            }
            if !self.open.contains_key(&context) {
                self.over(context);
            }
        }
    }

    fn went_on(&mut self, context: u32, made: Made, by_server: bool) {
        let fields = &self.worker.proxy.passing[&context].fields;
        let value = |wanted: &str| {
            let mut values = fields.iter().filter(|(name, _)| name == wanted);
            let value = values.next().map(|(_, value)| value.clone());
            assert!(values.next().is_none(), "{wanted} twice");
            value
        };
        let (caller, id) = (value(headers::CALLER), value(headers::DECISION));
        let keeps_overrides = value(OVERRIDE).is_some();
        self.books.decided(id.unwrap(), !by_server);
        if self.staying.contains(&context) {
            self.open.insert(context, (made, self.now));
        }
        if !by_server {
            self.tally.leased_on += 1;
            let came = Came::On {
                caller,
                keeps_overrides,
            };
            self.judge(made, came);
        }
    }

    fn refused(&mut self, made: Made, reply: &Reply, by_server: bool, ended: bool) {
        let value = |wanted: &str| {
            let mut fields = reply.headers.iter();
            let (_, value) = fields.find(|(name, _)| name == wanted).unwrap();
            value.clone()
        };
        let own = OWN.contains(&value(headers::REASON).as_slice());
        self.books
            .decided(value(headers::DECISION), !by_server && !own);
        self.tally.ended += u64::from(ended);
        self.tally.unanswered += u64::from(own);
        if !by_server && !own {
            self.tally.leased_refusals += u64::from(!ended);
            self.tally.ended_by_lease += u64::from(ended);
            self.judge(made, Came::refused(reply));
        }
    }

    /// Whether what the worker just did by itself was right.
    fn judge(&mut self, made: Made, came: Came) {
        let leased = Leased {
            at: self.now,
            wall: wall(self.now, self.ahead),
            worker: self.worker.number,
            made,
            came,
        };
        let judged = self.judge.judge(&leased, self.answers, &self.callers);
        if let Err(why) = judged {
            panic!("{leased:?}: {why}");
        }
    }

    /// Once the worker has heard of a change, a stream that no server would let go on any
    /// more ends.
    pub(crate) fn no_stream_outlives_its_notice(&mut self) {
        let noticed = self.open.values().filter_map(|(made, since)| {
            let (_, heard) = self.heard.get(&made.callee)?;
            Some((*made, (*heard).max(*since)))
        });
        // Of a crowd, one stands for all.
        let noticed: BTreeSet<(Made, Duration)> = noticed.collect();
        for (made, notice) in noticed {
            if self.now - notice <= NOTICE {
                continue;
            }
            let from = notice.saturating_sub(ANSWER);
            let knew = self.replicas.iter().flat_map(|replica| replica.knew(from));
            let knew: Vec<State> = knew.collect();
            let allowed = self.would_go_on(made, &knew, [notice, self.now]);
            assert!(
                allowed,
                "{made:?} is open at {:?}, of which the worker heard at {notice:?}",
                self.now
            );
        }
    }

    /// Nor does one outlive its certificate by everybody's clock, whether or not there is
    /// anybody to say so: the proxy reads its own.
    pub(crate) fn no_stream_outlives_its_certificate(&mut self) {
        let long_ago = self.now.saturating_sub(NOTICE);
        if self.set > long_ago {
            return;
        }
        let open = self.open.values().filter(|(_, since)| *since < long_ago);
        let open: BTreeSet<Made> = open.map(|(made, _)| *made).collect();
        for made in open {
            let end = self.callers.shown(made.caller).not_after;
            let clocks = self.replicas.iter().map(|replica| replica.ahead);
            let last = clocks.fold(self.ahead, i64::min);
            let expired = wall(long_ago, last) > end;
            assert!(!expired, "{made:?} is open at {:?}", self.now);
        }
    }

    /// When nothing has changed for long and everybody hears each other, what is open would
    /// be let in.
    pub(crate) fn what_is_open_is_allowed(&mut self, quiet: Duration) {
        let state = self.replicas[0].state;
        let open: BTreeSet<Made> = self.open.values().map(|(made, _)| *made).collect();
        for made in open {
            let allowed = self.would_go_on(made, &[state], [self.now - quiet; 2]);
            assert!(allowed, "{made:?} is open at {:?}, in {state:?}", self.now);
        }
    }

    /// Whether a server that knows one of these would let the request go on, by anybody's
    /// clock at one of these moments.
    fn would_go_on(&mut self, made: Made, states: &[State], at: [Duration; 2]) -> bool {
        let clocks = self.replicas.iter().map(|replica| replica.ahead);
        let clocks: Vec<Timestamp> = clocks
            .chain([self.ahead])
            .flat_map(|ahead| at.map(|at| wall(at, ahead)))
            .collect();
        let check = made.check(&self.callers);
        states.iter().any(|state| {
            clocks.iter().any(|clock| {
                let answer = self.answers.answer(*state, &check, *clock);
                matches!(Came::of(answer, made), Came::On { .. })
            })
        })
    }
}
