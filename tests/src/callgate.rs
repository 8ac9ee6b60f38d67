//! `callgate serve`, the real one.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    artifact,
    caller::{Answer, Call, Connection},
    pki::{PARTNER_DOMAIN, TRUST_DOMAIN},
    process::{Process, eventually},
};

/// It starts in milliseconds; a busy machine may take longer.
const START_LIMIT: Duration = Duration::from_secs(15);

/// A running server and its files.
#[derive(Debug)]
pub struct Callgate {
    process: Process,
    program: PathBuf,
    setup: Setup,
    /// Where it answers Checks.
    pub listen: SocketAddr,
    /// Where it answers `/readyz` and `/metrics`.
    pub admin: SocketAddr,
}

/// How to start one.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The directory of policies.
    pub policies: PathBuf,
    /// Trust domains and their bundles; they go before what an agent offers.
    pub bundles: Vec<(String, PathBuf)>,
    /// Where its own identity comes from; without one it speaks no TLS.
    pub identity: Option<Own>,
    /// Where its log goes.
    pub directory: PathBuf,
}

/// Where a server's identity comes from.
#[derive(Clone, Debug)]
pub enum Own {
    /// An agent's socket, which has bundles as well.
    Agent(PathBuf),
    /// A directory with `chain.pem` and `key.pem`.
    Files(PathBuf),
}

impl Setup {
    /// Where decision records go, one a line.
    #[must_use]
    pub fn decisions(&self) -> PathBuf {
        self.directory.join("decisions.jsonl")
    }

    fn args(&self, listen: SocketAddr, admin: SocketAddr) -> Vec<String> {
        let mut args = vec![
            "serve".to_owned(),
            format!("--policies={}", self.policies.display()),
            format!("--listen={listen}"),
            format!("--admin={admin}"),
            format!("--decision-log={}", self.decisions().display()),
        ];
        for (domain, path) in &self.bundles {
            args.push(format!("--trust-bundle={domain}={}", path.display()));
        }
        match &self.identity {
            Some(Own::Agent(socket)) => {
                args.push(format!("--workload-api=unix:{}", socket.display()));
            }
            Some(Own::Files(own)) => {
                args.push(format!("--svid={}", own.join("chain.pem").display()));
                args.push(format!("--svid-key={}", own.join("key.pem").display()));
            }
            None => return args,
        }
        // A gate may stand in front of a service of either.
        for domain in [TRUST_DOMAIN, PARTNER_DOMAIN] {
            args.push(format!("--proxy-id=spiffe://{domain}/**"));
        }
        args
    }
}

impl Callgate {
    /// Starts it and waits until it says that it is ready.
    ///
    /// # Errors
    /// When it does not get there; the error has the end of its log.
    pub async fn start(setup: Setup) -> Result<Self> {
        Self::start_as(artifact::callgate()?, setup).await
    }

    /// The same, run from `program`: an agent may know it by that.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_as(program: PathBuf, setup: Setup) -> Result<Self> {
        fs::create_dir_all(&setup.directory)?;
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut process = spawn(&program, &setup, free, free)?;
        let addresses = await_addresses(&mut process).await;
        let (listen, admin) = addresses.with_context(|| process.tail())?;
        let mut server = Self {
            process,
            program,
            setup,
            listen,
            admin,
        };
        server.await_ready().await?;
        Ok(server)
    }

    /// Ends it at once; nobody answers until [`Self::restart`].
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Tells it to end, as an orchestrator does, and waits until it has.
    ///
    /// # Errors
    /// When it has not after `limit`.
    pub async fn stop(&mut self, limit: Duration) -> Result<()> {
        self.process.signal(Signal::SIGTERM)?;
        self.process.wait(limit).await.map(drop)
    }

    /// Starts it again where it was.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.process = spawn(&self.program, &self.setup, self.listen, self.admin)?;
        self.await_ready().await
    }

    /// The process, for its log and for signals.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Its directory of policies.
    #[must_use]
    pub fn policies(&self) -> &Path {
        &self.setup.policies
    }

    /// Its decision log.
    #[must_use]
    pub fn decisions(&self) -> PathBuf {
        self.setup.decisions()
    }

    /// The admin port's answer to `GET path`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn admin(&self, path: &str) -> Result<Answer> {
        Connection::plain(self.admin)
            .await?
            .call(Call::new("GET", path))
            .await
    }

    /// The record of a decision, once it is written.
    ///
    /// # Errors
    /// When it does not appear.
    pub async fn record(&self, decision: &str) -> Result<Value> {
        let path = self.setup.decisions();
        eventually(
            START_LIMIT,
            &format!("the record of {decision}"),
            async || {
                let text = fs::read_to_string(&path).unwrap_or_default();
                // The last line may still be on its way.
                let mut records = text
                    .lines()
                    .filter_map(|l| serde_json::from_str::<Value>(l).ok());
                Ok(records.find(|record| record["id"] == decision))
            },
        )
        .await
    }

    /// Every record so far; the last line may still be on its way.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn records(&self) -> Result<Vec<Value>> {
        let text = fs::read_to_string(self.setup.decisions())?;
        let records = text.lines().map(serde_json::from_str);
        Ok(records.filter_map(Result::ok).collect())
    }

    async fn await_ready(&mut self) -> Result<()> {
        let admin = self.admin;
        let process = &mut self.process;
        let ready = eventually(START_LIMIT, "callgate serve to be ready", async || {
            process.alive()?;
            let Ok(mut connection) = Connection::plain(admin).await else {
                return Ok(None);
            };
            let answer = connection.call(Call::new("GET", "/readyz")).await;
            Ok(answer
                .ok()
                .filter(|answer| answer.status == 200)
                .map(|_| ()))
        });
        let ready = ready.await;
        ready.with_context(|| self.process.tail())
    }
}

fn spawn(program: &Path, setup: &Setup, listen: SocketAddr, admin: SocketAddr) -> Result<Process> {
    let log = setup.directory.join("callgate.log");
    Process::start("callgate", program, &setup.args(listen, admin), &log)
}

/// Where it says that it listens: `listening check=ADDRESS admin=ADDRESS`.
async fn await_addresses(process: &mut Process) -> Result<(SocketAddr, SocketAddr)> {
    eventually(START_LIMIT, "callgate serve to listen", async || {
        process.alive()?;
        let log = process.log();
        let line = log
            .lines()
            .find_map(|line| line.strip_prefix("listening check="));
        let addresses = line.and_then(|rest| rest.split_once(" admin="));
        Ok(addresses.and_then(|(check, admin)| Some((check.parse().ok()?, admin.parse().ok()?))))
    })
    .await
}
