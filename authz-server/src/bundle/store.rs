//! Keeps trust bundles at what their files hold.

use std::{
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use callgate_policy::{Timestamp, TrustDomain};

use super::{BundleError, MAX_BYTES, TrustBundle};
use crate::{health::Health, live::Live, settle::settled, svid::Verifier};

/// The files of several trust bundles.
#[derive(Debug)]
pub struct BundleStore {
    files: Vec<BundleFile>,
}

#[derive(Debug)]
struct BundleFile {
    trust_domain: TrustDomain,
    path: PathBuf,
    /// The last good one.
    bundle: TrustBundle,
    /// The file's text, or why it could not be read, when it was last looked at.
    seen: Result<String, String>,
}

/// Why a trust bundle could not be loaded.
#[derive(Debug)]
pub struct BundleFileError {
    trust_domain: TrustDomain,
    path: PathBuf,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Io(io::Error),
    NotAFile,
    Bundle(BundleError),
    /// The trust domain has a file already.
    Twice,
}

impl BundleStore {
    /// Loads every bundle for the first time.
    ///
    /// # Errors
    /// If one cannot be loaded, or a trust domain has two files.
    pub fn open(files: &[(TrustDomain, PathBuf)]) -> Result<Self, BundleFileError> {
        let mut opened: Vec<BundleFile> = Vec::with_capacity(files.len());
        for (trust_domain, path) in files {
            let fail = |cause| BundleFileError {
                trust_domain: trust_domain.clone(),
                path: path.clone(),
                cause,
            };
            if opened
                .iter()
                .any(|other| other.trust_domain == *trust_domain)
            {
                return Err(fail(Cause::Twice));
            }
            let text = read(path).map_err(fail)?;
            let bundle = TrustBundle::parse(trust_domain.clone(), &text)
                .map_err(|error| fail(Cause::Bundle(error)))?;
            opened.push(BundleFile {
                trust_domain: trust_domain.clone(),
                path: path.clone(),
                bundle,
                seen: Ok(text),
            });
        }
        Ok(Self { files: opened })
    }

    /// Who verifies by these bundles.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        Verifier::new(self.files.iter().map(|file| file.bundle.clone()))
    }

    /// The files.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| file.path.as_path())
    }

    /// Notes in `health` that every bundle is there.
    pub fn announce(&self, health: &Health, now: Timestamp) {
        health.change(|condition| {
            for file in &self.files {
                let domain = file.trust_domain.clone();
                condition.bundles.entry(domain).or_default().taken(now);
            }
        });
    }

    /// Looks at every file and takes what is new and in order; of the others the
    /// last good bundle stays. Something new must be the same for `quiet`.
    pub fn rescan(&mut self, live: &Arc<Live>, health: &Health, quiet: Duration, now: Timestamp) {
        let outcomes: Vec<_> = self
            .files
            .iter_mut()
            .filter_map(|file| {
                let outcome = file.rescan(quiet)?;
                Some((file.trust_domain.clone(), outcome))
            })
            .collect();
        // First the change, then the word of it: who hears it may rely on it.
        if outcomes.iter().any(|(_, outcome)| outcome.is_ok()) {
            live.set_verifier(self.verifier());
        }
        for (trust_domain, outcome) in outcomes {
            match &outcome {
                Ok(roots) => tracing::info!(%trust_domain, roots, "trust bundle loaded"),
                Err(fault) => tracing::error!(%trust_domain, "trust bundle: {fault}"),
            }
            health.change(|condition| {
                let loads = condition.bundles.entry(trust_domain).or_default();
                match outcome {
                    Ok(_) => loads.taken(now),
                    Err(fault) => loads.refused(fault),
                }
            });
        }
    }
}

impl BundleFile {
    /// None if nothing is new, else how many roots were taken.
    fn rescan(&mut self, quiet: Duration) -> Option<Result<usize, String>> {
        let look = || {
            let text = read(&self.path)
                .map_err(|cause| format!("cannot use `{}`: {cause}", self.path.display()));
            (text, ())
        };
        let (seen, ()) = settled(quiet, Some(&self.seen), look)?;
        let outcome = match &seen {
            Ok(text) => TrustBundle::parse(self.trust_domain.clone(), text)
                .map(|bundle| {
                    self.bundle = bundle;
                    self.bundle.len()
                })
                .map_err(|error| format!("cannot use `{}`: {error}", self.path.display())),
            Err(fault) => Err(fault.clone()),
        };
        self.seen = seen;
        Some(outcome)
    }
}

/// A whole file, or one byte more than it may have.
fn read(path: &Path) -> Result<String, Cause> {
    // A pipe would be empty at the second look.
    if !fs::metadata(path).map_err(Cause::Io)?.is_file() {
        return Err(Cause::NotAFile);
    }
    let mut text = String::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_string(&mut text))
        .map_err(Cause::Io)?;
    Ok(text)
}

impl fmt::Display for BundleFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(f, "trust bundle of `{}`: ", self.trust_domain)?;
        match &self.cause {
            Cause::Twice => write!(f, "`{path}` is its second file; put all roots into one"),
            cause => write!(f, "cannot use `{path}`: {cause}"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::NotAFile => f.write_str("not a file"),
            Self::Bundle(error) => error.fmt(f),
            Self::Twice => f.write_str("given twice"),
        }
    }
}

impl std::error::Error for BundleFileError {}
