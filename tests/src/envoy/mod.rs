//! Envoy, run from the configurations in `envoy/`.

mod template;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

pub use template::{Template, merge};

use crate::{
    artifact,
    caller::{Call, Connection},
    process::{Process, eventually},
};

/// An Envoy starts in one to two seconds; ten times that on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running Envoy.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    admin: SocketAddr,
    listeners: BTreeMap<String, SocketAddr>,
}

impl Envoy {
    /// Starts Envoy with `config` and waits until it takes requests; its files are
    /// in `directory`.
    ///
    /// # Errors
    /// When there is no Envoy, or it does not take the configuration; the error has
    /// the end of its log.
    pub async fn start(config: &Value, directory: &Path) -> Result<Self> {
        Self::start_as(&artifact::envoy()?, config, directory).await
    }

    /// The same, with that many workers in place of one.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(workers: u32, config: &Value, directory: &Path) -> Result<Self> {
        Self::run(&artifact::envoy()?, workers, config, directory).await
    }

    /// The same, run from `program`: an agent may know it by that.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_as(program: &Path, config: &Value, directory: &Path) -> Result<Self> {
        // One worker, so that what one request does to it the next one meets.
        Self::run(program, 1, config, directory).await
    }

    async fn run(program: &Path, workers: u32, config: &Value, directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let config_path = directory.join("envoy.json");
        fs::write(&config_path, serde_json::to_vec_pretty(config)?)?;
        let admin_path = directory.join("admin-address");
        let args = arguments(&config_path, &admin_path, workers);
        let log = directory.join("envoy.log");
        let mut process = Process::start("envoy", program, &args, &log)?;

        let started = Self::await_ready(&mut process, &admin_path).await;
        let (admin, listeners) = started.with_context(|| process.tail())?;
        Ok(Self {
            process,
            admin,
            listeners,
        })
    }

    /// Where the listener of that name listens.
    ///
    /// # Errors
    /// When the configuration has none of that name.
    pub fn listener(&self, name: &str) -> Result<SocketAddr> {
        self.listeners
            .get(name)
            .copied()
            .with_context(|| format!("no listener `{name}`"))
    }

    /// The admin console's answer to `GET path`.
    ///
    /// # Errors
    /// When Envoy does not answer.
    pub async fn admin(&self, path: &str) -> Result<String> {
        get(self.admin, path).await
    }

    /// Has the admin console do something: `POST path`.
    ///
    /// # Errors
    /// When it does not.
    pub async fn order(&self, path: &str) -> Result<()> {
        let mut connection = Connection::plain(self.admin).await?;
        let answer = connection.call(Call::new("POST", path)).await?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
        Ok(())
    }

    /// A counter or gauge; zero when there is none of that name.
    ///
    /// # Errors
    /// When Envoy does not answer.
    pub async fn stat(&self, name: &str) -> Result<u64> {
        let text = self.admin(&format!("/stats?filter={name}")).await?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        Ok(value.unwrap_or("0").trim().parse()?)
    }

    /// The serial numbers of the certificates of its own that it shows now, on whatever
    /// listener and to whatever cluster.
    ///
    /// # Errors
    /// When Envoy does not answer, or has none.
    pub async fn serial_numbers(&self) -> Result<BTreeSet<String>> {
        let certificates: Value = serde_json::from_str(&self.admin("/certs").await?)?;
        let certificates = certificates.get("certificates").and_then(Value::as_array);
        let certificates = certificates.into_iter().flatten();
        let chains = certificates.filter_map(|one| one.get("cert_chain")?.as_array());
        let numbers: BTreeSet<String> = chains
            .flatten()
            .filter_map(|own| Some(own.get("serial_number")?.as_str()?.to_owned()))
            .collect();
        ensure!(!numbers.is_empty(), "no certificate");
        Ok(numbers)
    }

    /// Waits until it shows none of the certificates `before` any more.
    ///
    /// # Errors
    /// When it has not taken up others within `limit`.
    pub async fn await_renewal(&self, before: &BTreeSet<String>, limit: Duration) -> Result<()> {
        eventually(limit, "another certificate", async || {
            let now = self.serial_numbers().await?;
            Ok(now.is_disjoint(before).then_some(()))
        })
        .await
    }

    /// Tells it to end, and waits until it has; the exit code, or 128 and the signal.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop(&mut self) -> Result<i32> {
        self.process.signal(Signal::SIGTERM)?;
        self.process.wait(START_LIMIT).await
    }

    /// The process, for its log and for signals.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    async fn await_ready(
        process: &mut Process,
        admin_path: &Path,
    ) -> Result<(SocketAddr, BTreeMap<String, SocketAddr>)> {
        let admin = eventually(START_LIMIT, "envoy's admin address", async || {
            process.alive()?;
            // Empty for a moment between its creation and its content.
            Ok(fs::read_to_string(admin_path)
                .ok()
                .and_then(|text| text.trim().parse().ok()))
        })
        .await?;
        eventually(START_LIMIT, "envoy to be ready", async || {
            process.alive()?;
            let ready = get(admin, "/ready").await;
            Ok(ready
                .is_ok_and(|state| state.starts_with("LIVE"))
                .then_some(()))
        })
        .await?;
        let listeners: Value = serde_json::from_str(&get(admin, "/listeners?format=json").await?)?;
        Ok((admin, listener_addresses(&listeners)?))
    }
}

fn arguments(config: &Path, admin: &Path, workers: u32) -> Vec<String> {
    let (config, admin) = (config.display().to_string(), admin.display().to_string());
    let workers = workers.to_string();
    let options = [
        ("--config-path", config.as_str()),
        ("--admin-address-path", admin.as_str()),
        ("--concurrency", workers.as_str()),
        ("--log-level", "warning"),
        ("--component-log-level", "wasm:info"),
        // Access logs are to be there when a failure shows them.
        ("--file-flush-interval-msec", "20"),
    ];
    let options = options.into_iter().flat_map(|(name, value)| [name, value]);
    options
        .chain(["--disable-hot-restart"])
        .map(str::to_owned)
        .collect()
}

fn listener_addresses(listeners: &Value) -> Result<BTreeMap<String, SocketAddr>> {
    let statuses = listeners
        .pointer("/listener_statuses")
        .and_then(Value::as_array);
    statuses
        .into_iter()
        .flatten()
        .map(|status| {
            let at = |path: &str| status.pointer(path).with_context(|| format!("no `{path}`"));
            let name = at("/name")?.as_str().context("a name")?;
            let ip = at("/local_address/socket_address/address")?
                .as_str()
                .context("an address")?;
            let port = at("/local_address/socket_address/port_value")?
                .as_u64()
                .context("a port")?;
            Ok((
                name.to_owned(),
                SocketAddr::new(ip.parse()?, u16::try_from(port)?),
            ))
        })
        .collect()
}

async fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut connection = Connection::plain(address).await?;
    let answer = connection.call(Call::new("GET", path)).await?;
    ensure!(
        matches!(answer.status, 200 | 503),
        "{path}: {}",
        answer.status
    );
    Ok(String::from_utf8_lossy(&answer.body).into_owned())
}

/// A directory for one test's files, removed with the value.
///
/// # Errors
/// When the system's directory for temporary files cannot be written.
pub fn scratch() -> Result<tempfile::TempDir> {
    Ok(tempfile::Builder::new().prefix("callgate-").tempdir()?)
}

/// Path of a configuration in `envoy/`.
#[must_use]
pub fn config_path(name: &str) -> PathBuf {
    artifact::root().join("envoy").join(name)
}
