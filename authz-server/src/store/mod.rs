//! Where policies come from: a directory of documents.
//!
//! ```text
//!  directory ──read whole──► settled? ──load──► Policies ──swap──► Live
//!                                        └─ findings: logged, the last good set stays
//! ```

mod error;
mod read;

use std::{path::PathBuf, sync::Arc, time::Duration};

use callgate_policy::{
    Timestamp,
    document::{LoadError, LoadOptions, Source, holds_only_revocations, load},
};
use ring::digest::{Context, SHA256};

use crate::{
    health::{Health, Loads},
    live::{Live, Policies},
    settle::settled,
    svid::hex,
};

pub use error::ReadError;
pub(crate) use read::{Listed, list_each, read};
pub use read::{is_document_name, read_sources, read_tests};

/// Keeps [`Live`] at what a directory holds.
#[derive(Debug)]
pub struct PolicyStore {
    directory: PathBuf,
    options: LoadOptions,
    role: Role,
    live: Arc<Live>,
    health: Arc<Health>,
    /// What was last taken or refused.
    seen: Option<Seen>,
}

/// What the policies of a directory are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// They decide.
    Enforced,
    /// They are tried beside those that decide. Whatever is wrong with them, the server
    /// is as ready as without.
    Candidate,
}

/// What a directory holds, or why that cannot be told; enough to see a change.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    /// A hash of all that the meaning depends on.
    Documents(String),
    Unreadable(String),
}

impl PolicyStore {
    /// A store that has not looked yet.
    #[must_use]
    pub const fn new(
        directory: PathBuf,
        options: LoadOptions,
        role: Role,
        live: Arc<Live>,
        health: Arc<Health>,
    ) -> Self {
        Self {
            directory,
            options,
            role,
            live,
            health,
            seen: None,
        }
    }

    /// Looks at the directory and takes what is there if it is new: all of it if it
    /// is in order, else nothing. Something new must be the same for `quiet`, so that
    /// a file that is being written is not taken for a short one.
    pub fn rescan(&mut self, quiet: Duration, now: Timestamp) {
        let read = || {
            let read = read_sources(&self.directory).map(|sources| self.own(sources));
            let seen = match &read {
                Ok(sources) => Seen::Documents(self.digest(sources)),
                Err(error) => Seen::Unreadable(error.to_string()),
            };
            (seen, read)
        };
        let Some((seen, read)) = settled(quiet, self.seen.as_ref(), read) else {
            return;
        };
        match read {
            Ok(sources) => self.take(&seen, &sources, now),
            Err(error) => {
                tracing::error!(%error, role = self.role.as_str(), "policies cannot be read");
                self.refuse(error.to_string());
            }
        }
        self.seen = Some(seen);
    }

    /// Without files of revocations, which are loaded apart: revoking somebody must not
    /// cost a load of everything else.
    fn own(&self, mut sources: Vec<Source>) -> Vec<Source> {
        if self.options.without_revocations {
            sources.retain(|source| !holds_only_revocations(source, &self.options));
        }
        sources
    }

    fn take(&self, seen: &Seen, sources: &[Source], now: Timestamp) {
        let digest = match seen {
            Seen::Documents(digest) => digest.clone(),
            Seen::Unreadable(_) => return,
        };
        let options = LoadOptions {
            now,
            ..self.options.clone()
        };
        match load(sources, &options) {
            Ok(loaded) => {
                let counts = loaded.counts;
                let policies = Policies {
                    set: loaded.policies,
                    counts,
                    trust_domain: loaded.trust_domain,
                    digest,
                };
                match self.role {
                    Role::Enforced => self.live.set_policies(policies),
                    Role::Candidate => self.live.set_candidate(policies),
                }
                self.change(|loads| loads.taken(now));
                tracing::info!(
                    role = self.role.as_str(),
                    documents = counts.documents,
                    services = counts.services,
                    rules = counts.rules,
                    revision = self.live.current().revision(),
                    "policies loaded"
                );
            }
            Err(error) => {
                tell(&error);
                self.refuse(summary(&error));
            }
        }
    }

    fn refuse(&self, fault: String) {
        self.change(|loads| loads.refused(fault));
    }

    fn change(&self, change: impl FnOnce(&mut Loads)) {
        self.health.change(|condition| match self.role {
            Role::Enforced => change(&mut condition.policies),
            Role::Candidate => change(&mut condition.candidate),
        });
    }

    fn digest(&self, sources: &[Source]) -> String {
        let mut digest = Context::new(&SHA256);
        let mut add = |text: &str| {
            // Lengths, so that no two lists of texts read the same.
            digest.update(&(text.len() as u64).to_be_bytes());
            digest.update(text.as_bytes());
        };
        add(self
            .options
            .trust_domain
            .as_ref()
            .map_or("", |domain| domain.as_str()));
        for source in sources {
            add(source.name());
            add(source.text());
        }
        hex(digest.finish().as_ref())
    }
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Enforced => "enforced",
            Self::Candidate => "candidate",
        }
    }
}

/// One line in the log for each finding.
fn tell(error: &LoadError) {
    match error {
        LoadError::NoDocuments => tracing::error!("{error}"),
        LoadError::Findings(findings) => {
            for finding in findings.diagnostics() {
                tracing::error!("{finding}");
            }
            if findings.omitted() > 0 {
                tracing::error!("and {} more findings", findings.omitted());
            }
        }
    }
}

/// One line for all findings.
fn summary(error: &LoadError) -> String {
    match error {
        LoadError::NoDocuments => error.to_string(),
        LoadError::Findings(findings) => {
            let shown = findings.diagnostics().first();
            let first = shown.map(ToString::to_string).unwrap_or_default();
            match findings.diagnostics().len() + findings.omitted() {
                0 | 1 => first,
                all => format!("{first} (and {} more)", all - 1),
            }
        }
    }
}

#[cfg(test)]
mod tests;
