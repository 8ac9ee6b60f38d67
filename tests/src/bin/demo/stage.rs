//! Two services with a sidecar each, the server, and the callers.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use callgate_tests::{
    Host, Validation,
    agent::{DevIssuer, Kept},
    artifact,
    callgate::{Callgate, Own, Setup},
    envoy::{Envoy, Template, config_path, merge, scratch},
    pki::{CALLGATE, Identity, spiffe_id},
    process::Process,
    sidecar::Credentials,
    upstream::Upstream,
};
use tempfile::TempDir;

/// The service that the story is about.
pub(crate) const ORDERS: &str = "/ns/shop/sa/orders";
/// The service that orders calls.
pub(crate) const STOCK: &str = "/ns/shop/sa/stock";
const CHECKOUT: &str = "/ns/shop/sa/checkout";
/// Who has no rule at first.
pub(crate) const WEB: &str = "/ns/shop/sa/web";
/// Seconds that an SVID lives here; each is renewed when half of them are over.
const SVID_TTL: u64 = 16;
/// Where a newcomer reads them; the story edits a copy.
const POLICIES: &str = "docs/demo/policies";

/// Everything that runs. Dropped, everything ends.
#[derive(Debug)]
pub(crate) struct Stage {
    orders: Service,
    stock: Service,
    /// `callgate serve`.
    pub(crate) server: Callgate,
    issuer: DevIssuer,
    directory: TempDir,
}

#[derive(Debug)]
struct Service {
    envoy: Envoy,
    upstream: Upstream,
}

impl Stage {
    /// Starts it all.
    pub(crate) async fn start() -> Result<Self> {
        let directory = scratch()?;
        let workloads = [
            ("callgate", CALLGATE),
            ("orders", ORDERS),
            ("stock", STOCK),
            ("checkout", CHECKOUT),
            ("web", WEB),
        ];
        let issuer = DevIssuer::start(directory.path(), &workloads, SVID_TTL).await?;
        let policies = directory.path().join("policies");
        copy(&artifact::root().join(POLICIES), &policies)?;
        let setup = Setup {
            policies,
            bundles: Vec::new(),
            identity: Some(Own::Agent(issuer.socket("callgate"))),
            directory: directory.path().to_owned(),
        };
        let server = Callgate::start(setup).await?;
        let stock = Service::stock(&issuer, directory.path(), server.listen).await?;
        let callee = stock.envoy.listener("stock_inbound")?;
        let orders = Service::orders(&issuer, directory.path(), server.listen, callee).await?;
        Ok(Self {
            orders,
            stock,
            server,
            issuer,
            directory,
        })
    }

    /// Where callers find orders.
    pub(crate) fn orders(&self) -> Result<SocketAddr> {
        self.orders.envoy.listener("orders_inbound")
    }

    /// Where orders finds stock: on its own machine, at its own sidecar.
    pub(crate) fn stock_from_orders(&self) -> Result<SocketAddr> {
        self.orders.envoy.listener("stock_outbound")
    }

    /// The id of the decision by which the last request for `path` reached `service`.
    pub(crate) fn decision(&self, service: &str, path: &str) -> Option<String> {
        let upstream = if service == STOCK {
            &self.stock.upstream
        } else {
            &self.orders.upstream
        };
        let seen = upstream.seen(path).pop()?;
        seen.header("x-callgate-decision").map(str::to_owned)
    }

    /// A copy of orders' policy that the story may edit.
    pub(crate) fn orders_policy(&self) -> PathBuf {
        self.server.policies().join("orders.yaml")
    }

    /// Has nobody believe `id` any more, as `callgate revoke` does.
    pub(crate) fn revoke(&self, id: &str, name: &str) -> Result<()> {
        let output = Command::new(artifact::callgate()?)
            .args(["revoke", id, "--name", name])
            .args(["--reason", "key found in a build log"])
            .args(["--by", "dana@example.org", "--policies"])
            .arg(self.server.policies())
            .output()?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "revoke: {complaint}");
        Ok(())
    }

    /// The identity that checkout has now; whoever keeps it does not have it renewed.
    pub(crate) async fn checkout(&self) -> Result<Identity> {
        self.issuer.svid("checkout").await
    }

    /// The same for somebody with no rule.
    pub(crate) async fn web(&self) -> Result<Identity> {
        self.issuer.svid("web").await
    }

    /// How often the certificate of orders' sidecar was renewed so far.
    pub(crate) async fn renewals(&self) -> Result<u64> {
        let name = "sds.default.update_success";
        Ok(self.orders.envoy.stat(name).await?.saturating_sub(1))
    }

    /// The ends of all logs.
    pub(crate) fn logs(&self) -> String {
        let processes = [
            self.orders.envoy.process(),
            self.stock.envoy.process(),
            self.server.process(),
            self.issuer.process(),
        ];
        processes.map(Process::tail).join("\n")
    }

    /// What to try while it stays up, and what keeps its certificates fresh meanwhile.
    pub(crate) async fn invitation(&self) -> Result<(String, Vec<Kept>)> {
        let mut text = "It stays up; Ctrl-C ends it. Try:\n".to_owned();
        let mut kept = Vec::new();
        for name in ["checkout", "web"] {
            let own = self.directory.path().join(name);
            kept.push(self.issuer.keep(name, &own).await?);
            for (method, path) in [
                ("POST", "/orders"),
                ("GET", "/orders/7"),
                ("DELETE", "/orders/7"),
            ] {
                text.push_str(&format!(
                    "\n  curl -ik --cert {0}/chain.pem --key {0}/key.pem -X {method} https://{1}{path}",
                    own.display(),
                    self.orders()?,
                ));
            }
        }
        text.push_str(&format!(
            "\n  curl -ik https://{}/orders/7\n  $EDITOR {}\n  tail -f {}\n  curl http://{}/metrics",
            self.orders()?,
            self.orders_policy().display(),
            self.directory.path().join("decisions.jsonl").display(),
            self.server.admin,
        ));
        Ok((text, kept))
    }
}

impl Service {
    /// Behind the strict bundle: whoever has no certificate does not get a word in.
    async fn stock(issuer: &DevIssuer, directory: &Path, callgate: SocketAddr) -> Result<Self> {
        let upstream = Upstream::start().await?;
        let own = credentials(issuer, "stock", STOCK, directory)?;
        let names = inbound("stock", callgate, &upstream)?;
        let names = own.name(names, Validation::Spiffe)?;
        let mut config = names.parse(&Host::Filter.config())?;
        own.reach(&mut config)?;
        let envoy = Envoy::start(&config, &own.directory.join("envoy")).await?;
        Ok(Self { envoy, upstream })
    }

    /// With a client side as well, in the same Envoy; and callers without a
    /// certificate are told why they are refused.
    async fn orders(
        issuer: &DevIssuer,
        directory: &Path,
        callgate: SocketAddr,
        stock: SocketAddr,
    ) -> Result<Self> {
        let upstream = Upstream::start().await?;
        let own = credentials(issuer, "orders", ORDERS, directory)?;
        let names = inbound("orders", callgate, &upstream)?;
        let names = own.name(names, Validation::Optional)?;
        let mut config = names.parse(&Host::Filter.config())?;
        let names = own.name(names, Validation::Spiffe)?;
        let names = names
            .with("SERVICE", "stock")
            .with("OUTBOUND_PORT", 0)
            .with("CALLEE_ADDRESS", stock.ip())
            .with("CALLEE_PORT", stock.port())
            .with("CALLEE_ID", spiffe_id(STOCK))
            // Below half of an SVID's life.
            .with("CONNECTION_AGE", "6s");
        merge(&mut config, names.parse(&config_path("client.yaml"))?)?;
        own.reach(&mut config)?;
        let envoy = Envoy::start(&config, &own.directory.join("envoy")).await?;
        Ok(Self { envoy, upstream })
    }
}

/// From the workload's own socket of the issuer, as from an agent's.
fn credentials(issuer: &DevIssuer, name: &str, path: &str, parent: &Path) -> Result<Credentials> {
    let roots = fs::read_to_string(issuer.bundle_pem())?;
    Credentials::served(&spiffe_id(path), issuer.socket(name), &roots, parent)
}

fn inbound(service: &str, callgate: SocketAddr, upstream: &Upstream) -> Result<Template> {
    Ok(Template::new()
        .with("NODE", service)
        .with("SERVICE", service)
        .with("ADMIN_PORT", 0)
        .with("INBOUND_ADDRESS", "127.0.0.1")
        .with("INBOUND_PORT", 0)
        .with("APP_PORT", upstream.address.port())
        .with("CALLGATE_ADDRESS", callgate.ip())
        .with("CALLGATE_PORT", callgate.port())
        .with("CALLGATE_ID", spiffe_id(CALLGATE))
        // A machine that also compiles may be slow for once.
        .with("CALLGATE_TIMEOUT", "1s")
        .with("CALLGATE_FILTER", artifact::filter()?.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("read `{}`", from.display()))? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// The refused step once more, as the team that owns orders would ask about it.
pub(crate) fn explain() -> Result<()> {
    let call = "DELETE /orders/7";
    let args = [
        "explain",
        "--policies",
        POLICIES,
        "--from",
        CHECKOUT,
        "--to",
        ORDERS,
        call,
    ];
    let binary = artifact::callgate()?;
    let shown = binary.strip_prefix(artifact::root()).unwrap_or(&binary);
    println!(
        "{} {} '{call}'",
        shown.display(),
        args.split_last().context("args")?.1.join(" ")
    );
    let output = Command::new(&binary)
        .args(args)
        .current_dir(artifact::root())
        .output()?;
    println!("{}", String::from_utf8_lossy(&output.stdout).trim_end());
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(1),
        "explain: {}: {complaint}",
        output.status
    );
    Ok(())
}
