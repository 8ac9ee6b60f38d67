//! A service's rules as the document that its team would write.

use std::fmt::Write as _;

use crate::rule::{Callers, Effect, Operation, Rule, Segment, Service, Verb};

/// The operator's document, which says what relative identities belong to.
pub const OPERATOR: &str = "\
apiVersion: callgate.dev/v1alpha1
kind: MeshPolicy
metadata: {name: mesh}
spec: {trustDomain: example.org}
";

/// The service's `ServicePolicy`. Identities are relative, as in [`OPERATOR`].
#[must_use]
pub fn document(service: &Service) -> String {
    let name = &service.name;
    let mut text = format!(
        "apiVersion: callgate.dev/v1alpha1\nkind: ServicePolicy\nmetadata: {{name: {name}}}\n\
         spec:\n  services: [/ns/shop/sa/{name}]\n  owner: team-{name}\n  help: \"#team-{name}\"\n"
    );
    for (key, effect) in [("allow", Effect::Allow), ("deny", Effect::Deny)] {
        let mut rules = service.rules.iter().filter(|r| r.effect == effect);
        if let Some(first) = rules.next() {
            let _ = writeln!(text, "  {key}:");
            std::iter::once(first)
                .chain(rules)
                .for_each(|rule| write_rule(&mut text, rule));
        }
    }
    text
}

fn write_rule(text: &mut String, rule: &Rule) {
    let _ = writeln!(text, "    - name: {}", rule.name);
    let from: Vec<String> = rule.from.iter().map(callers).collect();
    let _ = writeln!(text, "      from: [{}]\n      to:", from.join(", "));
    for operation in &rule.to {
        let _ = writeln!(text, "        - {}", line(operation));
    }
}

fn callers(callers: &Callers) -> String {
    match callers {
        Callers::One { namespace, account } => format!("/ns/{namespace}/sa/{account}"),
        Callers::Namespace(namespace) => format!("/ns/{namespace}/sa/*"),
    }
}

fn line(operation: &Operation) -> String {
    let path: Vec<String> = operation.path.iter().map(segment).collect();
    let path = path.join("/");
    let rest = if operation.rest { "/**" } else { "" };
    match operation.verb {
        Verb::Grpc => format!("GRPC {path}"),
        verb => format!("{} /{path}{rest}", word(verb)),
    }
}

fn segment(segment: &Segment) -> String {
    match segment {
        Segment::Literal(text) => text.clone(),
        Segment::Capture(name) => format!("{{{name}}}"),
    }
}

const fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Get => "GET",
        Verb::Post => "POST",
        Verb::Put => "PUT",
        Verb::Delete => "DELETE",
        Verb::Grpc => "GRPC",
        Verb::Any => "ANY",
    }
}
