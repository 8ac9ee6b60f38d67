//! Authorizations: who may call a server, a route, or what is in a namespace.

use std::collections::BTreeMap;

use crate::import::{
    Options,
    document::{Node, Span},
    fields::{Fields, Keys},
    formula::{Atom, Formula},
    kubernetes::{Object, match_labels},
    report::{Finding, Kind, Report},
};

use super::{GATEWAY, POLICY, identities, servers::Server};

/// Who may call what.
#[derive(Clone, Debug)]
pub(super) struct Authorization<'n> {
    pub(super) name: &'n str,
    pub(super) at: Span,
    pub(super) scope: Scope<'n>,
    pub(super) who: Formula,
}

/// What an authorization is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope<'n> {
    /// A server, by namespace and name.
    Server((&'n str, &'n str)),
    /// The servers of a namespace with these labels.
    Servers(&'n str, BTreeMap<String, String>),
    /// A route, by its kind, namespace and name.
    Route(&'n str, (&'n str, &'n str)),
    /// Every server of a namespace.
    Namespace(&'n str),
}

impl Authorization<'_> {
    /// Whether it is for all of `server`.
    pub(super) fn is_for(&self, server: &Server<'_>) -> bool {
        match &self.scope {
            Scope::Server(key) => *key == server.key(),
            Scope::Servers(namespace, labels) => {
                let has = |(key, value): (&String, &String)| server.labels.get(key) == Some(value);
                *namespace == server.namespace && labels.iter().all(has)
            }
            Scope::Namespace(namespace) => *namespace == server.namespace,
            Scope::Route(..) => false,
        }
    }
}

/// Every authorization among `objects`.
pub(super) fn read<'n>(
    objects: &[Object<'n>],
    options: &Options,
    report: &mut Report,
) -> Vec<Authorization<'n>> {
    let mut reader = Reader {
        objects,
        options,
        report,
    };
    let mut found = Vec::new();
    for object in objects.iter().filter(|object| object.group == POLICY) {
        let scope_and_who = match object.kind {
            "AuthorizationPolicy" => reader.policy(object),
            "ServerAuthorization" => reader.server_authorization(object),
            _ => continue,
        };
        found.extend(scope_and_who.map(|(scope, who)| Authorization {
            name: object.name,
            at: object.at,
            scope,
            who,
        }));
    }
    found
}

struct Reader<'r, 'n> {
    objects: &'r [Object<'n>],
    options: &'r Options,
    report: &'r mut Report,
}

const REFERENCE: [&str; 4] = ["group", "kind", "name", "namespace"];

impl<'n> Reader<'_, 'n> {
    fn fields(
        &mut self,
        node: Option<&'n Node>,
        what: &str,
        known: &[&str],
        at: Span,
    ) -> Option<Fields<'n>> {
        let Some(node) = node else {
            self.report.push(Finding::new(
                Kind::Unreadable,
                at,
                format!("{what} is missing"),
            ));
            return None;
        };
        Fields::open(node, what, Keys::Exact, known, self.report)
    }

    fn policy(&mut self, object: &Object<'n>) -> Option<(Scope<'n>, Formula)> {
        let known = ["targetRef", "requiredAuthenticationRefs"];
        let spec = self.fields(object.node.field("spec"), "`spec`", &known, object.at)?;
        let target = self.fields(spec.get("targetRef"), "`targetRef`", &REFERENCE, object.at)?;
        let kind = target
            .word("kind", self.report)
            .map_or("", |word| word.text);
        let name = target
            .word("name", self.report)
            .map_or("", |word| word.text);
        let scope = match kind {
            "Server" => Scope::Server((object.namespace, name)),
            "HTTPRoute" | "GRPCRoute" => Scope::Route(kind, (object.namespace, name)),
            "Namespace" => Scope::Namespace(name),
            other => {
                let message = format!("`targetRef` is for a `{other}`");
                self.report
                    .push(Finding::new(Kind::Unreadable, target.span(), message));
                return None;
            }
        };
        let required = spec.list("requiredAuthenticationRefs", self.report);
        let all = required
            .iter()
            .map(|node| self.authentication(node, object));
        Some((scope, Formula::All(all.collect())))
    }

    /// One of `requiredAuthenticationRefs`, which have to hold together.
    fn authentication(&mut self, node: &'n Node, object: &Object<'n>) -> Formula {
        let fields = self.fields(
            Some(node),
            "a required authentication",
            &REFERENCE,
            object.at,
        );
        let Some(fields) = fields else {
            return identities::UNREAD;
        };
        let word = |reader: &mut Self, name| fields.word(name, reader.report).map(|word| word.text);
        let (kind, name) = (
            word(self, "kind").unwrap_or_default(),
            word(self, "name").unwrap_or_default(),
        );
        let namespace = word(self, "namespace").unwrap_or(object.namespace);
        match kind {
            "ServiceAccount" => identities::account(namespace, name, node.span, self.options),
            "MeshTLSAuthentication" | "NetworkAuthentication" => {
                let found = self.objects.iter().find(|other| {
                    (other.group, other.kind) == (POLICY, kind)
                        && (other.namespace, other.name) == (namespace, name)
                });
                match found {
                    Some(found) if kind == "MeshTLSAuthentication" => self.mesh_tls(found),
                    Some(_) => networks(node.span),
                    None => {
                        let message = format!(
                            "`{name}` in the namespace `{namespace}` is not among the documents"
                        );
                        let finding = Finding::new(Kind::Target, node.span, message);
                        Formula::gap(finding.instead("import it with the policy"))
                    }
                }
            }
            other => {
                let message = format!("`{other}` is no authentication");
                self.report
                    .push(Finding::new(Kind::Unreadable, node.span, message));
                identities::UNREAD
            }
        }
    }

    fn mesh_tls(&mut self, object: &Object<'n>) -> Formula {
        let known = ["identities", "identityRefs"];
        let Some(spec) = self.fields(object.node.field("spec"), "`spec`", &known, object.at) else {
            return identities::UNREAD;
        };
        let words = spec.words("identities", self.report);
        let mut some: Vec<Formula> = words
            .iter()
            .map(|word| identities::name(*word, self.options))
            .collect();
        for node in spec.list("identityRefs", self.report) {
            let Some(fields) =
                self.fields(Some(node), "an identity reference", &REFERENCE, object.at)
            else {
                continue;
            };
            let word =
                |reader: &mut Self, name| fields.word(name, reader.report).map(|word| word.text);
            let name = word(self, "name").unwrap_or_default();
            let namespace = word(self, "namespace").unwrap_or(object.namespace);
            some.push(match word(self, "kind") {
                Some("ServiceAccount") => {
                    identities::account(namespace, name, node.span, self.options)
                }
                Some("Namespace") => identities::namespace(name, node.span, self.options),
                _ => {
                    let message =
                        "an identity reference is for a `ServiceAccount` or a `Namespace`";
                    self.report
                        .push(Finding::new(Kind::Unreadable, node.span, message));
                    identities::UNREAD
                }
            });
        }
        if some.is_empty() {
            let message = "`identities` and `identityRefs` are missing";
            self.report
                .push(Finding::new(Kind::Unreadable, object.at, message));
        }
        Formula::any(some)
    }

    fn server_authorization(&mut self, object: &Object<'n>) -> Option<(Scope<'n>, Formula)> {
        let spec = self.fields(
            object.node.field("spec"),
            "`spec`",
            &["server", "client"],
            object.at,
        )?;
        let server = self.fields(
            spec.get("server"),
            "`server`",
            &["name", "selector"],
            object.at,
        )?;
        let scope = match (server.word("name", self.report), server.get("selector")) {
            (Some(name), _) => Scope::Server((object.namespace, name.text)),
            (None, Some(selector)) => match match_labels(selector, self.report) {
                Ok(labels) => Scope::Servers(object.namespace, labels),
                Err(finding) => {
                    self.report.push(
                        finding.effect("left out: the calls that only this let in are refused"),
                    );
                    return None;
                }
            },
            (None, None) => Scope::Namespace(object.namespace),
        };
        let known = ["unauthenticated", "networks", "meshTLS"];
        let client = self.fields(spec.get("client"), "`client`", &known, object.at)?;
        Some((scope, self.client(&client)))
    }

    fn client(&mut self, client: &Fields<'n>) -> Formula {
        let mut parts = Vec::new();
        if let Some(entry) = client.entry("networks") {
            parts.push(networks(entry.key_span));
        }
        if let Some(tls) = client.get("meshTLS") {
            parts.push(self.client_tls(tls));
        }
        // `unauthenticated` is no condition at all.
        Formula::All(parts)
    }

    fn client_tls(&mut self, node: &'n Node) -> Formula {
        let known = ["unauthenticatedTLS", "identities", "serviceAccounts"];
        let Some(tls) = self.fields(Some(node), "`meshTLS`", &known, node.span) else {
            return identities::UNREAD;
        };
        if tls.is_set("unauthenticatedTLS", self.report) {
            return Formula::Is(node.span, Atom::Identified);
        }
        let words = tls.words("identities", self.report);
        let mut some: Vec<Formula> = words
            .iter()
            .map(|word| identities::name(*word, self.options))
            .collect();
        for account in tls.list("serviceAccounts", self.report) {
            let Some(fields) = self.fields(
                Some(account),
                "a service account",
                &["name", "namespace"],
                node.span,
            ) else {
                continue;
            };
            let word =
                |reader: &mut Self, name| fields.word(name, reader.report).map(|word| word.text);
            let name = word(self, "name").unwrap_or_default();
            some.push(match word(self, "namespace") {
                Some(namespace) => identities::account(namespace, name, account.span, self.options),
                None => {
                    let message = "a service account without a namespace, which Linkerd takes from the server";
                    Formula::gap(Finding::new(Kind::Identity, account.span, message).instead("write the namespace"))
                }
            });
        }
        Formula::any(some)
    }
}

fn networks(at: Span) -> Formula {
    let message = "networks: callers by their IP addresses";
    let instead = "name the callers by their SPIFFE IDs: an address proves nothing";
    Formula::gap(Finding::new(Kind::Address, at, message).instead(instead))
}

/// The groups in which a route may be.
pub(super) fn is_route(object: &Object<'_>) -> bool {
    matches!(
        (object.group, object.kind),
        (POLICY | GATEWAY, "HTTPRoute") | (GATEWAY, "GRPCRoute")
    )
}
