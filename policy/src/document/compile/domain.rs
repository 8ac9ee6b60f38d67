//! Which trust domain relative identities belong to.

use super::{
    super::{
        Code, LoadOptions,
        finding::{Finding, Sink},
        raw::{Documents, TrustDomainField},
    },
    Compiler,
};
use crate::TrustDomain;

/// The one that the `MeshPolicy` names, or else the loader was given; that the two
/// differ is a finding, because one of them would silently mean other callers.
pub(super) fn choose(
    documents: &Documents<'_>,
    options: &LoadOptions,
    sink: &mut Sink,
) -> Option<TrustDomain> {
    let named = documents
        .meshes
        .iter()
        .find_map(|mesh| match &mesh.trust_domain {
            TrustDomainField::Given(domain, span) => Some((domain, *span)),
            _ => None,
        });
    let given = options.trust_domain.as_ref();
    if let (Some((named, span)), Some(given)) = (named, given)
        && named != given
    {
        let message = format!("the mesh's trust domain is `{named}`, but `{given}` was given");
        let finding = Finding::new(Code::TrustDomainConflict, span, message);
        sink.push(finding.help("give the same one (`--trust-domain`), or only one of the two"));
    }
    named.map(|(domain, _)| domain).or(given).cloned()
}

impl Compiler<'_, '_> {
    /// One finding for all relative identities without a trust domain: they have one cause.
    pub(super) fn report_relative(self, documents: &Documents<'_>) {
        let Some((first, rest)) = self.relative.split_first() else {
            return;
        };
        let is_invalid = |field: &TrustDomainField| matches!(field, TrustDomainField::Invalid);
        let has_cause = !self.whole
            || documents
                .meshes
                .iter()
                .any(|mesh| is_invalid(&mesh.trust_domain));
        // That cause has a finding of its own; if it had none, this would be it.
        if has_cause && !self.sink.is_empty() {
            return;
        }
        let message = "nothing says which trust domain this identity belongs to";
        let label = match rest.len() {
            0 => "a relative identity".to_owned(),
            more => format!("a relative identity, the first of {}", more + 1),
        };
        let finding = Finding::new(Code::NoTrustDomain, *first, message).label(label);
        self.sink.push(finding.help(
            "set `spec.trustDomain` in a MeshPolicy, give `--trust-domain`, or write it in full: `spiffe://…`",
        ));
    }
}
