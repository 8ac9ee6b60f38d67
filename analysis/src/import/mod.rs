//! Policies of other systems as Callgate's documents, where both decide alike.
//!
//! ```text
//!  documents ──document──► nodes ──istio, …──► formulas ──formula──► cases ──draft──► rules
//!                            └──────────────────┴─────────────────────┴──► findings    │
//!                                                                             write ◄──┘
//! ```
//!
//! Nothing is guessed. What cannot be said exactly is reported: if it let callers in, it is
//! left out, and they are refused; if it kept callers out, nothing is written for the
//! services that it is about, because the rest would let in more than before.
//!
//! "Exactly" is meant of the calls that rules decide at all: those of a verified identity, to
//! a path that has one reading, without an upgrade. All others Callgate refuses before it
//! looks at rules, as `docs/import.md` tells.

mod condition;
mod consul;
mod differences;
mod document;
mod draft;
mod envoy_rbac;
mod fields;
mod formula;
mod grouping;
mod hcl;
mod istio;
mod kubernetes;
mod linkerd;
mod report;
mod shape;
mod text;
mod write;

use callgate_policy::{
    SpiffeId, TrustDomain,
    document::{LoadError, LoadOptions, Source, load},
};

use document::Node;
use draft::Draft;
use report::Report;

pub use report::{Finding, Kind, Place, Severity, render};

/// Whose documents they are, and what these do not say themselves.
#[derive(Clone, Debug)]
pub enum System {
    /// Envoy's RBAC filter: its configuration, or a whole one that has it.
    EnvoyRbac {
        /// The services that it protects; at least one.
        services: Vec<SpiffeId>,
    },
    /// Istio's `AuthorizationPolicy`, with the workloads that it selects.
    Istio {
        /// Whose policies hold for the whole mesh; `istio-system` unless the mesh says
        /// otherwise.
        root_namespace: String,
        /// The namespace of objects that do not name theirs.
        namespace: Option<String>,
    },
    /// Consul's service intentions.
    Consul {
        /// Where the services run; at least one.
        datacenters: Vec<String>,
    },
    /// Linkerd's servers, routes and authorizations, with the workloads that they select.
    Linkerd {
        /// The namespace of objects that do not name theirs.
        namespace: Option<String>,
    },
}

/// What is the same for all systems.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The mesh's own trust domain. With it a `MeshPolicy` is written, and identities are
    /// relative.
    pub trust_domain: Option<TrustDomain>,
    /// Other trust domains whose callers the mesh believes.
    pub accepted: Vec<TrustDomain>,
    /// Whether what may `GET` a path may also open a WebSocket there.
    pub websocket: bool,
    /// Whether the policies are shadowed.
    pub shadow: bool,
}

/// What an import comes to.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The documents, as one file; empty if there is nothing to write.
    pub documents: String,
    /// Services that they name.
    pub services: usize,
    /// Rules in them.
    pub rules: usize,
    /// What was not translated and what should be known, the gravest first.
    pub findings: Vec<Finding>,
}

/// An import cannot say what it came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportError {
    /// There is nothing to translate in the sources.
    Nothing,
    /// The documents that came out do not load: a fault of the import. The first finding is
    /// here.
    Unloadable(String),
}

/// Translates `sources`.
///
/// # Errors
/// When there is nothing to translate.
pub fn import(
    system: &System,
    sources: &[Source],
    options: &Options,
) -> Result<Imported, ImportError> {
    let mut report = Report::default();
    let nodes = document::documents(sources, &mut report);
    let mut draft = Draft::default();
    let found = read(system, &nodes, options, &mut draft, &mut report);
    if report.is_unreadable() {
        return Ok(Imported {
            documents: String::new(),
            services: 0,
            rules: 0,
            findings: report.into_errors(),
        });
    }
    if !found {
        return Err(ImportError::Nothing);
    }
    draft.settle(&mut report);
    draft.compare(&mut report);
    let written = write::write(&draft, options, sources);
    check(&written.text)?;
    Ok(Imported {
        documents: written.text,
        services: written.services,
        rules: written.rules,
        findings: report.into_findings(),
    })
}

/// Reads the documents of `system`; false if there is none.
fn read(
    system: &System,
    nodes: &[Node],
    options: &Options,
    draft: &mut Draft,
    report: &mut Report,
) -> bool {
    match system {
        System::EnvoyRbac { services } => envoy_rbac::read(nodes, services, draft, report),
        System::Istio {
            root_namespace,
            namespace,
        } => {
            let namespace = namespace.as_deref();
            let mesh = istio::Mesh {
                options,
                root_namespace,
                namespace,
            };
            istio::read(nodes, mesh, draft, report)
        }
        System::Consul { datacenters } => {
            let mesh = consul::Mesh {
                options,
                datacenters,
            };
            consul::read(nodes, mesh, draft, report)
        }
        System::Linkerd { namespace } => {
            let namespace = namespace.as_deref();
            let mesh = linkerd::Mesh { options, namespace };
            linkerd::read(nodes, mesh, draft, report)
        }
    }
}

/// Nobody should be the first to load what was written here.
fn check(text: &str) -> Result<(), ImportError> {
    if text.is_empty() {
        return Ok(());
    }
    let source = Source::new("imported.yaml", text);
    match load(&[source], &LoadOptions::default()) {
        Ok(_) => Ok(()),
        Err(LoadError::Findings(findings)) => {
            let first = findings.diagnostics().first().map(ToString::to_string);
            Err(ImportError::Unloadable(first.unwrap_or_default()))
        }
        Err(error) => Err(ImportError::Unloadable(error.to_string())),
    }
}

impl std::fmt::Display for ImportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => f.write_str("there is nothing to import"),
            Self::Unloadable(finding) => {
                write!(
                    f,
                    "the import wrote documents that do not load, which is a fault of it: {finding}"
                )
            }
        }
    }
}

impl std::error::Error for ImportError {}
