//! Documents: YAML in, a [`PolicySet`] or every finding at once out.

use crate::{PolicySet, TrustDomain};

/// One file's text, under the name that findings and records will show.
#[derive(Clone, Debug)]
pub struct Source {
    /// For example `orders.yaml`.
    pub name: String,
    /// The whole file.
    pub text: String,
}

/// What a loader may be told from outside the documents.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// What relative identities belong to, if no `MeshPolicy` says so.
    pub trust_domain: Option<TrustDomain>,
}

/// Something in a document that must be changed before it can be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {}

/// Compiles `sources`: all of them or none.
///
/// # Errors
/// Every finding, in the order of the sources.
pub fn load(sources: &[Source], options: &LoadOptions) -> Result<PolicySet, Vec<Diagnostic>> {
    let _ = (sources, options);
    Ok(PolicySet::default())
}

/// The findings as a compiler shows them: file, line, column, excerpt, suggestion.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], sources: &[Source], colour: bool) -> String {
    let _ = (diagnostics, sources, colour);
    String::new()
}
