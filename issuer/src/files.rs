//! Bundles as files, for whoever reads those: its own written, others' read.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use callgate_policy::TrustDomain;

use crate::{
    bundle::{Bundle, BundleError, MAX_BUNDLE_BYTES},
    config::Foreign,
};

/// Writes `DOMAIN.json` and `DOMAIN.pem` when they change.
#[derive(Debug)]
pub(crate) struct Published {
    directory: PathBuf,
    written: BTreeMap<TrustDomain, Arc<Bundle>>,
}

/// Reads others' bundles when they change.
#[derive(Debug)]
pub(crate) struct Watched {
    foreign: Vec<Foreign>,
    read: BTreeMap<TrustDomain, Result<Vec<u8>, io::ErrorKind>>,
}

/// A foreign bundle that is there, changed, and cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) domain: TrustDomain,
    pub(crate) error: BundleError,
}

impl Published {
    pub(crate) const fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            written: BTreeMap::new(),
        }
    }

    /// Where a domain's bundle is, `json` or `pem`.
    pub(crate) fn path(directory: &Path, domain: &str, form: &str) -> PathBuf {
        directory.join(format!("{domain}.{form}"))
    }

    /// Each file by a rename, so that nobody reads half of one.
    pub(crate) fn write(&mut self, bundles: Vec<Arc<Bundle>>) -> Result<(), (PathBuf, io::Error)> {
        for bundle in bundles {
            let domain = bundle.trust_domain();
            if self.written.get(domain) != Some(&bundle) {
                for (form, text) in [("json", bundle.json()), ("pem", &bundle.pem())] {
                    let path = Self::path(&self.directory, domain.as_str(), form);
                    replace(&path, text).map_err(|error| (path, error))?;
                }
                self.written.insert(domain.clone(), bundle);
            }
        }
        Ok(())
    }
}

impl Watched {
    pub(crate) const fn new(foreign: Vec<Foreign>) -> Self {
        Self {
            foreign,
            read: BTreeMap::new(),
        }
    }

    /// What has changed since the last look: good bundles, and what cannot be read.
    /// A file that is not there yet, or no more, changes nothing: another issuer may
    /// just be starting.
    pub(crate) fn look(&mut self) -> Vec<Result<Bundle, Unreadable>> {
        let mut found = Vec::new();
        for foreign in &self.foreign {
            let bytes = read(&foreign.bundle).map_err(|error| error.kind());
            if self.read.get(&foreign.name) != Some(&bytes) {
                if let Ok(bytes) = &bytes {
                    let parsed = Bundle::parse(foreign.name.clone(), bytes);
                    found.push(parsed.map_err(|error| Unreadable {
                        domain: foreign.name.clone(),
                        error,
                    }));
                }
                self.read.insert(foreign.name.clone(), bytes);
            }
        }
        found
    }
}

/// One byte more than the limit, so that the parser sees that it was passed.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = MAX_BUNDLE_BYTES as u64 + 1;
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    fs::write(&aside, text)?;
    fs::rename(&aside, path)
}
