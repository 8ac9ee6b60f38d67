//! Building: documents in, the form that decides out.

use std::{collections::HashMap, fmt};

#[cfg(feature = "documents")]
use crate::digest;
use crate::{
    BindingError, Condition, PolicySet, SpiffeId, check_captures,
    policy_set::{Document, Mesh, ServicePolicy, ShadowRules},
    spec::{Enforcement, MeshSpec, PolicySetSpec, RuleSpec, ServiceSpec},
    table::RuleTable,
    trust::Trust,
};

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
        /// Every entry at fault.
        errors: Vec<BindingError>,
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
        let mut services = HashMap::default();
        let mut policies: Vec<ServicePolicy> = Vec::with_capacity(spec.services.len());
        for mut service in spec.services {
            for id in std::mem::take(&mut service.services) {
                if let Some(first) = services.insert(id.to_key(), policies.len()) {
                    let first = policies.get(first).map(|policy| &*policy.document.file);
                    return Err(BuildError::DuplicateService {
                        service: id,
                        first: first.unwrap_or(&service.file).to_owned(),
                        second: service.file,
                    });
                }
            }
            policies.push(build_service(service)?);
        }
        Ok(Self {
            services,
            policies: policies.into(),
            mesh: spec.mesh.map(build_mesh).transpose()?.unwrap_or_default(),
        })
    }
}

fn build_service(mut spec: ServiceSpec) -> Result<ServicePolicy, BuildError> {
    check_rules(&spec.file, &spec.allow, &spec.deny)?;
    Ok(ServicePolicy {
        #[cfg(feature = "documents")]
        digest: digest::of_service(&spec),
        document: Document {
            name: spec.name.into(),
            file: spec.file.into(),
        },
        owner: spec.owner.map(Into::into),
        help: spec.help.map(Into::into),
        enforcement: spec.enforcement,
        paths: spec.paths,
        keep_override_headers: spec.keep_override_headers,
        headers: headers(&spec.allow, &spec.deny),
        shadow: shadow(&mut spec.allow, &mut spec.deny)?,
        allow: RuleTable::build(spec.allow)?,
        deny: RuleTable::build(spec.deny)?,
    })
}

fn build_mesh(mut spec: MeshSpec) -> Result<Mesh, BuildError> {
    check_rules(&spec.file, &spec.allow, &spec.deny)?;
    Ok(Mesh {
        #[cfg(feature = "documents")]
        digest: digest::of_mesh(&spec),
        document: Document {
            name: spec.name.into(),
            file: spec.file.into(),
        },
        unpolicied: spec.unpolicied,
        identity: spec.identity,
        trust: Trust::build(spec.trust),
        headers: headers(&spec.allow, &spec.deny),
        shadow: shadow(&mut spec.allow, &mut spec.deny)?,
        allow: RuleTable::build(spec.allow)?,
        deny: RuleTable::build(spec.deny)?,
    })
}

/// Takes the rules that decide nothing out of those that do.
fn shadow(
    allow: &mut Vec<RuleSpec>,
    deny: &mut Vec<RuleSpec>,
) -> Result<Option<Box<ShadowRules>>, BuildError> {
    let shadowed = |rule: &mut RuleSpec| rule.enforcement == Enforcement::Shadow;
    let allow: Vec<RuleSpec> = allow.extract_if(.., shadowed).collect();
    let deny: Vec<RuleSpec> = deny.extract_if(.., shadowed).collect();
    if allow.is_empty() && deny.is_empty() {
        return Ok(None);
    }
    Ok(Some(Box::new(ShadowRules {
        allow: RuleTable::build(allow)?,
        deny: RuleTable::build(deny)?,
    })))
}

fn headers(allow: &[RuleSpec], deny: &[RuleSpec]) -> Box<[Box<str>]> {
    let rules = allow.iter().chain(deny);
    let conditions = rules.filter_map(|rule| Some(&rule.when.as_ref()?.condition));
    let mut headers: Vec<Box<str>> = Vec::new();
    for name in conditions.flat_map(Condition::headers) {
        if let Err(at) = headers.binary_search_by(|known| (**known).cmp(name)) {
            headers.insert(at, name.into());
        }
    }
    headers.into()
}

fn check_rules(file: &str, allow: &[RuleSpec], deny: &[RuleSpec]) -> Result<(), BuildError> {
    let place = |rule: &RuleSpec| (file.to_owned(), rule.name.clone());
    if let Some(rule) = deny.iter().find(|rule| rule.exception.is_some()) {
        let (file, rule) = place(rule);
        return Err(BuildError::DenyException { file, rule });
    }
    for rule in allow.iter().chain(deny) {
        let (file, name) = place(rule);
        if rule.from.is_empty() || rule.to.is_empty() {
            return Err(BuildError::EmptyRule { file, rule: name });
        }
        if let Err(errors) = check_captures(rule) {
            return Err(BuildError::Binding {
                file,
                rule: name,
                errors,
            });
        }
    }
    Ok(())
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateService {
                service,
                first,
                second,
            } => write!(f, "{second}: `{service}` already has a policy in {first}"),
            Self::Binding { file, rule, errors } => {
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                write!(f, "{file}: rule `{rule}`: {}", errors.join("; "))
            }
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

#[cfg(test)]
mod tests {
    use super::BuildError;
    use crate::{
        PolicySet, Timestamp,
        spec::{PolicySetSpec, RuleSpec, ServiceSpec},
        testing::{id, orders, rule},
    };

    fn error(services: Vec<ServiceSpec>) -> BuildError {
        let mesh = None;
        PolicySet::build(PolicySetSpec { mesh, services }).unwrap_err()
    }

    fn plain() -> Vec<RuleSpec> {
        vec![rule("plain", 1, &["/a"], &["GET /"])]
    }

    #[test]
    fn a_service_has_one_policy() {
        let mut second = orders(plain(), vec![]);
        second.file = "second.yaml".to_owned();
        let told = error(vec![orders(plain(), vec![]), second]).to_string();
        let service = "`spiffe://example.org/ns/shop/sa/orders`";
        assert_eq!(
            told,
            format!("second.yaml: {service} already has a policy in orders.yaml")
        );
        let mut twice = orders(plain(), vec![]);
        twice.services.push(id("/ns/shop/sa/orders"));
        let error = error(vec![twice]);
        assert!(
            matches!(error, BuildError::DuplicateService { .. }),
            "{error}"
        );
    }

    #[test]
    fn rules_that_cannot_mean_what_they_say() {
        let late = || plain().remove(0).expires(Timestamp::from_secs(1));
        let cases = [
            (
                orders(vec![rule("r", 1, &[], &["GET /"])], vec![]),
                "needs at least one",
            ),
            (
                orders(vec![rule("r", 1, &["/a"], &[])], vec![]),
                "needs at least one",
            ),
            (orders(vec![], vec![late()]), "can have no exception"),
            (
                orders(vec![], vec![rule("r", 1, &["/{t}"], &["GET /"])]),
                "open to every `t`",
            ),
        ];
        for (service, told) in cases {
            let error = error(vec![service]).to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
