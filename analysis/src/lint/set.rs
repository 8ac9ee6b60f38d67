//! Rules, with the places of their parts.

use callgate_policy::{
    Side,
    document::{
        Findings, Limits, Source, Span, Specified,
        syntax::{Comment, Entry, Node, Syntax, Value},
    },
    spec::{Enforcement, MeshSpec, RuleSpec, ServiceSpec},
};

/// A set of documents as it is meant and as it is written.
pub(super) struct Set<'a> {
    /// Every `ServicePolicy`.
    pub(super) services: Vec<(&'a ServiceSpec, Rules<'a>)>,
    /// The `MeshPolicy`.
    pub(super) mesh: Option<(&'a MeshSpec, Rules<'a>)>,
    /// Every file, in the order of the sources.
    pub(super) files: Vec<Syntax<'a>>,
}

/// The rules of one document.
#[derive(Default)]
pub(super) struct Rules<'a> {
    pub(super) allow: Vec<Rule<'a>>,
    pub(super) deny: Vec<Rule<'a>>,
}

/// A rule and where it stands.
pub(super) struct Rule<'a> {
    pub(super) spec: &'a RuleSpec,
    /// Its name.
    pub(super) name: Span,
    /// Its entries, each beside the one of the spec.
    from: Vec<Span>,
    to: Vec<Span>,
    /// The value of `expires`.
    pub(super) expires: Option<Span>,
}

impl<'a> Set<'a> {
    pub(super) fn of(
        sources: &'a [Source],
        specified: &'a Specified,
        limits: &Limits,
    ) -> Result<Self, Findings> {
        let files = sources.iter().enumerate();
        let files = files.map(|(file, source)| Syntax::parse(file, source, limits));
        let files = files.collect::<Result<Vec<_>, _>>()?;
        // The loader keeps the documents of one kind in the order of the sources.
        let of_kind = |kind| {
            let documents = files.iter().flat_map(|file| &file.documents);
            documents
                .filter(move |node| text(node, &["kind"]).is_some_and(|(text, _)| text == kind))
        };
        let services = specified.spec.services.iter().zip(of_kind("ServicePolicy"));
        let services = services.map(|(spec, node)| {
            let rules = Rules {
                allow: rules(&spec.allow, node, "allow"),
                deny: rules(&spec.deny, node, "deny"),
            };
            (spec, rules)
        });
        let services = services.collect();
        let mesh = specified.spec.mesh.iter().zip(of_kind("MeshPolicy")).next();
        let mesh = mesh.map(|(spec, node)| {
            let rules = Rules {
                allow: rules(&spec.allow, node, "allow"),
                deny: rules(&spec.deny, node, "deny"),
            };
            (spec, rules)
        });
        Ok(Self {
            services,
            mesh,
            files,
        })
    }

    /// The documents of all files.
    pub(super) fn documents(&self) -> impl Iterator<Item = &Node<'a>> {
        self.files.iter().flat_map(|file| &file.documents)
    }

    /// The comments of all files.
    pub(super) fn comments(&self) -> impl Iterator<Item = &Comment<'a>> {
        self.files.iter().flat_map(|file| &file.comments)
    }

    /// Every rule, with the list that it stands in.
    pub(super) fn rules_by_side(&self) -> impl Iterator<Item = (&Rule<'a>, Side)> {
        self.rules().flat_map(|rules| {
            let allow = rules.allow.iter().map(|rule| (rule, Side::Allow));
            allow.chain(rules.deny.iter().map(|rule| (rule, Side::Deny)))
        })
    }

    /// The rules of every document.
    pub(super) fn rules(&self) -> impl Iterator<Item = &Rules<'a>> {
        let services = self.services.iter().map(|(_, rules)| rules);
        services.chain(self.mesh.iter().map(|(_, rules)| rules))
    }
}

impl Rule<'_> {
    /// Where an entry of `from` stands.
    pub(super) fn at_from(&self, index: usize) -> Span {
        self.from.get(index).copied().unwrap_or(self.name)
    }

    /// Where a line of `to` stands.
    pub(super) fn at_to(&self, index: usize) -> Span {
        self.to.get(index).copied().unwrap_or(self.name)
    }

    /// Whether it decides anything: a rule in Shadow does not.
    pub(super) fn decides(&self) -> bool {
        self.spec.enforcement == Enforcement::Enforce
    }

    /// Whether it matches whenever one `from` and one `to` do, for as long as it stands.
    pub(super) fn is_unconditional(&self) -> bool {
        self.spec.exception.is_none() && self.spec.when.is_none() && self.decides()
    }
}

/// The rules of `list` in the spec and in the document.
fn rules<'a>(specs: &'a [RuleSpec], document: &Node<'_>, list: &str) -> Vec<Rule<'a>> {
    let nodes = field(document, &["spec", list]).map_or(&[][..], items);
    let rules = specs.iter().zip(nodes);
    rules
        .map(|(spec, node)| Rule {
            spec,
            name: field(node, &["name"]).map_or(node.span, |name| name.span),
            from: spans(node, "from"),
            to: spans(node, "to"),
            expires: field(node, &["exception", "expires"]).map(|value| value.span),
        })
        .collect()
}

fn spans(rule: &Node<'_>, list: &str) -> Vec<Span> {
    let items = field(rule, &[list]).map_or(&[][..], items);
    items.iter().map(|item| item.span).collect()
}

/// The entries of a list.
pub(super) fn items<'n, 's>(node: &'n Node<'s>) -> &'n [Node<'s>] {
    match &node.value {
        Value::List(items) => items,
        _ => &[],
    }
}

/// The fields of a mapping.
pub(super) fn entries<'n, 's>(node: &'n Node<'s>) -> &'n [Entry<'s>] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => &[],
    }
}

/// What stands at the end of `path`, from field to field.
pub(super) fn field<'n, 's>(node: &'n Node<'s>, path: &[&str]) -> Option<&'n Node<'s>> {
    path.iter().try_fold(node, |node, key| {
        let entry = entries(node).iter().find(|entry| entry.key == *key)?;
        Some(&entry.value)
    })
}

/// The text at the end of `path`, and where it stands.
pub(super) fn text<'n>(node: &'n Node<'_>, path: &[&str]) -> Option<(&'n str, Span)> {
    let node = field(node, path)?;
    match &node.value {
        Value::Text(text) => Some((&text.text, node.span)),
        _ => None,
    }
}
