//! Reads a directory of documents into memory: all of it, as it was at one moment.
//!
//! A ConfigMap volume is a directory whose visible names are links into
//! `..data`, itself a link that is swapped when the map changes:
//!
//! ```text
//!  policies/orders.yaml ──► ..data/orders.yaml
//!  policies/..data      ──► ..2027_01_01_00_00_00.123/      (swapped by rename)
//! ```
//!
//! So links are followed and dot entries are skipped, and a reading during which
//! anything changed is done again: half of an old set with half of a new one is a
//! set that nobody wrote.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use callgate_policy::document::{Limits, Source};

use super::ReadError;

/// Files in one directory. 100,000 rules of 1,000 services are 1,000 files.
const MAX_FILES: usize = 10_000;
/// Bytes of one file: what the loader takes, so that `callgate check` of a file and a
/// server agree.
const MAX_FILE_BYTES: u64 = Limits::FILE_BYTES as u64;
/// Bytes of all files: 100,000 rules are about 10 MB.
const MAX_TOTAL_BYTES: u64 = 64 * 1_048_576;
/// Directories below the given one; a link to a parent ends here too.
const MAX_DEPTH: usize = 16;
/// Entries looked at, documents or not, so that a tree of something else ends.
const MAX_ENTRIES: usize = 100_000;
/// Readings before a directory that never holds still is given up.
const MAX_ATTEMPTS: usize = 8;

/// Reads every document below `dir`, sorted by name: `*.yaml` and `*.yml`, without
/// `*_test.yaml` and `*_test.yml` (tests of policies, not policies) and without
/// anything whose name begins with a dot. Links are followed. Names are relative to
/// `dir`, with `/` between their parts.
///
/// All of it is read or nothing: what changes during the reading is read again.
///
/// # Errors
/// Whatever keeps the set from being read whole, an empty directory included. Files
/// of at most [`Limits::FILE_BYTES`], 10,000 files, 64 MiB together, 16 directories deep.
pub fn read_sources(dir: &Path) -> Result<Vec<Source>, ReadError> {
    read_whole(dir, Wanted::Policies)
}

/// Reads every test of policies below `dir` as [`read_sources`] reads policies:
/// `*_test.yaml` and `*_test.yml`.
///
/// # Errors
/// As [`read_sources`]; [`ReadError::Empty`] means that there is no test.
pub fn read_tests(dir: &Path) -> Result<Vec<Source>, ReadError> {
    read_whole(dir, Wanted::Tests)
}

fn read_whole(dir: &Path, wanted: Wanted) -> Result<Vec<Source>, ReadError> {
    let mut before = list(dir, wanted)?;
    for _ in 0..MAX_ATTEMPTS {
        // A file that vanishes between listing and reading is a change as well, so
        // an error counts only if the directory held still around it.
        let sources = before.iter().map(read).collect::<Result<Vec<_>, _>>();
        let after = list(dir, wanted)?;
        if before == after {
            return sources;
        }
        before = after;
    }
    Err(ReadError::Unstable { dir: dir.into() })
}

/// Whatever can be listed of the documents below `dir`, by name, and why the rest
/// cannot. How many there are and how large they are together is not looked at: they
/// are read one by one.
pub(crate) fn list_each(dir: &Path) -> (Vec<Listed>, Vec<ReadError>) {
    let mut walk = Walk {
        faults: Some(Vec::new()),
        ..Walk::of(dir, Wanted::Policies)
    };
    let outcome = walk.directory(dir, "", 0);
    let mut faults = walk.faults.unwrap_or_default();
    faults.extend(outcome.err());
    walk.found.sort_by(|a, b| a.name.cmp(&b.name));
    (walk.found, faults)
}

/// A document as the file system shows it. Two that are equal have the same text,
/// as far as the file system can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Relative to the directory.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    /// When anything of it changed: seconds since 1970, and nanoseconds.
    pub(crate) changed: (i64, i64),
}

/// What is left of the limits while a tree is walked.
struct Walk<'d> {
    root: &'d Path,
    wanted: Wanted,
    found: Vec<Listed>,
    entries: usize,
    bytes: u64,
    /// None: the first fault ends the walk. Else faults of single entries are kept
    /// here, and the walk goes on.
    faults: Option<Vec<ReadError>>,
}

/// Which documents of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Policies,
    Tests,
}

fn list(dir: &Path, wanted: Wanted) -> Result<Vec<Listed>, ReadError> {
    let mut walk = Walk::of(dir, wanted);
    walk.directory(dir, "", 0)?;
    if walk.found.is_empty() {
        return Err(ReadError::Empty { dir: dir.into() });
    }
    walk.found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(walk.found)
}

impl<'d> Walk<'d> {
    const fn of(root: &'d Path, wanted: Wanted) -> Self {
        Self {
            root,
            wanted,
            found: Vec::new(),
            entries: 0,
            bytes: 0,
            faults: None,
        }
    }

    fn directory(&mut self, dir: &Path, prefix: &str, depth: usize) -> Result<(), ReadError> {
        if depth > MAX_DEPTH {
            return self.fault(ReadError::TooDeep {
                path: dir.into(),
                limit: MAX_DEPTH,
            });
        }
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) => return self.fault(ReadError::io(dir, error)),
        };
        for entry in entries {
            match entry {
                Ok(entry) => self.entry(&entry, prefix, depth)?,
                // Asked for more, a directory that fails may fail for ever.
                Err(error) => return self.fault(ReadError::io(dir, error)),
            }
        }
        Ok(())
    }

    fn fault(&mut self, error: ReadError) -> Result<(), ReadError> {
        match &mut self.faults {
            None => Err(error),
            Some(faults) => {
                faults.push(error);
                Ok(())
            }
        }
    }

    fn entry(&mut self, entry: &fs::DirEntry, prefix: &str, depth: usize) -> Result<(), ReadError> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(self.too_many(MAX_ENTRIES));
        }
        let path = entry.path();
        let file_name = entry.file_name();
        if file_name.as_encoded_bytes().starts_with(b".") {
            return Ok(());
        }
        let document = self.wanted.is(file_name.as_encoded_bytes());
        // Only what could be a document is followed: a dangling link elsewhere in
        // the tree is nobody's business here.
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(_) if !document => return Ok(()),
            Err(error) => return self.fault(ReadError::Io { path, error }),
        };
        let Some(name) = file_name.to_str().map(|name| format!("{prefix}{name}")) else {
            return if document || metadata.is_dir() {
                self.fault(ReadError::NotUtf8 { path })
            } else {
                Ok(())
            };
        };
        if metadata.is_dir() {
            self.directory(&path, &format!("{name}/"), depth + 1)
        } else if document {
            self.document(name, path, &metadata)
        } else {
            Ok(())
        }
    }

    fn document(
        &mut self,
        name: String,
        path: PathBuf,
        metadata: &fs::Metadata,
    ) -> Result<(), ReadError> {
        // Opening a pipe would wait for a writer.
        if !metadata.is_file() {
            return self.fault(ReadError::NotAFile { path });
        }
        let bytes = metadata.len();
        if bytes > MAX_FILE_BYTES {
            return self.fault(ReadError::FileTooLarge {
                path,
                limit: MAX_FILE_BYTES,
            });
        }
        self.bytes = self.bytes.saturating_add(bytes);
        let all_or_nothing = self.faults.is_none();
        if all_or_nothing && self.bytes > MAX_TOTAL_BYTES {
            return Err(ReadError::TooLarge {
                dir: self.root.into(),
                limit: MAX_TOTAL_BYTES,
            });
        }
        if all_or_nothing && self.found.len() >= MAX_FILES {
            return Err(self.too_many(MAX_FILES));
        }
        self.found.push(Listed {
            name,
            path,
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes,
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        });
        Ok(())
    }

    fn too_many(&self, limit: usize) -> ReadError {
        ReadError::TooMany {
            dir: self.root.into(),
            limit,
        }
    }
}

/// Whether a file of this name is a document of a directory: `*.yaml` and `*.yml`, but no
/// tests.
#[must_use]
pub fn is_document_name(name: &[u8]) -> bool {
    Wanted::Policies.is(name)
}

impl Wanted {
    /// By the name of a file.
    fn is(self, name: &[u8]) -> bool {
        let stem = name.strip_suffix(b".yaml");
        stem.or_else(|| name.strip_suffix(b".yml"))
            .is_some_and(|stem| stem.ends_with(b"_test") == (self == Self::Tests))
    }
}

/// What it says now.
pub(crate) fn read(listed: &Listed) -> Result<Source, ReadError> {
    use io::Read as _;

    let fail = |error| ReadError::io(&listed.path, error);
    // What was listed may have grown since; never read more than what was agreed.
    let mut bytes = Vec::new();
    fs::File::open(&listed.path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(fail)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ReadError::FileTooLarge {
            path: listed.path.clone(),
            limit: MAX_FILE_BYTES,
        });
    }
    Ok(Source::new(listed.name.clone(), bytes))
}

#[cfg(test)]
mod tests;
