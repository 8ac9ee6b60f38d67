//! `callgate serve`: the authorization service as a process.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use callgate_policy::{CallerPattern, TrustDomain};
use callgate_server::{
    bundle::BundleEndpoint,
    check::LeaseTtl,
    identity::WorkloadApiAddress,
    serve::{self, Config, IdentitySource, Listen, Running},
};
use clap::{Args, ValueEnum};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// How to run the authorization service
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Directory of policies: every `*.yaml` below it; watched
    #[arg(long, value_name = "DIR", default_value = "policies")]
    policies: PathBuf,

    /// Directory of policies that are tried beside them: every request is decided by both, only
    /// the others answer; where they differ is counted and sampled into the records; watched
    #[arg(long, value_name = "DIR")]
    candidate: Option<PathBuf>,

    /// Roots of a trust domain, PEM or a SPIFFE bundle (JWKS); once for each trust
    /// domain; watched
    #[arg(long, value_name = "DOMAIN=FILE", value_parser = trust_bundle)]
    trust_bundle: Vec<(TrustDomain, PathBuf)>,

    /// SPIFFE bundle endpoint of a trust domain, polled:
    /// `DOMAIN=https_web,URL` or `DOMAIN=https_spiffe,SPIFFE_ID,URL`; with
    /// --trust-bundle for the same trust domain, that file is what it begins with
    #[arg(long, value_name = "DOMAIN=PROFILE,…,URL")]
    bundle_endpoint: Vec<BundleEndpoint>,

    /// Directory where bundles of endpoints are kept, for a start while they are away or
    /// have changed their keys; nobody else may write there
    #[arg(long, value_name = "DIR")]
    bundle_cache: Option<PathBuf>,

    /// What relative identities belong to, if no MeshPolicy says so
    #[arg(long, value_name = "DOMAIN", value_parser = TrustDomain::parse)]
    trust_domain: Option<TrustDomain>,

    /// Where proxies ask: an address, or `unix:PATH`
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9191")]
    listen: Listen,

    /// SPIFFE Workload API that gives the server its own X.509-SVID, and trust bundles,
    /// ours and federated: `unix:PATH`. Checks then come over mutual TLS
    /// [default: SPIFFE_ENDPOINT_SOCKET of the environment, unless there is --svid]
    #[arg(long, value_name = "ADDRESS")]
    workload_api: Option<WorkloadApiAddress>,

    /// Instead: the server's own X.509-SVID, PEM, leaf first; watched
    #[arg(
        long,
        value_name = "FILE",
        requires = "svid_key",
        conflicts_with = "workload_api"
    )]
    svid: Option<PathBuf>,

    /// Its key, PEM; watched
    #[arg(long, value_name = "FILE", requires = "svid")]
    svid_key: Option<PathBuf>,

    /// Which proxies may connect over mutual TLS: a SPIFFE ID, or a pattern as in
    /// `from` of a rule; may be repeated. Each may ask about its own service only
    #[arg(long = "proxy-id", value_name = "PATTERN")]
    proxy_ids: Vec<String>,

    /// Where /healthz, /readyz and /metrics are
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9190")]
    admin: Listen,

    /// Where decision records go, a JSON line each; `-` is standard output. SIGHUP
    /// opens the file anew
    #[arg(long, value_name = "FILE", default_value = "-")]
    decision_log: PathBuf,

    /// Seconds that a stopping server waits for requests in flight
    #[arg(long, value_name = "SECONDS", default_value = "10",
          value_parser = clap::value_parser!(u64).range(1..=3_600))]
    drain_timeout: u64,

    /// How long a proxy may decide a caller's calls by what an answer told it, before it
    /// asks again: from 1s to 1h; `0`: it asks each time. What takes an authorization away
    /// does not wait for it
    #[arg(long, value_name = "TIME", default_value_t = LeaseTtl::default())]
    lease_ttl: LeaseTtl,

    /// Listen without TLS where other machines can connect
    #[arg(long)]
    danger_plaintext: bool,

    /// How the log on standard error looks
    #[arg(long, value_enum, default_value = "human")]
    format: LogFormat,
}

/// The log's form.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Human,
    Json,
}

/// Runs until told to stop. `CALLGATE_LOG` chooses what is logged (`info`, `debug`,
/// `callgate_server=debug`).
pub(crate) fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    log(args.format)?;
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(args))
}

/// Each connection is a file, and many systems let a process open 1,024 unless it asks
/// for more.
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::warn!(%error, "as many files as before can be open");
    }
}

async fn serve(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let patience = Duration::from_secs(args.drain_timeout);
    // Before anything is started, so that no early signal is lost.
    let mut signals = Signals::new().context("cannot watch signals")?;
    let config = config(args)?;
    let running = tokio::select! {
        running = serve::start(&config) => running?,
        // An agent may let it wait for its identity.
        () = signals.end() => return Ok(ExitCode::SUCCESS),
    };
    eprintln!(
        "listening check={} admin={}",
        running.check_address(),
        running.admin_address()
    );
    signals.stop(&running).await;
    tracing::info!("stopping");
    let drained = running.drain(patience).await;
    if !drained.requests || !drained.records {
        tracing::warn!(
            requests = drained.requests,
            records = drained.records,
            "not everything was finished in time"
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn config(args: ServeArgs) -> anyhow::Result<Config> {
    let to_stdout = args.decision_log.as_os_str() == "-";
    let proxy_ids = args.proxy_ids.iter().map(|text| {
        CallerPattern::parse(text, args.trust_domain.as_ref())
            .with_context(|| format!("`--proxy-id {text}`"))
    });
    let proxy_ids: Vec<CallerPattern> = proxy_ids.collect::<anyhow::Result<_>>()?;
    let identity = match (args.svid, args.svid_key, args.workload_api) {
        (Some(chain), Some(key), _) => Some(IdentitySource::Files { chain, key }),
        (_, _, Some(address)) => Some(IdentitySource::WorkloadApi(address)),
        _ => from_environment(&proxy_ids)?,
    };
    Ok(Config {
        policies: args.policies,
        candidate: args.candidate,
        trust_domain: args.trust_domain,
        trust_bundles: args.trust_bundle,
        bundle_endpoints: args.bundle_endpoint,
        bundle_cache: args.bundle_cache,
        listen: args.listen,
        admin: args.admin,
        decision_log: (!to_stdout).then_some(args.decision_log),
        identity,
        proxy_ids,
        lease_ttl: args.lease_ttl,
        danger_plaintext: args.danger_plaintext,
    })
}

/// What SPIFFE tells every workload (SPIFFE Workload Endpoint, section 4).
const ENDPOINT: &str = "SPIFFE_ENDPOINT_SOCKET";

fn from_environment(proxy_ids: &[CallerPattern]) -> anyhow::Result<Option<IdentitySource>> {
    let text = match std::env::var(ENDPOINT) {
        Ok(text) if !text.is_empty() => text,
        Ok(_) | Err(std::env::VarError::NotPresent) => return Ok(None),
        Err(error) => return Err(error).context(ENDPOINT),
    };
    anyhow::ensure!(
        !proxy_ids.is_empty(),
        "{ENDPOINT} gives the server an identity, so Checks come over mutual TLS: name the proxies \
         with `--proxy-id`, or unset it"
    );
    let address = text
        .parse()
        .with_context(|| format!("{ENDPOINT}: `{text}`"))?;
    Ok(Some(IdentitySource::WorkloadApi(address)))
}

/// The signals that a server knows.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Returns when it is time to stop, before anything runs.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Returns when it is time to stop.
    async fn stop(&mut self, running: &Running) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => running.reopen_decision_log(),
            }
        }
    }
}

/// Standard output belongs to the decision records.
fn log(format: LogFormat) -> anyhow::Result<()> {
    let filter = match std::env::var("CALLGATE_LOG") {
        Ok(directives) => EnvFilter::try_new(&directives)
            .with_context(|| format!("CALLGATE_LOG: `{directives}`"))?,
        Err(_) => EnvFilter::new("info"),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Human => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
            subscriber.with_ansi(colour).init();
        }
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
}

fn trust_bundle(text: &str) -> Result<(TrustDomain, PathBuf), String> {
    let (domain, file) = text
        .split_once('=')
        .ok_or("not of the form `example.org=ca.pem`")?;
    let domain = TrustDomain::parse(domain).map_err(|error| format!("`{domain}`: {error}"))?;
    if file.is_empty() {
        return Err("no file after `=`".to_owned());
    }
    Ok((domain, file.into()))
}
