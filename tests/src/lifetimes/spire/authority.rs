//! One trust domain: a server, its agent, and the commands that change its entries.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;

use super::programs::Programs;
use crate::process::{Process, eventually};

/// Both start in a second or two.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Six times the life of an SVID is the least; this leaves the roots as they are for
/// longer than the story takes.
const CA_TTL: &str = "20m";
/// The agent's own SVID. It must outlive the time for which the agent hangs: with a
/// join token it cannot come back without.
const AGENT_TTL: &str = "15m";

/// A running server and agent.
#[derive(Debug)]
pub(super) struct Authority {
    domain: &'static str,
    directory: PathBuf,
    program: PathBuf,
    server: Process,
    agent: Process,
}

/// A registration entry.
pub(super) struct Entry<'a> {
    pub(super) id: &'a str,
    /// The selector: `unix:path`.
    pub(super) program: &'a Path,
    pub(super) ttl: Duration,
    pub(super) federates_with: &'a str,
}

impl Authority {
    pub(super) async fn start(
        programs: &Programs,
        domain: &'static str,
        directory: &Path,
    ) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let port = free_port()?;
        let config = |name: &str, text: String| -> Result<String> {
            let path = directory.join(name);
            fs::write(&path, text)?;
            Ok(path.display().to_string())
        };
        let server_config = config("server.conf", server(domain, directory, port))?;
        let args = ["run".to_owned(), "-config".to_owned(), server_config];
        let log = directory.join("server.log");
        let mut server = Process::start("spire-server", &programs.server, &args, &log)?;
        let healthy = |server: &mut Process| -> Result<Option<()>> {
            server.alive()?;
            Ok(
                command(&programs.server, directory, "server", &["healthcheck"], &[])
                    .is_ok()
                    .then_some(()),
            )
        };
        let ready = eventually(START_LIMIT, "spire-server", async || healthy(&mut server)).await;
        ready.with_context(|| server.tail())?;

        let node = format!("spiffe://{domain}/node");
        let told = command(
            &programs.server,
            directory,
            "server",
            &["token", "generate"],
            &["-spiffeID", &node],
        )?;
        let token = told
            .lines()
            .find_map(|line| line.strip_prefix("Token: "))
            .with_context(|| format!("no token in `{told}`"))?;
        let agent_config = config("agent.conf", agent(domain, directory, port))?;
        let args = ["run", "-config", &agent_config, "-joinToken", token.trim()];
        let args = args.map(str::to_owned);
        let log = directory.join("agent.log");
        let mut agent = Process::start("spire-agent", &programs.agent, &args, &log)?;
        let healthy = |agent: &mut Process| -> Result<Option<()>> {
            agent.alive()?;
            Ok(
                command(&programs.agent, directory, "agent", &["healthcheck"], &[])
                    .is_ok()
                    .then_some(()),
            )
        };
        let ready = eventually(START_LIMIT, "spire-agent", async || healthy(&mut agent)).await;
        ready.with_context(|| agent.tail())?;
        Ok(Self {
            domain,
            directory: directory.to_owned(),
            program: programs.server.clone(),
            server,
            agent,
        })
    }

    pub(super) const fn domain(&self) -> &'static str {
        self.domain
    }

    pub(super) fn agent_socket(&self) -> PathBuf {
        self.directory.join("agent.sock")
    }

    /// Federates with `other`, by its present bundle.
    pub(super) fn believe(&self, other: &Self) -> Result<()> {
        let bundle = other.ask(&["bundle", "show"], &["-format", "spiffe"])?;
        let path = self.directory.join(format!("{}.json", other.domain));
        fs::write(&path, bundle)?;
        let id = format!("spiffe://{}", other.domain);
        let path = path.display().to_string();
        let options = ["-format", "spiffe", "-id", &id, "-path", &path];
        self.ask(&["bundle", "set"], &options).map(drop)
    }

    /// Its id, by which it can be deleted.
    pub(super) fn create(&self, entry: &Entry<'_>) -> Result<String> {
        let parent = format!("spiffe://{}/node", self.domain);
        let selector = format!("unix:path:{}", entry.program.display());
        let ttl = entry.ttl.as_secs().to_string();
        let federates = format!("spiffe://{}", entry.federates_with);
        let options = [
            ("-parentID", parent.as_str()),
            ("-spiffeID", entry.id),
            ("-selector", &selector),
            ("-x509SVIDTTL", &ttl),
            ("-federatesWith", &federates),
        ];
        let options: Vec<&str> = options.iter().flat_map(|(n, v)| [*n, *v]).collect();
        let told = self.ask(&["entry", "create"], &options)?;
        let id = told.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == "Entry ID").then(|| value.trim().to_owned())
        });
        id.with_context(|| format!("no entry in `{told}`"))
    }

    pub(super) fn delete(&self, entry: &str) -> Result<()> {
        self.ask(&["entry", "delete"], &["-entryID", entry])
            .map(drop)
    }

    /// Stops the agent where it stands, or lets it go on.
    pub(super) fn hang(&self, hanging: bool) -> Result<()> {
        if hanging {
            self.agent.pause()
        } else {
            self.agent.signal(Signal::SIGCONT)
        }
    }

    pub(super) fn report(&self) -> String {
        format!("{}\n{}", self.server.tail(), self.agent.tail())
    }

    fn ask(&self, words: &[&str], options: &[&str]) -> Result<String> {
        command(&self.program, &self.directory, "server", words, options)
    }
}

/// Runs one command to its end; what it printed.
fn command(
    program: &Path,
    directory: &Path,
    role: &str,
    words: &[&str],
    options: &[&str],
) -> Result<String> {
    let output = Command::new(program)
        .args(words)
        .arg("-socketPath")
        .arg(directory.join(format!("{role}.sock")))
        .args(options)
        .output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{} {}: {complaint}",
        program.display(),
        words.join(" ")
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// SPIRE does not take port 0.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

fn server(domain: &str, directory: &Path, port: u16) -> String {
    let at = directory.display();
    format!(
        r#"server {{
    bind_address = "127.0.0.1"
    bind_port = "{port}"
    socket_path = "{at}/server.sock"
    trust_domain = "{domain}"
    data_dir = "{at}/server"
    log_level = "INFO"
    ca_ttl = "{CA_TTL}"
    agent_ttl = "{AGENT_TTL}"
}}
plugins {{
    DataStore "sql" {{
        plugin_data {{
            database_type = "sqlite3"
            connection_string = "{at}/server.sqlite3"
        }}
    }}
    KeyManager "memory" {{ plugin_data {{}} }}
    NodeAttestor "join_token" {{ plugin_data {{}} }}
}}
"#
    )
}

fn agent(domain: &str, directory: &Path, port: u16) -> String {
    let at = directory.display();
    format!(
        r#"agent {{
    data_dir = "{at}/agent"
    log_level = "INFO"
    trust_domain = "{domain}"
    server_address = "127.0.0.1"
    server_port = "{port}"
    socket_path = "{at}/agent.sock"
    insecure_bootstrap = true
}}
plugins {{
    KeyManager "memory" {{ plugin_data {{}} }}
    NodeAttestor "join_token" {{ plugin_data {{}} }}
    WorkloadAttestor "unix" {{
        plugin_data {{
            discover_workload_path = true
            # Without a size limit: it would hash the whole program.
            workload_size_limit = -1
        }}
    }}
}}
"#
    )
}
