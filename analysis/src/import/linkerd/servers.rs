//! `Server`: a port of the pods that it selects.

use std::collections::{BTreeMap, BTreeSet};

use crate::import::{
    document::Span,
    fields::{Fields, Keys},
    kubernetes::{Account, Object, Workloads, match_labels},
    report::{Finding, Kind, Report},
};

use super::POLICY;

/// A server, with whom it is.
#[derive(Debug)]
pub(super) struct Server<'n> {
    pub(super) namespace: &'n str,
    pub(super) name: &'n str,
    pub(super) at: Span,
    pub(super) labels: BTreeMap<String, String>,
    /// The accounts that its pods run as, among the workloads of the documents.
    pub(super) accounts: BTreeSet<Account>,
    /// It could not be told which pods these are: any of the namespace.
    pub(super) is_untold: bool,
}

impl<'n> Server<'n> {
    /// Its namespace and name.
    pub(super) const fn key(&self) -> (&'n str, &'n str) {
        (self.namespace, self.name)
    }
}

/// Every server among `objects`.
pub(super) fn read<'n>(
    objects: &[Object<'n>],
    workloads: &Workloads,
    report: &mut Report,
) -> Vec<Server<'n>> {
    let servers = objects
        .iter()
        .filter(|object| (object.group, object.kind) == (POLICY, "Server"));
    servers
        .map(|object| server(object, workloads, report))
        .collect()
}

const FIELDS: [&str; 5] = [
    "podSelector",
    "externalWorkloadSelector",
    "port",
    "proxyProtocol",
    "accessPolicy",
];

fn server<'n>(object: &Object<'n>, workloads: &Workloads, report: &mut Report) -> Server<'n> {
    let mut server = Server {
        namespace: object.namespace,
        name: object.name,
        at: object.at,
        labels: object.labels(),
        accounts: BTreeSet::new(),
        is_untold: false,
    };
    let fields = object.node.field("spec");
    let fields =
        fields.and_then(|spec| Fields::open(spec, "a `Server`", Keys::Exact, &FIELDS, report));
    let Some(fields) = fields else {
        report.push(Finding::new(
            Kind::Unreadable,
            object.at,
            "a `Server` without `spec`",
        ));
        return server;
    };
    check_access(&fields, report);
    let Some(selector) = fields.entry("podSelector") else {
        let message = "this server is for workloads outside the cluster";
        report.push(left_out(Finding::new(Kind::Target, object.at, message)));
        return server;
    };
    let labels = match match_labels(&selector.value, report) {
        Ok(labels) => labels,
        Err(finding) => {
            server.is_untold = true;
            report.push(left_out(finding));
            return server;
        }
    };
    match workloads.selected(Some(object.namespace), &labels, selector.key_span) {
        Ok(accounts) => server.accounts = accounts,
        Err(finding) => report.push(left_out(finding)),
    }
    server
}

fn left_out(finding: Finding) -> Finding {
    finding.effect("left out: the calls that only this let in are refused")
}

/// What becomes of calls that nothing authorizes; `deny` unless told.
fn check_access(fields: &Fields<'_>, report: &mut Report) {
    let Some(policy) = fields
        .word("accessPolicy", report)
        .filter(|word| word.text != "deny")
    else {
        return;
    };
    let message = format!(
        "`accessPolicy: {}` lets in callers that nothing authorizes",
        policy.text
    );
    let effect = "only whom something authorizes is let in";
    report.push(Finding::open(policy.span, message).effect(effect));
}
