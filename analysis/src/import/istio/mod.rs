//! Istio's `AuthorizationPolicy`.
//!
//! A policy is for the workloads that it selects, those of its namespace, or, in the root
//! namespace, all of them. Denials come first and then whatever some policy allows, as here.
//! What differs is who no policy is about: Istio lets everybody in.

mod rules;

use std::collections::BTreeSet;

use super::{
    Options,
    document::Node,
    draft::{Action, Draft, Statement, Target},
    fields::{Fields, Keys},
    kubernetes::{Account, Object, Workloads, match_labels, objects, pass_over},
    report::{Finding, Kind, Report},
};

/// What the documents do not say themselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mesh<'a> {
    pub(super) options: &'a Options,
    /// Whose policies hold for the whole mesh.
    pub(super) root_namespace: &'a str,
    /// Of objects that do not name theirs.
    pub(super) namespace: Option<&'a str>,
}

/// Reads every policy of `documents`; false if there is none.
pub(super) fn read(
    documents: &[Node],
    mesh: Mesh<'_>,
    draft: &mut Draft,
    report: &mut Report,
) -> bool {
    let objects = objects(documents, mesh.namespace, report);
    let workloads = Workloads::of(&objects);
    let is_policy = |object: &Object<'_>| {
        object.kind == "AuthorizationPolicy" && object.group == "security.istio.io"
    };
    pass_over(&objects, is_policy, report);
    let mut import = Import {
        mesh,
        workloads,
        guarded: BTreeSet::new(),
        all_guarded: false,
        draft,
        report,
    };
    let policies = objects.iter().filter(|object| is_policy(object));
    let count = policies.map(|policy| import.policy(policy)).count();
    if count > 0 {
        import.check_open();
    }
    count > 0
}

struct Import<'a, 'd> {
    mesh: Mesh<'a>,
    workloads: Workloads,
    /// Accounts that some policy lets callers in to, so that all others are kept out.
    guarded: BTreeSet<Account>,
    all_guarded: bool,
    draft: &'d mut Draft,
    report: &'d mut Report,
}

const FIELDS: [&str; 6] = [
    "selector",
    "targetRef",
    "targetRefs",
    "rules",
    "action",
    "provider",
];

/// Annotations by which a policy is only tried out.
const DRY_RUN: &str = "istio.io/dry-run";

impl Import<'_, '_> {
    fn policy(&mut self, policy: &Object<'_>) {
        if policy.annotation(DRY_RUN) == Some("true") {
            let message = format!(
                "`{}` is only tried out (`{DRY_RUN}`), and was left out",
                policy.name
            );
            self.report
                .push(Finding::new(Kind::WithoutEffect, policy.at, message));
            return;
        }
        let fields = match policy.node.field("spec") {
            None => None,
            Some(spec) => {
                let what = "an `AuthorizationPolicy`";
                let fields = Fields::open(spec, what, Keys::Exact, &FIELDS, self.report);
                if fields.is_none() {
                    return;
                }
                fields
            }
        };
        let Some((action, custom)) = self.action(policy, fields.as_ref()) else {
            return;
        };
        let target = self.target(policy, fields.as_ref(), action);
        match custom {
            Some(finding) => self.draft.gap(finding, Action::Deny, &target, self.report),
            None => self.rules(policy, fields.as_ref(), action, &target),
        }
    }

    fn rules(
        &mut self,
        policy: &Object<'_>,
        fields: Option<&Fields<'_>>,
        action: Action,
        target: &Target,
    ) {
        self.draft.declare(target);
        // What is for nobody that is known was reported already.
        let is_known = !matches!(target, Target::Services(services) if services.is_empty());
        let rules = fields.map(|fields| fields.list("rules", self.report));
        for rule in rules.unwrap_or_default() {
            let formula = rules::rule(rule, policy.namespace, self.mesh.options, self.report);
            let statement = Statement {
                name: policy.name,
                at: rule.span,
                action,
                target,
                formula,
            };
            if is_known {
                self.draft.state(&statement, self.report);
            }
        }
    }

    /// What the policy does, and why that could not be told.
    fn action(
        &mut self,
        policy: &Object<'_>,
        fields: Option<&Fields<'_>>,
    ) -> Option<(Action, Option<Finding>)> {
        let word = fields.and_then(|fields| fields.word("action", self.report));
        let Some(word) = word else {
            return Some((Action::Allow, None));
        };
        match word.text {
            "ALLOW" => Some((Action::Allow, None)),
            "DENY" => Some((Action::Deny, None)),
            "AUDIT" => {
                let message = format!(
                    "`{}` only audits, and was left out: every decision is recorded here",
                    policy.name
                );
                self.report
                    .push(Finding::new(Kind::WithoutEffect, word.span, message));
                None
            }
            "CUSTOM" => {
                let message = "`CUSTOM` lets another server decide";
                let finding = Finding::new(Kind::Action, word.span, message);
                let instead =
                    "keep that filter beside Callgate, and take this policy out of the import";
                Some((Action::Deny, Some(finding.instead(instead))))
            }
            other => {
                let message =
                    format!("`action` is `{other}`, none of `ALLOW`, `DENY`, `AUDIT` and `CUSTOM`");
                self.report
                    .push(Finding::new(Kind::Unreadable, word.span, message));
                Some((Action::Allow, None))
            }
        }
    }

    /// Whom the policy is about. What cannot be told is reported.
    fn target(
        &mut self,
        policy: &Object<'_>,
        fields: Option<&Fields<'_>>,
        action: Action,
    ) -> Target {
        let field = |name| fields.and_then(|fields| fields.entry(name));
        let in_root = policy.namespace == self.mesh.root_namespace;
        let namespace = (!in_root).then_some(policy.namespace);
        if let Some(entry) = field("targetRefs").or_else(|| field("targetRef")) {
            let message = format!(
                "`{}` is for what a gateway or a waypoint forwards",
                entry.key
            );
            let finding = Finding::new(Kind::Target, entry.key_span, message);
            let instead = "select the workloads behind it: Callgate decides at the service";
            return self.untold(finding.instead(instead), action, namespace);
        }
        let labels =
            field("selector").map(|entry| (entry, match_labels(&entry.value, self.report)));
        let (labels, at) = match labels {
            None => (std::collections::BTreeMap::new(), policy.at),
            Some((entry, Ok(labels))) => (labels, entry.key_span),
            Some((_, Err(finding))) => return self.untold(finding, action, namespace),
        };
        if in_root && labels.is_empty() {
            self.all_guarded |= action == Action::Allow;
            return Target::Mesh;
        }
        match self.workloads.selected(namespace, &labels, at) {
            Ok(accounts) => {
                let services = accounts
                    .iter()
                    .map(|account| self.service(account))
                    .collect();
                if action == Action::Allow {
                    self.guarded.extend(accounts);
                }
                Target::Services(services)
            }
            Err(finding) => self.untold(finding, action, namespace),
        }
    }

    /// Reports that it cannot be told whom a policy is about. If it keeps callers out, that
    /// may be anybody in the namespace.
    fn untold(&mut self, finding: Finding, action: Action, namespace: Option<&str>) -> Target {
        let accounts = self.workloads.accounts().into_keys();
        let within =
            accounts.filter(|account| namespace.is_none_or(|namespace| account.0 == namespace));
        let within: Vec<Account> = within.collect();
        let services = within.iter().map(|account| self.service(account)).collect();
        if action == Action::Allow {
            self.guarded.extend(within);
        }
        self.draft
            .gap(finding, action, &Target::Services(services), self.report);
        Target::Services(Vec::new())
    }

    /// The SPIFFE ID that Istio gives to an account.
    fn service(&self, (namespace, account): &Account) -> String {
        let domain = self.mesh.options.trust_domain.as_ref();
        let domain = domain.map_or(rules::LOCAL, |domain| domain.as_str());
        format!("spiffe://{domain}/ns/{namespace}/sa/{account}")
    }

    /// Whom no policy lets anybody in to, Istio lets everybody in to.
    fn check_open(&mut self) {
        if self.all_guarded {
            return;
        }
        for (account, at) in self.workloads.accounts() {
            if self.guarded.contains(&account) {
                continue;
            }
            let (namespace, name) = &account;
            let message = format!(
                "no policy allows anything for `{namespace}/{name}`: Istio lets everybody in"
            );
            self.report.push(Finding::open(at, message));
        }
    }
}
