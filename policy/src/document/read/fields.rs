//! The fields of a mapping: those that are known, and what becomes of the others.

use super::{
    super::{
        Code,
        finding::{Finding, Quoted, Sink},
        source::Span,
        suggest::{nearest, one_of},
        yaml::{Entry, Node, Value},
    },
    values::{What, wrong_type},
};

/// Where fields belong that were written somewhere else.
const HOMES: [(&str, &[&str]); 6] = [
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
            "shadow",
        ],
    ),
    (
        "`spec.paths`",
        &["encodedSlash", "parameters", "trailingSlash"],
    ),
    ("a rule", &["from", "to", "when", "exception"]),
    (
        "the `exception` of a rule",
        &["reason", "ticket", "approvedBy", "expires"],
    ),
];

/// What is left of a mapping while its reader takes fields out of it.
pub(super) struct Fields<'s> {
    /// `a rule`.
    name: &'static str,
    /// Where a field that is not there is missed.
    start: Span,
    entries: Vec<Entry<'s>>,
    /// Known fields that unknown ones were probably meant to be: they are not missed too.
    meant: Vec<&'static str>,
}

impl<'s> Fields<'s> {
    /// Opens the mapping `what`, of which `name` tells the kind, and makes a finding of
    /// every field that is not `known`. `None` if it is no mapping.
    pub(super) fn open(
        node: Node<'s>,
        what: What<'_>,
        name: &'static str,
        known: &'static [&'static str],
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
            name,
            start,
            entries: Vec::new(),
            meant: Vec::new(),
        };
        for entry in entries {
            if known.contains(&entry.key.as_ref()) {
                fields.entries.push(entry);
            } else {
                fields.unknown(&entry, known, sink);
            }
        }
        Some(fields)
    }

    /// The field `name`, if it is there.
    pub(super) fn take(&mut self, name: &str) -> Option<Entry<'s>> {
        let at = self.entries.iter().position(|entry| entry.key == name)?;
        Some(self.entries.swap_remove(at))
    }

    /// The field `name`; a finding is made if it is not there.
    pub(super) fn require(&mut self, name: &str, sink: &mut Sink) -> Option<Entry<'s>> {
        let entry = self.take(name);
        if entry.is_none() && !self.meant.contains(&name) {
            let message = format!("{} needs `{name}`", self.name);
            let finding = Finding::new(Code::MissingField, self.start, message);
            sink.push(finding.label(format!("`{name}` is missing here")));
        }
        entry
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

    fn unknown(&mut self, entry: &Entry<'_>, known: &'static [&'static str], sink: &mut Sink) {
        let message = format!("unknown field `{}` in {}", Quoted(&entry.key), self.name);
        let finding = Finding::new(Code::UnknownField, entry.key_span, message);
        let home = HOMES
            .iter()
            .find(|(_, fields)| fields.contains(&entry.key.as_ref()));
        sink.push(match (home, nearest(&entry.key, known.iter().copied())) {
            (Some((home, _)), _) => finding.help(format!("`{}` belongs into {home}", entry.key)),
            (None, Some(meant)) => {
                self.meant.push(meant);
                finding.label(format!("did you mean `{meant}`?"))
            }
            (None, None) => finding.help(format!("the fields here are {}", one_of(known))),
        });
    }
}
