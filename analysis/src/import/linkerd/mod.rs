//! Linkerd's policies: a `Server` is a port of some pods, and authorizations let callers in to
//! it, or to the routes of it.
//!
//! Nothing there denies. What a rule here cannot say is the order of routes, where the most
//! specific one decides alone, and that two ports of a service have different callers.

mod authorizations;
mod identities;
mod routes;
mod servers;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Options,
    document::{Node, Span},
    draft::{Action, Draft, Rule, Target},
    formula::{Case, Formula},
    grouping::joined,
    kubernetes::{Account, Object, Workloads, objects, pass_over},
    report::{Finding, Kind, Report},
    shape::{Shape, distinct, meet},
};
use authorizations::{Authorization, Scope};
use routes::Route;
use servers::Server;

/// What the documents do not say themselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mesh<'a> {
    pub(super) options: &'a Options,
    /// Of objects that do not name theirs.
    pub(super) namespace: Option<&'a str>,
}

const POLICY: &str = "policy.linkerd.io";
const GATEWAY: &str = "gateway.networking.k8s.io";

const READ: [(&str, &str); 8] = [
    (POLICY, "Server"),
    (POLICY, "ServerAuthorization"),
    (POLICY, "AuthorizationPolicy"),
    (POLICY, "MeshTLSAuthentication"),
    (POLICY, "NetworkAuthentication"),
    (POLICY, "HTTPRoute"),
    (GATEWAY, "HTTPRoute"),
    (GATEWAY, "GRPCRoute"),
];

/// Reads every policy of `documents`; false if there is none.
pub(super) fn read(
    documents: &[Node],
    mesh: Mesh<'_>,
    draft: &mut Draft,
    report: &mut Report,
) -> bool {
    let objects = objects(documents, mesh.namespace, report);
    let is_read = |object: &Object<'_>| READ.contains(&(object.group, object.kind));
    pass_over(&objects, is_read, report);
    let workloads = Workloads::of(&objects);
    let servers = servers::read(&objects, &workloads, report);
    let routes = routes::read(&objects, report);
    let found = objects.iter().any(is_read);
    let mut import = Import {
        mesh,
        routes,
        authorizations: authorizations::read(&objects, mesh.options, report),
        draft,
        report,
    };
    import.check_targets(&servers);
    for server in import.of_one_port(&servers) {
        import.server(server);
    }
    import.check_open(&workloads, &servers);
    found
}

struct Import<'a, 'd> {
    mesh: Mesh<'a>,
    routes: Vec<Route<'a>>,
    authorizations: Vec<Authorization<'a>>,
    draft: &'d mut Draft,
    report: &'d mut Report,
}

/// Who may call, as far as it can be said.
type Callers = Vec<Shape>;

impl<'a> Import<'a, '_> {
    /// The servers whose services have no other one: a service here has no ports.
    fn of_one_port<'s, 'n>(&mut self, servers: &'s [Server<'n>]) -> Vec<&'s Server<'n>> {
        let mut by_account: BTreeMap<&Account, Vec<&Server<'_>>> = BTreeMap::new();
        for server in servers {
            for account in &server.accounts {
                by_account.entry(account).or_default().push(server);
            }
        }
        let untold: BTreeSet<&str> = servers
            .iter()
            .filter(|server| server.is_untold)
            .map(|server| server.namespace)
            .collect();
        let among_untold = servers
            .iter()
            .filter(|server| untold.contains(server.namespace));
        let shared: BTreeSet<Span> = by_account
            .values()
            .filter(|servers| servers.len() > 1)
            .flat_map(|servers| servers.iter().map(|server| server.at))
            .chain(among_untold.map(|server| server.at))
            .collect();
        for server in servers.iter().filter(|server| shared.contains(&server.at)) {
            let message = format!(
                "`{}` is, or may be, one of several ports of a service",
                server.name
            );
            let finding = Finding::new(Kind::Port, server.at, message);
            let instead = "give what listens on each port an identity of its own; or write one policy for all of them";
            self.left_out(finding.instead(instead), server);
        }
        servers
            .iter()
            .filter(|server| !shared.contains(&server.at))
            .collect()
    }

    /// Authorizations of servers that are not here would be lost without a word.
    fn check_targets(&mut self, servers: &[Server<'_>]) {
        for authorization in &self.authorizations {
            let is_there = match &authorization.scope {
                Scope::Namespace(_) => true,
                Scope::Route(kind, key) => self
                    .routes
                    .iter()
                    .any(|route| route.kind == *kind && route.key == *key),
                _ => servers.iter().any(|server| authorization.is_for(server)),
            };
            if !is_there {
                let message = format!(
                    "what `{}` is for is not among the documents",
                    authorization.name
                );
                let finding = Finding::new(Kind::Target, authorization.at, message);
                let finding =
                    finding.effect("left out: the calls that only this let in are refused");
                self.report
                    .push(finding.instead("import the servers and routes with it"));
            }
        }
    }

    fn left_out(&mut self, finding: Finding, server: &Server<'_>) {
        let target = self.target(server);
        self.draft.declare(&target);
        self.draft.gap(finding, Action::Allow, &target, self.report);
    }

    fn target(&self, server: &Server<'_>) -> Target {
        let domain = self.mesh.options.trust_domain.as_ref();
        let domain = domain.map_or(identities::DEFAULT, |domain| domain.as_str());
        let id = |(namespace, account): &Account| {
            format!("spiffe://{domain}/ns/{namespace}/sa/{account}")
        };
        Target::Services(server.accounts.iter().map(id).collect())
    }

    /// Everything that lets callers in to one server.
    fn server(&mut self, server: &Server<'_>) {
        let target = self.target(server);
        self.draft.declare(&target);
        let own: Vec<Authorization<'a>> = self
            .authorizations
            .iter()
            .filter(|authorization| authorization.is_for(server))
            .cloned()
            .collect();
        let routes: Vec<Route<'a>> = self
            .routes
            .iter()
            .filter(|route| route.servers.contains(&server.key()))
            .cloned()
            .collect();
        let kinds: BTreeSet<&str> = routes.iter().map(|route| route.kind).collect();
        if kinds.len() > 1 {
            let message = format!(
                "`{}` has routes for HTTP and for gRPC: its protocol says which of them count",
                server.name
            );
            let finding = Finding::new(Kind::Precedence, server.at, message);
            self.left_out(finding.instead("keep the routes of one kind"), server);
        } else if routes.is_empty() {
            for authorization in &own {
                self.add(authorization, &Formula::always(), &target);
            }
        } else {
            self.routed(&own, &routes, &target);
        }
    }

    /// A server with routes: a request is for the most specific one that it fits, and only
    /// who may call that one, or the server, is let in.
    fn routed(&mut self, own: &[Authorization<'a>], routes: &[Route<'a>], target: &Target) {
        let mut matches = Vec::new();
        for route in routes {
            let scope = Scope::Route(route.kind, route.key);
            let of_route = self.authorizations.iter().filter(|one| one.scope == scope);
            let all: Vec<Authorization<'a>> = of_route.chain(own).cloned().collect();
            let callers = self.callers(&all, target);
            for one in &route.matches {
                let (cases, gaps) = one.formula.cases(one.at);
                for gap in gaps {
                    self.draft.gap(gap, Action::Allow, target, self.report);
                }
                matches.push((one, cases, callers.clone(), route));
            }
        }
        for (one, cases, callers, route) in &matches {
            let mut kept = callers.clone();
            for (other, others, those, _) in &matches {
                let before = other.precedes(one) && overlap(cases, others);
                // What could not be said of the other may overlap anything.
                let unknown = others.is_empty() && other.precedes(one);
                if before || unknown {
                    kept = meet(&kept, those);
                }
            }
            if kept != *callers {
                let message = format!(
                    "a more specific route takes calls of `{}` from some of its callers",
                    route.key.1
                );
                let finding = Finding::new(Kind::Precedence, one.at, message);
                let instead = "authorize them for the more specific route too, or give each route paths of its own";
                self.draft
                    .gap(finding.instead(instead), Action::Allow, target, self.report);
            }
            self.rule(route, one.at, &kept, cases, target);
        }
    }

    /// Who may call by some of `authorizations`; what cannot be said is reported.
    fn callers(&mut self, authorizations: &[Authorization<'_>], target: &Target) -> Callers {
        let mut callers = Vec::new();
        for authorization in authorizations {
            let (cases, gaps) = authorization.who.cases(authorization.at);
            for gap in gaps {
                self.draft.gap(gap, Action::Allow, target, self.report);
            }
            for case in cases {
                match case.callers {
                    Some(shapes) => callers.extend(shapes),
                    None => self.anybody(authorization, target),
                }
            }
        }
        distinct(callers)
    }

    fn anybody(&mut self, authorization: &Authorization<'_>, target: &Target) {
        let message = format!("`{}` lets in everybody, whoever it is", authorization.name);
        let finding = Finding::new(Kind::AnyCaller, authorization.at, message);
        let instead =
            "name the callers; every verified identity of the mesh would be `from: [/**]`";
        self.draft
            .gap(finding.instead(instead), Action::Allow, target, self.report);
    }

    fn rule(
        &mut self,
        route: &Route<'_>,
        at: Span,
        callers: &[Shape],
        cases: &[Case],
        target: &Target,
    ) {
        if callers.is_empty() {
            return;
        }
        let to = joined(cases.iter().flat_map(super::grouping::calls).collect());
        if to.is_empty() {
            return;
        }
        let rule = Rule {
            name: route.key.1.to_owned(),
            at,
            from: Some(callers.to_vec()),
            to,
            when: None,
        };
        self.draft.add(target, Action::Allow, vec![rule]);
    }

    /// An authorization for all of a server.
    fn add(&mut self, authorization: &Authorization<'_>, calls: &Formula, target: &Target) {
        let callers = self.callers(std::slice::from_ref(authorization), target);
        let (cases, _) = calls.cases(authorization.at);
        if !callers.is_empty() {
            let rule = Rule {
                name: authorization.name.to_owned(),
                at: authorization.at,
                from: Some(callers),
                to: joined(cases.iter().flat_map(super::grouping::calls).collect()),
                when: None,
            };
            self.draft.add(target, Action::Allow, vec![rule]);
        }
    }

    /// Ports without a server are open by default.
    fn check_open(&mut self, workloads: &Workloads, servers: &[Server<'_>]) {
        for (account, at) in workloads.accounts() {
            if servers
                .iter()
                .any(|server| server.accounts.contains(&account))
            {
                continue;
            }
            let (namespace, name) = &account;
            let message = format!(
                "no `Server` selects what runs as `{namespace}/{name}`: the mesh's default decides, which is to let everybody in"
            );
            self.report.push(Finding::open(at, message));
        }
    }
}

/// Whether some call fits one of both.
fn overlap(these: &[Case], those: &[Case]) -> bool {
    let calls = |cases: &[Case]| {
        cases
            .iter()
            .flat_map(super::grouping::calls)
            .collect::<Vec<_>>()
    };
    let those = calls(those);
    calls(these)
        .iter()
        .any(|call| those.iter().any(|other| call.meets(other)))
}
