//! From paths to policies and to their tests.

use std::path::{Path, PathBuf};

use anyhow::bail;
use callgate_policy::document::{Source, is_test_file};
use callgate_server::store::{ReadError, read_sources, read_tests};

use super::TestArgs;
use crate::sources;

/// Where policies are unless told.
const POLICIES: &str = "policies";

/// What is tested, and by what.
#[derive(Clone)]
pub(super) struct Gathered {
    pub(super) policies: Vec<Source>,
    pub(super) tests: Vec<Source>,
}

type Read = fn(&Path) -> Result<Vec<Source>, ReadError>;

impl Gathered {
    /// Reads both, named so that an editor finds the files.
    pub(super) fn read(args: &TestArgs) -> anyhow::Result<Self> {
        let (directories, files): (Vec<_>, Vec<_>) =
            args.paths.iter().cloned().partition(|path| path.is_dir());
        let mut tests = below(&directories, read_tests)?;
        for path in &files {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.exists() && !is_test_file(&name) {
                bail!(
                    "`{}` is no file of tests: their names end in `_test.yaml`",
                    path.display()
                );
            }
            tests.push(sources::file(path)?);
        }
        let within = match (&args.policies, directories.is_empty()) {
            (Some(policies), _) => vec![policies.clone()],
            (None, false) => directories,
            (None, true) => vec![PathBuf::from(POLICIES)],
        };
        if tests.is_empty() {
            bail!("there is no `*_test.yaml` in {}", listed(&args.paths));
        }
        let policies = below(&within, read_sources)?;
        if policies.is_empty() {
            bail!(
                "there is no policy in {}; `--policies DIR` says where they are",
                listed(&within)
            );
        }
        Ok(Self {
            policies: sorted(policies),
            tests: sorted(tests),
        })
    }

    /// Whether both say the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let same = |a: &[Source], b: &[Source]| {
            let told = a.iter().zip(b);
            let mut same = told.map(|(a, b)| a.name() == b.name() && a.text() == b.text());
            a.len() == b.len() && same.all(|same| same)
        };
        same(&self.policies, &other.policies) && same(&self.tests, &other.tests)
    }
}

/// What is below `directories`. One of them may hold nothing of the kind.
fn below(directories: &[PathBuf], read: Read) -> anyhow::Result<Vec<Source>> {
    let mut found = Vec::new();
    for directory in directories {
        let sources = match read(directory) {
            Err(ReadError::Empty { .. }) => Vec::new(),
            other => other?,
        };
        found.extend(sources.into_iter().map(|source| {
            let name = directory.join(source.name()).display().to_string();
            source.named(name)
        }));
    }
    Ok(found)
}

/// In the order of their names. A directory and a file in it are one file.
fn sorted(mut sources: Vec<Source>) -> Vec<Source> {
    sources.sort_by(|a, b| a.name().cmp(b.name()));
    sources.dedup_by(|a, b| a.name() == b.name());
    sources
}

fn listed(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths
        .iter()
        .map(|path| format!("`{}`", path.display()))
        .collect();
    paths.join(", ")
}

/// Files, for a message.
pub(super) fn named(sources: &[Source]) -> String {
    let names: Vec<String> = sources
        .iter()
        .map(|source| format!("`{}`", source.name()))
        .collect();
    names.join(", ")
}
