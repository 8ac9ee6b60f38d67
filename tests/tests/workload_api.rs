//! The server with an identity and trust bundles from the SPIFFE Workload API: rotation
//! under load, an agent that goes and comes, and what it offers of other trust domains.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use callgate_issuer::{Config as IssuerConfig, Domain, Issuer, Svid, Workload};
use callgate_policy::{CallerPattern, SpiffeId, TrustDomain};
use callgate_server::check::LeaseTtl;
use callgate_server::serve::{Config, IdentitySource, Listen, Running, start};
use callgate_tests::{
    caller::{Caller, Connection, Http, grpc},
    pki::Identity,
    process::eventually,
};
use callgate_wire::envoy::service::auth::v3::{
    AttributeContext, CheckRequest, CheckResponse,
    attribute_context::{HttpRequest, Peer, Request},
};
use prost::Message as _;
use tempfile::TempDir;
use tokio::{
    net::{UnixListener, UnixStream},
    task::JoinSet,
};

const ORDERS: &str = "spiffe://example.org/ns/shop/sa/orders";
const CHECKOUT: &str = "spiffe://example.org/ns/shop/sa/checkout";
const DEPOT: &str = "spiffe://partner.example/depot/north";
const LIMIT: Duration = Duration::from_secs(20);
const POLICIES: &str = "
kind: MeshPolicy
metadata: {name: mesh}
spec: {trustDomain: example.org}
---
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [/ns/shop/sa/orders]
  allow:
    - name: callers
      from: [/ns/shop/sa/checkout, 'spiffe://partner.example/depot/*']
      to: [GET /orders]
";

/// An issuer, a server that knows of the world by it alone, and a road between them
/// that can be cut.
struct Stage {
    issuer: Issuer,
    server: Running,
    road: Road,
    _directory: TempDir,
}

/// A unix socket in front of another one.
struct Road {
    path: PathBuf,
    to: PathBuf,
    traffic: JoinSet<()>,
}

impl Road {
    fn open(path: &Path, to: &Path) -> Result<Self> {
        let mut road = Self {
            path: path.to_owned(),
            to: to.to_owned(),
            traffic: JoinSet::new(),
        };
        road.mend()?;
        Ok(road)
    }

    /// Ends every connection on it; nobody answers any more.
    async fn cut(&mut self) -> Result<()> {
        fs::remove_file(&self.path)?;
        self.traffic.shutdown().await;
        Ok(())
    }

    fn mend(&mut self) -> Result<()> {
        let listener = UnixListener::bind(&self.path)?;
        let to = self.to.clone();
        self.traffic.spawn(async move {
            // Dropped with this task, and its connections with it.
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let to = to.clone();
                connections.spawn(async move {
                    if let Ok(mut far) = UnixStream::connect(to).await {
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        Ok(())
    }
}

impl Stage {
    async fn start() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let issuer = Issuer::start(issues(directory.path())?).await?;
        let agent = issuer.socket("callgate").context("a socket")?;
        let path = directory.path().join("agent.sock");
        let road = Road::open(&path, agent)?;
        let server = start(&config(directory.path(), &path)?).await?;
        Ok(Self {
            issuer,
            server,
            road,
            _directory: directory,
        })
    }

    /// What a workload holds now.
    fn svid(&self, name: &str) -> Result<Arc<Svid>> {
        Ok(Arc::clone(
            &self.issuer.snapshot(name).context("an SVID")?.svid,
        ))
    }

    /// A connection of the orders sidecar, with the SVID that it holds now.
    async fn proxy(&self) -> Result<Connection> {
        let Listen::Tcp(address) = self.server.check_address() else {
            anyhow::bail!("not TCP");
        };
        let caller = Caller::new(Some(&identity(&*self.svid("orders")?)))?;
        caller.connect(*address, Http::Two).await
    }

    /// Waits until the server is `ready`, or degraded by something that `says`.
    async fn readiness(&self, says: &str) -> Result<()> {
        eventually(LIMIT, says, async || {
            let text = self.server.health().readiness().to_string();
            let found = text == says || says != "ready" && text.contains(says);
            Ok(found.then_some(()))
        })
        .await
    }
}

fn issues(directory: &Path) -> Result<IssuerConfig> {
    let domain = |name| Ok::<_, anyhow::Error>(Domain::new(TrustDomain::parse(name)?));
    let workload = |name: &str, id| {
        Ok::<_, anyhow::Error>(Workload {
            name: name.to_owned(),
            id: SpiffeId::parse(id)?,
        })
    };
    let mut config = IssuerConfig::new(directory.join("issuer"));
    config.domains = vec![domain("example.org")?, domain("partner.example")?];
    config.workloads = vec![
        workload("callgate", "spiffe://example.org/ns/callgate/sa/server")?,
        workload("orders", ORDERS)?,
        workload("checkout", CHECKOUT)?,
        workload("depot", DEPOT)?,
    ];
    Ok(config)
}

/// No bundle file: what the server knows of trust domains, the Workload API told it.
fn config(directory: &Path, agent: &Path) -> Result<Config> {
    let policies = directory.join("policies");
    fs::create_dir(&policies)?;
    fs::write(policies.join("all.yaml"), POLICIES)?;
    Ok(Config {
        candidate: None,
        policies,
        trust_domain: None,
        trust_bundles: Vec::new(),
        bundle_endpoints: Vec::new(),
        bundle_cache: None,
        listen: "127.0.0.1:0".parse()?,
        admin: "127.0.0.1:0".parse()?,
        decision_log: Some(directory.join("decisions.jsonl")),
        identity: Some(IdentitySource::WorkloadApi(
            format!("unix://{}", agent.display()).parse()?,
        )),
        proxy_ids: vec![CallerPattern::parse(
            "spiffe://example.org/ns/shop/**",
            None,
        )?],
        lease_ttl: LeaseTtl::default(),
        danger_plaintext: false,
    })
}

fn identity(svid: &Svid) -> Identity {
    Identity {
        chain: svid.chain().to_vec(),
        key: svid.key().clone_key(),
        not_after: svid.not_after(),
    }
}

/// Whether the server lets the holder of `svid` read orders: the code of its answer.
async fn asks(proxy: &mut Connection, svid: &Svid) -> Result<i32> {
    let leaf = Identity {
        chain: svid.chain().iter().take(1).cloned().collect(),
        ..identity(svid)
    };
    let peer = |principal: &str, certificate| Peer {
        principal: principal.to_owned(),
        certificate,
    };
    let check = CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(peer("", leaf.chain_pem())),
            destination: Some(peer(ORDERS, String::new())),
            request: Some(Request {
                time: None,
                http: Some(HttpRequest {
                    method: "GET".to_owned(),
                    path: "/orders".to_owned(),
                    ..HttpRequest::default()
                }),
            }),
            ..AttributeContext::default()
        }),
    };
    let method = "/envoy.service.auth.v3.Authorization/Check";
    let answer = proxy
        .call(grpc::unary(method, &check.encode_to_vec()))
        .await?;
    ensure!(answer.grpc_status() == Some(0), "{answer:?}");
    let answer = CheckResponse::decode(grpc::unframe(&answer.body)?)?;
    Ok(answer.status.context("a status")?.code)
}

const ALLOWED: i32 = 0;
const DENIED: i32 = 7;

/// Every identity, the server's, the proxy's and the caller's, is renewed each second.
#[tokio::test(flavor = "multi_thread")]
async fn everybody_rotates_every_second_under_load_without_a_failure() -> Result<()> {
    const SECONDS: u64 = 6;
    let stage = Arc::new(Stage::start().await?);
    let done = Arc::new(AtomicBool::new(false));
    let answers = Arc::new(AtomicUsize::new(0));
    let mut load = JoinSet::new();
    for stays in [true, true, false] {
        let (stage, done) = (Arc::clone(&stage), Arc::clone(&done));
        let answers = Arc::clone(&answers);
        load.spawn(async move {
            let mut proxy = stage.proxy().await?;
            while !done.load(Ordering::Relaxed) {
                if !stays {
                    proxy = stage.proxy().await?;
                }
                let code = asks(&mut proxy, &*stage.svid("checkout")?).await?;
                ensure!(code == ALLOWED, "{code}");
                answers.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
    }
    for _ in 0..SECONDS {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stage.issuer.renew()?;
    }
    let renewals = || {
        stage
            .server
            .health()
            .condition()
            .identity
            .unwrap_or_default()
            .loads
    };
    eventually(LIMIT, "the last renewal", async || {
        Ok((renewals().succeeded == 1 + SECONDS).then_some(()))
    })
    .await?;
    done.store(true, Ordering::Relaxed);
    while let Some(outcome) = load.join_next().await {
        outcome??;
    }
    let answers = answers.load(Ordering::Relaxed);
    ensure!(answers > 100, "{answers} answers");
    ensure!(renewals().failed == 0, "{:?}", renewals());
    stage.readiness("ready").await
}

/// Without its agent the server goes on by what it knows, says so, and is right; it
/// learns what has changed as soon as the agent is back.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_away_changes_no_answer() -> Result<()> {
    let mut stage = Stage::start().await?;
    stage.readiness("ready").await?;
    let mut proxy = stage.proxy().await?;
    let old = stage.svid("checkout")?;
    ensure!(asks(&mut proxy, &old).await? == ALLOWED);

    stage.road.cut().await?;
    stage
        .readiness("degraded: trust bundles of the Workload API")
        .await?;
    ensure!(asks(&mut proxy, &old).await? == ALLOWED);
    ensure!(
        asks(&mut stage.proxy().await?, &old).await? == ALLOWED,
        "new connections as well"
    );
    stage.issuer.rotate_root("example.org")?;
    let new = stage.svid("checkout")?;
    ensure!(
        asks(&mut proxy, &new).await? == DENIED,
        "by a root that nobody told it of"
    );

    stage.road.mend()?;
    stage.readiness("ready").await?;
    ensure!(asks(&mut proxy, &new).await? == ALLOWED);
    ensure!(asks(&mut proxy, &old).await? == ALLOWED, "both roots count");

    stage.issuer.replace_root("example.org")?;
    let newest = stage.svid("checkout")?;
    // The proxy's own certificate is worth nothing any more either.
    eventually(LIMIT, "the new roots", async || {
        let mut proxy = stage.proxy().await.ok();
        Ok(match &mut proxy {
            Some(proxy) => asks(proxy, &newest)
                .await
                .ok()
                .filter(|code| *code == ALLOWED),
            None => None,
        })
    })
    .await?;
    ensure!(
        asks(&mut stage.proxy().await?, &old).await? == DENIED,
        "its root has left the bundle"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn federated_trust_domains_come_with_the_identity() -> Result<()> {
    let stage = Stage::start().await?;
    let mut proxy = stage.proxy().await?;
    ensure!(asks(&mut proxy, &*stage.svid("depot")?).await? == ALLOWED);
    stage.issuer.replace_root("partner.example")?;
    let new = stage.svid("depot")?;
    eventually(LIMIT, "the partner's new root", async || {
        Ok((asks(&mut proxy, &new).await? == ALLOWED).then_some(()))
    })
    .await
}

/// Its entry is deleted: the certificate that it has is good until it expires, and the
/// operator hears of it before that.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_deleted_is_said_at_once() -> Result<()> {
    let stage = Stage::start().await?;
    let mut proxy = stage.proxy().await?;
    ensure!(stage.issuer.remove("callgate"));
    stage.readiness("own certificate: Workload API").await?;
    ensure!(asks(&mut proxy, &*stage.svid("checkout")?).await? == ALLOWED);
    ensure!(asks(&mut stage.proxy().await?, &*stage.svid("checkout")?).await? == ALLOWED);
    Ok(())
}

/// Started together, the agent may be the later one.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_waits_for_its_agent() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let issues = issues(directory.path())?;
    let agent = issues.directory.join("callgate.sock");
    let config = config(directory.path(), &agent)?;
    let server = tokio::spawn(async move { start(&config).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    ensure!(!server.is_finished());
    let issuer = Issuer::start(issues).await?;
    let server = tokio::time::timeout(LIMIT, server).await???;
    ensure!(server.health().readiness().is_ready());
    drop(issuer);
    Ok(())
}
