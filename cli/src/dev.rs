//! `callgate dev`: what stands in for a mesh that is not there.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use callgate_issuer::{Config, DEVELOPMENT_ONLY, Domain, Foreign, Issuer, Workload};
use callgate_policy::{SpiffeId, TrustDomain};
use clap::{Args, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// What to run.
#[derive(Debug, Subcommand)]
pub(crate) enum Dev {
    /// DEVELOPMENT ONLY: a SPIFFE issuer with the Workload API and Envoy's SDS on unix
    /// sockets, one for each workload
    Issuer(Box<IssuerArgs>),
}

/// How to run the issuer.
#[derive(Debug, Args)]
#[command(
    after_help = "DEVELOPMENT ONLY. Keys are made when it starts and are gone when it ends; whoever \
may open a socket is given the identity behind it. It listens on unix sockets, and on \
loopback with --bundle-endpoint, and nowhere else.\n\n\
Secrets have SPIRE's names: `default` or the SPIFFE ID is the SVID, `ROOTCA` the bundle \
of its trust domain, `ALL` every bundle. SIGHUP signs with new roots from then on; the \
old ones are trusted until they expire."
)]
pub(crate) struct IssuerArgs {
    /// Trust domain to issue for; may be repeated, they federate with each other
    #[arg(long, value_name = "DOMAIN", required = true, value_parser = TrustDomain::parse)]
    trust_domain: Vec<TrustDomain>,

    /// A workload: its socket is DIR/NAME.sock, its ID a SPIFFE ID or the path of one
    /// in the first trust domain; may be repeated
    #[arg(long, value_name = "NAME=ID", required = true, value_parser = named)]
    workload: Vec<(String, String)>,

    /// Where sockets and bundles are put: DIR/NAME.sock, DIR/DOMAIN.json, DIR/DOMAIN.pem
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,

    /// Seconds that an SVID lives, 2 to 3600; it is renewed when half of them are over
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    svid_ttl: u64,

    /// Seconds that a root lives, at least six times as long as an SVID
    #[arg(long, value_name = "SECONDS", default_value = "3600")]
    ca_ttl: u64,

    /// Certificates between root and leaf, 0 to 3
    #[arg(long, value_name = "N", default_value = "0")]
    intermediates: u8,

    /// Another issuer's trust domain and its SPIFFE bundle (JSON); watched; may be repeated
    #[arg(long, value_name = "DOMAIN=FILE", value_parser = foreign)]
    federate: Vec<(TrustDomain, PathBuf)>,

    /// Serve a trust domain's bundle by the profile `https_spiffe`, on loopback
    #[arg(long, value_name = "DOMAIN=ADDRESS", value_parser = endpoint)]
    bundle_endpoint: Vec<(TrustDomain, SocketAddr)>,
}

/// Runs until told to stop.
pub(crate) fn run(command: Dev) -> anyhow::Result<ExitCode> {
    let Dev::Issuer(args) = command;
    let filter = EnvFilter::try_from_env("CALLGATE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(issuer(config(*args)?))
}

async fn issuer(config: Config) -> anyhow::Result<ExitCode> {
    // Before anything is started, so that no early signal is lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let domains: Vec<TrustDomain> = config.domains.iter().map(|d| d.name.clone()).collect();
    let issuer = Issuer::start(config).await?;
    announce(&issuer, &domains);
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
            _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
            _ = hang_up.recv() => {
                for domain in &domains {
                    issuer.rotate_root(domain.as_str())?;
                    tracing::info!(domain = domain.as_str(), "signs with a new root");
                }
            }
        }
    }
}

/// One line for each thing that is there, the last one when all are.
fn announce(issuer: &Issuer, domains: &[TrustDomain]) {
    eprintln!("{DEVELOPMENT_ONLY}: whoever may open these sockets is given these identities");
    for (name, path) in issuer.sockets() {
        if let Some(told) = issuer.snapshot(name) {
            let (id, path) = (told.svid.id().as_str(), path.display());
            eprintln!("issuer workload={name} id={id} socket=unix:{path}");
        }
    }
    for domain in domains {
        let path = issuer.bundle_json(domain.as_str());
        eprintln!(
            "issuer domain={} bundle={}",
            domain.as_str(),
            path.display()
        );
    }
    for (domain, address, id) in issuer.endpoints() {
        eprintln!("issuer domain={domain} endpoint=https://{address}/ id={id}");
    }
    eprintln!("issuer ready");
}

fn config(args: IssuerArgs) -> anyhow::Result<Config> {
    let first = args.trust_domain.first().cloned();
    let mut config = Config::new(args.dir);
    config.svid_ttl = Duration::from_secs(args.svid_ttl);
    config.ca_ttl = Duration::from_secs(args.ca_ttl);
    for name in args.trust_domain {
        let mut domain = Domain::new(name);
        domain.intermediates = args.intermediates;
        config.domains.push(domain);
    }
    for (name, id) in args.workload {
        let full = match &first {
            Some(domain) if id.starts_with('/') => format!("spiffe://{}{id}", domain.as_str()),
            _ => id,
        };
        let id = SpiffeId::parse(&full).with_context(|| format!("`{full}`"))?;
        config.workloads.push(Workload { name, id });
    }
    for (name, bundle) in args.federate {
        config.foreign.push(Foreign { name, bundle });
    }
    for (name, address) in args.bundle_endpoint {
        let mut domains = config.domains.iter_mut();
        let domain = domains.find(|domain| domain.name == name);
        domain
            .with_context(|| format!("`{}` is not issued for", name.as_str()))?
            .endpoint = Some(address);
    }
    Ok(config)
}

fn named(text: &str) -> Result<(String, String), String> {
    let (name, id) = text
        .split_once('=')
        .ok_or("not of the form `orders=/ns/shop/sa/orders`")?;
    Ok((name.to_owned(), id.to_owned()))
}

fn foreign(text: &str) -> Result<(TrustDomain, PathBuf), String> {
    let (domain, file) = of_domain(text, "partner.example=bundle.json")?;
    Ok((domain, file.into()))
}

fn endpoint(text: &str) -> Result<(TrustDomain, SocketAddr), String> {
    let (domain, address) = of_domain(text, "example.org=127.0.0.1:8443")?;
    let address = address
        .parse()
        .map_err(|_| format!("`{address}` is not an address and a port"))?;
    Ok((domain, address))
}

fn of_domain<'a>(text: &'a str, form: &str) -> Result<(TrustDomain, &'a str), String> {
    let (domain, rest) = text
        .split_once('=')
        .ok_or_else(|| format!("not of the form `{form}`"))?;
    let domain = TrustDomain::parse(domain).map_err(|error| format!("`{domain}`: {error}"))?;
    Ok((domain, rest))
}
