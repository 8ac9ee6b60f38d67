//! From raw documents to what [`PolicySet::build`](crate::PolicySet::build) takes:
//! what documents say to each other.
//!
//! Here a relative identity finds its trust domain, a name its group, and a service the
//! one document that decides about it.

mod callers;
mod domain;
mod guardrails;
mod revocations;
mod rules;
mod tests;
mod trust;
mod unique;

use std::collections::HashMap;

use super::{
    Code, Counts, LoadOptions, Source,
    finding::{Finding, Sink},
    policy_test::PolicyTest,
    raw::{Documents, Mesh, Service},
    revocation::Revocation,
    source::Span,
};
use guardrails::{Guard, Side};

use crate::{
    CallerPattern, SpiffeId, Timestamp, TrustDomain,
    spec::{MeshSpec, PolicySetSpec, ServiceSpec, TrustSpec},
};

/// Compiles `documents`. What comes out is whole only if nothing was found.
pub(super) fn compile(
    documents: &Documents<'_>,
    sources: &[Source],
    options: &LoadOptions,
    sink: &mut Sink,
) -> Compiled {
    unique::check(documents, sink);
    forbid_shadow(documents, sink);
    let trust_domain = domain::choose(documents, options, sink);
    let mesh = documents.meshes.first();
    let mut compiler = Compiler::new(documents, sources, trust_domain.as_ref(), options, sink);
    for group in &documents.groups {
        compiler.group(group);
    }
    // First, because it says what the other documents are held to.
    let trust = mesh.map(|one| compiler.trust(one));
    if let Some(mesh) = mesh {
        compiler.guard = compiler.guard(mesh, trust.as_ref());
    }
    let spec = PolicySetSpec {
        mesh: mesh.map(|one| compiler.mesh(one, trust.unwrap_or_default())),
        services: documents
            .services
            .iter()
            .map(|one| compiler.service(one))
            .collect(),
    };
    // What comes of them is loaded apart; here they are only looked through.
    for one in &documents.revocations {
        compiler.revocation(one);
    }
    compiler.report_relative(documents);
    Compiled {
        counts: counts(documents, &spec),
        spec,
        trust_domain,
    }
}

/// The revocations of `documents`, but for those that something is wrong with.
pub(super) fn revocations(
    documents: &Documents<'_>,
    sources: &[Source],
    options: &LoadOptions,
    sink: &mut Sink,
) -> Vec<Revocation> {
    let mut compiler = Compiler::new(documents, sources, None, options, sink);
    let revocations = documents.revocations.iter();
    revocations
        .filter_map(|one| compiler.revocation(one))
        .collect()
}

/// The tests of `documents`. What comes out is whole only if nothing was found.
pub(super) fn tests(
    documents: &Documents<'_>,
    sources: &[Source],
    options: &LoadOptions,
    sink: &mut Sink,
) -> Vec<PolicyTest> {
    unique::check(documents, sink);
    let domain = options.trust_domain.as_ref();
    let mut compiler = Compiler::new(documents, sources, domain, options, sink);
    let tests = documents.tests.iter();
    let tests = tests.filter_map(|one| compiler.test(one)).collect();
    compiler.report_relative(documents);
    tests
}

/// What documents come to.
pub(super) struct Compiled {
    pub(super) spec: PolicySetSpec,
    pub(super) counts: Counts,
    pub(super) trust_domain: Option<TrustDomain>,
}

/// What is known while documents are compiled one after the other.
struct Compiler<'a, 'k> {
    sources: &'a [Source],
    now: Timestamp,
    guard: Guard<'a>,
    /// What relative identities belong to.
    domain: Option<&'a TrustDomain>,
    /// Members by the name of their group.
    groups: HashMap<&'a str, Vec<CallerPattern>>,
    /// Where each service was named first.
    services: HashMap<SpiffeId, Span>,
    /// Relative identities for which there is no trust domain.
    relative: Vec<Span>,
    /// What is left of [`Limits::members`](super::Limits).
    members_left: usize,
    /// Whether what cannot be found is really missing.
    whole: bool,
    sink: &'k mut Sink,
}

impl<'a, 'k> Compiler<'a, 'k> {
    fn new(
        documents: &Documents<'_>,
        sources: &'a [Source],
        domain: Option<&'a TrustDomain>,
        options: &LoadOptions,
        sink: &'k mut Sink,
    ) -> Self {
        Self {
            sources,
            now: options.now,
            guard: Guard::default(),
            domain,
            groups: HashMap::new(),
            services: HashMap::new(),
            relative: Vec::new(),
            members_left: options.limits.members,
            whole: documents.whole,
            sink,
        }
    }

    fn service(&mut self, service: &'a Service<'a>) -> ServiceSpec {
        let namespace = service.namespace.as_ref();
        let callees = service.services.iter().filter_map(|one| {
            let id = self.callee(one)?;
            self.guard_author(one, namespace, &id);
            Some(id)
        });
        let services = callees.collect();
        ServiceSpec {
            name: service
                .name
                .as_ref()
                .map_or_else(String::new, |name| name.text.to_string()),
            file: self.file(service.span),
            services,
            owner: service.owner.clone(),
            help: service.help.clone(),
            enforcement: service.enforcement,
            paths: service.paths,
            keep_override_headers: service.keep_override_headers,
            allow: self.rules(&service.rules.allow, service.paths, Side::ServiceAllow),
            deny: self.rules(&service.rules.deny, service.paths, Side::Deny),
        }
    }

    fn mesh(&mut self, mesh: &'a Mesh<'a>, trust: TrustSpec) -> MeshSpec {
        // Rules of the mesh hold for services of any path options, so nothing is kept.
        let paths = crate::PathOptions::default();
        MeshSpec {
            name: mesh
                .name
                .as_ref()
                .map_or_else(String::new, |name| name.text.to_string()),
            file: self.file(mesh.span),
            unpolicied: mesh.unpolicied,
            identity: mesh.identity,
            trust,
            allow: self.rules(&mesh.rules.allow, paths, Side::MeshAllow),
            deny: self.rules(&mesh.rules.deny, paths, Side::Deny),
        }
    }

    fn file(&self, span: Span) -> String {
        self.sources
            .get(span.file as usize)
            .map_or_else(String::new, |one| one.name().to_owned())
    }

    fn line(&self, span: Span) -> u32 {
        self.sources
            .get(span.file as usize)
            .map_or(0, |one| one.line_at(span.start))
    }
}

fn forbid_shadow(documents: &Documents<'_>, sink: &mut Sink) {
    let Some(forbidden) = documents
        .meshes
        .iter()
        .find_map(|mesh| mesh.guardrails.forbids_shadow)
    else {
        return;
    };
    for shadow in documents
        .services
        .iter()
        .filter_map(|service| service.shadow)
    {
        let finding = Finding::new(Code::ShadowForbidden, shadow, "the mesh forbids Shadow");
        sink.push(
            finding
                .label("this document would let pass what it refuses")
                .related(forbidden, "forbidden here"),
        );
    }
}

fn counts(documents: &Documents<'_>, spec: &PolicySetSpec) -> Counts {
    let services = spec.services.iter();
    let of_services = services
        .map(|one| one.allow.len() + one.deny.len())
        .sum::<usize>();
    let of_mesh = spec
        .mesh
        .as_ref()
        .map_or(0, |one| one.allow.len() + one.deny.len());
    Counts {
        documents: documents.count,
        services: spec.services.iter().map(|one| one.services.len()).sum(),
        rules: of_services + of_mesh,
        groups: documents.groups.len(),
    }
}
