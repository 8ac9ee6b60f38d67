//! A set of documents with its text: for who explains what it decides.

use std::path::Path;

use anyhow::{Context as _, bail};
use callgate_policy::{
    PolicySet, TrustDomain,
    document::{Limits, LoadError, LoadOptions, Source, Specified, specify},
};
use callgate_server::{clock, store::read_sources};

/// The set that a server would decide by.
pub(crate) struct Documents {
    /// The files, named as decisions name them.
    pub(crate) sources: Vec<Source>,
    /// What they say.
    pub(crate) specified: Specified,
    /// What decides.
    pub(crate) policies: PolicySet,
}

impl Documents {
    /// Reads a directory as the server does. A set with findings decides nothing, so there
    /// is nothing to explain: they are told, and it is an error.
    pub(crate) fn read(dir: &Path, trust_domain: Option<&TrustDomain>) -> anyhow::Result<Self> {
        let sources = read_sources(dir)?;
        match specify(&sources, &options(trust_domain)) {
            Ok(specified) => Self::of(sources, specified),
            Err(LoadError::NoDocuments) => bail!("there is no document in `{}`", dir.display()),
            Err(LoadError::Findings(findings)) => {
                eprint!("{}", findings.render(&sources, false));
                bail!(
                    "`{}` does not load, so nothing can be decided",
                    dir.display()
                )
            }
        }
    }

    /// Compiles what `sources` say.
    pub(crate) fn of(sources: Vec<Source>, specified: Specified) -> anyhow::Result<Self> {
        let policies = PolicySet::build(specified.spec.clone());
        Ok(Self {
            policies: policies.context("the documents do not make a set")?,
            sources,
            specified,
        })
    }

    /// What relative identities belong to.
    pub(crate) const fn trust_domain(&self) -> Option<&TrustDomain> {
        self.specified.trust_domain.as_ref()
    }
}

/// How documents are loaded now. Revocations are read apart.
pub(crate) fn options(trust_domain: Option<&TrustDomain>) -> LoadOptions {
    LoadOptions {
        now: clock::now(),
        trust_domain: trust_domain.cloned(),
        without_revocations: true,
        limits: Limits::default(),
    }
}
