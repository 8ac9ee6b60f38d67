//! From documents to intentions.

use callgate_policy::CallerPattern;

use crate::import::{
    Options,
    document::{Entry, Node, Span},
    draft::{Action, caller},
    fields::{Fields, Keys, Word},
    formula::Formula,
    report::{Finding, Kind, Report},
    text::{self, Match},
};

use super::{
    intentions::{DEFAULT, Effect, Intention, Service, domain},
    permissions::Permission,
};

/// Every intention of `documents`, and whether there are documents of them at all.
pub(super) fn read<'n>(
    documents: &'n [Node],
    options: &Options,
    report: &mut Report,
) -> (Vec<Intention<'n>>, bool) {
    let mut reader = Reader {
        options,
        report,
        intentions: Vec::new(),
        found: false,
    };
    for document in documents {
        match document.items() {
            [] => reader.document(document),
            items => items.iter().for_each(|item| reader.document(item)),
        }
    }
    (reader.intentions, reader.found)
}

struct Reader<'r, 'n> {
    options: &'r Options,
    report: &'r mut Report,
    intentions: Vec<Intention<'n>>,
    found: bool,
}

const ENTRY: [&str; 10] = [
    "Kind",
    "Name",
    "Namespace",
    "Partition",
    "Sources",
    "Meta",
    "JWT",
    "Hash",
    "CreateIndex",
    "ModifyIndex",
];
const SOURCE: [&str; 13] = [
    "Name",
    "Namespace",
    "Partition",
    "Peer",
    "SamenessGroup",
    "Action",
    "Permissions",
    "Precedence",
    "Type",
    "Description",
    "LegacyID",
    "LegacyMeta",
    "LegacyTimes",
];

impl<'n> Reader<'_, 'n> {
    fn document(&mut self, node: &'n Node) {
        let field = |name: &str| {
            let same = |entry: &&Entry| entry.key.eq_ignore_ascii_case(name);
            node.entries().iter().find(same).map(|entry| &entry.value)
        };
        match field("kind").and_then(Node::text) {
            Some("service-intentions") => self.entry(node),
            Some("ServiceIntentions") => self.resource(node),
            Some(other) => {
                let message = format!("a `{other}` was passed over");
                self.report
                    .push(Finding::new(Kind::PassedOver, node.span, message));
            }
            None => {
                let message = "this is not a configuration entry: `Kind` is missing";
                self.report
                    .push(Finding::new(Kind::Unreadable, node.span, message));
            }
        }
    }

    /// A configuration entry.
    fn entry(&mut self, node: &'n Node) {
        self.found = true;
        let what = "a `service-intentions` entry";
        let Some(fields) = Fields::open(node, what, Keys::Folded, &ENTRY, self.report) else {
            return;
        };
        self.of(&fields, &fields, Keys::Folded);
    }

    /// The custom resource of Kubernetes.
    fn resource(&mut self, node: &'n Node) {
        self.found = true;
        let missing =
            |name: &str| Finding::new(Kind::Unreadable, node.span, format!("`{name}` is missing"));
        let Some(spec) = node.field("spec") else {
            self.report.push(missing("spec"));
            return;
        };
        let known = ["destination", "sources", "jwt"];
        let Some(fields) = Fields::open(spec, "`spec`", Keys::Folded, &known, self.report) else {
            return;
        };
        let Some(destination) = fields.get("destination") else {
            self.report.push(missing("spec.destination"));
            return;
        };
        let known = ["name", "namespace"];
        let destination = Fields::open(
            destination,
            "`destination`",
            Keys::Folded,
            &known,
            self.report,
        );
        if let Some(destination) = destination {
            self.of(&destination, &fields, Keys::Folded);
        }
    }

    fn of(&mut self, named: &Fields<'n>, fields: &Fields<'n>, keys: Keys) {
        let Some(destination) = self.service(named) else {
            return;
        };
        let jwt = fields.entry("JWT").map(|entry| entry.key_span);
        let sources = fields.list("Sources", self.report);
        for source in sources {
            self.source(source, &destination, jwt, keys);
        }
    }

    /// A service by its name, namespace and partition.
    fn service(&mut self, fields: &Fields<'n>) -> Option<Service> {
        let Some(name) = fields.word("Name", self.report) else {
            self.report.push(Finding::new(
                Kind::Unreadable,
                fields.span(),
                "`Name` is missing",
            ));
            return None;
        };
        let text = |reader: &mut Self, field| {
            let word = fields
                .word(field, reader.report)
                .map_or("", |word| word.text);
            if word.is_empty() { DEFAULT } else { word }.to_owned()
        };
        let service = Service {
            partition: text(self, "Partition"),
            namespace: text(self, "Namespace"),
            name: name.text.to_owned(),
        };
        let shape = service.shape(domain(self.options));
        let pattern = caller(&shape, None);
        let is_open = |text: &str| text != "*" && text.contains(['*', '{', '}']);
        let names = [&service.partition, &service.namespace, &service.name];
        if names.iter().any(|text| is_open(text)) || CallerPattern::parse(&pattern, None).is_err() {
            let message = format!("`{}` is not the name of a service", name.text);
            self.report
                .push(Finding::new(Kind::Unreadable, name.span, message));
            return None;
        }
        Some(service)
    }

    fn source(&mut self, node: &'n Node, destination: &Service, jwt: Option<Span>, keys: Keys) {
        let known: Vec<&str> = SOURCE
            .iter()
            .copied()
            .chain(["LegacyCreateTime", "LegacyUpdateTime"])
            .collect();
        let Some(fields) = Fields::open(node, "a source", keys, &known, self.report) else {
            return;
        };
        let Some(service) = self.service(&fields) else {
            return;
        };
        let Some(effect) = self.effect(&fields, jwt) else {
            return;
        };
        for (name, message) in [
            (
                "Peer",
                "the source is a peer, with a trust domain of its own",
            ),
            (
                "SamenessGroup",
                "the source is a group of partitions and peers",
            ),
        ] {
            let word = fields
                .word(name, self.report)
                .filter(|word| !word.text.is_empty());
            if let Some(word) = word {
                self.foreign(word, message, &effect);
                return;
            }
        }
        self.intentions.push(Intention {
            name: format!("{}-to-{}", wide(&service.name), wide(&destination.name)),
            at: node.span,
            destination: destination.clone(),
            source: service.shape(domain(self.options)),
            source_name: fields
                .word("Name", self.report)
                .map_or("", |word| word.text),
            source_wildness: service.wildness(),
            source_service: service,
            effect,
        });
    }

    /// A source that is no service of this mesh. Nothing lets it in here.
    fn foreign(&mut self, word: Word<'n>, message: &str, effect: &Effect) {
        let finding = if *effect == Effect::Deny {
            let message = format!("`{}`: {message}; nothing lets it in", word.text);
            Finding::new(Kind::WithoutEffect, word.span, message)
        } else {
            let finding = Finding::new(
                Kind::Identity,
                word.span,
                format!("`{}`: {message}", word.text),
            );
            let finding = finding.effect("left out: the calls that only this let in are refused");
            finding.instead("name the callers in full: `spiffe://TRUST-DOMAIN/ns/…/dc/*/svc/NAME`")
        };
        self.report.push(finding);
    }

    fn effect(&mut self, fields: &Fields<'n>, jwt: Option<Span>) -> Option<Effect> {
        let permissions = fields.list("Permissions", self.report);
        let action = fields
            .word("Action", self.report)
            .filter(|word| !word.text.is_empty());
        match (action, permissions) {
            (Some(action), []) => Some(match (self.action(action)?, jwt) {
                (Action::Deny, _) => Effect::Deny,
                (Action::Allow, None) => Effect::Allow,
                (Action::Allow, Some(at)) => Effect::Permissions(vec![Permission {
                    at: action.span,
                    action: Action::Allow,
                    formula: token(at),
                }]),
            }),
            (None, [_, ..]) => {
                let permissions = permissions
                    .iter()
                    .filter_map(|node| self.permission(node, jwt));
                Some(Effect::Permissions(permissions.collect()))
            }
            _ => {
                let message = "a source has either an `Action` or `Permissions`";
                self.report
                    .push(Finding::new(Kind::Unreadable, fields.span(), message));
                None
            }
        }
    }

    fn action(&mut self, word: Word<'n>) -> Option<Action> {
        match word.text {
            "allow" => Some(Action::Allow),
            "deny" => Some(Action::Deny),
            other => {
                let message = format!("`{other}` is neither `allow` nor `deny`");
                self.report
                    .push(Finding::new(Kind::Unreadable, word.span, message));
                None
            }
        }
    }

    fn permission(&mut self, node: &'n Node, jwt: Option<Span>) -> Option<Permission> {
        let fields = Fields::open(
            node,
            "a permission",
            Keys::Folded,
            &["Action", "HTTP", "JWT"],
            self.report,
        )?;
        let Some(word) = fields.word("Action", self.report) else {
            self.report.push(Finding::new(
                Kind::Unreadable,
                node.span,
                "`Action` is missing",
            ));
            return None;
        };
        let action = self.action(word)?;
        let mut parts = Vec::new();
        if let Some(http) = fields.get("HTTP") {
            parts.extend(self.http(http)?);
        }
        parts.extend(
            fields
                .entry("JWT")
                .map(|entry| entry.key_span)
                .or(jwt)
                .map(token),
        );
        Some(Permission {
            at: node.span,
            action,
            formula: Formula::All(parts),
        })
    }

    fn http(&mut self, node: &'n Node) -> Option<Vec<Formula>> {
        let known = ["PathExact", "PathPrefix", "PathRegex", "Methods", "Header"];
        let fields = Fields::open(node, "`HTTP`", Keys::Folded, &known, self.report)?;
        let mut parts = Vec::new();
        for (name, how) in [
            ("PathExact", Match::Exact),
            ("PathPrefix", Match::Prefix),
            ("PathRegex", Match::Regex),
        ] {
            let word = fields
                .word(name, self.report)
                .filter(|word| !word.text.is_empty());
            parts.extend(word.map(|word| text::path(word.text, how, word.span)));
        }
        let methods = fields.words("Methods", self.report);
        if !methods.is_empty() {
            let methods = methods
                .iter()
                .map(|word| text::method(word.text, Match::Exact, word.span));
            parts.push(Formula::any(methods));
        }
        for header in fields.list("Header", self.report) {
            let name = Fields::open(header, "a header", Keys::Folded, &HEADER, self.report)?;
            let name = name.word("Name", self.report).map_or("", |word| word.text);
            let message = format!("the header `{name}`");
            let read = name.to_ascii_lowercase();
            let instead = format!("in the rule, a `when` over `request.headers[\"{read}\"]`");
            parts.push(Formula::gap(
                Finding::new(Kind::Header, header.span, message).instead(instead),
            ));
        }
        Some(parts)
    }
}

const HEADER: [&str; 9] = [
    "Name",
    "Present",
    "Exact",
    "Prefix",
    "Suffix",
    "Contains",
    "Regex",
    "Invert",
    "IgnoreCase",
];

fn token(at: Span) -> Formula {
    let message = "`JWT`: who a JSON Web Token speaks for";
    let instead = "leave tokens to the service: Callgate decides by the identity of the connection";
    Formula::gap(Finding::new(Kind::Jwt, at, message).instead(instead))
}

fn wide(name: &str) -> &str {
    if name == "*" { "any" } else { name }
}
