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
mod compile;
mod diagnostic;
mod finding;
mod limits;
mod policy_test;
mod raw;
mod read;
mod render;
mod request;
mod revocation;
mod source;
mod suggest;
pub mod syntax;
mod time;
mod yaml;

use std::fmt;

use finding::Sink;
use raw::Documents;

use crate::{BuildError, PolicySet, Timestamp, TrustDomain, spec::PolicySetSpec};

pub use code::{Code, Severity};
pub use diagnostic::{Diagnostic, Findings, Place};
pub use finding::{Finding, Quoted};
pub use limits::Limits;
pub use policy_test::{Expectation, PolicyTest, TestCase, TestRequest, is_test_file, load_tests};
pub use request::{Header, OwnedRequest, RequestError, RequestLine};
pub use revocation::{
    LoadedRevocations, Revocation, Revoked, holds_only_revocations, load_revocations,
    may_hold_revocations,
};
pub use source::{Position, Source, Span};
pub use suggest::nearest;
pub use time::{TimeError, parse_duration, parse_time};

/// What a loader may be told from outside the documents.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// When. An operator may bound how long exceptions last from now on; at the default,
    /// the beginning of time, every one of them lasts too long for that.
    pub now: Timestamp,
    /// What relative identities belong to, if no `MeshPolicy` says so.
    pub trust_domain: Option<TrustDomain>,
    /// Passes over `Revocation` documents and all that is wrong with them: for who reads
    /// them with [`load_revocations`], so that neither holds the other back.
    pub without_revocations: bool,
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
    /// What relative identities belong to: the `MeshPolicy`'s, or the loader's.
    pub trust_domain: Option<TrustDomain>,
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

/// A set of documents that is whole and in order, not compiled: for who asks what rules
/// mean instead of deciding by them.
#[derive(Clone, Debug)]
pub struct Specified {
    /// What the documents say.
    pub spec: PolicySetSpec,
    /// How much there is of it.
    pub counts: Counts,
    /// What relative identities belong to: the `MeshPolicy`'s, or the loader's.
    pub trust_domain: Option<TrustDomain>,
}

/// Compiles `sources`: all of them or none.
///
/// # Errors
/// Every finding, in the order of the sources; or that there is no document.
pub fn load(sources: &[Source], options: &LoadOptions) -> Result<Loaded, LoadError> {
    specify(sources, options)?.build(sources)
}

/// Reads `sources`, all of them or none, without compiling them.
///
/// # Errors
/// As [`load`], but that the set is too large to compile is not found here.
pub fn specify(sources: &[Source], options: &LoadOptions) -> Result<Specified, LoadError> {
    let mut sink = Sink::default();
    let documents = read(sources, options, &mut sink);
    let compiled = compile::compile(&documents, sources, options, &mut sink);
    if sink.is_empty() && documents.count == 0 {
        return Err(LoadError::NoDocuments);
    }
    drop(documents);
    let limit = options.limits.findings.max(1);
    if let Some(findings) = sink.into_findings(sources, limit) {
        return Err(LoadError::Findings(findings));
    }
    Ok(Specified {
        spec: compiled.spec,
        counts: compiled.counts,
        trust_domain: compiled.trust_domain,
    })
}

impl Specified {
    /// Compiles what was read from `sources`.
    ///
    /// # Errors
    /// The one thing that is found only now: the set is too large.
    pub fn build(self, sources: &[Source]) -> Result<Loaded, LoadError> {
        let policies = PolicySet::build(self.spec).map_err(|error| not_built(&error, sources))?;
        Ok(Loaded {
            policies,
            counts: self.counts,
            trust_domain: self.trust_domain,
        })
    }
}

/// Whatever a document can do wrong was found before, with its place; what is left is
/// the size of the whole.
fn not_built(error: &BuildError, sources: &[Source]) -> LoadError {
    let mut sink = Sink::default();
    sink.push(Finding::new(
        Code::SetTooLarge,
        Span::default(),
        error.to_string(),
    ));
    sink.into_findings(sources, 1)
        .map_or(LoadError::NoDocuments, LoadError::Findings)
}

fn read<'s>(sources: &'s [Source], options: &LoadOptions, sink: &mut Sink) -> Documents<'s> {
    let mut documents = Documents {
        whole: true,
        ..Documents::default()
    };
    for (file, source) in (0..).zip(sources) {
        let mut parsed = yaml::parse(file, source, &options.limits, sink);
        documents.whole &= parsed.whole;
        if options.without_revocations {
            revocation::pass_over(&mut parsed.documents, parsed.whole, sink);
        }
        for node in parsed.documents {
            read::document(node, &mut documents, sink);
        }
    }
    documents
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

#[cfg(test)]
mod tests;
