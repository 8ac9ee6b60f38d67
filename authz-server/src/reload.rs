//! Keeps policies and the bundles in files at what is on disk.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    bundle::{BundleFiles, Bundles},
    clock,
    health::Health,
    look::{Looker, Watched},
    outlook::CallerOutlook,
    store::PolicyStore,
};

/// Between two looks without any word from the system.
const POLL: Duration = Duration::from_secs(1);
/// How long something new must be the same before it is taken: longer than a write
/// takes, shorter than anybody waits for.
const QUIET: Duration = Duration::from_millis(40);

/// What is kept up to date.
#[derive(Debug)]
pub struct Reloaded {
    /// The policies.
    pub policies: PolicyStore,
    /// The policies that are tried beside them.
    pub candidate: Option<PolicyStore>,
    /// The trust bundles in files.
    pub bundle_files: BundleFiles,
    /// All trust bundles, which time changes as well.
    pub bundles: Arc<Bundles>,
    /// The callers' certificates, of which time is told as well.
    pub callers: CallerOutlook,
    /// Who is told of every look.
    pub health: Arc<Health>,
}

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub struct Reloader {
    _looker: Looker,
}

impl Reloader {
    /// Watches `directories`, and the files of the bundles, for `reloaded`.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        directories: impl IntoIterator<Item = PathBuf>,
        mut reloaded: Reloaded,
    ) -> std::io::Result<Self> {
        let files = reloaded.bundle_files.paths();
        let files = files.map(|path| Watched::File(path.to_owned()));
        let trees = directories.into_iter().map(Watched::Tree);
        let watched: Vec<Watched> = files.chain(trees).collect();
        let looker = Looker::start("reload", POLL, &watched, move || reloaded.look())?;
        Ok(Self { _looker: looker })
    }
}

impl Reloaded {
    fn look(&mut self) {
        let (now, began) = (clock::now(), Instant::now());
        self.policies.rescan(QUIET, now);
        if let Some(candidate) = &mut self.candidate {
            candidate.rescan(QUIET, now);
        }
        self.bundle_files.rescan(QUIET, now);
        self.bundles.look_ahead(now);
        self.callers.look(now);
        self.health.scanned(now, began);
    }
}
