//! RBAC filters within larger configurations.

use crate::import::document::{Entry, Node, Span, Value};

const FILTER: &str = "envoy.extensions.filters.http.rbac.v3.RBAC";
const PER_ROUTE: &str = "envoy.extensions.filters.http.rbac.v3.RBACPerRoute";
const NETWORK: &str = "envoy.extensions.filters.network.rbac.v3.RBAC";

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found<'n> {
    /// Configurations of the HTTP filter.
    pub(super) filters: Vec<&'n Node>,
    /// `rules` by themselves (`envoy.config.rbac.v3.RBAC`).
    pub(super) rules: Vec<&'n Node>,
    /// What decides as well, in words.
    pub(super) elsewhere: Vec<(Span, &'static str)>,
    /// Where a filter stands in another chain than the first one.
    pub(super) second_chain: Option<Span>,
    first_chain: Option<Span>,
}

/// Every RBAC filter in `documents`.
pub(super) fn filters(documents: &[Node]) -> Found<'_> {
    let mut found = Found::default();
    for document in documents {
        let has = |key: &str| document.field(key).is_some();
        if has("@type") || !(has("rules") || has("action") || has("policies")) {
            found.walk(document, None);
        } else if has("rules") {
            found.filters.push(document);
        } else {
            found.rules.push(document);
        }
    }
    found
}

impl<'n> Found<'n> {
    /// Looks through `node`, which stands in the list at `list`. Recursion ends with the
    /// depth that documents may have.
    fn walk(&mut self, node: &'n Node, list: Option<Span>) {
        match &node.value {
            Value::List(items) => {
                for item in items {
                    self.walk(item, Some(node.span));
                }
            }
            Value::Map(entries) => self.map(node, entries, list),
            Value::Null | Value::Text(_) => {}
        }
    }

    fn map(&mut self, node: &'n Node, entries: &'n [Entry], list: Option<Span>) {
        let kind = node.field_text("@type").unwrap_or_default();
        match kind.rsplit('/').next().unwrap_or_default() {
            FILTER => {
                let chain = *self.first_chain.get_or_insert(list.unwrap_or(node.span));
                // Filters in files of their own are taken for one chain.
                if list.is_some_and(|list| list != chain) {
                    self.second_chain.get_or_insert(node.span);
                }
                self.filters.push(node);
            }
            PER_ROUTE => self
                .elsewhere
                .push((node.span, "an RBAC policy of a route")),
            NETWORK => self
                .elsewhere
                .push((node.span, "an RBAC filter for connections")),
            _ => {
                for entry in entries {
                    self.walk(&entry.value, list);
                }
            }
        }
    }
}
