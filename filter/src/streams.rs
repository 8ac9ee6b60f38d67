//! Which requests that went on are decided anew next.
//!
//! A change of rules may concern every request that a worker has open. They are asked about
//! in the order in which that was noticed, some at a time: the answer to the first of a
//! caller mostly has a lease that decides the others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The most Checks for open requests that are under way at once in one worker: a change must
/// not take the server's time from requests that wait.
const MAX_UNDER_WAY: usize = 64;

/// The requests of one worker that are to be decided anew, by the host's numbers.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    /// Those that have waited for too long: nobody is asked about them any more.
    overdue: VecDeque<u32>,
    waiting: VecDeque<u32>,
    /// In which of the two a request stands.
    places: BTreeMap<u32, Place>,
    under_way: BTreeSet<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Waiting,
    Overdue,
}

impl Streams {
    /// This one as well, unless it is known. One that is overdue does not wait for others.
    pub(crate) fn add(&mut self, request: u32, overdue: bool) {
        let (place, queue) = if overdue {
            (Place::Overdue, &mut self.overdue)
        } else {
            (Place::Waiting, &mut self.waiting)
        };
        let known = self.places.get(&request);
        if known.is_none_or(|known| *known < place) && !self.under_way.contains(&request) {
            self.places.insert(request, place);
            queue.push_back(request);
        }
    }

    /// The next one, if another may be asked about, or nobody is.
    pub(crate) fn next(&mut self) -> Option<u32> {
        if let Some(next) = self.overdue.pop_front() {
            self.places.remove(&next);
            return Some(next);
        }
        while self.under_way.len() < MAX_UNDER_WAY {
            let next = self.waiting.pop_front()?;
            // One that became overdue has had its turn.
            if self.places.get(&next) == Some(&Place::Waiting) {
                self.places.remove(&next);
                return Some(next);
            }
        }
        None
    }

    /// This one is asked about from now on.
    pub(crate) fn asked(&mut self, request: u32) {
        self.under_way.insert(request);
    }

    /// This one has its answer, or is gone. True if it was asked about.
    pub(crate) fn over(&mut self, request: u32) -> bool {
        self.under_way.remove(&request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_waits_once_and_in_order() {
        let mut streams = Streams::default();
        for request in [5, 3, 5, 9, 3] {
            streams.add(request, false);
        }
        let order: Vec<u32> = std::iter::from_fn(|| streams.next()).collect();
        assert_eq!(order, [5, 3, 9]);
        streams.add(5, false);
        assert_eq!(streams.next(), Some(5), "it may wait again");
    }

    #[test]
    fn so_many_at_once_and_no_more() {
        let mut streams = Streams::default();
        let most = u32::try_from(MAX_UNDER_WAY).unwrap();
        (0..=most + 1).for_each(|request| streams.add(request, false));
        for request in 0..most {
            assert_eq!(streams.next(), Some(request));
            streams.asked(request);
        }
        assert_eq!(streams.next(), None);
        streams.add(7, false);
        assert!(!streams.over(most), "one that only waits");
        assert!(streams.over(7) && !streams.over(7));
        assert_eq!(streams.next(), Some(most));
        streams.asked(most);
        assert_eq!(streams.next(), None);
        streams.over(0);
        assert_eq!(
            streams.next(),
            Some(most + 1),
            "7 did not wait a second time"
        );
    }

    #[test]
    fn what_is_overdue_waits_for_nobody_and_once() {
        let mut streams = Streams::default();
        let most = u32::try_from(MAX_UNDER_WAY).unwrap();
        for request in 0..most {
            streams.add(request, false);
            streams.next();
            streams.asked(request);
        }
        streams.add(100, false);
        streams.add(101, false);
        assert_eq!(streams.next(), None);
        streams.add(101, true);
        streams.add(101, true);
        assert_eq!((streams.next(), streams.next()), (Some(101), None));
        streams.over(0);
        streams.add(101, false);
        let order: Vec<u32> = std::iter::from_fn(|| streams.next()).collect();
        assert_eq!(order, [100, 101]);
    }
}
