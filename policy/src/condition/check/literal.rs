//! Literals that a part of the request can never be equal to.

use std::ops::Range;

use super::{
    super::{
        ConditionFinding as Finding, ConditionFindingKind as Kind,
        node::{Field, Node, Search},
    },
    Checker,
};
use crate::{SpiffeId, TrustDomain};

impl Checker {
    /// Makes a finding if a part of the request can never be `text`.
    pub(super) fn never_equal(&mut self, part: &Node, text: &str, range: &Range<usize>) {
        let Node::Field(field) = part else { return };
        let help = match field {
            Field::SourceId | Field::DestinationId => {
                if SpiffeId::parse(text).is_ok() {
                    return;
                }
                "it is a whole SPIFFE ID, such as `spiffe://example.org/ns/shop/sa/web`"
            }
            Field::SourceTrustDomain if TrustDomain::parse(text).is_err() => {
                "it is a bare name in lower case, such as `example.org`"
            }
            Field::Path if !text.starts_with('/') => "it begins with `/`",
            Field::Path if text.contains(['?', '#']) => "it has no query: that is `request.query`",
            Field::Method if text.bytes().any(|byte| byte.is_ascii_lowercase()) => {
                "methods are in upper case"
            }
            _ => return,
        };
        self.never(*field, "is never", text, range, help);
    }

    /// Makes a finding if a part of the request can never begin with `text`.
    pub(super) fn never_begins(
        &mut self,
        search: Search,
        part: &Node,
        text: &str,
        range: &Range<usize>,
    ) {
        const SCHEME: &str = "spiffe://";
        let (Node::Field(field), Search::StartsWith) = (part, search) else {
            return;
        };
        match field {
            Field::SourceId | Field::DestinationId
                if !text.starts_with(SCHEME) && !SCHEME.starts_with(text) =>
            {
                let help = "it is a whole SPIFFE ID and begins with `spiffe://`";
                self.never(*field, "never begins with", text, range, help);
            }
            Field::Path if !text.is_empty() && !text.starts_with('/') => {
                self.never(
                    *field,
                    "never begins with",
                    text,
                    range,
                    "it begins with `/`",
                );
            }
            _ => {}
        }
    }

    fn never(&mut self, field: Field, how: &str, text: &str, range: &Range<usize>, help: &str) {
        let message = format!("`{}` {how} `{}`", field.name(), text.escape_debug());
        let finding = Finding::new(Kind::Constant, range.clone(), message);
        self.findings.push(finding.help(help));
    }
}
