//! Documents: YAML in; a [`PolicySet`], or every finding at once, out.
//!
//! ```text
//!  Source ──yaml──► nodes with spans ──read──► raw documents ──compile──► PolicySet
//!              └──────────┴───────findings──────────┴───────────┴──────► Findings
//! ```
//!
//! Each step goes on after what it finds, so that one load tells everything; a set
//! comes out only if there is nothing to tell.

mod code;
mod diagnostic;
mod finding;
mod limits;
mod render;
mod source;

use std::fmt;

use crate::{PolicySet, TrustDomain};

pub use code::Code;
pub use diagnostic::{Diagnostic, Findings, Place};
pub use limits::Limits;
pub use source::{Position, Source};

/// What a loader may be told from outside the documents.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// What relative identities belong to, if no `MeshPolicy` says so.
    pub trust_domain: Option<TrustDomain>,
    /// How much is read.
    pub limits: Limits,
}

/// A set of documents that is whole and in order.
#[derive(Debug)]
pub struct Loaded {
    /// What decides.
    pub policies: PolicySet,
    /// How much there is of it.
    pub counts: Counts,
}

/// How much a set holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Documents of every kind.
    pub documents: usize,
    /// Services that a `ServicePolicy` names.
    pub services: usize,
    /// Rules, allow and deny, of services and of the mesh.
    pub rules: usize,
    /// `CallerGroup` documents.
    pub groups: usize,
}

/// Why there is no set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// Nothing is wrong, but there is no document at all. That is not a valid set: it
    /// would refuse every call of the mesh because of a wrong directory.
    NoDocuments,
    /// Something must be changed first.
    Findings(Findings),
}

/// Compiles `sources`: all of them or none.
///
/// # Errors
/// Every finding, in the order of the sources; or that there is no document.
pub fn load(sources: &[Source], options: &LoadOptions) -> Result<Loaded, LoadError> {
    let sink = finding::Sink::default();
    match sink.into_findings(sources, options.limits.findings.max(1)) {
        Some(findings) => Err(LoadError::Findings(findings)),
        None => Err(LoadError::NoDocuments),
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDocuments => f.write_str("there is no document"),
            Self::Findings(findings) => findings.fmt(f),
        }
    }
}

impl std::error::Error for LoadError {}
