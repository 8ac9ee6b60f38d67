//! What an answer may be: the rules as they stood at some moment that the answer can be
//! from.
//!
//! A change takes effect at some moment after it is made, but within the bound that is
//! stated. So an answer is right if one of the worlds that were in force between that bound
//! before the call and the answer gives it. While the server or the filter is known to be
//! gone, calls may also be closed.

use std::{
    collections::BTreeSet,
    fmt,
    time::{Duration, Instant},
};

/// Decisions are never older: a filter that hears nothing drops its leases after this
/// (`maxStale`) …
const STALE: Duration = Duration::from_secs(5);
/// … and a server that cannot read its files announces nothing after this.
const UNREAD: Duration = Duration::from_secs(2);
/// A machine that is busy, and clocks that are read one after the other.
const SLACK: Duration = Duration::from_secs(1);
/// Certificates count whole seconds.
const ROUNDING: Duration = Duration::from_millis(1_500);

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Workload(pub(crate) String);

impl Workload {
    /// The SPIFFE ID's path.
    pub(crate) fn path(&self) -> String {
        format!("/ns/soak/sa/{}", self.0)
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Everybody may.
    Read,
    /// Nobody may: no rule.
    Delete,
    /// Nobody may: a rule says so.
    Admin,
    /// Who says why, may; the server alone decides that.
    Report(bool),
    /// Guests may, as long as there is the rule.
    Guest,
    /// Everybody may until a moment.
    Export,
}

/// What the rules say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// The call goes on.
    Allow,
    /// It does not, for this reason.
    Refuse(&'static str),
}

/// How things stand between two changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    /// Whether there is the rule for guests.
    pub(crate) guests: bool,
    /// Who is revoked.
    pub(crate) revoked: BTreeSet<Workload>,
}

/// A call, as far as the rules look at it, and when it was made.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) caller: Workload,
    pub(crate) ask: Ask,
    /// The end of the caller's certificate.
    pub(crate) not_after: Instant,
    pub(crate) sent: Instant,
    pub(crate) answered: Instant,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// The service answered.
    Allowed,
    /// The service answered, and took the caller for somebody else.
    Mistaken(String),
    /// Refused, with this reason.
    Refused(String),
    /// 503: nobody could decide.
    Closed(String),
    /// No answer: the connection or the stream ended.
    Lost(String),
}

/// An answer that is not right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It should have been refused.
    Allow(String),
    /// It should have been allowed, or refused for another reason.
    Refusal(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow(what) => write!(f, "WRONG ALLOW    {what}"),
            Self::Refusal(what) => write!(f, "WRONG REFUSAL  {what}"),
        }
    }
}

/// Everything that happened so far.
#[derive(Clone, Debug)]
pub(crate) struct Oracle {
    start: Instant,
    /// When the exception of [`Ask::Export`] ends.
    exception: Instant,
    /// Each from a moment before it was made.
    worlds: Vec<(Instant, World)>,
    /// When calls may be closed; the last one may be open still.
    outages: Vec<(Instant, Option<Instant>)>,
}

impl Oracle {
    /// From now on, with this world.
    pub(crate) fn new(world: World, exception: Instant) -> Self {
        let start = Instant::now();
        Self {
            start,
            exception,
            worlds: vec![(start, world)],
            outages: Vec::new(),
        }
    }

    /// The world as it is meant to be.
    pub(crate) fn world(&self) -> World {
        self.worlds
            .last()
            .map(|(_, w)| w.clone())
            .unwrap_or_default()
    }

    /// From `moment` on, which is before anything was done for it, this is the world.
    pub(crate) fn change(&mut self, moment: Instant, world: World) {
        self.worlds.push((moment, world));
    }

    /// From `moment` on calls may be closed.
    pub(crate) fn outage(&mut self, moment: Instant) {
        self.outages.push((moment, None));
    }

    /// After `moment` no longer.
    pub(crate) fn recovered(&mut self, moment: Instant) {
        if let Some((_, end)) = self.outages.last_mut() {
            *end = Some(moment);
        }
    }

    /// Since when it has run.
    pub(crate) fn elapsed(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.start)
    }

    /// Whether an answer is right.
    pub(crate) fn judge(&self, asked: &Asked, said: &Said) -> Result<(), Wrong> {
        let possible = self.possible(asked);
        let told = |said: &str| {
            format!(
                "{:.1} s: {} {:?}: {said}; right: {possible:?}",
                self.elapsed(asked.answered).as_secs_f64(),
                asked.caller.0,
                asked.ask,
            )
        };
        match said {
            Said::Allowed if possible.contains(&Verdict::Allow) => Ok(()),
            Said::Allowed => Err(Wrong::Allow(told("allowed"))),
            Said::Mistaken(caller) => Err(Wrong::Allow(told(&format!("allowed as {caller}")))),
            Said::Refused(reason) => {
                let is =
                    |verdict: &Verdict| matches!(verdict, Verdict::Refuse(this) if this == reason);
                if possible.iter().any(is) {
                    return Ok(());
                }
                Err(Wrong::Refusal(told(reason)))
            }
            Said::Closed(_) | Said::Lost(_) if self.may_be_closed(asked) => Ok(()),
            Said::Closed(reason) => Err(Wrong::Refusal(told(&format!("closed, {reason}")))),
            Said::Lost(error) => Err(Wrong::Refusal(told(&format!("lost: {error}")))),
        }
    }

    /// Whether a stream that is open since `asked.sent` may have ended at `asked.answered`:
    /// when the call would be refused by then, or calls may be closed.
    pub(crate) fn judge_end(&self, asked: &Asked) -> Result<(), Wrong> {
        let refused = self.possible(&Asked {
            sent: asked.answered,
            ..asked.clone()
        });
        let refused = refused.iter().any(|verdict| *verdict != Verdict::Allow);
        if refused || self.may_be_closed(asked) {
            return Ok(());
        }
        let at = self.elapsed(asked.answered).as_secs_f64();
        let (caller, ask) = (&asked.caller.0, asked.ask);
        Err(Wrong::Refusal(format!(
            "{at:.1} s: {caller} {ask:?}: its open stream was cut"
        )))
    }

    fn may_be_closed(&self, asked: &Asked) -> bool {
        let mut outages = self.outages.iter();
        outages.any(|(from, to)| *from <= asked.answered && to.is_none_or(|to| asked.sent <= to))
    }

    /// What the rules said in any world that the answer may be from.
    fn possible(&self, asked: &Asked) -> BTreeSet<Verdict> {
        let oldest = asked.sent.checked_sub(STALE + UNREAD + SLACK);
        let ends = self.worlds.iter().skip(1).map(|(begun, _)| Some(*begun));
        let mut possible = BTreeSet::new();
        for ((begun, world), end) in self.worlds.iter().zip(ends.chain([None])) {
            let over = end.zip(oldest).is_some_and(|(end, oldest)| end < oldest);
            if *begun <= asked.answered && !over {
                for expired in before_and_after(asked, asked.not_after) {
                    for excepted in before_and_after(asked, self.exception) {
                        possible.insert(verdict(world, asked, expired, excepted));
                    }
                }
            }
        }
        possible
    }
}

/// Whether `moment` was over when the call was decided: no, yes, or either. It ends on the
/// clock, not when somebody hears of it, so no bound applies.
fn before_and_after(asked: &Asked, moment: Instant) -> impl Iterator<Item = bool> {
    let not_yet = asked.sent <= moment + ROUNDING;
    let over = asked.answered + ROUNDING >= moment;
    [(not_yet, false), (over, true)]
        .into_iter()
        .filter_map(|(possible, over)| possible.then_some(over))
}

fn verdict(world: &World, asked: &Asked, expired: bool, excepted: bool) -> Verdict {
    if expired {
        return Verdict::Refuse("identity-expired");
    }
    if world.revoked.contains(&asked.caller) {
        return Verdict::Refuse("identity-revoked");
    }
    match asked.ask {
        Ask::Read | Ask::Report(true) => Verdict::Allow,
        Ask::Guest if world.guests => Verdict::Allow,
        Ask::Export if !excepted => Verdict::Allow,
        Ask::Export => Verdict::Refuse("exception-expired"),
        Ask::Admin => Verdict::Refuse("deny-rule"),
        Ask::Delete | Ask::Guest | Ask::Report(false) => Verdict::Refuse("no-rule"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn guest() -> Workload {
        Workload("guest".to_owned())
    }

    fn second(oracle: &Oracle, number: f64) -> Instant {
        oracle.start + Duration::from_secs_f64(number)
    }

    fn asked(oracle: &Oracle, ask: Ask, at: f64) -> Asked {
        Asked {
            caller: guest(),
            ask,
            not_after: oracle.start + HOUR,
            sent: second(oracle, at),
            answered: second(oracle, at + 0.01),
        }
    }

    fn oracle() -> Oracle {
        Oracle::new(World::default(), Instant::now() + HOUR)
    }

    fn refused(reason: &str) -> Said {
        Said::Refused(reason.to_owned())
    }

    #[test]
    fn what_never_changes_is_what_it_is() {
        let oracle = oracle();
        let judge = |ask, said: &Said| oracle.judge(&asked(&oracle, ask, 1.0), said);
        assert_eq!(judge(Ask::Read, &Said::Allowed), Ok(()));
        assert_eq!(judge(Ask::Delete, &refused("no-rule")), Ok(()));
        assert_eq!(judge(Ask::Admin, &refused("deny-rule")), Ok(()));
        for (ask, said) in [
            (Ask::Delete, Said::Allowed),
            (Ask::Read, Said::Mistaken("somebody".to_owned())),
        ] {
            let wrong = judge(ask, &said);
            assert!(matches!(wrong, Err(Wrong::Allow(_))), "{wrong:?}");
        }
        for (ask, said) in [
            (Ask::Read, refused("no-rule")),
            (Ask::Admin, refused("no-rule")),
            (Ask::Read, Said::Closed("authz-unreachable".into())),
            (Ask::Read, Said::Lost("reset".into())),
        ] {
            let wrong = judge(ask, &said);
            assert!(
                matches!(wrong, Err(Wrong::Refusal(_))),
                "{said:?}: {wrong:?}"
            );
        }
    }

    #[test]
    fn a_change_may_be_late_but_not_for_ever() {
        let mut oracle = oracle();
        let world = World {
            guests: true,
            ..World::default()
        };
        oracle.change(second(&oracle, 20.0), world);
        let judge = |at, said: &Said| oracle.judge(&asked(&oracle, Ask::Guest, at), said);
        assert!(judge(19.0, &Said::Allowed).is_err(), "before it was made");
        assert!(judge(20.1, &Said::Allowed).is_ok());
        assert!(judge(27.9, &refused("no-rule")).is_ok(), "late");
        assert!(judge(28.1, &refused("no-rule")).is_err(), "too late");
        assert!(judge(28.1, &Said::Allowed).is_ok());
    }

    #[test]
    fn a_revocation_is_such_a_change() {
        let mut oracle = oracle();
        let world = World {
            revoked: [guest()].into(),
            ..World::default()
        };
        oracle.change(second(&oracle, 20.0), world);
        let judge = |at, said: &Said| oracle.judge(&asked(&oracle, Ask::Read, at), said);
        assert!(judge(25.0, &Said::Allowed).is_ok());
        assert!(judge(25.0, &refused("identity-revoked")).is_ok());
        assert!(judge(29.0, &Said::Allowed).is_err());
        assert!(judge(19.0, &refused("identity-revoked")).is_err());
    }

    #[test]
    fn dates_have_no_bound_but_their_rounding() {
        let oracle = Oracle::new(World::default(), Instant::now() + Duration::from_secs(20));
        let judge = |ask, at, said: &Said| {
            let mut asked = asked(&oracle, ask, at);
            if ask == Ask::Read {
                asked.not_after = second(&oracle, 20.0);
            }
            oracle.judge(&asked, said)
        };
        for (ask, reason) in [
            (Ask::Read, "identity-expired"),
            (Ask::Export, "exception-expired"),
        ] {
            assert!(judge(ask, 17.0, &refused(reason)).is_err());
            assert!(judge(ask, 17.0, &Said::Allowed).is_ok());
            assert!(judge(ask, 22.0, &Said::Allowed).is_err());
            assert!(judge(ask, 22.0, &refused(reason)).is_ok());
        }
    }

    #[test]
    fn calls_are_closed_in_outages_only() {
        let mut oracle = oracle();
        let closed = Said::Closed("authz-unreachable".to_owned());
        oracle.outage(second(&oracle, 10.0));
        assert!(
            oracle
                .judge(&asked(&oracle, Ask::Read, 11.0), &closed)
                .is_ok()
        );
        oracle.recovered(second(&oracle, 12.0));
        assert!(
            oracle
                .judge(&asked(&oracle, Ask::Read, 9.0), &closed)
                .is_err()
        );
        assert!(
            oracle
                .judge(&asked(&oracle, Ask::Read, 13.0), &closed)
                .is_err()
        );
        // What waited meanwhile.
        let mut long = asked(&oracle, Ask::Read, 11.0);
        long.answered = second(&oracle, 26.0);
        assert!(oracle.judge(&long, &closed).is_ok());
        // Nobody is let in because of one.
        let delete = asked(&oracle, Ask::Delete, 11.0);
        assert!(oracle.judge(&delete, &Said::Allowed).is_err());
    }

    #[test]
    fn a_stream_is_cut_when_it_would_be_refused() {
        let mut oracle = Oracle::new(
            World {
                guests: true,
                ..World::default()
            },
            Instant::now() + HOUR,
        );
        oracle.change(second(&oracle, 30.0), World::default());
        let cut = |at| {
            let mut stream = asked(&oracle, Ask::Guest, 1.0);
            stream.answered = second(&oracle, at);
            oracle.judge_end(&stream)
        };
        assert!(cut(20.0).is_err(), "it was allowed");
        assert!(cut(30.5).is_ok());
    }
}
