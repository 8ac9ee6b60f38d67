//! Everything at once: authorities, policies, the server, a service, and one Envoy
//! with a gated listener for each callee.

use std::{
    fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    artifact,
    caller::{Caller, Http},
    callgate::{Callgate, Own, Setup},
    envoy::{Envoy, Template, config_path, merge, scratch},
    mesh::{CONNECTION_AGE, Mesh, Still},
    pki::{CALLGATE, PARTNER_DOMAIN, Pki, TRUST_DOMAIN, spiffe_id},
    process::eventually,
    sidecar::{Credentials, Host, Validation},
    upstream::Upstream,
};

/// Longer than a decision takes on the busiest machine, so that no test meets
/// `authz-timeout` by accident.
const PATIENT: &str = "5s";
/// A secret reaches Envoy in milliseconds.
const SERVED: Duration = Duration::from_secs(10);

/// One kind of listener; each callee gets one of every kind asked for.
pub type Face = (Host, Validation);

/// What to start.
#[derive(Clone, Debug)]
pub struct GateBuilder {
    callees: Vec<String>,
    asking_as: Option<String>,
    faces: Vec<Face>,
    policies: Vec<(String, String)>,
    policy_directory: Option<PathBuf>,
    authz: Option<Asked>,
    timeout: String,
    filter: Option<PathBuf>,
    adapt: Adapt,
    files: bool,
    workers: u32,
}

/// What changes a filled-in configuration.
type Change = dyn Fn(&mut Value) -> Result<()> + Send + Sync;

#[derive(Clone)]
struct Adapt(Arc<Change>);

impl fmt::Debug for Adapt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Adapt")
    }
}

/// A server that a gate asks instead of one of its own, and who signed its identity.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Where it listens.
    pub address: SocketAddr,
    /// Signs for [`CALLGATE`], and for everyone at this gate.
    pub pki: Arc<Pki>,
}

/// A running gate. What it holds ends when it is dropped, Envoy first.
#[derive(Debug)]
pub struct Gate {
    /// The proxy.
    pub envoy: Envoy,
    /// The server, unless the gate was pointed at another.
    pub server: Option<Callgate>,
    /// The service behind every listener.
    pub upstream: Upstream,
    /// Who signs.
    pub pki: Arc<Pki>,
    /// Who renews the identities of the proxies and the server.
    pub mesh: Mesh,
    directory: TempDir,
}

/// A running proxy before a sidecar: a client-side one, or a gateway.
#[derive(Debug)]
pub struct Client {
    /// The proxy.
    pub envoy: Envoy,
    /// Where to call it.
    pub address: SocketAddr,
    directory: TempDir,
}

impl Client {
    /// Its files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Gate {
    /// A gate in front of `callees`: full SPIFFE IDs, or paths in the tests' domain.
    #[must_use]
    pub fn of(callees: &[&str]) -> GateBuilder {
        GateBuilder {
            callees: callees.iter().map(|id| spiffe_id(id)).collect(),
            asking_as: None,
            faces: vec![(Host::Filter, Validation::Spiffe)],
            policies: Vec::new(),
            policy_directory: None,
            authz: None,
            timeout: PATIENT.to_owned(),
            filter: None,
            adapt: Adapt(Arc::new(|_| Ok(()))),
            files: false,
            workers: 1,
        }
    }

    /// Where `callee`'s listener of that kind listens.
    ///
    /// # Errors
    /// When the gate was not asked for it.
    pub fn address(&self, callee: &str, face: Face) -> Result<SocketAddr> {
        self.envoy
            .listener(&format!("{}_inbound", service(&spiffe_id(callee), face)))
    }

    /// Keeps the callee's certificate as it is while the value is there: Envoy resumes no
    /// session that is older than its own certificate.
    ///
    /// # Errors
    /// When a listener does not get there.
    pub async fn still(&self, callee: &str, faces: &[Face]) -> Result<Still<'_>> {
        let still = self.mesh.still().await?;
        let leaf = self.mesh.leaf(&spiffe_id(callee))?;
        let caller = Caller::new(Some(&self.pki.svid("/still")?))?;
        for &face in faces {
            let address = self.address(callee, face)?;
            eventually(SERVED, "Envoy to show its new certificate", async || {
                let tls = caller.handshake(address, Http::One).await?;
                let shown = tls.get_ref().1.peer_certificates();
                let shown = shown.and_then(|chain| chain.first());
                Ok((shown == Some(&leaf)).then_some(()))
            })
            .await?;
        }
        Ok(still)
    }

    /// The callee's listener of that kind through the client-side sidecar of
    /// `caller`, as `envoy/client.yaml` has it.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn client(&self, caller: &str, callee: &str, face: Face) -> Result<Client> {
        self.client_expecting(caller, callee, callee, face).await
    }

    /// The same, with a sidecar that will only talk to `expected`.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn client_expecting(
        &self,
        caller: &str,
        expected: &str,
        callee: &str,
        face: Face,
    ) -> Result<Client> {
        let client = ("client.yaml", "callee_outbound");
        self.before(client, caller, expected, self.address(callee, face)?)
            .await
    }

    /// The callee's listener of that kind behind a gateway with the identity `own`, as
    /// `envoy/gateway.yaml` has it.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn gateway(&self, own: &str, callee: &str, face: Face) -> Result<Client> {
        let gateway = ("gateway.yaml", "callee_gateway");
        self.before(gateway, own, callee, self.address(callee, face)?)
            .await
    }

    /// A proxy before `address`, where `expected` is to be, from that file and with that
    /// listener.
    async fn before(
        &self,
        (file, listener): (&str, &str),
        own: &str,
        expected: &str,
        address: SocketAddr,
    ) -> Result<Client> {
        let (own, callee_id) = (spiffe_id(own), spiffe_id(expected));
        let directory = tempfile::tempdir_in(self.directory())?;
        let (socket, roots) = (self.mesh.socket(&own)?, self.pki.root.bundle_pem());
        let own = Credentials::served(&own, socket, &roots, directory.path())?;
        let names = own.name(Template::new(), Validation::Spiffe)?;
        let names = names
            .with("NODE", "client")
            .with("SERVICE", "callee")
            .with("ADMIN_PORT", 0)
            .with("OUTBOUND_PORT", 0)
            .with("INBOUND_ADDRESS", "127.0.0.1")
            .with("INBOUND_PORT", 0)
            .with("CALLEE_ADDRESS", address.ip())
            .with("CALLEE_PORT", address.port())
            .with("CALLEE_ID", callee_id)
            .with("CONNECTION_AGE", CONNECTION_AGE);
        let mut config = names.parse(&config_path(file))?;
        own.reach(&mut config)?;
        let envoy = Envoy::start(&config, &directory.path().join("envoy")).await?;
        let address = envoy.listener(listener)?;
        Ok(Client {
            envoy,
            address,
            directory,
        })
    }

    /// The server.
    ///
    /// # Errors
    /// When the gate asks another.
    pub fn server(&self) -> Result<&Callgate> {
        self.server
            .as_ref()
            .context("this gate has no `callgate serve`")
    }

    /// The gate's files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The ends of the logs, for a failure.
    #[must_use]
    pub fn report(&self) -> String {
        let server = self.server.as_ref().map(|server| server.process().tail());
        format!(
            "{}\n{}",
            self.envoy.process().tail(),
            server.unwrap_or_default()
        )
    }
}

impl GateBuilder {
    /// Which listeners each callee gets.
    #[must_use]
    pub fn faces(mut self, faces: &[Face]) -> Self {
        self.faces = faces.to_vec();
        self
    }

    /// A policy document, under that file name.
    #[must_use]
    pub fn policy(mut self, file: &str, text: &str) -> Self {
        self.policies.push((file.to_owned(), text.to_owned()));
        self
    }

    /// A directory of policies that is used where it is.
    #[must_use]
    pub fn policies_at(mut self, directory: &Path) -> Self {
        self.policy_directory = Some(directory.to_owned());
        self
    }

    /// Asks that server instead of starting one.
    #[must_use]
    pub fn asking(mut self, authz: impl Into<Asked>) -> Self {
        self.authz = Some(authz.into());
        self
    }

    /// `CALLGATE_TIMEOUT`, verbatim.
    #[must_use]
    pub fn timeout(mut self, timeout: &str) -> Self {
        timeout.clone_into(&mut self.timeout);
        self
    }

    /// Another build of the filter.
    #[must_use]
    pub fn filter(mut self, path: PathBuf) -> Self {
        self.filter = Some(path);
        self
    }

    /// Asks the server with the identity `id`, whatever listener the call came in by:
    /// as a gateway does, or a sidecar with somebody else's key.
    #[must_use]
    pub fn asking_as(mut self, id: &str) -> Self {
        self.asking_as = Some(spiffe_id(id));
        self
    }

    /// With identities in files, which the test renews, instead of from an agent.
    #[must_use]
    pub const fn in_files(mut self) -> Self {
        self.files = true;
        self
    }

    /// With that many workers in the proxy, and not the one that a request meets again.
    #[must_use]
    pub const fn workers(mut self, workers: u32) -> Self {
        self.workers = workers;
        self
    }

    /// Changes the filled-in configuration before Envoy gets it: for benchmarks that
    /// measure it beside others, not for tests of what ships.
    #[must_use]
    pub fn adapt(
        mut self,
        adapt: impl Fn(&mut Value) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.adapt = Adapt(Arc::new(adapt));
        self
    }

    /// Starts it all and waits until it takes calls.
    ///
    /// # Errors
    /// When a part does not start; the error has the end of its log.
    pub async fn start(self) -> Result<Gate> {
        let directory = scratch()?;
        let pki = match &self.authz {
            Some(authz) => Arc::clone(&authz.pki),
            None => Arc::new(Pki::new()?),
        };
        let mesh = Mesh::start(&pki, directory.path()).await?;
        let server = self.start_server((&pki, &mesh), directory.path()).await?;
        let authz = match (&server, &self.authz) {
            (Some(server), _) => Some(server.listen),
            (None, authz) => authz.as_ref().map(|authz| authz.address),
        };
        let upstream = Upstream::start().await?;
        let mut config = self.envoy_config(
            (&pki, &mesh),
            directory.path(),
            authz.context("no server")?,
            &upstream,
        )?;
        (self.adapt.0)(&mut config)?;
        let files = directory.path().join("envoy");
        let envoy = Envoy::start_with(self.workers, &config, &files).await?;
        Ok(Gate {
            envoy,
            server,
            upstream,
            pki,
            mesh,
            directory,
        })
    }

    async fn start_server(
        &self,
        (pki, mesh): (&Pki, &Mesh),
        directory: &Path,
    ) -> Result<Option<Callgate>> {
        if self.authz.is_some() {
            return Ok(None);
        }
        let policies = match &self.policy_directory {
            Some(path) => path.clone(),
            None => directory.join("policies"),
        };
        fs::create_dir_all(&policies)?;
        for (file, text) in &self.policies {
            fs::write(policies.join(file), text)?;
        }
        let setup = Setup {
            policies,
            bundles: write_bundles(pki, directory)?,
            identity: Some(if self.files {
                Own::Files(Credentials::mint(pki, &spiffe_id(CALLGATE), directory)?.directory)
            } else {
                Own::Agent(mesh.socket(&spiffe_id(CALLGATE))?)
            }),
            directory: directory.join("callgate"),
        };
        Callgate::start(setup).await.map(Some)
    }

    fn envoy_config(
        &self,
        (pki, mesh): (&Pki, &Mesh),
        directory: &Path,
        authz: SocketAddr,
        upstream: &Upstream,
    ) -> Result<Value> {
        let mut config = json!({});
        let names = self.names(authz, upstream)?;
        for callee in &self.callees {
            let own = self.credentials((pki, mesh), callee, directory)?;
            own.reach(&mut config)?;
            for &(host, validation) in &self.faces {
                let names = own.name(names.clone(), validation)?;
                let names = names.with("SERVICE", service(callee, (host, validation)));
                merge(&mut config, names.parse(&host.config())?)?;
            }
        }
        if let Some(id) = &self.asking_as {
            let own = self.credentials((pki, mesh), id, directory)?;
            own.reach(&mut config)?;
            show_when_asking(&mut config, &own.svid()?)?;
        }
        Ok(config)
    }

    fn credentials(
        &self,
        (pki, mesh): (&Pki, &Mesh),
        id: &str,
        directory: &Path,
    ) -> Result<Credentials> {
        if self.files {
            return Credentials::mint(pki, id, directory);
        }
        Credentials::served(id, mesh.socket(id)?, &pki.root.bundle_pem(), directory)
    }

    fn names(&self, authz: SocketAddr, upstream: &Upstream) -> Result<Template> {
        let filter = match &self.filter {
            Some(path) => path.clone(),
            // A gate with native listeners only does not need one.
            None if self.faces.iter().all(|(host, _)| *host == Host::Native) => PathBuf::new(),
            None => artifact::filter()?,
        };
        Ok(Template::new()
            .with("NODE", "gate")
            .with("ADMIN_PORT", 0)
            .with("INBOUND_ADDRESS", "127.0.0.1")
            .with("INBOUND_PORT", 0)
            .with("APP_PORT", upstream.address.port())
            .with("CALLGATE_ADDRESS", authz.ip())
            .with("CALLGATE_PORT", authz.port())
            .with("CALLGATE_ID", spiffe_id(CALLGATE))
            .with("CALLGATE_TIMEOUT", &self.timeout)
            .with("CALLGATE_FILTER", filter.display()))
    }
}

fn write_bundles(pki: &Pki, directory: &Path) -> Result<Vec<(String, PathBuf)>> {
    [(TRUST_DOMAIN, &pki.root), (PARTNER_DOMAIN, &pki.partner)]
        .into_iter()
        .map(|(domain, authority)| {
            let path = directory.join(format!("{domain}.pem"));
            fs::write(&path, authority.bundle_pem())?;
            Ok((domain.to_owned(), path))
        })
        .collect()
}

/// Every cluster that asks Callgate shows the certificate of that `SdsSecretConfig`.
fn show_when_asking(config: &mut Value, svid: &str) -> Result<()> {
    let clusters = config.pointer_mut("/static_resources/clusters");
    let clusters = clusters.and_then(Value::as_array_mut).context("clusters")?;
    for cluster in clusters {
        if !cluster["name"]
            .as_str()
            .is_some_and(|name| name.ends_with("_callgate"))
        {
            continue;
        }
        let path = "/transport_socket/typed_config/common_tls_context\
                    /tls_certificate_sds_secret_configs/0";
        let shown = cluster.pointer_mut(path).context("no certificate")?;
        *shown = serde_yaml_ng::from_str(svid)?;
    }
    Ok(())
}

/// The short name of a listener: the ID's path and the kind.
fn service(callee: &str, (host, validation): Face) -> String {
    let path = callee
        .strip_prefix("spiffe://")
        .unwrap_or(callee)
        .replace('/', "-");
    format!(
        "{}_{}_{}",
        path.replace('.', "-"),
        host.name(),
        validation.name()
    )
}
