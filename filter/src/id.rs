//! Ids of decisions that the filter makes by itself: ULIDs, as the server's are.

use std::cell::Cell;

use callgate_policy::Timestamp;

use crate::Host;

/// The characters of a ULID: 48 bits of milliseconds and 80 more, five bits each.
const LENGTH: usize = 26;

/// Crockford's base 32.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Mints ids: the time, then a number that grows by one from a place that was picked at
/// random among 2^79. Two workers would have to pick neighbouring places to mint one id
/// twice. The proxy is asked for random bytes once, not for each request.
#[derive(Debug, Default)]
pub(crate) struct DecisionIds {
    next: Cell<Option<u128>>,
}

/// One id in its text form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DecisionId([u8; LENGTH]);

impl DecisionIds {
    /// A new id.
    pub(crate) fn mint(&self, host: &mut impl Host, time: Timestamp) -> DecisionId {
        let number = match self.next.get() {
            Some(number) => number,
            // One of the 80 bits stays free, so that counting does not overflow.
            None => u128::from_be_bytes(host.random()) >> 49,
        };
        self.next.set(Some(number.wrapping_add(1)));
        DecisionId::of(u64::try_from(time.as_millis()).unwrap_or_default(), number)
    }
}

impl DecisionId {
    /// The id that a server gave, which is a ULID too.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let text: [u8; LENGTH] = text.try_into().ok()?;
        let digits = text.iter().all(|digit| ALPHABET.contains(digit));
        // 130 bits of which two are none.
        let fits = text.first().is_some_and(|first| *first <= b'7');
        (digits && fits).then_some(Self(text))
    }

    fn of(millis: u64, number: u128) -> Self {
        let [.., a, b, c, d, e, f, g, h, i, j] = number.to_be_bytes();
        let high = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
        let low = u64::from_be_bytes([0, 0, 0, f, g, h, i, j]);
        let mut text = [b'0'; LENGTH];
        let (time, rest) = text.split_at_mut(10);
        let (first, second) = rest.split_at_mut(8);
        write(time, millis & 0xffff_ffff_ffff);
        write(first, high);
        write(second, low);
        Self(text)
    }

    /// Its text.
    pub(crate) fn as_str(&self) -> &str {
        // The alphabet is ASCII.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Five bits a place, the last one first.
fn write(places: &mut [u8], mut bits: u64) {
    for place in places.iter_mut().rev() {
        let [digit, ..] = (bits & 31).to_le_bytes();
        *place = ALPHABET.get(usize::from(digit)).copied().unwrap_or(b'0');
        bits >>= 5;
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
        assert_eq!(DecisionId::of(u64::MAX, u128::MAX).as_str().len(), 26);
        assert!(DecisionId::of(0, 31).as_str().ends_with("000Z"));
        for (text, id) in [
            (first.as_str(), true),
            ("81ARZ3NDEKFZZZZZZZZZZZZZZZ", false),
            ("01ARZ3NDEKFZZZZZZZZZZZZZZ", false),
            ("01ARZ3NDEKFZZZZZZZZZZZZZZI", false),
        ] {
            assert_eq!(DecisionId::read(text.as_bytes()).is_some(), id, "{text}");
        }
        let split = DecisionId::of(0, 1 << 40);
        assert_eq!(split.as_str(), "00000000000000000100000000");
    }
}
