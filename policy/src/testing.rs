//! Documents for tests, without YAML.

use crate::{
    Caller, CallerPattern, NoHeaders, Operation, PathOptions, PolicySet, Request, SpiffeId,
    Timestamp, TrustDomain,
    spec::{
        Callers, Enforcement, ExceptionSpec, FromSpec, MeshSpec, PolicySetSpec, RuleSpec,
        ServiceSpec, ToSpec, TrustSpec,
    },
};

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

pub(crate) fn id(text: &str) -> SpiffeId {
    let full = match text.strip_prefix('/') {
        Some(path) => format!("spiffe://example.org/{path}"),
        None => text.to_owned(),
    };
    SpiffeId::parse(&full).unwrap()
}

pub(crate) fn caller(text: &str) -> CallerPattern {
    let domain = TrustDomain::parse("example.org").unwrap();
    CallerPattern::parse(text, Some(&domain)).unwrap()
}

/// A rule named `name` at `line`, its `from` in the next line, then one line of `to` each.
pub(crate) fn rule(name: &str, line: u32, from: &[&str], to: &[&str]) -> RuleSpec {
    rule_with(PathOptions::default(), name, line, from, to)
}

pub(crate) fn rule_with(
    options: PathOptions,
    name: &str,
    line: u32,
    from: &[&str],
    to: &[&str],
) -> RuleSpec {
    let from = from.iter().map(|text| FromSpec {
        line: line + 1,
        text: (*text).to_owned(),
        callers: Callers::Pattern(caller(text)),
    });
    let to = to.iter().zip(line + 2..).map(|(text, line)| ToSpec {
        line,
        text: (*text).to_owned(),
        operation: Operation::parse(text, options).unwrap(),
    });
    RuleSpec {
        name: name.to_owned(),
        line,
        from: from.collect(),
        to: to.collect(),
        when: None,
        exception: None,
        enforcement: Enforcement::Enforce,
    }
}

impl RuleSpec {
    pub(crate) fn expires(mut self, expires: Timestamp) -> Self {
        let line = self.line + 9;
        self.exception = Some(ExceptionSpec { line, expires });
        self
    }
}

/// `orders.yaml`: the policy of `/ns/shop/sa/orders`.
pub(crate) fn orders(allow: Vec<RuleSpec>, deny: Vec<RuleSpec>) -> ServiceSpec {
    ServiceSpec {
        name: "orders".to_owned(),
        file: "orders.yaml".to_owned(),
        services: vec![id("/ns/shop/sa/orders")],
        owner: Some("team-orders".to_owned()),
        help: Some("#team-orders".to_owned()),
        enforcement: Enforcement::Enforce,
        paths: PathOptions::default(),
        keep_override_headers: false,
        allow,
        deny,
    }
}

pub(crate) fn mesh(allow: Vec<RuleSpec>, deny: Vec<RuleSpec>) -> MeshSpec {
    MeshSpec {
        name: "mesh".to_owned(),
        file: "mesh.yaml".to_owned(),
        unpolicied: Enforcement::Enforce,
        identity: Enforcement::Enforce,
        trust: TrustSpec::default(),
        allow,
        deny,
    }
}

pub(crate) fn set(mesh: Option<MeshSpec>, services: Vec<ServiceSpec>) -> PolicySet {
    PolicySet::build(PolicySetSpec { mesh, services }).unwrap()
}

/// `METHOD /target` from `from` to `to`.
pub(crate) fn request<'a>(from: &'a SpiffeId, to: &'a SpiffeId, line: &'a str) -> Request<'a> {
    let (method, path) = line.split_once(' ').unwrap();
    Request {
        caller: Caller::Verified(from),
        service: Some(to),
        method,
        path,
        upgrade: None,
        content_type: None,
        host: None,
        headers: &NoHeaders,
    }
}
