//! What a sidecar needs from the files in `envoy/`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    artifact,
    envoy::{Template, config_path},
    pki::{PARTNER_DOMAIN, Pki, Spec, TRUST_DOMAIN, spiffe_id},
};

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

/// A proxy's own certificate and the bundle it believes, as files.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Where they are, in a directory named by the ID.
    pub directory: PathBuf,
}

impl Credentials {
    /// Those of `id` below `parent`, minted or not.
    #[must_use]
    pub fn of(id: &str, parent: &Path) -> Self {
        let directory = parent.join(id.replace(['/', ':'], "_"));
        Self { directory }
    }

    /// Mints an SVID for `id` by the authority of its trust domain, and writes it below
    /// `parent`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn mint(pki: &Pki, id: &str, parent: &Path) -> Result<Self> {
        let own = Self::of(id, parent);
        fs::create_dir_all(&own.directory)?;
        let authority = if spiffe_id(id).starts_with(&format!("spiffe://{PARTNER_DOMAIN}/")) {
            &pki.partner
        } else {
            &pki.root
        };
        let svid = authority.issue(&Spec::svid(&spiffe_id(id)))?;
        svid.write_to(&own.directory)?;
        fs::write(own.directory.join("bundle.pem"), pki.root.bundle_pem())?;
        Ok(own)
    }

    /// Adds to `names` what `svid.yaml` and the file of that validation, filled in
    /// here, are called. Callgate is believed by the strict one, whoever is let in.
    ///
    /// # Errors
    /// When they cannot be filled in.
    pub fn name(&self, names: Template, validation: Validation) -> Result<Template> {
        let at = |file: &str| self.directory.join(file).display().to_string();
        let own = Template::new()
            .with("TRUST_DOMAIN", TRUST_DOMAIN)
            .with("TRUST_BUNDLE", at("bundle.pem"));
        let svid = self.svid()?;
        let bundle = self.fill(&own, &validation.config())?;
        let strict = self.fill(&own, &Validation::Spiffe.config())?;
        Ok(names
            .with("SVID_SDS", svid.display())
            .with("BUNDLE_SDS", bundle.display())
            .with("CALLGATE_BUNDLE", strict.display()))
    }

    /// `svid.yaml`, filled in.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn svid(&self) -> Result<PathBuf> {
        let at = |file: &str| self.directory.join(file).display().to_string();
        let own = Template::new()
            .with("SVID_CHAIN", at("chain.pem"))
            .with("SVID_KEY", at("key.pem"))
            .with("SVID_DIRECTORY", self.directory.display());
        self.fill(&own, &config_path("svid.yaml"))
    }

    fn fill(&self, names: &Template, source: &Path) -> Result<PathBuf> {
        let path = self.directory.join(source.file_name().context("a file")?);
        fs::write(&path, names.fill(source)?)?;
        Ok(path)
    }
}
