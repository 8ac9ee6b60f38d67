use super::*;

const ORDERS: &str = "spiffe://example.org/ns/shop/sa/orders";

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn watches() -> Watches {
    let mut watches = Watches::new(s(5));
    watches.seed(7);
    assert!(watches.want(ORDERS));
    watches
}

/// A Watch that was opened at second 10, as call 1.
fn opened() -> Watches {
    let mut watches = watches();
    assert_eq!(watches.to_open(s(10)).as_deref(), Some(ORDERS));
    watches.opened(ORDERS, CallId(1), s(10));
    assert_eq!(watches.to_open(s(10)), None);
    watches
}

fn says(revision: u8, elapsed_ms: u64) -> Vec<u8> {
    Announcement {
        revision: vec![revision; 32],
        elapsed_ms,
    }
    .encode_to_vec()
}

fn changed() -> News {
    News::Changed(Rc::from(ORDERS))
}

#[test]
fn nothing_stands_before_the_first_announcement() {
    let mut watches = opened();
    assert_eq!(watches.standing(ORDERS, s(10)), None);
    assert_eq!(
        watches.announced_by(CallId(1), &says(1, 0), s(11)),
        changed()
    );
    assert_eq!(watches.standing(ORDERS, s(11)), Some([1; 32]));
    assert_eq!(watches.announced(ORDERS, s(11)), Some([1; 32]));
    assert_eq!(
        watches.announced_by(CallId(1), &says(1, 900), s(12)),
        News::Same
    );
    assert_eq!(
        watches.announced_by(CallId(1), &says(2, 950), s(12)),
        changed()
    );
    assert_eq!(watches.standing(ORDERS, s(12)), Some([2; 32]));
    assert_eq!(watches.standing("spiffe://example.org/other", s(12)), None);
}

#[test]
fn a_late_announcement_stands_from_when_it_was_said() {
    let mut watches = opened();
    // Said at 10 to 11, and 4 s under way.
    let _ = watches.announced_by(CallId(1), &says(1, 0), s(14));
    assert_eq!(
        watches.standing(ORDERS, Duration::from_millis(14_999)),
        Some([1; 32])
    );
    assert_eq!(watches.standing(ORDERS, s(15)), None);
    // So late that it does not stand at all.
    let _ = watches.announced_by(CallId(1), &says(1, 1_000), s(16));
    assert_eq!(watches.standing(ORDERS, s(16)), None);
    // A server cannot speak of what is to come.
    let _ = watches.announced_by(CallId(1), &says(1, u64::MAX), s(16));
    assert_eq!(watches.standing(ORDERS, s(20)), Some([1; 32]));
    assert_eq!(watches.standing(ORDERS, s(21)), None);
}

#[test]
fn what_is_too_old_to_decide_by_is_a_notice_all_the_same() {
    let mut watches = opened();
    assert_eq!(watches.told(ORDERS, s(10)), None);
    let _ = watches.announced_by(CallId(1), &says(1, 0), s(16));
    assert_eq!(watches.standing(ORDERS, s(16)), None);
    assert_eq!(watches.told(ORDERS, s(16)), Some([1; 32]));
    assert_eq!(watches.expired(s(16)).len(), 1);
    assert_eq!(watches.told(ORDERS, s(20)), Some([1; 32]));
    assert_eq!(watches.told(ORDERS, s(21)), None);
}

#[test]
fn what_was_said_outlives_the_watch_but_agrees_with_no_new_lease() {
    let mut watches = opened();
    let _ = watches.announced_by(CallId(1), &says(1, 0), s(10));
    assert_eq!(watches.closed(CallId(1), s(11)).as_deref(), Some(ORDERS));
    assert_eq!(watches.closed(CallId(1), s(11)), None);
    assert_eq!(watches.standing(ORDERS, s(14)), Some([1; 32]));
    assert_eq!(watches.announced(ORDERS, s(14)), None);
    watches.opened(ORDERS, CallId(2), s(14));
    assert_eq!(
        watches.announced(ORDERS, s(14)),
        None,
        "not before it spoke"
    );
    assert_eq!(
        watches.announced_by(CallId(1), &says(3, 0), s(14)),
        News::Nobody
    );
    assert_eq!(
        watches.announced_by(CallId(2), &says(1, 0), s(14)),
        News::Same
    );
    assert_eq!(watches.announced(ORDERS, s(14)), Some([1; 32]));
}

#[test]
fn what_is_no_revision_ends_the_watch() {
    for message in [
        vec![],
        vec![0xff],
        says(1, 0)[..20].to_vec(),
        Announcement {
            revision: vec![1; 31],
            elapsed_ms: 0,
        }
        .encode_to_vec(),
    ] {
        let mut watches = opened();
        let _ = watches.announced_by(CallId(1), &says(1, 0), s(10));
        let news = watches.announced_by(CallId(1), &message, s(11));
        assert_eq!(news, News::Nonsense(Rc::from(ORDERS)));
        assert_eq!(watches.standing(ORDERS, s(11)), Some([1; 32]));
        assert_eq!(watches.announced(ORDERS, s(11)), None);
        assert!(watches.to_open(s(12)).is_some());
    }
}

#[test]
fn silence_ends_a_watch() {
    let mut watches = opened();
    assert!(watches.silent(Duration::from_millis(14_999)).is_empty());
    let _ = watches.announced_by(CallId(1), &says(1, 4_000), s(14));
    assert!(watches.silent(s(15)).is_empty());
    assert_eq!(watches.silent(s(19)), [(CallId(1), Rc::from(ORDERS))]);
    assert!(watches.silent(s(19)).is_empty());
    assert!(watches.to_open(s(20)).is_some());
    // With a short `maxStale` still three of the server's seconds.
    let mut watches = Watches::new(Duration::from_millis(100));
    watches.want(ORDERS);
    watches.opened(ORDERS, CallId(1), s(10));
    assert!(watches.silent(s(12)).is_empty());
    assert_eq!(watches.silent(s(13)).len(), 1);
}

#[test]
fn what_stands_no_more_is_told_once() {
    let mut watches = opened();
    let _ = watches.announced_by(CallId(1), &says(1, 0), s(10));
    assert!(watches.expired(s(14)).is_empty());
    assert_eq!(watches.expired(s(15)), [Rc::from(ORDERS)]);
    assert!(watches.expired(s(15)).is_empty());
    // The same revision again is news: what was dropped has to be asked for anew.
    assert_eq!(
        watches.announced_by(CallId(1), &says(1, 6_000), s(16)),
        changed()
    );
}

#[test]
fn it_comes_back_soon_then_later_and_never_later_than_it_may() {
    let mut watches = watches();
    let (mut now, mut waits) = (s(10), Vec::new());
    for call in 0..200 {
        assert!(watches.to_open(now).is_some());
        if call % 2 == 0 {
            watches.opened(ORDERS, CallId(call), now);
            watches.closed(CallId(call), now);
        } else {
            watches.not_opened(ORDERS, now);
        }
        let begun = now;
        while watches.to_open(now).is_none() {
            now += Duration::from_millis(1);
        }
        waits.push(now - begun);
    }
    assert!(
        waits.iter().all(|it| (BACKOFF.0..=BACKOFF.1).contains(it)),
        "{waits:?}"
    );
    assert!(waits[0] <= BACKOFF.0 * 3);
    assert!(waits.iter().any(|it| *it > s(2)));
    let different: std::collections::BTreeSet<_> = waits.iter().collect();
    assert!(different.len() > 100, "{waits:?}");
    // One that proves itself begins anew.
    watches.opened(ORDERS, CallId(900), now);
    let _ = watches.announced_by(CallId(900), &says(1, 0), now + s(60));
    watches.closed(CallId(900), now + s(60));
    assert!(watches.to_open(now + s(60) + BACKOFF.0 * 3).is_some());
}

#[test]
fn services_are_bounded_and_have_names() {
    let mut watches = Watches::new(s(5));
    assert!(!watches.want(""));
    for service in 0..MAX_CALLEES {
        assert!(watches.want(&format!("spiffe://example.org/{service}")));
    }
    assert!(watches.take_new() && !watches.take_new());
    assert!(!watches.want(ORDERS));
    assert!(watches.want("spiffe://example.org/3"));
    assert!(!watches.take_new());
}

#[test]
fn the_request_names_the_service() {
    let request = WatchRequest::decode(Watches::request(ORDERS).as_slice()).unwrap();
    assert_eq!(request.service, ORDERS);
}
