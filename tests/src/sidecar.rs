//! What a sidecar needs from the files in `envoy/`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    artifact,
    envoy::{Template, config_path, merge},
    mesh,
    pki::{PARTNER_DOMAIN, Pki, Spec, TRUST_DOMAIN, spiffe_id},
};

/// The bundle of [`TRUST_DOMAIN`], by a name that means it to a workload of another
/// trust domain as well. `ROOTCA` is the one of the workload's own.
const OWN_BUNDLE: &str = "spiffe://example.org";

/// What in the proxy asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// The filter: `envoy/sidecar.yaml`.
    Filter,
    /// Envoy's own ext_authz: `envoy/native-ext-authz.yaml`.
    Native,
}

impl Host {
    /// Its configuration.
    #[must_use]
    pub fn config(self) -> PathBuf {
        config_path(match self {
            Self::Filter => "sidecar.yaml",
            Self::Native => "native-ext-authz.yaml",
        })
    }

    /// A word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Native => "native",
        }
    }
}

/// Has every sidecar append to `x-forwarded-client-cert`: the line that the shipped files
/// have as a comment, for services behind a gateway.
///
/// # Errors
/// When the files no longer have it, or a sidecar does not replace the header as shipped.
pub fn append_client_cert(config: &mut Value) -> Result<()> {
    const FIELD: &str = "forward_client_cert_details";
    let text = fs::read_to_string(Host::Filter.config())?;
    let mut lines = text.lines().map(str::trim);
    let commented = lines.find_map(|line| line.strip_prefix("# ")?.strip_prefix(FIELD));
    let value = commented.and_then(|rest| rest.strip_prefix(": "));
    let value = value.context("no commented line in sidecar.yaml")?;
    let listeners = config.pointer_mut("/static_resources/listeners");
    let listeners = listeners
        .and_then(Value::as_array_mut)
        .context("no listeners")?;
    for listener in listeners {
        let path = "/filter_chains/0/filters/0/typed_config";
        let manager = listener.pointer_mut(path).context("no filters")?;
        let details = manager.get_mut(FIELD).context("not said")?;
        ensure!(*details == "SANITIZE_SET", "`{details}` is not as shipped");
        *details = Value::from(value);
    }
    Ok(())
}

/// Sets a key of every filter's configuration, as an operator does who wants another value
/// than the default.
///
/// # Errors
/// When there is no filter.
pub fn configure_filters(config: &mut Value, key: &str, value: &Value) -> Result<()> {
    const CONFIGURATION: &str = "/filter_chains/0/filters/0/typed_config/http_filters/0\
                                 /typed_config/config/configuration/value";
    let listeners = config.pointer_mut("/static_resources/listeners");
    let listeners = listeners.and_then(Value::as_array_mut);
    let mut filters = 0;
    for listener in listeners.context("no listeners")? {
        // A native listener has nothing of the kind.
        let filter = listener.pointer_mut(CONFIGURATION);
        if let Some(filter) = filter.and_then(Value::as_object_mut) {
            filter.insert(key.to_owned(), value.clone());
            filters += 1;
        }
    }
    ensure!(filters > 0, "no filters");
    Ok(())
}

/// Whose certificates finish a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Validation {
    /// Those of the trust domain: `envoy/bundle.yaml`.
    Spiffe,
    /// The same, and none at all: `envoy/bundle-optional.yaml`.
    Optional,
    /// Everybody's, so that the server judges: `tests/envoy/accept-any.yaml`.
    AcceptAny,
}

impl Validation {
    /// Its configuration.
    #[must_use]
    pub fn config(self) -> PathBuf {
        match self {
            Self::Spiffe => config_path("bundle.yaml"),
            Self::Optional => config_path("bundle-optional.yaml"),
            Self::AcceptAny => artifact::root().join("tests/envoy/accept-any.yaml"),
        }
    }

    /// A word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spiffe => "spiffe",
            Self::Optional => "optional",
            Self::AcceptAny => "any",
        }
    }
}

/// A proxy's own certificate and the bundles it believes.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Where its files are, in a directory named by the ID.
    pub directory: PathBuf,
    agent: Option<Agent>,
}

/// What serves them: the cluster's name and the socket.
#[derive(Clone, Debug)]
struct Agent {
    cluster: String,
    socket: PathBuf,
    /// The secret by which callers and callees are believed.
    believed: &'static str,
}

impl Credentials {
    /// Those of `id` below `parent`, minted or not.
    #[must_use]
    pub fn of(id: &str, parent: &Path) -> Self {
        let directory = parent.join(id.replace(['/', ':'], "_"));
        Self {
            directory,
            agent: None,
        }
    }

    /// Mints an SVID for `id` by the authority of its trust domain, and writes it below
    /// `parent`: nothing renews it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn mint(pki: &Pki, id: &str, parent: &Path) -> Result<Self> {
        let own = Self::in_files(id, &pki.root.bundle_pem(), parent)?;
        let authority = if spiffe_id(id).starts_with(&format!("spiffe://{PARTNER_DOMAIN}/")) {
            &pki.partner
        } else {
            &pki.root
        };
        let svid = authority.issue(&Spec::svid(&spiffe_id(id)))?;
        svid.write_to(&own.directory)?;
        Ok(own)
    }

    /// Has the agent at `socket` serve the SVID of `id` and the bundles, renewed as it
    /// goes; only those that no agent has are in files, from `roots`.
    ///
    /// # Errors
    /// When these cannot be written.
    pub fn served(id: &str, socket: PathBuf, roots: &str, parent: &Path) -> Result<Self> {
        let mut own = Self::in_files(id, roots, parent)?;
        own.agent = Some(Agent {
            cluster: format!("agent_{}", mesh::name(id).replace('.', "-")),
            socket,
            believed: OWN_BUNDLE,
        });
        Ok(own)
    }

    /// Believes the federated trust domains as well, as far as the agent knows them.
    #[must_use]
    pub fn believing_all(mut self) -> Self {
        if let Some(agent) = &mut self.agent {
            agent.believed = "ALL";
        }
        self
    }

    fn in_files(id: &str, roots: &str, parent: &Path) -> Result<Self> {
        let own = Self::of(id, parent);
        fs::create_dir_all(&own.directory)?;
        fs::write(own.directory.join("bundle.pem"), roots)?;
        Ok(own)
    }

    /// Adds to `names` where the SVID and the bundle of that validation come from.
    /// Callgate is believed by the strict one, whoever is let in.
    ///
    /// # Errors
    /// When a file cannot be filled in.
    pub fn name(&self, names: Template, validation: Validation) -> Result<Template> {
        Ok(names
            .with("SVID_SDS", self.svid()?)
            .with("BUNDLE_SDS", self.bundle(validation)?)
            .with("CALLGATE_BUNDLE", self.callgate_bundle()?))
    }

    /// Adds the agent's cluster to `config`, if there is one, from `envoy/agent.yaml`.
    ///
    /// # Errors
    /// When it cannot be filled in.
    pub fn reach(&self, config: &mut Value) -> Result<()> {
        match &self.agent {
            Some(agent) => merge(config, agent.config()?),
            None => Ok(()),
        }
    }

    /// The SVID's `SdsSecretConfig`.
    ///
    /// # Errors
    /// When a file cannot be filled in.
    pub fn svid(&self) -> Result<String> {
        match &self.agent {
            Some(agent) => Ok(agent.secret("default")),
            None => self.file("svid", &config_path("svid.yaml")),
        }
    }

    /// An agent serves the strict one only.
    fn bundle(&self, validation: Validation) -> Result<String> {
        match (&self.agent, validation) {
            (Some(agent), Validation::Spiffe) => Ok(agent.secret(agent.believed)),
            _ => self.file("bundle", &validation.config()),
        }
    }

    fn callgate_bundle(&self) -> Result<String> {
        match &self.agent {
            Some(agent) => Ok(agent.secret(OWN_BUNDLE)),
            None => self.bundle(Validation::Spiffe),
        }
    }

    /// A secret in a file that is filled in here.
    fn file(&self, name: &str, source: &Path) -> Result<String> {
        let at = |file: &str| self.directory.join(file).display().to_string();
        let names = Template::new()
            .with("SVID_CHAIN", at("chain.pem"))
            .with("SVID_KEY", at("key.pem"))
            .with("SVID_DIRECTORY", self.directory.display())
            .with("TRUST_DOMAIN", TRUST_DOMAIN)
            .with("TRUST_BUNDLE", at("bundle.pem"));
        let path = self.directory.join(source.file_name().context("a file")?);
        fs::write(&path, names.fill(source)?)?;
        let config = format!("path_config_source: {{path: \"{}\"}}", path.display());
        Ok(secret(name, &config))
    }
}

impl Agent {
    fn secret(&self, name: &str) -> String {
        let service = format!("{{envoy_grpc: {{cluster_name: {}}}}}", self.cluster);
        let config = format!(
            "api_config_source: {{api_type: GRPC, transport_api_version: V3, grpc_services: [{service}]}}"
        );
        secret(name, &config)
    }

    fn config(&self) -> Result<Value> {
        Template::new()
            .with("AGENT", &self.cluster)
            .with("AGENT_SOCKET", self.socket.display())
            .parse(&config_path("agent.yaml"))
    }
}

/// Envoy's `SdsSecretConfig`.
fn secret(name: &str, config: &str) -> String {
    format!("{{name: \"{name}\", sds_config: {{resource_api_version: V3, {config}}}}}")
}
