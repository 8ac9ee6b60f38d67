//! Why a directory could not be read.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// Why a directory of documents could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// The system refused; `path` is the file or directory it was about.
    Io {
        /// What was to be read.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// No document below `dir`.
    Empty {
        /// The directory.
        dir: PathBuf,
    },
    /// A name that ends like a document's is a socket, a pipe or a device.
    NotAFile {
        /// Its path.
        path: PathBuf,
    },
    /// A file's name is not UTF-8. Content that is not is a finding of the loader.
    NotUtf8 {
        /// Its path.
        path: PathBuf,
    },
    /// One file exceeds the limit, in bytes.
    FileTooLarge {
        /// Its path.
        path: PathBuf,
        /// How many bytes it may have.
        limit: u64,
    },
    /// All files together exceed the limit, in bytes.
    TooLarge {
        /// The directory.
        dir: PathBuf,
        /// How many bytes they may have.
        limit: u64,
    },
    /// More files or entries than the limit.
    TooMany {
        /// The directory.
        dir: PathBuf,
        /// How many there may be.
        limit: usize,
    },
    /// Directories nested deeper than the limit; perhaps a link to a parent.
    TooDeep {
        /// The directory that is too deep.
        path: PathBuf,
        /// How deep it may be.
        limit: usize,
    },
    /// The directory changed during every attempt to read it.
    Unstable {
        /// The directory.
        dir: PathBuf,
    },
}

impl ReadError {
    pub(super) fn io(path: &Path, error: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            error,
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "cannot read `{}`: {error}", path.display()),
            Self::Empty { dir } => write!(f, "no `*.yaml` document in `{}`", dir.display()),
            Self::NotAFile { path } => write!(f, "`{}` is not a file", path.display()),
            Self::NotUtf8 { path } => write!(f, "the name `{}` is not UTF-8", path.display()),
            Self::FileTooLarge { path, limit } => {
                write!(f, "`{}` has more than {limit} bytes", path.display())
            }
            Self::TooLarge { dir, limit } => write!(
                f,
                "the documents in `{}` have more than {limit} bytes together",
                dir.display()
            ),
            Self::TooMany { dir, limit } => {
                write!(f, "`{}` has more than {limit} entries", dir.display())
            }
            Self::TooDeep { path, limit } => write!(
                f,
                "`{}` is more than {limit} directories deep; is it a link to a parent",
                path.display()
            ),
            Self::Unstable { dir } => {
                write!(f, "`{}` kept changing while it was read", dir.display())
            }
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}
