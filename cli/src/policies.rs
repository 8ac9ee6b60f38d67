//! A directory of documents, loaded as the server loads it.

use std::path::Path;

use anyhow::bail;
use callgate_policy::{
    TrustDomain,
    document::{Limits, LoadError, LoadOptions, Loaded, load},
};
use callgate_server::{clock, store::read_sources};

/// The set that the server would decide by; None if there is no document.
///
/// Revocations are passed over. One with findings decides nothing: they are told, and
/// that it is an error.
pub(crate) fn load_directory(
    directory: &Path,
    trust_domain: Option<&TrustDomain>,
) -> anyhow::Result<Option<Loaded>> {
    let sources = read_sources(directory)?;
    let options = LoadOptions {
        now: clock::now(),
        trust_domain: trust_domain.cloned(),
        without_revocations: true,
        limits: Limits::default(),
    };
    match load(&sources, &options) {
        Ok(loaded) => Ok(Some(loaded)),
        Err(LoadError::NoDocuments) => Ok(None),
        Err(LoadError::Findings(findings)) => {
            eprint!("{}", findings.render(&sources, false));
            bail!(
                "`{}` does not load, so nothing can be decided",
                directory.display()
            )
        }
    }
}
