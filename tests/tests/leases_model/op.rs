//! What happens in a run, one thing after another.

use proptest::prelude::*;

use crate::{
    callers::{CALLEES, CALLERS, Made, WHATS},
    replica::Condition,
    state::{BUNDLES, DOCUMENTS, REVOKED},
    world::REPLICAS,
};

/// One thing that happens. Where nothing can, nothing does.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// A request comes; if it is to stay open, its answer has no end.
    Call {
        made: Made,
        open: bool,
    },
    /// More streams of one kind than may be asked about at once.
    Crowd(Made),
    /// An open stream is over, counted from the oldest.
    Close(usize),
    /// Time passes, in milliseconds.
    Wait(u64),
    /// A server learns of other documents, revocations or bundles.
    Documents {
        replica: usize,
        version: u8,
    },
    Revoked {
        replica: usize,
        which: u8,
    },
    Bundles {
        replica: usize,
        which: u8,
    },
    /// The other server learns all that this one knows.
    Agree {
        from: usize,
    },
    /// A wall clock is set, by seconds beyond the true time.
    Clock {
        whose: Option<usize>,
        ahead: i64,
    },
    /// How long messages to a server, or from it, are under way from now on.
    Slow {
        replica: usize,
        way: Way,
        milliseconds: u64,
    },
    /// Every server is up and near again.
    Heal,
    Condition {
        replica: usize,
        to: Condition,
    },
    /// Whether the server's store is rescanned.
    Scanned {
        replica: usize,
        so: bool,
    },
    /// The Watches of a server end, and the worker is told or not.
    Cut {
        replica: usize,
        told: bool,
    },
    /// Where what is sent goes from now on.
    Route(usize),
    /// The worker falls over; another one takes its place.
    Trap,
}

/// What is slow.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// Whatever goes to a server.
    Up,
    /// Its answers.
    Down,
    /// Its announcements, in a stream that nobody drains.
    Announcements,
}

/// A run: now anything in any order, now something that goes wrong while a lease is in use.
pub(crate) fn ops() -> impl Strategy<Value = Vec<Op>> {
    let anything = prop::collection::vec(op(), 1..8);
    let parts = prop::collection::vec(prop_oneof![3 => anything, 2 => episode()], 1..20);
    parts.prop_map(|parts| parts.concat())
}

/// A call that is leased is made again after a fault and a change.
fn episode() -> impl Strategy<Value = Vec<Op>> {
    let stays = prop::bool::weighted(0.3);
    (made(), stays, fault(), change(), waits(), waits()).prop_map(
        |(made, open, fault, change, first, second)| {
            let call = |open| Op::Call { made, open };
            vec![
                call(false),
                Op::Wait(30),
                call(open),
                fault,
                change,
                Op::Wait(first),
                call(false),
                Op::Wait(second),
                call(open),
            ]
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (made(), prop::bool::weighted(0.2)).prop_map(|(made, open)| Op::Call { made, open }),
        1 => (0..8_usize).prop_map(Op::Close),
        1 => made().prop_map(Op::Crowd),
        4 => waits().prop_map(Op::Wait),
        2 => change(),
        2 => fault(),
        2 => Just(Op::Heal),
    ]
}

fn change() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (replica(), 0..DOCUMENTS).prop_map(|(replica, version)| Op::Documents { replica, version }),
        2 => (replica(), 0..REVOKED).prop_map(|(replica, which)| Op::Revoked { replica, which }),
        1 => (replica(), 0..BUNDLES).prop_map(|(replica, which)| Op::Bundles { replica, which }),
        3 => replica().prop_map(|from| Op::Agree { from }),
    ]
}

fn fault() -> impl Strategy<Value = Op> {
    let ahead = prop_oneof![-30..30_i64, 15..70_i64];
    prop_oneof![
        3 => (prop::option::of(replica()), ahead).prop_map(|(whose, ahead)| Op::Clock { whose, ahead }),
        4 => slow(),
        2 => (replica(), condition()).prop_map(|(replica, to)| Op::Condition { replica, to }),
        1 => replica().prop_map(|replica| Op::Scanned { replica, so: false }),
        2 => (replica(), any::<bool>()).prop_map(|(replica, told)| Op::Cut { replica, told }),
        3 => replica().prop_map(Op::Route),
        1 => Just(Op::Trap),
    ]
}

/// Most are short; some are about as long as `maxStale` or a lease.
fn waits() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..400_u64, 3 => 400..4_000_u64, 1 => 4_000..13_000_u64]
}

/// Within a Check's timeout, so that old answers come; or far beyond, in the one way where
/// that goes unnoticed.
fn slow() -> impl Strategy<Value = Op> {
    let within = (prop_oneof![Just(Way::Up), Just(Way::Down)], 1..60_u64);
    let beyond = (Just(Way::Announcements), 1..9_000_u64);
    (replica(), prop_oneof![3 => within, 2 => beyond]).prop_map(|(replica, (way, milliseconds))| {
        Op::Slow {
            replica,
            way,
            milliseconds,
        }
    })
}

fn replica() -> impl Strategy<Value = usize> {
    0..REPLICAS
}

/// Half of all calls are of few kinds, so that a lease that is there is used.
fn made() -> impl Strategy<Value = Made> {
    let usual = [
        (0, 0),
        (0, 2),
        (0, 3),
        (1, 0),
        (2, 0),
        (3, 4),
        (4, 0),
        (5, 0),
    ];
    let usual = usual.map(|(caller, what)| Made {
        caller,
        callee: 0,
        what,
    });
    let any = (0..CALLERS, 0..CALLEES.len(), 0..WHATS.len());
    let any = any.prop_map(|(caller, callee, what)| Made {
        caller,
        callee,
        what,
    });
    prop_oneof![prop::sample::select(usual.to_vec()), any]
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        Just(Condition::Up),
        Just(Condition::Stopped),
        Just(Condition::Down),
    ]
}
