//! OPA with its plugin for Envoy, where there is one: `OPA_ENVOY` names the program.

use std::{env, fs, net::SocketAddr, path::Path, time::Duration};

use anyhow::Result;
use callgate_tests::process::{Process, eventually};
use tokio::net::{TcpListener, TcpStream};

const START_LIMIT: Duration = Duration::from_secs(15);
/// As much as the one rule of RBAC beside it says.
const POLICY: &str = r#"package envoy.authz

default allow := false

allow if {
	startswith(input.attributes.source.principal, "spiffe://example.org/")
	startswith(input.attributes.request.http.path, "/v1/")
}
"#;

/// A running OPA.
#[derive(Debug)]
pub struct Opa {
    /// Where it answers Checks.
    pub address: SocketAddr,
    /// The process.
    pub process: Process,
}

impl Opa {
    /// Starts it, if `OPA_ENVOY` names one; its files are in `directory`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn start(directory: &Path) -> Result<Option<Self>> {
        let Some(program) = env::var_os("OPA_ENVOY") else {
            return Ok(None);
        };
        let policy = directory.join("policy.rego");
        fs::write(&policy, POLICY)?;
        // It takes no port 0. Free a moment ago is as good as it gets.
        let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        let plugin = "--set=plugins.envoy_ext_authz_grpc";
        let args = [
            "run".to_owned(),
            "--server".to_owned(),
            "--addr=127.0.0.1:0".to_owned(),
            "--log-level=error".to_owned(),
            "--disable-telemetry".to_owned(),
            format!("{plugin}.addr={address}"),
            format!("{plugin}.path=envoy/authz/allow"),
            policy.display().to_string(),
        ];
        let log = directory.join("opa.log");
        let mut process = Process::start("opa", Path::new(&program), &args, &log)?;
        eventually(START_LIMIT, "OPA to listen", async || {
            process.alive()?;
            Ok(TcpStream::connect(address).await.ok())
        })
        .await?;
        Ok(Some(Self { address, process }))
    }
}
