//! Ids of decisions that the filter makes by itself: ULIDs, as the server's are.

use std::cell::Cell;

use callgate_policy::Timestamp;
use ulid::{ULID_LEN, Ulid};

use crate::Host;

/// Mints ids: the time, then a number that grows by one from a place that was picked at
/// random among 2^79. Two workers would have to pick neighbouring places to mint one id
/// twice. The proxy is asked for random bytes once, not for each request.
#[derive(Debug, Default)]
pub(crate) struct DecisionIds {
    next: Cell<Option<u128>>,
}

/// One id in its text form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DecisionId([u8; ULID_LEN]);

impl DecisionIds {
    /// A new id.
    pub(crate) fn mint(&self, host: &mut impl Host, time: Timestamp) -> DecisionId {
        let number = match self.next.get() {
            Some(number) => number,
            // One of the 80 bits stays free, so that counting does not overflow.
            None => u128::from_be_bytes(host.random()) >> 49,
        };
        self.next.set(Some(number.wrapping_add(1)));
        let millis = u64::try_from(time.as_millis()).unwrap_or_default();
        DecisionId::of(Ulid::from_parts(millis, number))
    }
}

impl DecisionId {
    /// The id that a server gave, which is a ULID too.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let text: [u8; ULID_LEN] = text.try_into().ok()?;
        let id = Ulid::from_string(str::from_utf8(&text).ok()?).ok()?;
        // Other spellings of it are read as well, and are not what a server writes.
        Some(Self::of(id)).filter(|id| id.0 == text)
    }

    fn of(id: Ulid) -> Self {
        let mut text = [0; ULID_LEN];
        id.array_to_str(&mut text);
        Self(text)
    }

    /// Its text.
    pub(crate) fn as_str(&self) -> &str {
        // It is ASCII.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;

    #[test]
    fn an_id_is_a_ulid() {
        // `01ARZ3NDEK` begins the example of the ULID specification.
        let time = Timestamp::from_millis(1_469_922_850_259);
        let ids = DecisionIds::default();
        let mut host = FakeHost {
            random: [0xff; 16],
            ..FakeHost::default()
        };
        let first = ids.mint(&mut host, time);
        assert_eq!(first.as_str(), "01ARZ3NDEKFZZZZZZZZZZZZZZZ");
        host.random = [0; 16];
        let second = ids.mint(&mut host, time);
        assert_eq!(second.as_str(), "01ARZ3NDEKG000000000000000");
        for (text, id) in [
            (first.as_str(), true),
            ("81ARZ3NDEKFZZZZZZZZZZZZZZZ", false),
            ("01ARZ3NDEKFZZZZZZZZZZZZZZ", false),
            ("01ARZ3NDEKFZZZZZZZZZZZZZZI", false),
            ("01ARZ3NDEKFZZZZZZZZZZZZZZé", false),
            ("01arz3ndekfzzzzzzzzzzzzzzz", false),
        ] {
            assert_eq!(DecisionId::read(text.as_bytes()).is_some(), id, "{text}");
        }
    }
}
