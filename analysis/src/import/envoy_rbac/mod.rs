//! Envoy's RBAC filter, `envoy.extensions.filters.http.rbac.v3.RBAC`.
//!
//! By itself, or wherever it stands in a larger configuration. A chain may have several:
//! each can refuse, so any number of `DENY` filters and one of `ALLOW` are what deny and
//! allow rules are here.

mod conditions;
mod find;
mod matchers;

use callgate_policy::SpiffeId;

use super::{
    document::{Entry, Node, Value},
    draft::{Action, Draft, Statement, Target},
    fields::{Fields, Keys},
    formula::Formula,
    report::{Finding, Kind, Report},
};

/// Reads every RBAC filter of `documents` as one policy for `services`; false if there is
/// none.
pub(super) fn read(
    documents: &[Node],
    services: &[SpiffeId],
    draft: &mut Draft,
    report: &mut Report,
) -> bool {
    let ids = services.iter().map(ToString::to_string);
    let mut chain = Chain {
        target: Target::Services(ids.collect()),
        draft,
        report,
        allows: 0,
        filters: 0,
    };
    let found = find::filters(documents);
    if let Some(second) = found.second_chain {
        let message = "a second filter chain with RBAC filters: they are another policy";
        let instead = "import each chain by itself, with its own `--service`";
        chain
            .report
            .push(Finding::new(Kind::Unreadable, second, message).instead(instead));
    }
    for (span, what) in &found.elsewhere {
        let message = format!("{what} decides as well, and is not translated");
        let instead = "write what it keeps out as deny rules, or remove it from the configuration";
        chain.refused(Finding::new(Kind::Action, *span, message).instead(instead));
    }
    for filter in &found.filters {
        chain.filter(filter);
    }
    for rules in &found.rules {
        chain.filters = chain.filters.saturating_add(1);
        chain.rules(rules);
    }
    chain.check_open(&found);
    !(found.filters.is_empty() && found.rules.is_empty() && found.elsewhere.is_empty())
}

/// The filters of one chain.
struct Chain<'a> {
    target: Target,
    draft: &'a mut Draft,
    report: &'a mut Report,
    /// Those of `ALLOW`.
    allows: usize,
    /// Those that decide.
    filters: usize,
}

const FILTER: [&str; 8] = [
    "@type",
    "rules",
    "rules_stat_prefix",
    "matcher",
    "shadow_rules",
    "shadow_rules_stat_prefix",
    "shadow_matcher",
    "track_per_rule_stats",
];

impl Chain<'_> {
    fn filter(&mut self, node: &Node) {
        let Some(fields) = Fields::open(node, "an RBAC filter", Keys::Folded, &FILTER, self.report)
        else {
            return;
        };
        for shadow in ["shadow_rules", "shadow_matcher"] {
            if let Some(entry) = fields.entry(shadow) {
                let message = format!("`{shadow}` decide nothing, and were left out");
                self.report
                    .push(Finding::new(Kind::WithoutEffect, entry.key_span, message));
            }
        }
        if let Some(entry) = fields.entry("matcher") {
            self.filters = self.filters.saturating_add(1);
            let message = "a `matcher` is a tree of inputs and actions";
            let instead = "write it as `rules`, or write the policy yourself";
            self.refused(Finding::new(Kind::Condition, entry.key_span, message).instead(instead));
        }
        if let Some(rules) = fields.get("rules") {
            self.filters = self.filters.saturating_add(1);
            self.rules(rules);
        }
    }

    /// A filter's `rules`: what calls fit, and what becomes of them.
    fn rules(&mut self, node: &Node) {
        let known = ["action", "policies", "audit_logging_options"];
        let Some(fields) = Fields::open(node, "`rules`", Keys::Folded, &known, self.report) else {
            return;
        };
        let action = match fields.word("action", self.report) {
            None => Action::Allow,
            Some(word) => match word.text {
                "ALLOW" | "0" => Action::Allow,
                "DENY" | "1" => Action::Deny,
                "LOG" | "2" => {
                    let message =
                        "`LOG` decides nothing, and was left out: every decision is recorded here";
                    self.report
                        .push(Finding::new(Kind::WithoutEffect, word.span, message));
                    self.filters = self.filters.saturating_sub(1);
                    return;
                }
                other => {
                    let message =
                        format!("`action` is `{other}`, none of `ALLOW`, `DENY` and `LOG`");
                    self.report
                        .push(Finding::new(Kind::Unreadable, word.span, message));
                    return;
                }
            },
        };
        if action == Action::Allow {
            self.allows = self.allows.saturating_add(1);
        }
        if action == Action::Allow && self.allows > 1 {
            let message = "a second filter that allows: a call has to fit both";
            let instead = "write one filter that allows what both do";
            self.refused(Finding::new(Kind::Precedence, fields.span(), message).instead(instead));
            return;
        }
        self.draft.declare(&self.target);
        let policies = fields.get("policies");
        if let Some(Node {
            span,
            value: Value::Text(_) | Value::List(_),
        }) = policies
        {
            let message = "`policies` is not a mapping from names to policies";
            self.report
                .push(Finding::new(Kind::Unreadable, *span, message));
        }
        for policy in policies.map(Node::entries).unwrap_or_default() {
            self.policy(policy, action);
        }
    }

    fn policy(&mut self, policy: &Entry, action: Action) {
        let known = [
            "permissions",
            "principals",
            "condition",
            "checked_condition",
            "cel_config",
        ];
        let what = format!("the policy `{}`", policy.key);
        let Some(fields) = Fields::open(&policy.value, &what, Keys::Folded, &known, self.report)
        else {
            return;
        };
        let mut parts = Vec::new();
        for (name, read) in [
            ("permissions", conditions::permission as conditions::Read),
            ("principals", conditions::principal),
        ] {
            let items = fields.list(name, self.report);
            if items.is_empty() {
                let message =
                    format!("{what} has no `{name}`: it fits no call, and Envoy does not take it");
                self.report
                    .push(Finding::new(Kind::Unreadable, policy.key_span, message));
            }
            let items: Vec<Formula> = items.iter().map(|item| read(item, self.report)).collect();
            parts.push(Formula::any(items));
        }
        for condition in ["condition", "checked_condition", "cel_config"] {
            if let Some(entry) = fields.entry(condition) {
                let message = "a CEL condition, as a syntax tree";
                let instead = "write it as the rule's `when`, in CEL's own syntax";
                parts.push(Formula::gap(
                    Finding::new(Kind::Condition, entry.key_span, message).instead(instead),
                ));
            }
        }
        let statement = Statement {
            name: &policy.key,
            at: policy.key_span,
            action,
            target: &self.target,
            formula: Formula::All(parts),
        };
        self.draft.state(&statement, self.report);
    }

    /// Something that could keep callers out.
    fn refused(&mut self, finding: Finding) {
        self.draft.declare(&self.target);
        self.draft
            .gap(finding, Action::Deny, &self.target, self.report);
    }

    /// Without a filter that allows, everything is allowed.
    fn check_open(&mut self, found: &find::Found<'_>) {
        let first = found.filters.iter().chain(&found.rules).next();
        let Some(first) = first.filter(|_| self.allows == 0) else {
            return;
        };
        let message = "no filter allows: Envoy lets in whoever no `DENY` filter keeps out";
        let effect = if self.filters == 0 {
            "nothing is written"
        } else {
            "only deny rules are written, so everything is refused"
        };
        self.report
            .push(Finding::open(first.span, message).effect(effect));
    }
}
