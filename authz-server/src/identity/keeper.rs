//! Keeps the server's own identity up to date.

use std::{sync::Arc, time::Duration};

use super::{CredentialFiles, OwnIdentity};
use crate::{
    clock,
    look::{Looker, Watched},
};

/// Between two looks without any word from the system.
const POLL: Duration = Duration::from_secs(1);
/// How long something new must be the same before it is taken: longer than it takes to
/// rename two files, shorter than anybody waits for.
const QUIET: Duration = Duration::from_millis(40);

/// Judges every second how long the certificate lasts, and looks for the next one if
/// it comes from files; until this is dropped. A thread of its own: a large set of
/// policies takes its time.
#[derive(Debug)]
pub struct IdentityKeeper {
    _looker: Looker,
}

impl IdentityKeeper {
    /// Keeps `identity`, by `files` if it comes from some.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        identity: Arc<OwnIdentity>,
        mut files: Option<CredentialFiles>,
    ) -> std::io::Result<Self> {
        let paths = files.iter().flat_map(CredentialFiles::paths);
        let watched: Vec<_> = paths.map(|path| Watched::File(path.to_owned())).collect();
        let looker = Looker::start("identity", POLL, &watched, move || {
            let now = clock::now();
            if let Some(files) = &mut files {
                files.rescan(&identity, QUIET, now);
            }
            identity.assess(now);
        })?;
        Ok(Self { _looker: looker })
    }
}
