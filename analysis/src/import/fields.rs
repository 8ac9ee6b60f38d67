//! The fields of a mapping that is fully known: one that is not is reported, because it
//! would have narrowed what the document says.

use super::{
    document::{Entry, Node, Span, Value},
    report::{Finding, Kind, Report},
};

/// A mapping of which every field is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'n> {
    node: &'n Node,
    keys: Keys,
}

/// How the keys of a system are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// As they are: Kubernetes.
    Exact,
    /// Without case and underscores, so that `path_exact` is `PathExact` is `pathExact`: the
    /// JSON form of protocol buffers, and Consul.
    Folded,
}

/// A text and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'n> {
    pub(super) text: &'n str,
    pub(super) span: Span,
}

impl Keys {
    fn are_same(self, key: &str, known: &str) -> bool {
        match self {
            Self::Exact => key == known,
            Self::Folded => {
                let fold = |text: &str| text.replace('_', "").to_ascii_lowercase();
                fold(key) == fold(known)
            }
        }
    }
}

impl<'n> Fields<'n> {
    /// The fields of `node`, which is called `what`; `None`, and a finding, if it is no
    /// mapping or has a field that is not `known`.
    pub(super) fn open(
        node: &'n Node,
        what: &str,
        keys: Keys,
        known: &[&str],
        report: &mut Report,
    ) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            let message = format!("{what} is {}, not a mapping", node.kind());
            report.push(Finding::new(Kind::Unreadable, node.span, message));
            return None;
        };
        let mut all_known = true;
        for (at, entry) in entries.iter().enumerate() {
            if entries
                .iter()
                .take(at)
                .any(|other| keys.are_same(&other.key, &entry.key))
            {
                all_known = false;
                let message = format!("`{}` stands twice in {what}", entry.key);
                report.push(Finding::new(Kind::Unreadable, entry.key_span, message));
            }
            if !known.iter().any(|known| keys.are_same(&entry.key, known)) {
                all_known = false;
                report.push(unknown(entry, what, known));
            }
        }
        all_known.then_some(Self { node, keys })
    }

    /// Where it stands.
    pub(super) const fn span(&self) -> Span {
        self.node.span
    }

    /// A field; one that is null is absent.
    pub(super) fn entry(&self, name: &str) -> Option<&'n Entry> {
        let same = |entry: &&Entry| self.keys.are_same(&entry.key, name);
        let found = self.node.entries().iter().find(same)?;
        (!matches!(found.value.value, Value::Null)).then_some(found)
    }

    /// The value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        self.entry(name).map(|entry| &entry.value)
    }

    /// A text.
    pub(super) fn word(&self, name: &str, report: &mut Report) -> Option<Word<'n>> {
        word(self.get(name)?, name, report)
    }

    /// A list; empty if it is absent, as all these systems have it.
    pub(super) fn list(&self, name: &str, report: &mut Report) -> &'n [Node] {
        match self.get(name) {
            None => &[],
            Some(node) => match &node.value {
                Value::List(items) => items,
                _ => {
                    let message = format!("`{name}` is {}, not a list", node.kind());
                    report.push(Finding::new(Kind::Unreadable, node.span, message));
                    &[]
                }
            },
        }
    }

    /// A list of texts.
    pub(super) fn words(&self, name: &str, report: &mut Report) -> Vec<Word<'n>> {
        let items = self.list(name, report).iter();
        items.filter_map(|item| word(item, name, report)).collect()
    }

    /// `true` or `false`; absent is false.
    pub(super) fn is_set(&self, name: &str, report: &mut Report) -> bool {
        let Some(word) = self.word(name, report) else {
            return false;
        };
        match word.text {
            "true" => true,
            "false" => false,
            other => {
                let message = format!("`{name}` is `{other}`, neither `true` nor `false`");
                report.push(Finding::new(Kind::Unreadable, word.span, message));
                false
            }
        }
    }
}

/// A text, which the field `name` holds.
pub(super) fn word<'n>(node: &'n Node, name: &str, report: &mut Report) -> Option<Word<'n>> {
    if let Some(text) = node.text() {
        let span = node.span;
        return Some(Word { text, span });
    }
    let message = format!("`{name}` is {}, not a text", node.kind());
    report.push(Finding::new(Kind::Unreadable, node.span, message));
    None
}

fn unknown(entry: &Entry, what: &str, known: &[&str]) -> Finding {
    let message = format!("unknown field `{}` in {what}", entry.key);
    let near = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&entry.key, known), known))
        .filter(|(distance, known)| *distance <= known.len() / 3)
        .min();
    let instead = near.map_or_else(String::new, |(_, known)| format!("did you mean `{known}`?"));
    Finding::new(Kind::Unreadable, entry.key_span, message).instead(instead)
}
