//! Files that change: taken when they hold still.

use std::{thread::sleep, time::Duration};

/// Looks at something that never holds still; the last look then counts, because
/// waiting for ever would keep a change out for ever.
const MAX_LOOKS: usize = 20;

/// What `look` sees, if it differs from what was `known`: first what makes it
/// different, then the whole. A difference counts once it is the same for `quiet`.
pub(crate) fn settled<S: PartialEq, T>(
    quiet: Duration,
    known: Option<&S>,
    look: impl Fn() -> (S, T),
) -> Option<(S, T)> {
    let mut latest = look();
    for _ in 0..MAX_LOOKS {
        if Some(&latest.0) == known {
            return None;
        }
        if quiet.is_zero() {
            break;
        }
        sleep(quiet);
        let again = look();
        let same = again.0 == latest.0;
        latest = again;
        if same {
            break;
        }
    }
    Some(latest)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const QUIET: Duration = Duration::from_micros(1);

    /// Sees the numbers of `script` one after the other, then the last one for ever.
    fn see(script: &[u32], known: Option<u32>) -> Option<u32> {
        let looks = Cell::new(0);
        let look = || {
            let n = looks.replace(looks.get() + 1);
            (*script.get(n).or(script.last()).unwrap(), ())
        };
        settled(QUIET, known.as_ref(), look).map(|(seen, ())| seen)
    }

    #[test]
    fn only_what_holds_still_and_is_new_counts() {
        for (name, script, known, expected) in [
            ("the first look", &[1][..], None, Some(1)),
            ("nothing new", &[1], Some(1), None),
            ("something new", &[2], Some(1), Some(2)),
            ("half-written at first", &[2, 3, 3], Some(1), Some(3)),
            ("back before it held still", &[2, 1], Some(1), None),
        ] {
            assert_eq!(see(script, known), expected, "{name}");
        }
    }

    #[test]
    fn what_never_holds_still_is_taken_at_last() {
        let script: Vec<u32> = (2..100).collect();
        assert!(see(&script, Some(1)).is_some());
    }
}
