use callgate_policy::Reason;

use super::{
    cache::{MAX_LEAVES, Room},
    testing::{DECIDED_AT, LEAF, MS, ORDERS, REVISION, WEB, lease, slice, terms},
    *,
};

const OTHER: Revision = [2; 32];

fn callee() -> Callee {
    Callee::new(ORDERS, [0; 16])
}

fn line(path: &str) -> Line<'_> {
    Line {
        method: "GET",
        path,
        host: "orders",
        upgrade: None,
        content_type: None,
        traceparent: None,
    }
}

fn leaf(number: usize) -> Fingerprint {
    let mut leaf = [0; 32];
    leaf[..8].copy_from_slice(&number.to_be_bytes());
    leaf
}

/// Takes a lease for the caller, asked for at that moment.
fn take(callee: &Callee, caller: &str, leaf: &Fingerprint, now: Duration) {
    let taken = callee.take_lease(&terms(lease(caller, leaf)), leaf, now);
    assert!(taken.unwrap());
}

/// What the lease for [`LEAF`] says of a path.
fn reason(callee: &Callee, path: &str, now: Duration, time: i64) -> Option<Reason> {
    let lease = callee.lease(Some(REVISION), &LEAF, now)?;
    let time = Timestamp::from_millis(time);
    let decision = lease.decide(callee, &line(path), now, time)?;
    Some(decision.reason)
}

#[test]
fn what_depends_on_nothing_else_is_decided_here() {
    let callee = callee();
    take(&callee, WEB, &LEAF, MS(0));
    let at = |path| reason(&callee, path, MS(10), DECIDED_AT + 10);
    assert_eq!(at("/orders/7"), Some(Reason::Allow));
    assert_eq!(at("/other"), Some(Reason::NoRule));
    assert_eq!(at("/admin/x"), Some(Reason::DenyRule));
    assert_eq!(at("/a//b"), Some(Reason::PathAmbiguous));
    assert_eq!(at("/reports/7"), None, "that takes a header");
    assert_eq!(at("/export"), Some(Reason::Allow));
}

#[test]
fn it_ends_with_its_time_and_with_the_certificate() {
    let callee = callee();
    take(&callee, WEB, &LEAF, MS(5_000));
    let at = |now, time| reason(&callee, "/orders/7", MS(now), time);
    assert_eq!(at(64_999, DECIDED_AT), Some(Reason::Allow));
    assert_eq!(at(64_999, DECIDED_AT + 599_999), Some(Reason::Allow));
    assert_eq!(at(64_999, DECIDED_AT + 600_000), None);
    // Its time counts from when it was asked for, and once it is up it is gone.
    assert_eq!(at(65_000, DECIDED_AT), None);
    assert_eq!(at(64_999, DECIDED_AT), None);
}

#[test]
fn an_exception_that_may_have_ended_is_asked_about() {
    let callee = callee();
    take(&callee, WEB, &LEAF, MS(0));
    let expires = 1_800_000_010_000;
    let at = |time| reason(&callee, "/export", MS(10), time);
    assert_eq!(at(expires - 1), Some(Reason::Allow));
    assert_eq!(at(expires), None);
}

#[test]
fn a_lease_is_longest_an_hour() {
    let callee = callee();
    let long = v1::Lease {
        ttl_ms: u64::MAX,
        valid_until_ms: i64::MAX,
        ..lease(WEB, &LEAF)
    };
    callee.take_lease(&terms(long), &LEAF, MS(0)).unwrap();
    assert!(
        callee
            .lease(Some(REVISION), &LEAF, MAX_TTL - MS(1))
            .is_some()
    );
    assert!(callee.lease(Some(REVISION), &LEAF, MAX_TTL).is_none());
}

#[test]
fn another_revision_or_none_drops_all() {
    for announced in [Some(OTHER), None] {
        let callee = callee();
        take(&callee, WEB, &LEAF, MS(0));
        assert!(callee.lease(Some(REVISION), &LEAF, MS(1)).is_some());
        assert!(callee.lease(announced, &LEAF, MS(2)).is_none());
        assert!(callee.lease(Some(REVISION), &LEAF, MS(3)).is_none());
        assert_eq!(callee.leases().size(), 0);
    }
}

#[test]
fn a_lease_of_another_certificate_or_of_nothing_is_not_taken() {
    let callee = callee();
    let mut anonymous = lease(WEB, &LEAF);
    anonymous.caller = None;
    let mut unnamed = lease(WEB, &LEAF);
    unnamed.caller.as_mut().unwrap().id = "web".to_owned();
    let mut broken = lease(WEB, &LEAF);
    broken.slice = vec![0xff];
    for other in [lease(WEB, &leaf(1)), anonymous, unnamed, broken] {
        assert!(callee.take_lease(&terms(other), &LEAF, MS(0)).is_err());
    }
    let mut off = lease(WEB, &LEAF);
    off.ttl_ms = 0;
    assert!(!callee.take_lease(&terms(off), &LEAF, MS(0)).unwrap());
    let mut none = terms(lease(WEB, &LEAF));
    none.lease = None;
    assert!(!callee.take_lease(&none, &LEAF, MS(0)).unwrap());
    assert!(callee.lease(Some(REVISION), &LEAF, MS(1)).is_none());
    assert_eq!(callee.leases().size(), 0);
}

#[test]
fn callers_with_the_same_rules_share_a_slice() {
    let callee = callee();
    let other = "spiffe://example.org/ns/shop/sa/api";
    assert_eq!(slice(WEB), slice(other));
    take(&callee, WEB, &LEAF, MS(0));
    let one = callee.leases().size();
    take(&callee, other, &leaf(1), MS(0));
    let two = callee.leases().size();
    assert!(two - one < slice(WEB).len() + one / 2);
    let find = |leaf| callee.lease(Some(REVISION), leaf, MS(1)).unwrap();
    assert!(Rc::ptr_eq(&find(&LEAF).slice, &find(&leaf(1)).slice));
    callee.drop_leases();
    assert_eq!(callee.leases().size(), 0);
}

#[test]
fn a_caller_with_many_certificates_takes_its_own_room() {
    let callee = callee();
    take(
        &callee,
        "spiffe://example.org/ns/shop/sa/api",
        &leaf(99),
        MS(0),
    );
    for number in 0..10 {
        take(&callee, WEB, &leaf(number), MS(number as u64 + 1));
    }
    assert_eq!(callee.leases().len(), 1 + MAX_LEAVES);
    let has = |number| {
        callee
            .lease(Some(REVISION), &leaf(number), MS(20))
            .is_some()
    };
    assert_eq!([5, 6, 9, 99].map(has), [false, true, true, true]);
    // One that is given anew is the youngest.
    take(&callee, WEB, &leaf(6), MS(30));
    take(&callee, WEB, &leaf(10), MS(31));
    assert_eq!([6, 7].map(has), [true, false]);
}

#[test]
fn the_busiest_service_makes_room_by_what_it_did_not_use() {
    let (busy, calm) = (Rc::new(callee()), Rc::new(callee()));
    let callees = [Rc::clone(&busy), Rc::clone(&calm)];
    let caller = |number: usize| format!("spiffe://example.org/ns/shop/sa/{number}");
    let find = |callee: &Callee, number| callee.lease(Some(REVISION), &leaf(number), MS(1));
    take(&calm, &caller(0), &leaf(0), MS(0));
    take(&busy, &caller(0), &leaf(0), MS(0));
    let [few, large] =
        [(20, usize::MAX), (usize::MAX, 20_000)].map(|(leases, bytes)| Room { leases, bytes });
    for room in [few, large] {
        for number in 1..60 {
            take(&busy, &caller(number), &leaf(number), MS(0));
            // The first one stays in use.
            assert!(find(&busy, 0).is_some());
            make_room(&callees, room);
            let leases: usize = callees.iter().map(|it| it.leases().len()).sum();
            let bytes: usize = callees.iter().map(|it| it.leases().size()).sum();
            assert!(leases <= room.leases && bytes <= room.bytes);
            assert!(leases == number + 2 || leases > 10, "{leases}");
        }
        let has = |number| find(&busy, number).is_some();
        assert_eq!([0, 1, 59].map(has), [true, false, true]);
        assert!(find(&calm, 0).is_some());
    }
}

#[test]
fn a_slice_that_nobody_has_takes_no_room() {
    let callee = callee();
    let wide = v1::Lease {
        slice: slice("spiffe://example.org/ns/batch/sa/job"),
        ..lease(WEB, &LEAF)
    };
    take(&callee, WEB, &LEAF, MS(0));
    let before = callee.leases().size();
    callee.take_lease(&terms(wide), &LEAF, MS(1)).unwrap();
    assert_ne!(callee.leases().size(), before);
    take(&callee, WEB, &LEAF, MS(2));
    assert_eq!(callee.leases().size(), before);
    make_room(
        &[Rc::new(callee)],
        Room {
            leases: 0,
            bytes: 0,
        },
    );
}

#[test]
fn fingerprints_are_sixty_four_digits() {
    assert_eq!(fingerprint(&[b'a'; 64]), Some([0xaa; 32]));
    assert_eq!(fingerprint(&[b'F'; 64]), Some([0xff; 32]));
    for text in [&b""[..], &[b'a'; 63], &[b'a'; 66], &[b'g'; 64]] {
        assert_eq!(fingerprint(text), None);
    }
}
