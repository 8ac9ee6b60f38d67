//! `allow` and `deny`: the rules of a document.

use std::collections::HashMap;

use super::{
    super::{
        Code,
        finding::{Finding, Quoted, Sink, is_hidden},
        raw::{Rule, Rules, When, Written},
        source::Span,
        yaml::Node,
    },
    Fields, Shape, What, exception,
    fields::RULE,
    text,
    values::{maybe_empty, texts, word},
};
use crate::spec::Enforcement;

pub(super) const SHAPE: Shape = Shape {
    name: RULE,
    known: &["name", "from", "to", "when", "exception", "enforcement"],
    required: &["name", "from", "to"],
};

/// Characters of a rule's name. It goes into every decision record and into metrics.
const LONGEST_NAME: usize = 253;

/// Reads `allow` and `deny`. Either may be an empty list, to say that there is none.
pub(super) fn read<'s>(fields: &mut Fields<'s>, sink: &mut Sink) -> Rules<'s> {
    let mut list = |field, is_allow| {
        let items = fields
            .take(field)
            .and_then(|entry| maybe_empty(entry.value, field, sink));
        let items = items.unwrap_or_default().into_iter();
        items
            .filter_map(|item| rule(item, field, is_allow, sink))
            .collect::<Vec<_>>()
    };
    let rules = Rules {
        allow: list("allow", true),
        deny: list("deny", false),
    };
    refuse_duplicates(&rules, sink);
    rules
}

fn rule<'s>(node: Node<'s>, field: &str, is_allow: bool, sink: &mut Sink) -> Option<Rule<'s>> {
    let mut fields = Fields::open(node, What::Entry(field), &SHAPE, sink)?;
    let span = fields.start();
    let name = fields
        .take("name")
        .and_then(|entry| name(entry.value, sink));
    let list = |fields: &mut Fields<'s>, field, sink: &mut Sink| {
        let entry = fields.take(field);
        entry.map_or_else(Vec::new, |entry| texts(entry.value, field, sink))
    };
    let from = list(&mut fields, "from", sink);
    let to = list(&mut fields, "to", sink);
    let when = fields.take("when").and_then(|entry| {
        let key = entry.key_span;
        let written = text(entry.value, What::Field("when"), sink)?;
        Some(When { written, key })
    });
    let exception = fields.take("exception").and_then(|entry| {
        if is_allow {
            exception::read(entry, sink)
        } else {
            sink.push(exception::on_deny(&entry));
            None
        }
    });
    let enforcement = fields.take("enforcement").and_then(|entry| {
        let words = [
            ("Enforce", Enforcement::Enforce),
            ("Shadow", Enforcement::Shadow),
        ];
        word(entry.value, "enforcement", &words, sink)
    });
    let enforcement = enforcement.unwrap_or_default();
    Some(Rule {
        name,
        span,
        from,
        to,
        when,
        exception,
        enforcement,
    })
}

/// The name of a rule, or of a case of a test.
pub(super) fn name<'s>(node: Node<'s>, sink: &mut Sink) -> Option<Written<'s>> {
    let name = text(node, What::Field("name"), sink)?;
    let fault = if name.text.chars().count() > LONGEST_NAME {
        "it is longer than 253 characters"
    } else if name.text.chars().any(|c| c.is_control() || is_hidden(c)) {
        "it has line breaks, controls or hidden characters"
    } else if name.text.trim() != name.text {
        "it begins or ends with a space"
    } else {
        return Some(name);
    };
    let message = format!("`{}` is not a name: {fault}", Quoted(&name.text));
    sink.push(Finding::new(Code::InvalidName, name.span, message));
    None
}

fn refuse_duplicates(rules: &Rules<'_>, sink: &mut Sink) {
    let mut names: HashMap<&str, Span> = HashMap::new();
    for name in rules
        .allow
        .iter()
        .chain(&rules.deny)
        .filter_map(|rule| rule.name.as_ref())
    {
        if let Some(first) = names.insert(&name.text, name.span) {
            names.insert(&name.text, first);
            let message = format!("a second rule with the name `{}`", Quoted(&name.text));
            let finding = Finding::new(Code::DuplicateRule, name.span, message);
            let finding = finding.label("again here").related(first, "first here");
            sink.push(finding.help("a name says which rule decided; it is unique in its document"));
        }
    }
}
