//! A model of everything that can go wrong with a lease.
//!
//! The filter is the real one, and so is the code that answers Checks; what is simulated is
//! the world between them: clocks that are set, servers that know different things, stop,
//! fall over and come back, messages that are late and overtake each other, streams that
//! break off with notice or without, a worker that falls over. Random runs of that; and
//! after each step every answer that the proxy gave by itself is judged by [`judge`], which
//! knows nothing of revisions.
//!
//! ```text
//!  op ──► world ──► worker (Contexts, the real filter)  ──Check, Watch, Record──► replica
//!           │          └── proxy (what Envoy would do)                              │
//!           │                                             state ◄─(Authorizer, real)─┘
//!           └──► passing ──► judge, books
//! ```
//!
//! That the model sees what it is for was tried by taking the rules of the filter away, one
//! at a time. It failed, within 400 runs, for each of these:
//!
//! | without it | seen as |
//! |---|---|
//! | an answer is kept only if its revision is the one announced | a lease that nobody who spoke would grant |
//! | another revision drops the leases | the same |
//! | an announcement counts from when it was said, not from its arrival | the same |
//! | nothing stands beyond `maxStale` | nobody had spoken |
//! | a lease has a TTL | there was no lease |
//! | the certificate's end; the later of both clocks, each of them | a caller that is expired |
//! | an exception ends by the clock now, not by that of the grant | `exception-expired` |
//! | a batch of records that failed is sent again | not recorded |
//! | streams are decided anew; at a revision; at an end that was told | open beyond its notice |
//! | a stream that nobody answers for is ended | open beyond its certificate |
//!
//! A failure prints the shortest run that fails. `CALLGATE_MODEL_RUNS` sets how many runs
//! there are.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "whatever is not as the model expects is a failure of the test"
)]

mod books;
mod callers;
mod judge;
mod op;
mod passing;
mod proxy;
mod replica;
mod state;
mod worker;
mod world;

use std::{cell::RefCell, env, sync::Arc, time::Duration};

use proptest::test_runner::{Config, TestRunner};

use callers::{Callers, Made};
use op::Op;
use state::{Answers, State};
use world::{Tally, World};

/// How long everything is quiet at the end of a run: longer than `maxStale`, the wait until a
/// Watch is opened again, and what it takes to hear and to act on it.
const QUIET: Duration = Duration::from_secs(20);
/// Of it, how long ago a time has to be to have had its consequences.
const LONG_AGO: Duration = Duration::from_secs(8);
const RUNS: u32 = 150;

fn run(answers: &mut Answers, callers: &Arc<Callers>, ops: &[Op]) -> Tally {
    let mut world = World::new(answers, callers);
    for op in ops {
        world.apply(op);
    }
    world.calm(State::default(), QUIET);
    world.what_is_open_is_allowed(LONG_AGO);
    world.finish();
    world.tally
}

#[test]
fn no_answer_is_older_than_its_bound() {
    let runs = env::var("CALLGATE_MODEL_RUNS").map_or(RUNS, |runs| runs.parse().unwrap());
    let config = Config {
        cases: runs,
        max_shrink_iters: 2_000,
        failure_persistence: None,
        ..Config::default()
    };
    let callers = Arc::new(Callers::mint());
    let answers = RefCell::new(Answers::new(Arc::clone(&callers)));
    let total = RefCell::new(Tally::default());
    TestRunner::new(config)
        .run(&op::ops(), |ops| {
            let tally = run(&mut answers.borrow_mut(), &callers, &ops);
            total.borrow_mut().add(tally);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    let total = total.into_inner();
    println!("{total:?}");
    // A model in which nothing happens is right about everything.
    for (what, count) in [
        ("leased allows", total.leased_on),
        ("leased refusals", total.leased_refusals),
        ("streams ended", total.ended),
        ("streams ended by leases", total.ended_by_lease),
        ("calls nobody answered", total.unanswered),
        ("records", total.recorded),
    ] {
        assert!(count >= u64::from(runs) / 20, "{count} {what}");
    }
}

/// When all is well, one Check is all that a caller costs.
#[test]
fn what_can_be_leased_is() {
    let callers = Arc::new(Callers::mint());
    let mut answers = Answers::new(Arc::clone(&callers));
    let mut world = World::new(&mut answers, &callers);
    let made = Made {
        caller: 0,
        callee: 0,
        what: 0,
    };
    // The first answer is there before the first announcement, or after it.
    for _ in 0..2 {
        world.call(made, false);
        world.wait(Duration::from_millis(100));
    }
    let leased = world.tally.leased_on;
    for what in 0..4 {
        world.call(Made { what, ..made }, false);
    }
    assert_eq!(world.tally.leased_on - leased, 3);
    assert_eq!(world.tally.leased_refusals, 1);
}

/// A crowd that is decided anew as the proxy ends leaves nothing unrecorded.
#[test]
fn a_proxy_ends_while_a_crowd_is_decided_anew() {
    let callers = Arc::new(Callers::mint());
    let mut answers = Answers::new(Arc::clone(&callers));
    let made = Made {
        caller: 3,
        callee: 0,
        what: 4,
    };
    run(&mut answers, &callers, &[Op::Crowd(made)]);
}
