//! A certificate and its key in files that something else renews.

use std::{
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use callgate_policy::Timestamp;
use ring::digest::{Digest, SHA256, digest};

use super::{Credential, CredentialError, OwnIdentity};
use crate::settle::settled;

/// Bytes of a file. A chain of eight RSA certificates has 20 KB of PEM.
const MAX_BYTES: usize = 64 * 1024;

/// A chain and its key, as PEM files.
#[derive(Debug)]
pub struct CredentialFiles {
    chain: PathBuf,
    key: PathBuf,
    /// Of both files when they were last looked at. Never the key itself.
    seen: Seen,
}

type Seen = Result<[u8; 64], String>;

/// Why the files cannot be used.
#[derive(Debug)]
pub struct CredentialFileError {
    chain: PathBuf,
    key: PathBuf,
    fault: String,
}

struct Texts {
    chain: String,
    key: String,
}

impl CredentialFiles {
    /// Reads both files for the first time.
    ///
    /// # Errors
    /// If they hold no credential.
    pub fn open(chain: &Path, key: &Path) -> Result<(Self, Credential), CredentialFileError> {
        let fail = |fault: String| CredentialFileError {
            chain: chain.to_owned(),
            key: key.to_owned(),
            fault,
        };
        let texts = read_both(chain, key).map_err(fail)?;
        let credential = texts
            .credential()
            .map_err(|error| fail(error.to_string()))?;
        let files = Self {
            chain: chain.to_owned(),
            key: key.to_owned(),
            seen: Ok(texts.digest()),
        };
        Ok((files, credential))
    }

    /// Both paths.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        [self.chain.as_path(), self.key.as_path()].into_iter()
    }

    /// Looks at both files and gives what is new to `identity`. They count once they
    /// are the same for `quiet`, so that a pair that is being replaced is taken whole.
    pub fn rescan(&mut self, identity: &OwnIdentity, quiet: Duration, now: Timestamp) {
        let look = || match read_both(&self.chain, &self.key) {
            Ok(texts) => (Ok(texts.digest()), Some(texts)),
            Err(fault) => (Err(fault), None),
        };
        let Some((seen, texts)) = settled(quiet, Some(&self.seen), look) else {
            return;
        };
        match (&seen, texts.as_ref().map(Texts::credential)) {
            (Ok(_), Some(Ok(credential))) => identity.renew(credential, now),
            (Ok(_), Some(Err(error))) => identity.keep(format!(
                "cannot use `{}` and `{}`: {error}",
                self.chain.display(),
                self.key.display()
            )),
            (Err(fault), _) => identity.keep(fault.clone()),
            (Ok(_), None) => {}
        }
        self.seen = seen;
    }
}

impl Texts {
    fn credential(&self) -> Result<Credential, CredentialError> {
        Credential::from_pem(&self.chain, &self.key)
    }

    fn digest(&self) -> [u8; 64] {
        let mut both = [0; 64];
        let digests = [&self.chain, &self.key].map(|text| digest(&SHA256, text.as_bytes()));
        let bytes = digests.iter().flat_map(Digest::as_ref);
        for (to, from) in both.iter_mut().zip(bytes) {
            *to = *from;
        }
        both
    }
}

fn read_both(chain: &Path, key: &Path) -> Result<Texts, String> {
    let read = |path: &Path| {
        read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
    };
    Ok(Texts {
        chain: read(chain)?,
        key: read(key)?,
    })
}

fn read(path: &Path) -> io::Result<String> {
    let file = fs::File::open(path)?;
    // A pipe would be empty at the second look.
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let mut text = String::new();
    file.take(MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    if text.len() > MAX_BYTES {
        return Err(io::Error::other(format!("more than {MAX_BYTES} bytes")));
    }
    Ok(text)
}

impl fmt::Display for CredentialFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`--svid {}` and `--svid-key {}`: {}",
            self.chain.display(),
            self.key.display(),
            self.fault
        )
    }
}

impl std::error::Error for CredentialFileError {}
