//! Cedar, sliced: for each service and caller, a set of only the policies that can
//! matter. The path is handed over in segments, so that a wildcard is one segment as
//! it is in the rules.

use std::{collections::HashMap, fmt::Write as _};

use anyhow::Context as _;
use callgate_bench_mesh::{
    Callers, Effect, Mesh, Operation, Request, Rule, Segment, Service, TRUST_DOMAIN, Verb,
};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityId, EntityTypeName, EntityUid, Policy, PolicyId,
    PolicySet, RestrictedExpression,
};

use crate::{Engine, Said};

/// Segments that a policy looks at; no pattern of the mesh is longer.
const SEGMENTS: usize = 4;

pub(crate) struct Policies(Vec<(Service, Vec<String>)>);

impl Policies {
    pub(crate) fn of(mesh: &Mesh) -> Self {
        let texts = |service: &Service| service.rules.iter().map(policy).collect();
        Self(
            mesh.services
                .iter()
                .map(|service| (service.clone(), texts(service)))
                .collect(),
        )
    }
}

/// The rule in Cedar, less its callers: slicing has seen to them.
fn policy(rule: &Rule) -> String {
    let effect = match rule.effect {
        Effect::Allow => "permit",
        Effect::Deny => "forbid",
    };
    let to: Vec<String> = rule.to.iter().map(condition).collect();
    format!(
        "{effect}(principal, action, resource) when {{ {} }};",
        to.join(" || ")
    )
}

fn condition(operation: &Operation) -> String {
    let compare = if operation.rest { ">=" } else { "==" };
    let mut text = format!("(context.n {compare} {}", operation.path.len());
    if let Some(methods) = operation.verb.methods() {
        let actions: Vec<String> = methods
            .iter()
            .map(|m| format!("action == Action::\"{m}\""))
            .collect();
        let _ = write!(text, " && ({})", actions.join(" || "));
    }
    if operation.verb == Verb::Grpc {
        text.push_str(" && context.grpc");
    }
    for (index, segment) in operation.path.iter().enumerate() {
        if let Segment::Literal(literal) = segment {
            let _ = write!(text, " && context.s{index} == \"{literal}\"");
        }
    }
    text.push(')');
    text
}

impl crate::Source for Policies {
    fn load(&self) -> anyhow::Result<Box<dyn Engine>> {
        let mut services = HashMap::new();
        for (service, texts) in &self.0 {
            services.insert(service.id.clone(), Slices::of(service, texts)?);
        }
        Ok(Box::new(Cedar {
            services,
            authorizer: Authorizer::new(),
            entities: Entities::empty(),
            types: Types::new()?,
        }))
    }
}

/// One service's policies, by caller.
#[derive(Default)]
struct Slices {
    callers: HashMap<String, PolicySet>,
    /// For callers that no rule names.
    namespaces: HashMap<String, PolicySet>,
}

impl Slices {
    fn of(service: &Service, texts: &[String]) -> anyhow::Result<Self> {
        let mut slices = Self::keyed(service);
        for (rule, text) in service.rules.iter().zip(texts) {
            let policy = Policy::parse(Some(PolicyId::new(&rule.name)), text)?;
            slices.add(rule, &policy)?;
        }
        Ok(slices)
    }

    fn keyed(service: &Service) -> Self {
        let mut slices = Self::default();
        for callers in service.rules.iter().flat_map(|rule| &rule.from) {
            match callers {
                Callers::One { namespace, account } => {
                    slices
                        .callers
                        .entry(format!("{namespace}/sa/{account}"))
                        .or_default();
                }
                Callers::Namespace(namespace) => {
                    slices.namespaces.entry(namespace.clone()).or_default();
                }
            }
        }
        slices
    }

    fn add(&mut self, rule: &Rule, policy: &Policy) -> anyhow::Result<()> {
        for (caller, set) in &mut self.callers {
            let (namespace, account) = caller.split_once("/sa/").context("caller")?;
            if rule.from.iter().any(|f| f.contains(namespace, account)) {
                set.add(policy.clone())?;
            }
        }
        for (namespace, set) in &mut self.namespaces {
            if rule.from.contains(&Callers::Namespace(namespace.clone())) {
                set.add(policy.clone())?;
            }
        }
        Ok(())
    }

    fn find(&self, caller: &str) -> Option<&PolicySet> {
        let path = caller
            .strip_prefix("spiffe://")?
            .strip_prefix(TRUST_DOMAIN)?
            .strip_prefix("/ns/")?;
        let (namespace, _) = path.split_once("/sa/")?;
        self.callers
            .get(path)
            .or_else(|| self.namespaces.get(namespace))
    }
}

/// Entity types, parsed once.
struct Types {
    caller: EntityTypeName,
    action: EntityTypeName,
    service: EntityTypeName,
}

impl Types {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            caller: "Caller".parse()?,
            action: "Action".parse()?,
            service: "Service".parse()?,
        })
    }
}

struct Cedar {
    services: HashMap<String, Slices>,
    authorizer: Authorizer,
    entities: Entities,
    types: Types,
}

impl Cedar {
    fn request(&self, request: &Request) -> anyhow::Result<cedar_policy::Request> {
        let uid = |kind: &EntityTypeName, id: &str| {
            EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
        };
        Ok(cedar_policy::Request::new(
            uid(&self.types.caller, &request.caller),
            uid(&self.types.action, request.method),
            uid(&self.types.service, &request.service),
            context(request)?,
            None,
        )?)
    }
}

fn context(request: &Request) -> anyhow::Result<Context> {
    let segments = || request.path.split('/').skip(1);
    let literals = segments().take(SEGMENTS).enumerate().map(|(index, text)| {
        (
            format!("s{index}"),
            RestrictedExpression::new_string(text.to_owned()),
        )
    });
    let n = i64::try_from(segments().count())?;
    let rest = [
        ("n".to_owned(), RestrictedExpression::new_long(n)),
        (
            "grpc".to_owned(),
            RestrictedExpression::new_bool(request.grpc),
        ),
    ];
    Ok(Context::from_pairs(literals.chain(rest))?)
}

impl Engine for Cedar {
    fn name(&self) -> &'static str {
        "cedar-policy"
    }

    fn decide(&mut self, request: &Request) -> Said {
        let Some(slices) = self.services.get(&request.service) else {
            return Said::Deny;
        };
        let Some(policies) = slices.find(&request.caller) else {
            return Said::Deny;
        };
        let Ok(wanted) = self.request(request) else {
            return Said::Nonsense;
        };
        let answer = self
            .authorizer
            .is_authorized(&wanted, policies, &self.entities);
        if answer.diagnostics().errors().next().is_some() {
            return Said::Nonsense;
        }
        match answer.decision() {
            Decision::Allow => Said::Allow,
            Decision::Deny => Said::Deny,
        }
    }
}
