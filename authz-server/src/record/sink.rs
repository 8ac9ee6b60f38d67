//! Where records go.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Takes whole lines.
pub struct Sink {
    to: To,
    /// The last write stopped somewhere within a line.
    torn: bool,
}

enum To {
    File { path: PathBuf, file: File },
    Stream(Box<dyn Write + Send>),
}

impl Sink {
    /// Appends to the file at `path`, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be opened for appending.
    pub fn file(path: &Path) -> io::Result<Self> {
        Ok(Self::to(To::File {
            path: path.into(),
            file: open(path)?,
        }))
    }

    /// Writes to standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::stream(io::stdout())
    }

    /// Writes to `stream`.
    #[must_use]
    pub fn stream(stream: impl Write + Send + 'static) -> Self {
        Self::to(To::Stream(Box::new(stream)))
    }

    const fn to(to: To) -> Self {
        Self { to, torn: false }
    }

    /// Writes `lines`, all or an error; a line that an earlier error cut off is ended
    /// first, so that no two become one.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let stream: &mut dyn Write = match &mut self.to {
            To::File { file, .. } => file,
            To::Stream(stream) => stream,
        };
        let end: &[u8] = if self.torn { b"\n" } else { b"" };
        self.torn = true;
        stream.write_all(end)?;
        stream.write_all(lines)?;
        stream.flush()?;
        self.torn = false;
        Ok(())
    }

    /// Opens the file of that name again; nothing to do for a stream.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let To::File { path, file } = &mut self.to {
            *file = open(path)?;
            self.torn = false;
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            To::File { path, .. } => write!(f, "Sink({})", path.display()),
            To::Stream(_) => f.write_str("Sink(stream)"),
        }
    }
}
