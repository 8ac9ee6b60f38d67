//! Whether an answer that the proxy gave by itself was one to give.
//!
//! It knows nothing of revisions, and nothing of how the filter remembers. What it is shown
//! are the moments at which a server spoke to the worker, with what the server knew then,
//! and the leases that were granted. A leased answer is right if
//!
//! - a server that the worker watched spoke within `maxStale` before it, and
//! - what that server knew at that moment gives the same answer to the same request, at the
//!   later of the two clocks: the proxy's, and the one of a server that granted a lease to
//!   this certificate for this service, moved on by the time since that Check was sent,
//! - and that is less than the lease's TTL.

use std::time::Duration;

use callgate_filter::{Allow, Answer, Deny, Edit, Reply};
use callgate_policy::Timestamp;
use callgate_wire::{
    envoy::service::auth::v3::CheckResponse,
    headers,
    terms::{self, InvalidTerms},
};

use crate::{
    callers::{Callers, Made, OVERRIDE},
    state::{Answers, State},
};

/// What the proxy is told to do in the model.
pub(crate) const MAX_STALE: Duration = Duration::from_secs(2);

/// A server spoke to a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spoke {
    pub(crate) at: Duration,
    pub(crate) worker: u64,
    pub(crate) callee: usize,
    pub(crate) state: State,
}

/// A server granted a lease to a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant {
    pub(crate) worker: u64,
    /// When the Check was sent.
    pub(crate) sent: Duration,
    /// The server's clock when it answered.
    pub(crate) decided_at: Timestamp,
    pub(crate) ttl: Duration,
    pub(crate) caller: usize,
    pub(crate) callee: usize,
}

/// What came of a request, but for the decision's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    On {
        caller: Option<Vec<u8>>,
        /// Its headers may tell the service another method.
        keeps_overrides: bool,
    },
    Refused(Box<Reply>),
}

/// A leased answer, when and where it was given.
#[derive(Clone, Debug)]
pub(crate) struct Leased {
    pub(crate) at: Duration,
    pub(crate) wall: Timestamp,
    pub(crate) worker: u64,
    pub(crate) made: Made,
    pub(crate) came: Came,
}

/// The evidence.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    spoke: Vec<Spoke>,
    grants: Vec<Grant>,
}

impl Judge {
    pub(crate) fn spoke(&mut self, spoke: Spoke) {
        self.spoke.push(spoke);
    }

    /// Notes what `answer` grants to the Check that was sent then.
    pub(crate) fn answered(
        &mut self,
        answer: &CheckResponse,
        (worker, sent, made): (u64, Duration, Made),
    ) -> Result<(), InvalidTerms> {
        let Some(terms) = answer.dynamic_metadata.as_ref().and_then(terms::of) else {
            return Ok(());
        };
        let terms = terms?;
        self.grants.extend(terms.lease.map(|lease| Grant {
            worker,
            sent,
            decided_at: Timestamp::from_millis(terms.decided_at_ms),
            ttl: Duration::from_millis(lease.ttl_ms),
            caller: made.caller,
            callee: made.callee,
        }));
        Ok(())
    }

    /// Whether `leased` was an answer to give; if not, why.
    pub(crate) fn judge(
        &self,
        leased: &Leased,
        answers: &mut Answers,
        callers: &Callers,
    ) -> Result<(), String> {
        let made = leased.made;
        let check = made.check(callers);
        let grants = self.grants.iter().filter(|grant| {
            let one = (grant.worker, grant.caller, grant.callee);
            one == (leased.worker, made.caller, made.callee)
                && leased.at.saturating_sub(grant.sent) < grant.ttl
        });
        let mut clocks: Vec<Timestamp> = grants
            .map(|grant| leased.wall.max(later(grant, leased.at)))
            .collect();
        clocks.dedup();
        if clocks.is_empty() {
            return Err("there was no lease".to_owned());
        }
        let heard = self.spoke.iter().filter(|spoke| {
            let one = (spoke.worker, spoke.callee) == (leased.worker, made.callee);
            one && spoke.at <= leased.at && leased.at - spoke.at < MAX_STALE
        });
        let mut states: Vec<State> = heard.map(|spoke| spoke.state).collect();
        states.sort();
        states.dedup();
        let mut otherwise = Vec::new();
        for state in &states {
            for clock in &clocks {
                let came = Came::of(answers.answer(*state, &check, *clock), made);
                if came == leased.came {
                    return Ok(());
                }
                otherwise.push(came);
            }
        }
        Err(format!(
            "no server that spoke of late would have given it; they knew {states:?} and say \
             {otherwise:?}"
        ))
    }
}

/// The server's clock of a grant, moved on.
fn later(grant: &Grant, now: Duration) -> Timestamp {
    let since = (now - grant.sent).as_millis();
    Timestamp::from_millis(grant.decided_at.as_millis() + i64::try_from(since).unwrap())
}

impl Came {
    /// What a server's answer comes to.
    pub(crate) fn of(answer: CheckResponse, made: Made) -> Self {
        match Answer::try_from(answer).unwrap() {
            Answer::Allow(Allow {
                edits,
                keep_overrides,
                ..
            }) => Self::On {
                keeps_overrides: keep_overrides
                    && made.what().with.iter().any(|(name, _)| *name == OVERRIDE),
                caller: edits.into_iter().find_map(|edit| match edit {
                    Edit::Set(name, value) if name == headers::CALLER => Some(value),
                    _ => None,
                }),
            },
            Answer::Deny(Deny { reply, .. }) => Self::refused(&reply),
            Answer::Incomplete(names) => panic!("all was looked for: {names:?}"),
        }
    }

    /// A refusal, without its id.
    pub(crate) fn refused(reply: &Reply) -> Self {
        let mut reply = reply.clone();
        for (name, value) in &mut reply.headers {
            if name == headers::DECISION {
                let id = String::from_utf8(value.clone()).unwrap();
                reply.body = reply.body.replace(&id, "");
                value.clear();
            }
        }
        Self::Refused(Box::new(reply))
    }
}
