//! `MeshPolicy`: the operator's rules and switches for every service.

use super::{
    super::{
        Code,
        finding::{Finding, Quoted, Sink},
        raw::{Mesh, TrustDomainField, Written},
        source::Span,
        yaml::Node,
    },
    Fields, Shape, What, guardrails, rules, text, trust,
    values::word,
};
use crate::{SpiffeIdError, TrustDomain, spec::Enforcement};

pub(super) const SHAPE: Shape = Shape {
    name: "a `MeshPolicy`",
    known: &[
        "trustDomain",
        "unpolicied",
        "identity",
        "acceptedTrustDomains",
        "aliases",
        "gateways",
        "forwarders",
        "guardrails",
        "authors",
        "allow",
        "deny",
    ],
    required: &[],
};

/// Reads `spec`; `None` if nothing can be said of it.
pub(super) fn read<'s>(
    name: Option<Written<'s>>,
    span: Span,
    spec: Node<'s>,
    sink: &mut Sink,
) -> Option<Mesh<'s>> {
    let what = What::Field("spec");
    let mut fields = Fields::open(spec, what, &SHAPE, sink)?;
    let trust_domain = fields
        .take("trustDomain")
        .map(|entry| trust_domain(entry.value, sink));
    let unpolicied = [
        ("Deny", Enforcement::Enforce),
        ("Shadow", Enforcement::Shadow),
    ];
    let identity = [
        ("Enforce", Enforcement::Enforce),
        ("Shadow", Enforcement::Shadow),
    ];
    Some(Mesh {
        name,
        span,
        trust_domain: trust_domain.unwrap_or_default(),
        unpolicied: switch(&mut fields, "unpolicied", &unpolicied, sink),
        identity: switch(&mut fields, "identity", &identity, sink),
        accepted: trust::accepted(&mut fields, sink),
        aliases: trust::aliases(&mut fields, sink),
        gateways: trust::gateways(&mut fields, sink),
        forwarders: trust::forwarders(&mut fields, sink),
        guardrails: guardrails::read(&mut fields, sink),
        authors: guardrails::authors(&mut fields, sink),
        rules: rules::read(&mut fields, sink),
    })
}

fn trust_domain(node: Node<'_>, sink: &mut Sink) -> TrustDomainField {
    match domain(node, What::Field("trustDomain"), sink) {
        Some((domain, span)) => TrustDomainField::Given(domain, span),
        None => TrustDomainField::Invalid,
    }
}

/// The name of a trust domain.
pub(super) fn domain(
    node: Node<'_>,
    what: What<'_>,
    sink: &mut Sink,
) -> Option<(TrustDomain, Span)> {
    let written = text(node, what, sink)?;
    TrustDomain::parse(&written.text)
        .map_err(|error| sink.push(invalid_trust_domain(&written, &error)))
        .ok()
        .map(|domain| (domain, written.span))
}

fn invalid_trust_domain(written: &Written<'_>, error: &SpiffeIdError) -> Finding {
    let bare = written.text.strip_prefix("spiffe://");
    let bare = bare.map(|rest| rest.split('/').next().unwrap_or_default());
    let finding = |message| Finding::new(Code::InvalidTrustDomain, written.span, message);
    match bare.filter(|bare| TrustDomain::parse(bare).is_ok()) {
        Some(bare) => {
            let message = format!(
                "`{}` is not the name of a trust domain",
                Quoted(&written.text)
            );
            finding(message).label(format!("write the bare name: `{bare}`"))
        }
        None => finding(format!(
            "`{}` is not the name of a trust domain: {error}",
            Quoted(&written.text)
        )),
    }
}

fn switch(
    fields: &mut Fields<'_>,
    field: &str,
    words: &[(&str, Enforcement)],
    sink: &mut Sink,
) -> Enforcement {
    let entry = fields.take(field);
    entry
        .and_then(|entry| word(entry.value, field, words, sink))
        .unwrap_or_default()
}
