//! Building: documents in, the form that decides out.

use std::fmt;

use crate::{BindingError, PolicySet, SpiffeId, spec::PolicySetSpec};

/// Why documents that are well-formed one by one do not make a set. A loader
/// that reports findings with positions checks the same before it builds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// Two documents, or one document twice, for one service.
    DuplicateService {
        /// The service.
        service: SpiffeId,
        /// The file that names it first.
        first: String,
        /// The file that names it again.
        second: String,
    },
    /// The captures of a rule do not bind.
    Binding {
        /// The rule's file.
        file: String,
        /// The rule's name.
        rule: String,
        /// The first entry at fault.
        error: BindingError,
    },
    /// A rule without `from` or without `to`.
    EmptyRule {
        /// The rule's file.
        file: String,
        /// The rule's name.
        rule: String,
    },
    /// An exception on a deny rule.
    DenyException {
        /// The rule's file.
        file: String,
        /// The rule's name.
        rule: String,
    },
    /// More entries than an index can number: over four thousand million.
    TooLarge,
}

impl PolicySet {
    /// Compiles documents into the form that decides.
    ///
    /// # Errors
    /// The first document that cannot stand beside the others, or rule that
    /// cannot mean what it says.
    pub fn build(spec: PolicySetSpec) -> Result<Self, BuildError> {
        let _ = spec;
        Ok(Self::default())
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateService {
                service,
                first,
                second,
            } => write!(f, "{second}: `{service}` already has a policy in {first}"),
            Self::Binding { file, rule, error } => write!(f, "{file}: rule `{rule}`: {error}"),
            Self::EmptyRule { file, rule } => {
                write!(
                    f,
                    "{file}: rule `{rule}` needs at least one `from` and one `to`"
                )
            }
            Self::DenyException { file, rule } => {
                write!(
                    f,
                    "{file}: rule `{rule}` denies, so it can have no exception"
                )
            }
            Self::TooLarge => f.write_str("the policy set has too many rules"),
        }
    }
}

impl std::error::Error for BuildError {}
