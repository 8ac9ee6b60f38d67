//! Every decision that a caller saw, against the server's log: each is recorded once, as
//! it was answered.
//!
//! Some may be missing: those that a filter or a server that died at once had not handed
//! on yet. The moments at which one did are known, so are the decisions from just before.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{BufRead as _, BufReader, Seek as _, SeekFrom},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// How long a decision may be on its way into the log: what the filter gathers (200 ms),
/// an answer that is due, what the server gathers, and a busy machine.
const ON_ITS_WAY: Duration = Duration::from_secs(2);
/// How long after a death a batch may be sent again that was recorded already: the server
/// that took it is gone, and with it the number that it had.
const AGAIN: Duration = Duration::from_secs(8);

/// A decision as a caller saw it.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub(crate) answered: Instant,
    /// `allow`, or why not.
    pub(crate) reason: String,
    /// For people: who asked for what, and when.
    pub(crate) what: String,
}

/// A line of the log.
struct Found {
    reason: String,
    /// That a call which was open was decided anew. Its caller hears of that if it is
    /// refused before the service has answered.
    recheck: bool,
}

/// Seen and recorded.
pub(crate) struct Accounts {
    log: PathBuf,
    read_to: u64,
    /// Seen, and not found yet.
    seen: HashMap<String, Decision>,
    /// Found, and not seen yet: the log may be faster than the caller.
    found: HashMap<String, Found>,
    recorded: HashSet<String>,
    /// When something died with what it had not handed on.
    deaths: Vec<Instant>,
    pub(crate) totals: Totals,
    faults: Vec<String>,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    /// Decisions that callers saw.
    pub(crate) seen: u64,
    /// Of those, found in the log.
    pub(crate) recorded: u64,
    /// Lines of the log that were decided in the proxy.
    pub(crate) leased: u64,
    /// Lines that are there twice, because a server died before it could say that it had them.
    pub(crate) repeated: u64,
    /// Lines about calls that were open.
    pub(crate) rechecks: u64,
    /// Of those, refusals that callers saw in place of an answer.
    pub(crate) overtaken: u64,
    /// Lines of the log.
    pub(crate) lines: u64,
}

/// What is left over at the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Balance {
    /// Not recorded, though nothing died just then: ids and reasons.
    pub(crate) missing: Vec<String>,
    /// Not recorded, and it could not be.
    pub(crate) lost: u64,
    /// Recorded, and no caller saw an answer: streams that were opened, which do not show
    /// their id, and calls that were closed or lost all the same.
    pub(crate) unseen: u64,
    /// Recorded in another way, or twice.
    pub(crate) faults: Vec<String>,
}

impl Accounts {
    /// Of the log at that path, which may not be there yet.
    pub(crate) fn new(log: PathBuf) -> Self {
        Self {
            log,
            read_to: 0,
            seen: HashMap::new(),
            found: HashMap::new(),
            recorded: HashSet::new(),
            deaths: Vec::new(),
            totals: Totals::default(),
            faults: Vec::new(),
        }
    }

    /// A caller saw this decision.
    pub(crate) fn saw(&mut self, id: &str, decision: Decision) {
        self.totals.seen += 1;
        match self.found.remove(id) {
            Some(found) => self.settle(id, &decision, &found),
            None => {
                if self.seen.insert(id.to_owned(), decision).is_some() {
                    self.faults.push(format!("{id}: two calls have it"));
                }
            }
        }
    }

    /// Something died at that moment.
    pub(crate) fn death(&mut self, moment: Instant) {
        self.deaths.push(moment);
    }

    /// Reads what was written since.
    ///
    /// # Errors
    /// When the log cannot be read, or a line of it is not a record.
    pub(crate) fn read(&mut self) -> Result<()> {
        let Ok(mut file) = File::open(&self.log) else {
            return Ok(());
        };
        file.seek(SeekFrom::Start(self.read_to))?;
        let mut lines = BufReader::new(file);
        let mut line = String::new();
        while lines.read_line(&mut line)? > 0 {
            // The last one may still be on its way.
            if !line.ends_with('\n') {
                break;
            }
            self.read_to += u64::try_from(line.len())?;
            let record = serde_json::from_str(&line);
            self.enter(&record.with_context(|| format!("`{line}` is no record"))?)?;
            line.clear();
        }
        Ok(())
    }

    fn enter(&mut self, record: &Value) -> Result<()> {
        let text = |name: &str| record[name].as_str();
        let (id, reason) = text("id").zip(text("reason")).context("an odd record")?;
        self.totals.lines += 1;
        self.totals.leased += u64::from(record["leased"] == true);
        if !self.recorded.insert(id.to_owned()) {
            if self.deaths.iter().any(|death| death.elapsed() < AGAIN) {
                self.totals.repeated += 1;
            } else {
                self.faults.push(format!("{id}: recorded twice"));
            }
            return Ok(());
        }
        let found = Found {
            reason: reason.to_owned(),
            recheck: text("rechecks").is_some(),
        };
        self.totals.rechecks += u64::from(found.recheck);
        match self.seen.remove(id) {
            Some(decision) => self.settle(id, &decision, &found),
            None => {
                self.found.insert(id.to_owned(), found);
            }
        }
        Ok(())
    }

    fn settle(&mut self, id: &str, decision: &Decision, found: &Found) {
        self.totals.recorded += 1;
        self.totals.overtaken += u64::from(found.recheck);
        let (answered, recorded) = (&decision.reason, &found.reason);
        if answered != recorded {
            self.faults
                .push(format!("{id}: answered {answered}, recorded {recorded}"));
        }
    }

    /// Whether everything that was seen has been found.
    pub(crate) fn is_settled(&self) -> bool {
        self.seen.is_empty()
    }

    /// What is left over.
    pub(crate) fn balance(&self) -> Balance {
        let mut balance = Balance {
            unseen: self.found.values().filter(|found| !found.recheck).count() as u64,
            faults: self.faults.clone(),
            ..Balance::default()
        };
        for (id, decision) in &self.seen {
            if self.died_with(decision) {
                balance.lost += 1;
            } else {
                balance.missing.push(format!("{id}: {}", decision.what));
            }
        }
        balance
    }

    fn died_with(&self, decision: &Decision) -> bool {
        let answered = decision.answered;
        let mut deaths = self.deaths.iter();
        // The answer may have been on its way when it died.
        deaths.any(|death| *death + ON_ITS_WAY >= answered && answered + ON_ITS_WAY >= *death)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write as _};

    use super::*;

    struct Log {
        directory: tempfile::TempDir,
    }

    impl Log {
        fn new() -> (Self, Accounts) {
            let directory = tempfile::tempdir().unwrap();
            let accounts = Accounts::new(directory.path().join("log"));
            (Self { directory }, accounts)
        }

        fn write(&self, text: &str) {
            let path = self.directory.path().join("log");
            let mut file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
    }

    fn allowed() -> Decision {
        Decision {
            answered: Instant::now(),
            reason: "allow".to_owned(),
            what: "a call".to_owned(),
        }
    }

    #[test]
    fn what_was_seen_is_found_whichever_comes_first() {
        let (log, mut accounts) = Log::new();
        accounts.read().unwrap();
        accounts.saw("1", allowed());
        log.write("{\"id\":\"1\",\"reason\":\"allow\",\"leased\":true}\n{\"id\":\"2\",\"rea");
        accounts.read().unwrap();
        log.write("son\":\"allow\"}\n");
        accounts.read().unwrap();
        accounts.saw("2", allowed());
        assert!(accounts.is_settled());
        assert_eq!(accounts.totals.recorded, 2);
        assert_eq!(accounts.totals.leased, 1);
        assert!(accounts.balance().faults.is_empty());
    }

    #[test]
    fn what_was_decided_anew_may_be_what_a_caller_sees() {
        let (log, mut accounts) = Log::new();
        let refused = Decision {
            reason: "no-rule".to_owned(),
            ..allowed()
        };
        accounts.saw("2", refused);
        log.write("{\"id\":\"1\",\"reason\":\"allow\"}\n");
        log.write("{\"id\":\"2\",\"reason\":\"no-rule\",\"rechecks\":\"1\"}\n");
        log.write("{\"id\":\"3\",\"reason\":\"allow\",\"rechecks\":\"1\"}\n");
        accounts.read().unwrap();
        assert!(accounts.is_settled());
        assert_eq!(accounts.totals.rechecks, 2);
        assert_eq!(accounts.totals.overtaken, 1);
        assert_eq!(accounts.balance().unseen, 1, "the first decision");
    }

    #[test]
    fn what_is_missing_twice_or_different_is_told() {
        let (log, mut accounts) = Log::new();
        for id in ["1", "2"] {
            accounts.saw(id, allowed());
        }
        log.write("{\"id\":\"1\",\"reason\":\"no-rule\"}\n");
        log.write("{\"id\":\"9\",\"reason\":\"no-rule\"}\n{\"id\":\"9\",\"reason\":\"no-rule\"}\n");
        accounts.read().unwrap();
        let balance = accounts.balance();
        assert_eq!(balance.missing, ["2: a call"]);
        assert_eq!(balance.unseen, 1);
        let faults = ["1: answered allow, recorded no-rule", "9: recorded twice"];
        assert_eq!(balance.faults, faults);
    }

    #[test]
    fn a_server_that_died_may_have_had_it() {
        let (log, mut accounts) = Log::new();
        log.write("{\"id\":\"1\",\"reason\":\"allow\"}\n");
        accounts.death(Instant::now());
        log.write("{\"id\":\"1\",\"reason\":\"allow\"}\n");
        accounts.read().unwrap();
        assert_eq!(accounts.totals.repeated, 1);
        assert!(accounts.balance().faults.is_empty());
    }

    #[test]
    fn what_died_with_its_filter_is_lost_and_nothing_else() {
        let (_log, mut accounts) = Log::new();
        accounts.saw("1", allowed());
        accounts.death(Instant::now() + ON_ITS_WAY / 2);
        let mut early = allowed();
        early.answered -= ON_ITS_WAY * 2;
        accounts.saw("0", early);
        let balance = accounts.balance();
        assert_eq!(balance.lost, 1);
        assert_eq!(balance.missing, ["0: a call"]);
    }
}
