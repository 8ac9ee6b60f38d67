//! Bundles in files, which are watched.

use std::{
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use callgate_policy::{Timestamp, TrustDomain};

use super::{BundleError, Bundles, Feed, MAX_BYTES, TrustBundle};
use crate::settle::settled;

/// The files of several trust bundles.
#[derive(Debug)]
pub struct BundleFiles {
    files: Vec<BundleFile>,
}

#[derive(Debug)]
struct BundleFile {
    path: PathBuf,
    feed: Feed,
    /// The file's text, or why it could not be read, when it was last looked at.
    seen: Result<String, String>,
    /// Whether the text is a bundle.
    good: bool,
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

impl BundleFiles {
    /// Loads every file for the first time, and feeds `bundles` with them.
    ///
    /// # Errors
    /// If one cannot be loaded, or a trust domain has two files.
    pub fn open(
        bundles: &Arc<Bundles>,
        files: &[(TrustDomain, PathBuf)],
        now: Timestamp,
    ) -> Result<Self, BundleFileError> {
        let mut opened: Vec<BundleFile> = Vec::with_capacity(files.len());
        for (trust_domain, path) in files {
            let fail = |cause| BundleFileError {
                trust_domain: trust_domain.clone(),
                path: path.clone(),
                cause,
            };
            let known = |file: &BundleFile| file.feed.trust_domain() == trust_domain;
            if opened.iter().any(known) {
                return Err(fail(Cause::Twice));
            }
            let text = read(path).map_err(fail)?;
            let bundle = TrustBundle::parse(trust_domain.clone(), &text)
                .map_err(|error| fail(Cause::Bundle(error)))?;
            let feed = bundles.feed(trust_domain, &format!("`{}`", path.display()));
            feed.take(bundle, None, now);
            opened.push(BundleFile {
                path: path.clone(),
                feed,
                seen: Ok(text),
                good: true,
            });
        }
        Ok(Self { files: opened })
    }

    /// The files.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| file.path.as_path())
    }

    /// Looks at every file and takes what is new and in order; of the others the
    /// last good bundle stays. Something new must be the same for `quiet`.
    pub fn rescan(&mut self, quiet: Duration, now: Timestamp) {
        for file in &mut self.files {
            file.rescan(quiet, now);
        }
    }
}

impl BundleFile {
    fn rescan(&mut self, quiet: Duration, now: Timestamp) {
        let look = || {
            let text = read(&self.path)
                .map_err(|cause| format!("cannot use `{}`: {cause}", self.path.display()));
            (text, ())
        };
        let Some((seen, ())) = settled(quiet, Some(&self.seen), look) else {
            if self.good {
                self.feed.confirm(None, now);
            }
            return;
        };
        let bundle = seen.as_ref().map_err(Clone::clone).and_then(|text| {
            TrustBundle::parse(self.feed.trust_domain().clone(), text)
                .map_err(|error| format!("cannot use `{}`: {error}", self.path.display()))
        });
        self.good = bundle.is_ok();
        match bundle {
            Ok(bundle) => {
                self.feed.take(bundle, None, now);
            }
            Err(fault) => self.feed.fault(fault),
        }
        self.seen = seen;
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
