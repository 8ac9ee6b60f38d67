//! Objects of Kubernetes, and the service accounts that workloads run as.
//!
//! Policies there select workloads by labels; rules here are for identities. The workloads
//! in between have to be among the documents, or nobody knows whom a policy is about.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    document::{Node, Span},
    fields::{Fields, Keys},
    report::{Finding, Kind, Report},
};

/// An object of a cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object<'n> {
    /// The group of its `apiVersion`.
    pub(super) group: &'n str,
    pub(super) kind: &'n str,
    pub(super) name: &'n str,
    pub(super) namespace: &'n str,
    pub(super) node: &'n Node,
    /// Where its name stands.
    pub(super) at: Span,
}

/// A service account, by namespace and name.
pub(super) type Account = (String, String);

/// What runs in a cluster, as far as the documents tell.
#[derive(Debug, Default)]
pub(super) struct Workloads {
    workloads: Vec<Workload>,
}

#[derive(Debug)]
struct Workload {
    name: String,
    at: Span,
    account: Account,
    labels: BTreeMap<String, String>,
}

/// Kinds that make pods, and where their template stands.
const TEMPLATES: [(&str, &[&str]); 7] = [
    ("Deployment", &["spec", "template"]),
    ("StatefulSet", &["spec", "template"]),
    ("DaemonSet", &["spec", "template"]),
    ("ReplicaSet", &["spec", "template"]),
    ("Job", &["spec", "template"]),
    ("CronJob", &["spec", "jobTemplate", "spec", "template"]),
    ("Pod", &[]),
];

/// Every object in `documents`, those of lists too. `namespace` is for those that do not
/// name theirs.
pub(super) fn objects<'n>(
    documents: &'n [Node],
    namespace: Option<&'n str>,
    report: &mut Report,
) -> Vec<Object<'n>> {
    let mut objects = Vec::new();
    for document in documents {
        let kind = document.field_text("kind").unwrap_or_default();
        match document.field("items") {
            Some(items) if kind.ends_with("List") => {
                let items = items.items().iter();
                objects.extend(items.filter_map(|item| object(item, namespace, report)));
            }
            _ => objects.extend(object(document, namespace, report)),
        }
    }
    objects
}

fn object<'n>(
    node: &'n Node,
    namespace: Option<&'n str>,
    report: &mut Report,
) -> Option<Object<'n>> {
    let (Some(kind), Some(metadata)) = (node.field_text("kind"), node.field("metadata")) else {
        let message = "this is not an object of Kubernetes: `kind` and `metadata` are missing";
        report.push(Finding::new(Kind::Unreadable, node.span, message));
        return None;
    };
    let name = metadata.field("name");
    let own = metadata.field_text("namespace").or(namespace);
    let namespaced = !matches!(
        kind,
        "Namespace" | "CustomResourceDefinition" | "ClusterRole" | "ClusterRoleBinding"
    );
    if own.is_none() && namespaced {
        let message =
            "`metadata.namespace` is missing, and `kubectl` would take the one it is set to";
        let at = name.map_or(node.span, |name| name.span);
        let finding = Finding::new(Kind::Namespace, at, message);
        report.push(finding.instead("write it, or give `--namespace`"));
    }
    let version = node.field_text("apiVersion").unwrap_or_default();
    Some(Object {
        group: version.split_once('/').map_or("", |(group, _)| group),
        kind,
        name: name.and_then(Node::text).unwrap_or_default(),
        namespace: own.unwrap_or_default(),
        node,
        at: name.map_or(node.span, |name| name.span),
    })
}

impl<'n> Object<'n> {
    /// An annotation.
    pub(super) fn annotation(&self, key: &str) -> Option<&'n str> {
        self.node
            .field("metadata")?
            .field("annotations")?
            .field_text(key)
    }

    /// The labels.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        self.node.field("metadata").map(labels).unwrap_or_default()
    }
}

fn labels(metadata: &Node) -> BTreeMap<String, String> {
    let labels = metadata
        .field("labels")
        .map(Node::entries)
        .unwrap_or_default();
    let label = |entry: &super::document::Entry| {
        let value = entry.value.text().unwrap_or_default();
        (entry.key.clone(), value.to_owned())
    };
    labels.iter().map(label).collect()
}

impl Workloads {
    /// Those among `objects`.
    pub(super) fn of(objects: &[Object<'_>]) -> Self {
        let workloads = objects.iter().filter_map(workload);
        Self {
            workloads: workloads.collect(),
        }
    }

    /// Whether objects of that kind are workloads.
    pub(super) fn are(kind: &str) -> bool {
        TEMPLATES.iter().any(|(known, _)| *known == kind)
    }

    /// Every account that something runs as, with where.
    pub(super) fn accounts(&self) -> BTreeMap<Account, Span> {
        let mut accounts = BTreeMap::new();
        for workload in &self.workloads {
            accounts
                .entry(workload.account.clone())
                .or_insert(workload.at);
        }
        accounts
    }

    /// The accounts of the workloads that have all of `labels`, in `namespace` or in any.
    ///
    /// # Errors
    /// When there are none, or an account runs other workloads too: `at` is who asks.
    pub(super) fn selected(
        &self,
        namespace: Option<&str>,
        labels: &BTreeMap<String, String>,
        at: Span,
    ) -> Result<BTreeSet<Account>, Finding> {
        let fits = |workload: &&Workload| {
            namespace.is_none_or(|namespace| workload.account.0 == namespace)
                && labels
                    .iter()
                    .all(|(key, value)| workload.labels.get(key) == Some(value))
        };
        let (these, others): (Vec<&Workload>, Vec<&Workload>) =
            self.workloads.iter().partition(fits);
        let accounts: BTreeSet<Account> = these.iter().map(|one| one.account.clone()).collect();
        if accounts.is_empty() {
            let message = format!(
                "no workload among the documents is {}",
                described(namespace, labels)
            );
            let instead = "import the workloads with the policies, as `kubectl get \
                 deployments,statefulsets,daemonsets -A -o yaml` has them";
            return Err(Finding::new(Kind::Target, at, message).instead(instead));
        }
        let shared = others
            .iter()
            .find(|other| accounts.contains(&other.account));
        if let Some(other) = shared {
            let (namespace, account) = &other.account;
            let message = format!(
                "`{}` is not selected, but runs as `{namespace}/{account}` like one that is",
                other.name
            );
            let instead = "give each workload with rules of its own a service account: rules are for identities";
            return Err(Finding::new(Kind::Target, at, message).instead(instead));
        }
        Ok(accounts)
    }
}

fn described(namespace: Option<&str>, labels: &BTreeMap<String, String>) -> String {
    let labels: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let place = namespace.map_or_else(String::new, |namespace| {
        format!("in the namespace `{namespace}`")
    });
    match (labels.as_slice(), place.as_str()) {
        ([], "") => "there at all".to_owned(),
        ([], place) => place.to_owned(),
        (labels, "") => format!("labelled `{}`", labels.join(",")),
        (labels, place) => format!("{place} and labelled `{}`", labels.join(",")),
    }
}

fn workload(object: &Object<'_>) -> Option<Workload> {
    let (_, path) = TEMPLATES.iter().find(|(kind, _)| *kind == object.kind)?;
    let template = path
        .iter()
        .try_fold(object.node, |node, key| node.field(key))?;
    let spec = template.field("spec");
    let account = spec.and_then(|spec| {
        spec.field_text("serviceAccountName")
            .or_else(|| spec.field_text("serviceAccount"))
    });
    Some(Workload {
        name: object.name.to_owned(),
        at: object.at,
        account: (
            object.namespace.to_owned(),
            account.unwrap_or("default").to_owned(),
        ),
        labels: template.field("metadata").map(labels).unwrap_or_default(),
    })
}

/// `matchLabels` of a selector; other ways to select cannot be told from here.
pub(super) fn match_labels(
    selector: &Node,
    report: &mut Report,
) -> Result<BTreeMap<String, String>, Finding> {
    let known = ["matchLabels", "matchExpressions"];
    let Some(fields) = Fields::open(selector, "a selector", Keys::Exact, &known, report) else {
        return Ok(BTreeMap::new());
    };
    if let Some(entry) = fields
        .entry("matchExpressions")
        .filter(|entry| !entry.value.items().is_empty())
    {
        let message = "`matchExpressions` select by more than equal labels";
        let finding = Finding::new(Kind::Target, entry.key_span, message);
        return Err(finding.instead("select by `matchLabels`"));
    }
    let labels = fields
        .get("matchLabels")
        .map(Node::entries)
        .unwrap_or_default();
    let label = |entry: &super::document::Entry| {
        let value = entry.value.text().unwrap_or_default();
        (entry.key.clone(), value.to_owned())
    };
    Ok(labels.iter().map(label).collect())
}

/// That some of the documents are none of those that are read.
pub(super) fn pass_over(
    objects: &[Object<'_>],
    is_read: impl Fn(&Object<'_>) -> bool,
    report: &mut Report,
) {
    let mut others: BTreeMap<&str, (usize, Span)> = BTreeMap::new();
    for object in objects
        .iter()
        .filter(|object| !is_read(object) && !Workloads::are(object.kind))
    {
        others.entry(object.kind).or_insert((0, object.at)).0 += 1;
    }
    for (kind, (count, first)) in others {
        let message = match count {
            1 => format!("a `{kind}` was passed over"),
            count => format!("{count} documents of kind `{kind}` were passed over"),
        };
        report.push(Finding::new(Kind::PassedOver, first, message));
    }
}
