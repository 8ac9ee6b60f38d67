//! A running issuer: sockets, files, and the clock.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use callgate_policy::SpiffeId;
use tokio::task::JoinSet;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;

use crate::{
    bundle::Bundle,
    clock,
    config::{Config, Workload},
    endpoint,
    error::{IssuerError, StartError},
    files::{Published, Unreadable, Watched},
    proto::{
        secret::secret_discovery_service_server::SecretDiscoveryServiceServer,
        workload::spiffe_workload_api_server::SpiffeWorkloadApiServer,
    },
    registry::{Registry, Snapshot, View},
    sds::Secrets,
    socket,
    svid::Svid,
    workload_api::WorkloadApi,
};

/// Certificates count seconds; looking more often than that finds nothing.
const LOOK: Duration = Duration::from_millis(250);
/// A proxy asks for a handful of names; a client for nothing at all.
const MAX_REQUEST_BYTES: usize = 64 * 1024;
/// An SVID source or a proxy keeps a few streams open on its connection.
const MAX_STREAMS: u32 = 100;

/// A running issuer. Dropped, it is gone with every key that it had.
#[derive(Debug)]
pub struct Issuer {
    config: Config,
    state: Arc<State>,
    sockets: BTreeMap<String, PathBuf>,
    endpoints: BTreeMap<String, SocketAddr>,
    tasks: JoinSet<()>,
}

struct State {
    registry: Mutex<Registry>,
    published: Mutex<Published>,
    held: AtomicBool,
}

impl Issuer {
    /// Starts to issue: when this returns, sockets answer and bundles are written.
    ///
    /// # Errors
    /// What was asked for is not to be had, or a file or socket cannot be made.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        config.check()?;
        socket::directory(&config.directory)?;
        let mut watched = Watched::new(config.foreign.clone());
        let mut registry = Registry::new(&config, clock::now())?;
        for found in watched.look() {
            let bundle = found
                .map_err(|Unreadable { domain, error }| StartError::Foreign { domain, error })?;
            registry.federate(bundle, clock::now())?;
        }
        let state = Arc::new(State {
            registry: Mutex::new(registry),
            published: Mutex::new(Published::new(config.directory.clone())),
            held: AtomicBool::new(false),
        });
        state
            .publish()
            .map_err(|(path, error)| StartError::File { path, error })?;
        let mut issuer = Self {
            config,
            state,
            sockets: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            tasks: JoinSet::new(),
        };
        issuer.open().await?;
        let state = Arc::clone(&issuer.state);
        issuer.tasks.spawn(keep_time(state, watched));
        Ok(issuer)
    }

    async fn open(&mut self) -> Result<(), StartError> {
        for workload in self.config.workloads.clone() {
            self.serve(&workload)?;
        }
        for domain in self.config.domains.clone() {
            if let (Some(address), Some(own)) = (domain.endpoint, endpoint::identity(&domain.name))
            {
                let view = self.state.registry().add(&own, clock::now())?;
                let listen = |error| StartError::Listen { address, error };
                let (listener, bound) = endpoint::bind(address).await.map_err(listen)?;
                self.endpoints
                    .insert(domain.name.as_str().to_owned(), bound);
                self.tasks.spawn(async move {
                    if let Err(error) = endpoint::serve(listener, view).await {
                        tracing::error!(%error, "a bundle endpoint has ended");
                    }
                });
            }
        }
        Ok(())
    }

    fn serve(&mut self, workload: &Workload) -> Result<(), StartError> {
        let path = self
            .config
            .directory
            .join(format!("{}.sock", workload.name));
        let listener = socket::bind(&path)?;
        let view = self.state.registry().add(workload, clock::now())?;
        self.sockets.insert(workload.name.clone(), path);
        self.tasks.spawn(answer(listener, view));
        Ok(())
    }

    /// Adds a workload with a socket of its own, or gives one whose entry was removed
    /// its entry back.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn add(&mut self, workload: Workload) -> Result<(), StartError> {
        if self.sockets.contains_key(&workload.name) {
            self.config.check_workload(&workload, std::iter::empty())?;
            self.state.registry().add(&workload, clock::now())?;
            return Ok(());
        }
        let others = self.config.workloads.iter();
        self.config.check_workload(&workload, others)?;
        self.serve(&workload)?;
        self.config.workloads.push(workload);
        Ok(())
    }

    /// Deletes a workload's entry: its streams end and it gets no further SVID; what
    /// it holds stays valid until it expires. Whether there was one.
    pub fn remove(&self, name: &str) -> bool {
        self.state.registry().remove(name)
    }

    /// Signs with a new root from now on; the old one stays in the bundle until it
    /// expires. Every SVID is renewed.
    ///
    /// # Errors
    /// When there is no such trust domain, or nothing can be signed.
    pub fn rotate_root(&self, domain: &str) -> Result<(), IssuerError> {
        self.state.registry().rotate(domain, true, clock::now())?;
        self.state.publish_or_warn();
        Ok(())
    }

    /// The same, but the old roots leave the bundle at once, as after a leaked key.
    ///
    /// # Errors
    /// When there is no such trust domain, or nothing can be signed.
    pub fn replace_root(&self, domain: &str) -> Result<(), IssuerError> {
        self.state.registry().rotate(domain, false, clock::now())?;
        self.state.publish_or_warn();
        Ok(())
    }

    /// A new SVID for every workload, now.
    ///
    /// # Errors
    /// When nothing can be signed.
    pub fn renew(&self) -> Result<(), IssuerError> {
        self.state.registry().renew(clock::now())
    }

    /// Renews nothing while held, as an agent that hangs; what is due then comes when
    /// it is let go.
    pub fn hold(&self, held: bool) {
        self.state.held.store(held, Ordering::Release);
    }

    /// What a workload has now; nothing without an entry.
    #[must_use]
    pub fn snapshot(&self, name: &str) -> Option<Arc<Snapshot>> {
        self.state.registry().snapshot_of(name)
    }

    /// An SVID for somebody without a socket.
    ///
    /// # Errors
    /// When its trust domain is not issued for.
    pub fn sign(&self, id: &SpiffeId) -> Result<Svid, IssuerError> {
        self.state.registry().sign(id, clock::now())
    }

    /// A workload's socket, with the Workload API and SDS behind it.
    #[must_use]
    pub fn socket(&self, name: &str) -> Option<&Path> {
        self.sockets.get(name).map(PathBuf::as_path)
    }

    /// Each workload's name and socket.
    pub fn sockets(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.sockets
            .iter()
            .map(|(name, path)| (name.as_str(), path.as_path()))
    }

    /// The present bundle of one of its trust domains.
    #[must_use]
    pub fn bundle(&self, domain: &str) -> Option<Arc<Bundle>> {
        let bundles = self.state.registry().bundles();
        bundles
            .into_iter()
            .find(|bundle| bundle.trust_domain().as_str() == domain)
    }

    /// The file with a domain's SPIFFE bundle (JSON).
    #[must_use]
    pub fn bundle_json(&self, domain: &str) -> PathBuf {
        Published::path(&self.config.directory, domain, "json")
    }

    /// The file with a domain's roots as PEM.
    #[must_use]
    pub fn bundle_pem(&self, domain: &str) -> PathBuf {
        Published::path(&self.config.directory, domain, "pem")
    }

    /// Each bundle endpoint: its trust domain, its address, its own SPIFFE ID.
    pub fn endpoints(&self) -> impl Iterator<Item = (&str, SocketAddr, String)> {
        self.config.domains.iter().filter_map(|domain| {
            let address = self.endpoints.get(domain.name.as_str())?;
            let id = endpoint::identity(&domain.name)?.id;
            Some((domain.name.as_str(), *address, id.as_str().to_owned()))
        })
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        for path in self.sockets.values() {
            let _ = fs::remove_file(path);
        }
    }
}

impl State {
    fn registry(&self) -> MutexGuard<'_, Registry> {
        // Each change of it is told whole or not at all.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self) -> Result<(), (PathBuf, std::io::Error)> {
        let mut published = self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let bundles = self.registry().bundles();
        published.write(bundles)
    }

    /// The next look tries again.
    fn publish_or_warn(&self) {
        if let Err((path, error)) = self.publish() {
            tracing::warn!(%error, path = %path.display(), "cannot write a bundle");
        }
    }

    fn look(&self, watched: &mut Watched) -> Result<(), IssuerError> {
        if self.held.load(Ordering::Acquire) {
            return Ok(());
        }
        let now = clock::now();
        for found in watched.look() {
            match found {
                Ok(bundle) => self.registry().federate(bundle, now)?,
                Err(Unreadable { domain, error }) => {
                    tracing::warn!(%error, domain = domain.as_str(), "keeping the last bundle");
                }
            }
        }
        self.registry().tick(now)?;
        self.publish_or_warn();
        Ok(())
    }
}

impl std::fmt::Debug for State {
    /// Without keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

async fn keep_time(state: Arc<State>, mut watched: Watched) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = state.look(&mut watched) {
            tracing::error!(%error, "nothing was renewed");
        }
    }
}

/// Answers at one socket until dropped.
async fn answer(listener: tokio::net::UnixListener, view: View) {
    let api = SpiffeWorkloadApiServer::new(WorkloadApi::new(view.clone()));
    let sds = SecretDiscoveryServiceServer::new(Secrets::new(view));
    let served = Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .add_service(api.max_decoding_message_size(MAX_REQUEST_BYTES))
        .add_service(sds.max_decoding_message_size(MAX_REQUEST_BYTES))
        .serve_with_incoming(UnixListenerStream::new(listener))
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "a workload's socket has ended");
    }
}
