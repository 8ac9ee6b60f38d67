//! Callgate: the documents as teams write them, decided as the server does.

use callgate_bench_mesh::{Mesh, Request, Service, TRUST_DOMAIN, document};
use callgate_policy::{
    Caller, PolicySet, Reason, SpiffeId, Timestamp, TrustDomain,
    document::{LoadOptions, Source, load},
};

use crate::{Engine, Said};

/// 2026-11-22T00:00:00Z; no rule of the mesh depends on the time.
const NOW: Timestamp = Timestamp::from_secs(1_795_305_600);

pub(crate) struct Documents(Vec<Source>);

impl Documents {
    pub(crate) fn of(mesh: &Mesh) -> Self {
        let source =
            |service: &Service| Source::new(format!("{}.yaml", service.name), document(service));
        Self(mesh.services.iter().map(source).collect())
    }
}

impl crate::Source for Documents {
    fn load(&self) -> anyhow::Result<Box<dyn Engine>> {
        let options = LoadOptions {
            trust_domain: Some(TrustDomain::parse(TRUST_DOMAIN)?),
            ..LoadOptions::default()
        };
        let loaded = load(&self.0, &options)?;
        Ok(Box::new(Callgate(loaded.policies)))
    }
}

struct Callgate(PolicySet);

impl Engine for Callgate {
    fn name(&self) -> &'static str {
        "callgate"
    }

    fn decide(&mut self, request: &Request) -> Said {
        let (Ok(caller), Ok(service)) = (
            SpiffeId::parse(&request.caller),
            SpiffeId::parse(&request.service),
        ) else {
            return Said::Nonsense;
        };
        let decision = self.0.decide(
            &callgate_policy::Request {
                caller: Caller::Verified(&caller),
                service: Some(&service),
                method: request.method,
                path: &request.path,
                upgrade: None,
                content_type: request.grpc.then_some("application/grpc"),
                host: None,
                headers: &callgate_policy::NoHeaders,
            },
            NOW,
        );
        match decision.reason {
            Reason::Allow if decision.permit().is_some() => Said::Allow,
            Reason::DenyRule => Said::DenyRule,
            Reason::NoRule => Said::NoRule,
            _ => Said::Nonsense,
        }
    }
}
