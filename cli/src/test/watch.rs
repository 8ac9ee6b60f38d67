//! Running the tests again whenever a document changes.
//!
//! The documents are read again and again and compared by their text: that takes no
//! notices of the system, which are missed on network file systems and in containers, and
//! runs nothing for a file that was only touched.

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use super::{Gathered, TestArgs, once};
use crate::output::print;

/// Between two looks. A second is what somebody waits for after saving.
const PAUSE: Duration = Duration::from_millis(300);

/// Looks take at most this part of the time, however large the directory.
const SHARE: u32 = 10;

/// Clears a terminal and goes to its beginning (ECMA-48).
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

/// What a look came to.
#[derive(Clone)]
enum Seen {
    Documents(Gathered),
    Error(String),
}

/// Goes on until it is interrupted.
pub(super) fn run(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let (mut shown, mut before) = (None, None);
    loop {
        let begun = Instant::now();
        let seen = look(args);
        let took = begun.elapsed();
        // A file that is being written is not what somebody wrote.
        let settled = shown.is_none() || before.is_some_and(|before| seen.is_same(&before));
        if settled && shown.as_ref().is_none_or(|shown| !seen.is_same(shown)) {
            if io::stdout().is_terminal() {
                print(CLEAR)?;
            }
            show(args, &seen);
            print("\nwatching; ctrl-c ends it\n")?;
            shown = Some(seen.clone());
        }
        before = Some(seen);
        thread::sleep(PAUSE.max(took.saturating_mul(SHARE)));
    }
}

fn look(args: &TestArgs) -> Seen {
    match Gathered::read(args) {
        Ok(gathered) => Seen::Documents(gathered),
        Err(error) => Seen::Error(format!("{error:#}")),
    }
}

/// What is wrong now may be right after the next change.
fn show(args: &TestArgs, seen: &Seen) {
    let outcome = match seen {
        Seen::Documents(gathered) => {
            once(args, gathered.clone()).map_err(|error| format!("{error:#}"))
        }
        Seen::Error(error) => Err(error.clone()),
    };
    if let Err(error) = outcome {
        eprintln!("callgate: {error}");
    }
}

impl Seen {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Documents(a), Self::Documents(b)) => a.is_same(b),
            (Self::Error(a), Self::Error(b)) => a == b,
            _ => false,
        }
    }
}
