//! The fields of a mapping: those that are known, and what becomes of the others.

use super::{
    super::{
        Code,
        finding::{Finding, Quoted, Sink},
        source::Span,
        suggest::{all_of, nearest},
        yaml::{Entry, Node, Value},
    },
    values::{What, wrong_type},
};

/// Where fields belong that were written somewhere else.
const HOMES: [(&str, &[&str]); 11] = [
    (
        "the document, beside `spec`",
        &["apiVersion", "kind", "metadata"],
    ),
    ("`metadata`", &["labels", "annotations", "namespace"]),
    (
        "`spec`",
        &[
            "services",
            "owner",
            "help",
            "enforcement",
            "allow",
            "deny",
            "paths",
            "overrideHeaders",
            "members",
            "trustDomain",
            "unpolicied",
            "identity",
            "acceptedTrustDomains",
            "aliases",
            "gateways",
            "forwarders",
            "guardrails",
            "authors",
            "id",
            "certificateSha256",
            "revokedBy",
        ],
    ),
    (
        "`spec.guardrails`",
        &["shadow", "longestException", "forbiddenFrom"],
    ),
    ("an entry of `spec.forwarders`", &["mayAssert"]),
    ("an entry of `spec.authors`", &["directory"]),
    (
        "`spec.paths`",
        &["encodedSlash", "parameters", "trailingSlash"],
    ),
    ("a rule", &["from", "to", "when", "exception"]),
    (
        "the `exception` of a rule",
        &["reason", "ticket", "approvedBy", "expires"],
    ),
    (
        "a case of a `PolicyTest`",
        &["requests", "headers", "expect", "forwarder"],
    ),
    ("the `expect` of a case", &["verdict", "rule", "enforced"]),
];

/// What a rule is called in findings.
pub(super) const RULE: &str = "a rule";

/// Which fields a kind of mapping has.
pub(super) struct Shape {
    /// What it is called: `a rule`.
    pub(super) name: &'static str,
    /// Its fields.
    pub(super) known: &'static [&'static str],
    /// Those of them that must be there.
    pub(super) required: &'static [&'static str],
}

/// What is left of a mapping while its reader takes fields out of it.
pub(super) struct Fields<'s> {
    /// Where a field that is not there is missed.
    start: Span,
    entries: Vec<Entry<'s>>,
    /// Known fields that unknown ones were probably meant to be: they are not missed too.
    meant: Vec<&'s str>,
}

impl<'s> Fields<'s> {
    /// Opens the mapping `what`, of a shape, and makes a finding of every field that the
    /// shape does not know or misses. `None` if it is no mapping.
    pub(super) fn open(
        node: Node<'s>,
        what: What<'_>,
        shape: &'static Shape,
        sink: &mut Sink,
    ) -> Option<Self> {
        let entries = match node.value {
            Value::Map(entries) => entries,
            Value::Refused => return None,
            other => {
                sink.push(wrong_type(node.span, what, "a mapping", &other));
                return None;
            }
        };
        let start = entries.first().map_or(node.span, |first| first.key_span);
        let mut fields = Self {
            start,
            entries: Vec::new(),
            meant: Vec::new(),
        };
        for entry in entries {
            if shape.known.contains(&entry.key.as_ref()) {
                fields.entries.push(entry);
            } else {
                fields.unknown(&entry, shape, sink);
            }
        }
        fields.require(shape, shape.required, sink);
        Some(fields)
    }

    /// The field `name`, if it is there.
    pub(super) fn take(&mut self, name: &str) -> Option<Entry<'s>> {
        let at = self.entries.iter().position(|entry| entry.key == name)?;
        Some(self.entries.swap_remove(at))
    }

    /// Where the key of the field `name` stands, if it is there.
    pub(super) fn span(&self, name: &str) -> Option<Span> {
        let entry = self.entries.iter().find(|entry| entry.key == name);
        entry.map(|entry| entry.key_span)
    }

    /// Makes a finding if some of these fields are not there.
    pub(super) fn require(&self, shape: &Shape, required: &[&str], sink: &mut Sink) {
        let required = required.iter().copied();
        let missing: Vec<&str> = required.filter(|one| self.lacks(one)).collect();
        if missing.is_empty() {
            return;
        }
        let message = format!("{} needs {}", shape.name, all_of(&missing));
        let finding = Finding::new(Code::MissingField, self.start, message);
        // What is written as several rules was often meant as one.
        sink.push(if missing.len() > 1 && shape.name == RULE {
            finding.help("the fields of one rule stand below each other, with one `-` before the first of them")
        } else {
            finding
        });
    }

    /// Whether `name` is not there, and nothing that was meant to be it either.
    pub(super) fn lacks(&self, name: &str) -> bool {
        !self.meant.contains(&name) && !self.entries.iter().any(|entry| entry.key == name)
    }

    /// Whether no known field is there.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.meant.is_empty()
    }

    /// Where the mapping begins.
    pub(super) const fn start(&self) -> Span {
        self.start
    }

    fn unknown(&mut self, entry: &Entry<'_>, shape: &Shape, sink: &mut Sink) {
        let message = format!("unknown field `{}` in {}", Quoted(&entry.key), shape.name);
        let finding = Finding::new(Code::UnknownField, entry.key_span, message);
        let home = HOMES
            .iter()
            .find(|(_, fields)| fields.contains(&entry.key.as_ref()));
        sink.push(
            match (home, nearest(&entry.key, shape.known.iter().copied())) {
                (Some((home, _)), _) => finding.help(format!("`{}` belongs in {home}", entry.key)),
                (None, Some(meant)) => {
                    self.meant.push(meant);
                    finding.label(format!("did you mean `{meant}`?"))
                }
                (None, None) => finding.help(format!("it has {}", all_of(shape.known))),
            },
        );
    }
}
