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
        let config = server(domain, directory, port);
        let server = run(&programs.server, directory, "server", &config, &[]).await?;
        let node = format!("spiffe://{domain}/node");
        let (words, options) = (["token", "generate"], ["-spiffeID", node.as_str()]);
        let told = command(&programs.server, directory, "server", &words, &options)?;
        let token = field(&told, "Token").with_context(|| format!("no token in `{told}`"))?;
        let config = agent(domain, directory, port);
        let join = ["-joinToken", token];
        let agent = run(&programs.agent, directory, "agent", &config, &join).await?;
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
        let id = field(&told, "Entry ID");
        Ok(id
            .with_context(|| format!("no entry in `{told}`"))?
            .to_owned())
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

/// Starts a server or an agent and waits until it says that it is healthy.
async fn run(
    program: &Path,
    directory: &Path,
    role: &str,
    config: &str,
    more: &[&str],
) -> Result<Process> {
    let path = directory.join(format!("{role}.conf"));
    fs::write(&path, config)?;
    let path = path.display().to_string();
    let args = [&["run", "-config", path.as_str()], more].concat();
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    let log = directory.join(format!("{role}.log"));
    let mut process = Process::start(&format!("spire-{role}"), program, &args, &log)?;
    let ready = eventually(START_LIMIT, &format!("spire-{role}"), async || {
        process.alive()?;
        let healthy = command(program, directory, role, &["healthcheck"], &[]);
        Ok(healthy.is_ok().then_some(()))
    })
    .await;
    ready.with_context(|| process.tail())?;
    Ok(process)
}

/// A field of what SPIRE prints for people: `Entry ID         : 92f4518e-61c9`.
fn field<'a>(told: &'a str, name: &str) -> Option<&'a str> {
    told.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then(|| value.trim())
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_spire_prints_is_read() {
        let entry = "Entry ID         : 92f4518e-61c9-420d-b984-074afa7c7002\n\
                     SPIFFE ID        : spiffe://example.org/ns/shop/sa/orders\n\
                     Selector         : unix:path:/tmp/bin/orders\n";
        assert_eq!(
            field(entry, "Entry ID"),
            Some("92f4518e-61c9-420d-b984-074afa7c7002")
        );
        assert_eq!(
            field(entry, "SPIFFE ID"),
            Some("spiffe://example.org/ns/shop/sa/orders")
        );
        let token = "Token: 8e6b1f4a-4a52-44d5-8b7e-6c3f0a0a54aa\n";
        assert_eq!(
            field(token, "Token"),
            Some("8e6b1f4a-4a52-44d5-8b7e-6c3f0a0a54aa")
        );
        assert_eq!(field("Error: no such entry", "Entry ID"), None);
    }
}
