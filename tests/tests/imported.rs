//! Imported policies beside what they were imported from: one Envoy with its own RBAC filter
//! on some listeners and Callgate on others, and the same calls to both.
//!
//! `tests/import/` has the documents. What Istio's control plane and Consul's agents make of theirs, in the
//! terms of Envoy's filter, is written down beside them.

use std::{collections::BTreeSet, fs, path::PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use callgate_analysis::import::{Options, Severity, System, import, render};
use callgate_policy::{SpiffeId, TrustDomain, document::Source};
use callgate_tests::{
    Face, Gate, Host, Validation, artifact,
    caller::{Call, Caller, Http},
    pki::{TRUST_DOMAIN, spiffe_id},
};
use serde_json::Value;

const FACE: Face = (Host::Native, Validation::Spiffe);

/// The file, what it is of, Envoy's form of it, and the service.
const CASES: [(&str, &str, &str, &str); 4] = [
    (
        "nested.yaml",
        "envoy-rbac",
        "nested.yaml",
        "/ns/import/sa/nested",
    ),
    (
        "closed.yaml",
        "envoy-rbac",
        "closed.yaml",
        "/ns/import/sa/closed",
    ),
    (
        "istio.yaml",
        "istio",
        "istio.rbac.yaml",
        "/ns/import/sa/istio",
    ),
    (
        "consul.hcl",
        "consul",
        "consul.rbac.yaml",
        "/ns/default/dc/dc1/svc/api",
    ),
];

const CALLERS: [&str; 10] = [
    "/ns/shop/sa/web",
    "/ns/shop/sa/checkout",
    "/ns/ops/sa/operator",
    "/ns/ops/sa/deputy",
    "/ns/batch/sa/export",
    "/ns/batch/sa/old",
    "/ns/shopping/sa/web",
    "/ns/default/dc/dc1/svc/web",
    "/ns/default/dc/dc2/svc/mobile",
    "/ns/default/dc/dc1/svc/old",
];

/// HEAD is not among them: `GET` covers it here, as the import notes.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PURGE"];

const PATHS: [&str; 23] = [
    "/",
    "/orders",
    "/orders/",
    "/orders?x=/admin",
    "/orders/7",
    "/orders/7/",
    "/orders/7/items",
    "/orders/77",
    "/orders/8/items",
    "/ordersheet",
    "/orders/caf%C3%A9",
    "/orders/7?/items",
    "/admin",
    "/admin/",
    "/admin/users",
    "/administrator/x",
    "/debug",
    "/debug/",
    "/debug/heap",
    "/health",
    "/health/",
    "/healthy",
    "/orders/%37",
];

/// Paths with two readings: Callgate refuses them all, whatever the other one does.
const AMBIGUOUS: [&str; 3] = ["/orders//7", "/orders/7;x=1", "/admin%2Fusers"];

/// Where Callgate may be the stricter one, as the import notes: a deny rule on `/debug/` keeps
/// out `/debug` as well, and so for `/orders/7/*`.
const STRICTER: [(&str, &str); 4] = [
    ("nested.yaml", "/debug"),
    ("istio.yaml", "/orders/7"),
    ("istio.yaml", "/orders/7?/items"),
    ("istio.yaml", "/orders/%37"),
];

#[tokio::test(flavor = "multi_thread")]
async fn envoys_own_filter_and_callgate_decide_alike() {
    if let Err(error) = compare().await {
        panic!("{error:#}");
    }
}

async fn compare() -> Result<()> {
    let services: Vec<&str> = CASES.iter().map(|(.., service)| *service).collect();
    let mut gate = Gate::of(&services).faces(&[FACE]).adapt(add_rbac);
    let mesh = "kind: MeshPolicy\nmetadata: {name: mesh}\nspec: {trustDomain: example.org}\n";
    gate = gate.policy("mesh.yaml", mesh);
    for (file, system, _, service) in CASES {
        gate = gate.policy(
            &format!("{}.yaml", file.replace('.', "-")),
            &imported(file, system, service)?,
        );
    }
    let gate = gate.start().await?;
    let outcome = ask_both(&gate).await;
    outcome.with_context(|| gate.report())
}

async fn ask_both(gate: &Gate) -> Result<()> {
    let (mut wrong, mut let_in, mut kept_out) = (Vec::new(), 0, 0);
    let mut stricter = BTreeSet::new();
    for (file, _, _, service) in CASES {
        let here = gate.address(service, FACE)?;
        let there = gate.envoy.listener(&rbac_listener(service))?;
        for caller in CALLERS {
            let known = Caller::new(Some(&gate.pki.svid(caller)?))?;
            let mut here = known.connect(here, Http::Two).await?;
            let mut there = known.connect(there, Http::Two).await?;
            for method in METHODS {
                for path in PATHS.iter().chain(&AMBIGUOUS) {
                    let ours = here.call(Call::new(method, path)).await?.status;
                    let theirs = there.call(Call::new(method, path)).await?.status;
                    let expected = match (AMBIGUOUS.contains(path), theirs) {
                        (true, _) => 400,
                        (false, 200 | 403) => theirs,
                        (false, other) => bail!("{file}: {method} {path}: Envoy answers {other}"),
                    };
                    if STRICTER.contains(&(file, path)) && (theirs, ours) == (200, 403) {
                        stricter.insert((file, path));
                    } else if ours != expected {
                        wrong.push(format!(
                            "{file}: {caller} {method} {path}: Envoy {theirs}, Callgate {ours}"
                        ));
                    }
                    let_in += usize::from(ours == 200);
                    kept_out += usize::from(ours == 403);
                }
            }
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    ensure!(
        let_in > 300 && kept_out > 500,
        "{let_in} let in, {kept_out} kept out"
    );
    ensure!(
        stricter.len() == STRICTER.len(),
        "some of what differed on purpose no longer does: {stricter:?}"
    );
    Ok(())
}

fn read(file: &str) -> Result<String> {
    let path: PathBuf = artifact::root().join("tests/import").join(file);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// The imported documents, but the `MeshPolicy`, of which a set has one.
fn imported(file: &str, system: &str, service: &str) -> Result<String> {
    let system = match system {
        "istio" => System::Istio {
            root_namespace: "istio-system".to_owned(),
            namespace: None,
        },
        "consul" => System::Consul {
            datacenters: vec!["dc1".to_owned()],
        },
        _ => System::EnvoyRbac {
            services: vec![SpiffeId::parse(&spiffe_id(service))?],
        },
    };
    let options = Options {
        trust_domain: Some(TrustDomain::parse(TRUST_DOMAIN)?),
        ..Options::default()
    };
    let sources = [Source::new(file, read(file)?)];
    let imported = import(&system, &sources, &options)?;
    let exact = imported
        .findings
        .iter()
        .all(|found| found.kind.severity() == Severity::Note);
    ensure!(exact, "{}", render(&imported.findings, &sources, false));
    let documents = imported.documents.split("---\n");
    let services: Vec<&str> = documents
        .filter(|one| !one.contains("kind: MeshPolicy"))
        .collect();
    Ok(services.join("---\n"))
}

/// Beside each listener one with Envoy's own filters in the place of Callgate's.
fn add_rbac(config: &mut Value) -> Result<()> {
    let listeners = config.pointer_mut("/static_resources/listeners");
    let listeners = listeners
        .and_then(Value::as_array_mut)
        .context("no listeners")?;
    for (_, _, rbac, service) in CASES {
        let name = callgate_listener(service);
        let own = listeners
            .iter()
            .find(|listener| listener["name"] == name.as_str());
        let mut copy = own.with_context(|| format!("no listener {name}"))?.clone();
        *copy.get_mut("name").context("no name")? = Value::from(rbac_listener(service));
        let manager = "/filter_chains/0/filters/0/typed_config/http_filters";
        let filters = copy
            .pointer_mut(manager)
            .and_then(Value::as_array_mut)
            .context("no filters")?;
        let router = filters.pop().context("no router")?;
        let rbac: Value = serde_yaml_ng::from_str(&read(rbac)?)?;
        *filters = rbac
            .get("http_filters")
            .and_then(Value::as_array)
            .context("no filters in the case")?
            .clone();
        filters.push(router);
        listeners.push(copy);
    }
    Ok(())
}

/// As the gate calls it.
fn callgate_listener(service: &str) -> String {
    let id = spiffe_id(service);
    let path = id.trim_start_matches("spiffe://").replace(['/', '.'], "-");
    format!("{path}_native_spiffe_inbound")
}

fn rbac_listener(service: &str) -> String {
    callgate_listener(service).replace("_native_", "_rbac_")
}
