//! Callgate: the documents as teams write them, decided as the server does.

use std::collections::BTreeMap;

use callgate_bench_mesh::{Mesh, Request, Service, TRUST_DOMAIN, document};
use callgate_policy::{
    Caller, PolicySet, Reason, SpiffeId, Timestamp, TrustDomain,
    document::{LoadOptions, Source, load},
};

use crate::{Engine, Said};

/// 2026-11-22T00:00:00Z; no rule of the mesh depends on the time.
const NOW: Timestamp = Timestamp::from_secs(1_795_305_600);

/// A condition as rules have it: a header, a parameter, a time. It holds.
const WHEN: &str = "request.headers[\"x-purpose\"] in [\"reporting\", \"billing\"] && request.query[\"draft\"] == \"\" && request.time < timestamp(\"2099-01-01T00:00:00Z\")";

pub(crate) struct Documents {
    name: &'static str,
    sources: Vec<Source>,
}

impl Documents {
    pub(crate) fn of(mesh: &Mesh) -> Self {
        let source =
            |service: &Service| Source::new(format!("{}.yaml", service.name), document(service));
        Self {
            name: crate::CALLGATE,
            sources: mesh.services.iter().map(source).collect(),
        }
    }

    /// The same rules, each under a condition that holds.
    pub(crate) fn with_conditions(mesh: &Mesh) -> Self {
        let source = |service: &Service| {
            let rule = format!("      when: '{WHEN}'\n      from:");
            let text = document(service).replace("      from:", &rule);
            Source::new(format!("{}.yaml", service.name), text)
        };
        Self {
            name: crate::CONDITIONAL,
            sources: mesh.services.iter().map(source).collect(),
        }
    }
}

impl crate::Source for Documents {
    fn load(&self) -> anyhow::Result<Box<dyn Engine>> {
        let options = LoadOptions {
            trust_domain: Some(TrustDomain::parse(TRUST_DOMAIN)?),
            ..LoadOptions::default()
        };
        let loaded = load(&self.sources, &options)?;
        let headers = [
            ("accept", "*/*"),
            ("user-agent", "bench"),
            ("x-purpose", "reporting"),
        ];
        Ok(Box::new(Callgate {
            name: self.name,
            policies: loaded.policies,
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        }))
    }
}

struct Callgate {
    name: &'static str,
    policies: PolicySet,
    headers: BTreeMap<String, String>,
}

impl Engine for Callgate {
    fn name(&self) -> &'static str {
        self.name
    }

    fn decide(&mut self, request: &Request) -> Said {
        let (Ok(caller), Ok(service)) = (
            SpiffeId::parse(&request.caller),
            SpiffeId::parse(&request.service),
        ) else {
            return Said::Nonsense;
        };
        let decision = self.policies.decide(
            &callgate_policy::Request {
                caller: Caller::Verified(&caller),
                service: Some(&service),
                method: request.method,
                path: &request.path,
                upgrade: None,
                content_type: request.grpc.then_some("application/grpc"),
                host: None,
                headers: &self.headers,
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
