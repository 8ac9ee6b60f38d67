//! From paths to sources.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use callgate_policy::document::{Limits, Source};
use callgate_server::store::{ReadError, read_sources, read_tests};

/// Every document below `paths`, as one set, named so that an editor finds the file.
///
/// A directory is read as the server reads it. Tests of policies are passed over even
/// where they are named, because a shell names them for `policies/*.yaml`.
pub(crate) fn gather(paths: &[PathBuf]) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = read_sources(path)?.into_iter();
            sources.extend(found.map(|source| {
                let name = path.join(source.name()).display().to_string();
                source.named(name)
            }));
        } else if !is_test(path) {
            sources.push(file(path)?);
        }
    }
    // A directory and a file in it are one file, not two documents of one name.
    sources.sort_by(|a, b| a.name().cmp(b.name()));
    sources.dedup_by(|a, b| a.name() == b.name());
    Ok(sources)
}

/// Every document below `paths`, tests of policies too, each by itself.
pub(crate) fn gather_all(paths: &[PathBuf]) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in paths {
        if !path.is_dir() {
            sources.push(file(path)?);
            continue;
        }
        for read in [read_sources, read_tests] {
            match read(path) {
                Ok(found) => sources.extend(found.into_iter().map(|source| {
                    let name = path.join(source.name()).display().to_string();
                    source.named(name)
                })),
                Err(ReadError::Empty { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    sources.sort_by(|a, b| a.name().cmp(b.name()));
    sources.dedup_by(|a, b| a.name() == b.name());
    Ok(sources)
}

pub(crate) fn file(path: &Path) -> anyhow::Result<Source> {
    // One byte more than the limit, so that the loader sees that it was passed.
    let limit = Limits::default().file_bytes as u64 + 1;
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(Source::new(path.display().to_string(), bytes).found_alone())
}

fn is_test(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.ends_with(b"_test.yaml") || name.ends_with(b"_test.yml")
}
