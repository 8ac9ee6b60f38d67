//! `callgate revoke` and `callgate revocations`: who is believed no longer.

mod list;
mod write;

use std::{path::Path, time::Duration};

use anyhow::bail;
use callgate_policy::{
    TrustDomain,
    document::{LoadError, LoadOptions, load},
};
use callgate_server::{revocation::RevocationFiles, store::read_sources};

pub(crate) use list::{RevocationsArgs, run as list};
pub(crate) use write::{RevokeArgs, run as revoke};

/// The revocations of a directory, as a server has them.
pub(crate) fn read(policies: &Path) -> anyhow::Result<RevocationFiles> {
    if !policies.is_dir() {
        bail!("`{}` is not a directory", policies.display());
    }
    let mut files = RevocationFiles::new(policies.to_owned());
    files.look(Duration::ZERO);
    Ok(files)
}

/// What relative identities belong to.
enum Own {
    Domain(TrustDomain),
    /// Nothing says so.
    Nowhere,
    /// The policies do not load; a server goes on with the last ones that did.
    Unknown(String),
}

impl Own {
    fn of(policies: &Path, given: Option<&TrustDomain>) -> Self {
        if let Some(domain) = given {
            return Self::Domain(domain.clone());
        }
        let options = LoadOptions {
            without_revocations: true,
            ..LoadOptions::default()
        };
        let loaded = match read_sources(policies) {
            Ok(sources) => load(&sources, &options),
            Err(error) => return Self::Unknown(error.to_string()),
        };
        match loaded {
            Ok(loaded) => loaded.trust_domain.map_or(Self::Nowhere, Self::Domain),
            Err(LoadError::NoDocuments) => Self::Nowhere,
            Err(LoadError::Findings(findings)) => {
                let first = findings.diagnostics().first();
                Self::Unknown(first.map(ToString::to_string).unwrap_or_default())
            }
        }
    }

    const fn domain(&self) -> Option<&TrustDomain> {
        match self {
            Self::Domain(domain) => Some(domain),
            Self::Nowhere | Self::Unknown(_) => None,
        }
    }
}
