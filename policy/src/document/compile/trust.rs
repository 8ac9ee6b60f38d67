//! Whom the mesh believes.

use std::collections::{HashMap, HashSet};

use super::{
    super::{
        finding::{Finding, Quoted},
        raw::{Alias, Mesh, Written},
        source::Span,
    },
    Code, Compiler,
};
use crate::{
    CallerPattern, SpiffeId, TrustDomain,
    spec::{AliasSpec, ForwarderSpec, GatewaySpec, TrustSpec},
};

/// Entries of one list by whom they are about.
type Seen = HashMap<SpiffeId, Span>;

impl<'a> Compiler<'a, '_> {
    pub(super) fn trust(&mut self, mesh: &'a Mesh<'a>) -> TrustSpec {
        let accepted = mesh.accepted.as_ref().map(|(domains, _)| {
            let own = self.domain.into_iter();
            own.chain(domains).cloned().collect::<Vec<_>>()
        });
        TrustSpec {
            accepted,
            aliases: self.aliases(&mesh.aliases),
            gateways: self.gateways(mesh),
            forwarders: self.forwarders(mesh),
        }
    }

    fn gateways(&mut self, mesh: &'a Mesh<'a>) -> Vec<GatewaySpec> {
        let (mut seen, mut gateways) = (Seen::new(), Vec::new());
        for gateway in &mesh.gateways {
            let for_services = self.identities(&gateway.for_services);
            let id = self.proxy(gateway.id.as_ref(), "gateway", &mut seen);
            gateways.extend(id.map(|id| GatewaySpec { id, for_services }));
        }
        gateways
    }

    fn forwarders(&mut self, mesh: &'a Mesh<'a>) -> Vec<ForwarderSpec> {
        let (mut seen, mut forwarders) = (Seen::new(), Vec::new());
        for forwarder in &mesh.forwarders {
            let may_assert = self.identities(&forwarder.may_assert);
            let for_services = self.identities(&forwarder.for_services);
            let id = self.proxy(forwarder.id.as_ref(), "forwarder", &mut seen);
            forwarders.extend(id.map(|id| ForwarderSpec {
                id,
                may_assert,
                for_services,
            }));
        }
        forwarders
    }

    /// The one proxy that an entry is about, of what is called a `noun`.
    fn proxy(
        &mut self,
        written: Option<&'a Written<'a>>,
        noun: &str,
        seen: &mut Seen,
    ) -> Option<SpiffeId> {
        let written = written?;
        let why = "name each one: what is granted here is granted to that proxy alone";
        let id = self.exact(written, noun, why)?;
        let first = *seen.entry(id.clone()).or_insert(written.span);
        if first != written.span {
            let message = format!("a second {noun} `{id}`");
            self.duplicate(written.span, first, message);
        }
        Some(id)
    }

    fn aliases(&mut self, aliases: &'a [Alias<'a>]) -> Vec<AliasSpec> {
        let mut seen: HashMap<(&TrustDomain, &TrustDomain), Span> = HashMap::new();
        let mut specs = Vec::new();
        for alias in aliases {
            let (Some((domain, _)), Some((other, at))) = (&alias.trust_domain, &alias.other) else {
                continue;
            };
            if domain == other {
                let message = format!("a caller of `{domain}` has that name already");
                self.sink
                    .push(Finding::new(Code::AliasOfItself, *at, message));
            }
            let first = *seen.entry((domain, other)).or_insert(alias.span);
            if first != alias.span {
                let message = format!("a second alias of `{domain}` in `{other}`");
                self.duplicate(alias.span, first, message);
            }
            let paths = alias.paths.iter();
            specs.push(AliasSpec {
                other: other.clone(),
                callers: paths.filter_map(|one| self.path(one, domain)).collect(),
            });
        }
        specs
    }

    /// Callers of `domain`, by their paths.
    fn path(&mut self, written: &'a Written<'a>, domain: &TrustDomain) -> Option<CallerPattern> {
        if !written.text.starts_with('/') {
            let message = format!("`{}` is not a path of identities", Quoted(&written.text));
            let finding = Finding::new(Code::InvalidCaller, written.span, message);
            self.sink
                .push(finding.help("a path begins with `/`, as in `/ns/shop/**`"));
            return None;
        }
        self.plain(written, Some(domain))
    }

    fn duplicate(&mut self, at: Span, first: Span, message: String) {
        let finding = Finding::new(Code::DuplicateEntry, at, message);
        let finding = finding.label("again here").related(first, "first here");
        self.sink.push(finding.help("put both into one entry"));
    }
}

/// Names of domains, each once.
pub(super) fn named(domains: &[TrustDomain]) -> String {
    let mut seen = HashSet::new();
    let distinct = domains.iter().filter(|one| seen.insert(*one));
    let quoted: Vec<String> = distinct.map(|one| format!("`{one}`")).collect();
    quoted.join(", ")
}
