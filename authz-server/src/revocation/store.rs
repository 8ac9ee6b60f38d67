//! Keeps what is live at what the directory holds.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use callgate_policy::{
    Timestamp,
    document::{Revocation, Revoked},
};

use super::{RevocationFiles, Revocations};
use crate::{
    clock,
    health::Health,
    live::Live,
    look::{Looker, Watched},
};

/// Between two looks without any word from the system. With what a look takes, a
/// revocation has effect within a second, watched or not.
const POLL: Duration = Duration::from_millis(500);
/// How long something new must be the same before it is taken: longer than a write
/// takes.
const QUIET: Duration = Duration::from_millis(40);

/// The revocations of a directory, for a server.
#[derive(Debug)]
pub struct RevocationStore {
    pub(super) files: RevocationFiles,
    directory: PathBuf,
    live: Arc<Live>,
    health: Arc<Health>,
    /// What is wrong with the files.
    faults: Vec<String>,
    /// What was said to be wrong.
    told: Vec<String>,
}

/// The thread that keeps a [`RevocationStore`]; it ends when this is dropped.
#[derive(Debug)]
pub struct RevocationWatch {
    _looker: Looker,
}

impl RevocationStore {
    /// A store that has not looked yet.
    #[must_use]
    pub fn new(directory: PathBuf, live: Arc<Live>, health: Arc<Health>) -> Self {
        Self {
            files: RevocationFiles::new(directory.clone()),
            directory,
            live,
            health,
            faults: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Looks at the directory and takes what is new, at once if `quiet` is zero. Whether
    /// to look again soon.
    pub fn rescan(&mut self, quiet: Duration, now: Timestamp) -> bool {
        let began = Instant::now();
        let look = self.files.look(quiet);
        if look.changed {
            self.faults = self.files.faults();
            let revocations = Revocations::new(self.files.revocations().cloned());
            tracing::info!(revocations = revocations.all().len(), "revocations loaded");
            // First the change, then the word of it: who hears it may rely on it.
            self.live.set_revocations(revocations);
        }
        let faults = self.faults();
        if look.changed || faults != self.told {
            for fault in faults.iter().filter(|fault| !self.told.contains(fault)) {
                tracing::error!("revocations: {fault}");
            }
            self.health.change(|condition| match faults.split_first() {
                None => condition.revocations.taken(now),
                Some((first, [])) => condition.revocations.refused(first.clone()),
                Some((first, more)) => {
                    let fault = format!("{first} (and {} more)", more.len());
                    condition.revocations.refused(fault);
                }
            });
            self.told = faults;
        }
        self.health.revocations_scanned(now, began);
        look.restless
    }

    /// Keeps looking, in a thread of its own: a large set of policies takes its time.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn watch(mut self) -> std::io::Result<RevocationWatch> {
        let watched = [Watched::Tree(self.directory.clone())];
        let look = move || while self.rescan(QUIET, clock::now()) {};
        let looker = Looker::start("revocations", POLL, &watched, look)?;
        Ok(RevocationWatch { _looker: looker })
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = self.faults.clone();
        let snapshot = self.live.current();
        if let Some(policies) = snapshot.policies()
            && policies.trust_domain.is_none()
        {
            let relative = |one: &&Revocation| matches!(one.revoked, Revoked::OwnIdentity(_));
            let relative = self.files.revocations().find(relative);
            faults.extend(relative.map(|one| {
                format!(
                    "{}:{}: nothing says which trust domain `{}` belongs to",
                    one.file, one.line, one.revoked
                )
            }));
        }
        faults
    }
}
