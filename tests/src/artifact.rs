//! The programs under test: found, and refused when older than their sources.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, Result, bail, ensure};

/// The root of the working copy.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Envoy: `$ENVOY`, or what `make build` installed into `.venv`.
///
/// # Errors
/// When there is none.
pub fn envoy() -> Result<PathBuf> {
    let path = env::var_os("ENVOY").map_or_else(|| root().join(".venv/bin/envoy"), PathBuf::from);
    ensure!(
        path.exists(),
        "no Envoy at `{}`: run `make build`, or set ENVOY",
        path.display()
    );
    Ok(path)
}

/// The `callgate` binary: `$CALLGATE`, or the release build, or the debug build.
///
/// # Errors
/// When none is there that is as new as its sources.
pub fn callgate() -> Result<PathBuf> {
    match env::var_os("CALLGATE") {
        Some(path) => Ok(path.into()),
        None => built(&["target/release/callgate", "target/debug/callgate"]),
    }
}

/// The filter: `$CALLGATE_FILTER`, or the release build.
///
/// # Errors
/// When it is missing or older than its sources.
pub fn filter() -> Result<PathBuf> {
    match env::var_os("CALLGATE_FILTER") {
        Some(path) => Ok(path.into()),
        None => built(&["target/wasm32-wasip1/release/callgate_filter.wasm"]),
    }
}

/// The filter that dies when a request tells it to, which only tests have:
/// `$CALLGATE_TRAPPING_FILTER`, or the release build.
///
/// # Errors
/// When it is missing or older than its sources.
pub fn trapping_filter() -> Result<PathBuf> {
    match env::var_os("CALLGATE_TRAPPING_FILTER") {
        Some(path) => Ok(path.into()),
        None => built(&["target/trap/wasm32-wasip1/release/callgate_filter.wasm"]),
    }
}

/// The first of `candidates` that is as new as everything it was made from.
fn built(candidates: &[&str]) -> Result<PathBuf> {
    let mut faults = Vec::new();
    for candidate in candidates {
        let path = root().join(candidate);
        match fresh(&path) {
            Ok(()) => return Ok(path),
            Err(fault) => faults.push(format!("{candidate}: {fault:#}")),
        }
    }
    bail!("run `make build`: {}", faults.join("; "))
}

/// Cargo writes beside each output a `.d` file that names its sources.
fn fresh(path: &Path) -> Result<()> {
    let built = modified(path)?;
    let list = path.with_extension("d");
    let text = fs::read_to_string(&list).with_context(|| format!("read `{}`", list.display()))?;
    let (_, sources) = text.split_once(':').context("an odd list of sources")?;
    for source in sources.split_ascii_whitespace() {
        // One that is gone was part of what was built, so that is old as well.
        ensure!(
            modified(Path::new(source))? <= built,
            "older than `{source}`"
        );
    }
    Ok(())
}

fn modified(path: &Path) -> Result<SystemTime> {
    let metadata = fs::metadata(path).with_context(|| format!("`{}`", path.display()))?;
    Ok(metadata.modified()?)
}
