//! What is run, and under which names: the unix attestor knows a workload by the path
//! of its program, and sees through symbolic links, but not through hard ones.

use std::{
    env, fmt, fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::Workload;
use crate::artifact;

/// SPIRE's own programs.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    pub(super) server: PathBuf,
    pub(super) agent: PathBuf,
}

/// A program that is not on PATH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing(&'static str);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not on PATH", self.0)
    }
}

impl std::error::Error for Missing {}

impl Programs {
    pub(super) fn on_path() -> Result<Self, Missing> {
        Ok(Self {
            server: find("spire-server").ok_or(Missing("spire-server"))?,
            agent: find("spire-agent").ok_or(Missing("spire-agent"))?,
        })
    }

    /// Puts a program for each workload into `directory`, by its name.
    pub(super) fn link(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory)?;
        let envoy = envoy()?;
        for workload in Workload::ALL {
            let program = match workload {
                Workload::Callgate => artifact::callgate()?,
                _ => envoy.clone(),
            };
            // Through whatever links lead to it.
            let program = program.canonicalize()?;
            let link = directory.join(workload.name());
            if fs::hard_link(&program, &link).is_err() {
                // Another file system.
                fs::copy(&program, &link).with_context(|| format!("`{}`", link.display()))?;
            }
        }
        Ok(())
    }
}

fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// Envoy itself: what is on PATH after an installation from PyPI is a script.
fn envoy() -> Result<PathBuf> {
    let path = artifact::envoy()?;
    let mut magic = [0; 4];
    fs::File::open(&path)?.read_exact(&mut magic)?;
    if magic == *b"\x7fELF" {
        return Ok(path);
    }
    let libraries = path.parent().and_then(Path::parent).context("no parent")?;
    let pythons = fs::read_dir(libraries.join("lib"))?;
    pythons
        .filter_map(|python| Some(python.ok()?.path().join("site-packages/envoy/_bin/envoy")))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("no Envoy behind `{}`: set ENVOY", path.display()))
}
