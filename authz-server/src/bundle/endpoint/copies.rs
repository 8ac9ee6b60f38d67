//! The latest bundle of each endpoint, on disk: what a server begins with when it is
//! started again (SPIFFE Federation, section 4.2). Without it, a partner that has changed
//! its keys since the first exchange could not be verified any more.

use std::{
    fmt, fs, io,
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use callgate_policy::TrustDomain;
use serde::{Deserialize, Serialize};

use crate::bundle::MAX_BYTES;

/// Bytes of a copy: a document as a JSON string, at worst six for each of its own.
const MAX_COPY_BYTES: u64 = 6 * MAX_BYTES as u64 + 1_024;

/// The directory of the copies. Who can write to it can be anyone in their trust domains.
#[derive(Clone, Debug)]
pub(super) struct Copies {
    directory: PathBuf,
}

/// A bundle as it was fetched.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Copy {
    /// When; milliseconds since 1970.
    pub(super) fetched: i64,
    /// The digest of what other sources had then: if an operator has changed that since,
    /// it is newer than this.
    pub(super) begun_with: Option<String>,
    /// The document.
    pub(super) document: String,
}

/// Why a copy cannot be used.
#[derive(Debug)]
pub(super) enum CopyError {
    Io(io::Error),
    /// Not what was written.
    Content(serde_json::Error),
}

impl Copies {
    /// Copies in `directory`, which is there.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        if !fs::metadata(directory)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    /// Where the copy of `trust_domain` is. Its name has no character that means
    /// something in a path.
    pub(super) fn path(&self, trust_domain: &TrustDomain) -> PathBuf {
        let name = format!("{}.bundle.json", trust_domain.as_str());
        self.directory.join(name)
    }

    /// The copy of `trust_domain`, if there is one.
    pub(super) fn load(&self, trust_domain: &TrustDomain) -> Result<Option<Copy>, CopyError> {
        let file = match fs::File::open(self.path(trust_domain)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CopyError::Io(error)),
        };
        let mut text = String::new();
        file.take(MAX_COPY_BYTES)
            .read_to_string(&mut text)
            .map_err(CopyError::Io)?;
        let copy = serde_json::from_str(&text).map_err(CopyError::Content)?;
        Ok(Some(copy))
    }

    /// Keeps `copy` for `trust_domain` instead of an older one: whole or not at all.
    pub(super) fn keep(&self, trust_domain: &TrustDomain, copy: &Copy) -> Result<(), CopyError> {
        let text = serde_json::to_vec(copy).map_err(CopyError::Content)?;
        let path = self.path(trust_domain);
        let aside = path.with_extension("new");
        let written = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&aside)
            .and_then(|mut file| {
                file.write_all(&text)?;
                file.sync_all()
            });
        written
            .and_then(|()| fs::rename(&aside, &path))
            .map_err(CopyError::Io)
    }
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Content(error) => error.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(name: &str) -> TrustDomain {
        TrustDomain::parse(name).unwrap()
    }

    fn copy(document: &str) -> Copy {
        Copy {
            fetched: 7,
            begun_with: None,
            document: document.to_owned(),
        }
    }

    #[test]
    fn the_latest_copy_of_each_trust_domain_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let copies = Copies::open(directory.path()).unwrap();
        for name in ["a.example", "..", "."] {
            assert_eq!(copies.load(&domain(name)).unwrap(), None, "{name}");
            copies.keep(&domain(name), &copy("old")).unwrap();
            copies.keep(&domain(name), &copy(name)).unwrap();
        }
        for name in ["a.example", "..", "."] {
            assert_eq!(copies.load(&domain(name)).unwrap(), Some(copy(name)));
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }

    #[test]
    fn what_is_no_copy_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let copies = Copies::open(directory.path()).unwrap();
        for text in ["", "{}", "{\"keys\": []}", "{\"fetched\": 1"] {
            fs::write(copies.path(&domain("a.example")), text).unwrap();
            copies.load(&domain("a.example")).expect_err(text);
        }
        let long = domain(&"a".repeat(255));
        copies.keep(&long, &copy("x")).unwrap_err();
        Copies::open(&copies.path(&domain("a.example"))).unwrap_err();
        Copies::open(&directory.path().join("none")).unwrap_err();
    }
}
