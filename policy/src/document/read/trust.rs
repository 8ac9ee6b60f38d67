//! Whom the mesh believes: the lists of a `MeshPolicy` about identities.

use super::{
    super::{
        finding::Sink,
        raw::{Alias, Forwarder, Gateway, Written},
        source::Span,
    },
    Fields, Shape, What, mesh, text,
    values::{list, texts},
};
use crate::TrustDomain;

pub(super) const ALIAS: Shape = Shape {
    name: "an alias",
    known: &["trustDomain", "as", "paths"],
    required: &["trustDomain", "as", "paths"],
};

pub(super) const GATEWAY: Shape = Shape {
    name: "a gateway",
    known: &["id", "forServices"],
    required: &["id", "forServices"],
};

pub(super) const FORWARDER: Shape = Shape {
    name: "a forwarder",
    known: &["id", "mayAssert", "forServices"],
    required: &["id", "mayAssert", "forServices"],
};

/// `spec.acceptedTrustDomains`.
pub(super) fn accepted(
    fields: &mut Fields<'_>,
    sink: &mut Sink,
) -> Option<(Vec<TrustDomain>, Span)> {
    const FIELD: &str = "acceptedTrustDomains";
    let entry = fields.take(FIELD)?;
    let items = list(entry.value, FIELD, sink).into_iter();
    let domains = items.filter_map(|item| mesh::domain(item, What::Entry(FIELD), sink));
    let domains = domains.map(|(domain, _)| domain).collect();
    Some((domains, entry.key_span))
}

/// `spec.aliases`.
pub(super) fn aliases<'s>(fields: &mut Fields<'s>, sink: &mut Sink) -> Vec<Alias<'s>> {
    let entries = entries(fields, "aliases", &ALIAS, sink).into_iter();
    entries
        .map(|mut entry| Alias {
            span: entry.start(),
            trust_domain: domain(&mut entry, "trustDomain", sink),
            other: domain(&mut entry, "as", sink),
            paths: several(&mut entry, "paths", sink),
        })
        .collect()
}

/// `spec.gateways`.
pub(super) fn gateways<'s>(fields: &mut Fields<'s>, sink: &mut Sink) -> Vec<Gateway<'s>> {
    let entries = entries(fields, "gateways", &GATEWAY, sink).into_iter();
    entries
        .map(|mut entry| Gateway {
            id: one(&mut entry, "id", sink),
            for_services: several(&mut entry, "forServices", sink),
        })
        .collect()
}

/// `spec.forwarders`.
pub(super) fn forwarders<'s>(fields: &mut Fields<'s>, sink: &mut Sink) -> Vec<Forwarder<'s>> {
    let entries = entries(fields, "forwarders", &FORWARDER, sink).into_iter();
    entries
        .map(|mut entry| Forwarder {
            id: one(&mut entry, "id", sink),
            may_assert: several(&mut entry, "mayAssert", sink),
            for_services: several(&mut entry, "forServices", sink),
        })
        .collect()
}

/// The mappings of a list.
pub(super) fn entries<'s>(
    fields: &mut Fields<'s>,
    field: &str,
    shape: &'static Shape,
    sink: &mut Sink,
) -> Vec<Fields<'s>> {
    let entry = fields.take(field);
    let items = entry.map_or_else(Vec::new, |entry| list(entry.value, field, sink));
    let items = items.into_iter();
    items
        .filter_map(|item| Fields::open(item, What::Entry(field), shape, sink))
        .collect()
}

/// A list of texts.
pub(super) fn several<'s>(
    fields: &mut Fields<'s>,
    field: &str,
    sink: &mut Sink,
) -> Vec<Written<'s>> {
    let entry = fields.take(field);
    entry.map_or_else(Vec::new, |entry| texts(entry.value, field, sink))
}

fn one<'s>(fields: &mut Fields<'s>, field: &str, sink: &mut Sink) -> Option<Written<'s>> {
    let entry = fields.take(field)?;
    text(entry.value, What::Field(field), sink)
}

fn domain(fields: &mut Fields<'_>, field: &str, sink: &mut Sink) -> Option<(TrustDomain, Span)> {
    let entry = fields.take(field)?;
    mesh::domain(entry.value, What::Field(field), sink)
}
