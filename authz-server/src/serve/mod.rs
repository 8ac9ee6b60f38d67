//! The server as a whole: started at once or not at all, and stopped without losing
//! a request.

mod admin;
mod config;
mod connection;
mod error;
mod gate;
mod listen;
mod own;
mod service;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use callgate_policy::document::LoadOptions;
use rustls::ServerConfig;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
};

use crate::{
    bundle::{BundleFiles, Bundles, Endpoints},
    check::{Authorizer, LeaseTtl},
    clock,
    gate::Gate,
    health::Health,
    identity::RefusedProxies,
    live::Live,
    metrics::{Exposition, Metrics},
    outlook::CallerOutlook,
    record::{Recorder, Sink},
    reload::{Reloaded, Reloader},
    revocation::{RevocationStore, RevocationWatch},
    store::{PolicyStore, Role},
    svid::Verifier,
};

pub use config::Config;
pub use error::StartError;
pub use listen::{Listen, ListenError};
pub use own::IdentitySource;

use self::{
    listen::Bound,
    own::{Keeping, Own},
    service::Answering,
};

/// A server that runs. Dropped, it stops in its own time; [`Self::drain`] waits for it.
#[derive(Debug)]
pub struct Running {
    check: Listen,
    admin: Listen,
    health: Arc<Health>,
    recorder: Recorder,
    stop_checks: watch::Sender<bool>,
    stop_admin: watch::Sender<bool>,
    checks: JoinHandle<()>,
    figures: JoinHandle<()>,
    watchers: Watchers,
    endpoints: Endpoints,
}

/// Who keeps what decides up to date, for as long as this is not dropped.
#[derive(Debug)]
struct Watchers {
    _reloader: Reloader,
    _revocations: RevocationWatch,
    _own: Option<Keeping>,
}

/// How a server stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Every request was answered.
    pub requests: bool,
    /// Every record was written.
    pub records: bool,
}

/// Starts a server. It is ready if the policies are in order; if they are not, it
/// refuses every call until they are.
///
/// # Errors
/// If it is told something that it cannot do. Nothing is started then.
pub async fn start(config: &Config) -> Result<Running, StartError> {
    let health = Arc::new(Health::default());
    let live = Arc::new(Live::new(Verifier::new([])));
    let bundles = Bundles::new(Arc::clone(&live), Arc::clone(&health));
    config.check()?;
    let bundle_files = BundleFiles::open(&bundles, &config.trust_bundles, clock::now())
        .map_err(StartError::TrustBundle)?;
    let metrics = Arc::new(Metrics::default());
    let refused = Arc::new(RefusedProxies::new(Arc::clone(&metrics)));
    let own = Own::start(
        config.identity.as_ref(),
        &config.proxy_ids,
        &live,
        &bundles,
        &refused,
        &health,
    )
    .await?;
    let (check_bound, admin_bound) = bind(config).await?;
    let recorder = recorder(config)?;
    let (now, began) = (clock::now(), Instant::now());
    let store = |directory: &Path, role| {
        let options = LoadOptions {
            trust_domain: config.trust_domain.clone(),
            without_revocations: true,
            ..LoadOptions::default()
        };
        let (live, health) = (Arc::clone(&live), Arc::clone(&health));
        let mut store = PolicyStore::new(directory.to_owned(), options, role, live, health);
        store.rescan(Duration::ZERO, clock::now());
        store
    };
    let policies = store(&config.policies, Role::Enforced);
    let candidate = config.candidate.as_deref();
    let candidate = candidate.map(|directory| store(directory, Role::Candidate));
    let mut revocations = RevocationStore::new(
        config.policies.clone(),
        Arc::clone(&live),
        Arc::clone(&health),
    );
    revocations.rescan(Duration::ZERO, clock::now());
    health.scanned(now, began);
    let reloaded = Reloaded {
        policies,
        candidate,
        bundle_files,
        bundles: Arc::clone(&bundles),
        callers: CallerOutlook::new(Arc::clone(&live)),
        health: Arc::clone(&health),
    };
    let endpoints = Endpoints::start(
        &config.bundle_endpoints,
        config.bundle_cache.as_deref(),
        &bundles,
        &live,
    )
    .map_err(StartError::BundleEndpoints)?;
    let directories = [config.policies.clone()];
    let directories = directories.into_iter().chain(config.candidate.clone());
    let watchers = Watchers {
        _reloader: Reloader::start(directories, reloaded).map_err(StartError::Thread)?,
        _revocations: revocations.watch().map_err(StartError::Thread)?,
        _own: own.keeping,
    };
    let parts = Parts {
        live,
        bundles,
        health,
        recorder,
        metrics,
        refused,
        tls: own.tls,
        lease_ttl: config.lease_ttl,
    };
    Ok(run(check_bound, admin_bound, parts, (watchers, endpoints)))
}

impl Running {
    /// Where Checks are answered, with the port that was taken.
    #[must_use]
    pub const fn check_address(&self) -> &Listen {
        &self.check
    }

    /// Where health and metrics are shown, with the port that was taken.
    #[must_use]
    pub const fn admin_address(&self) -> &Listen {
        &self.admin
    }

    /// The server's condition.
    #[must_use]
    pub const fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Opens the decision log anew, as log rotation wants it.
    pub fn reopen_decision_log(&self) {
        self.recorder.reopen();
    }

    /// Stops: no longer ready, no new connections, every request that came is
    /// answered, every record is written; all within `patience`, or given up.
    pub async fn drain(self, patience: Duration) -> Drained {
        let until = Instant::now() + patience;
        let left = || until.saturating_duration_since(Instant::now());
        drop(self.endpoints);
        self.health.drain();
        self.stop_checks.send_replace(true);
        let mut checks = self.checks;
        let requests = tokio::time::timeout(left(), &mut checks).await.is_ok();
        checks.abort();
        let recorder = self.recorder;
        // A record that is written late is better than none: a second at least.
        let patience = left().max(Duration::from_secs(1));
        let records = tokio::task::spawn_blocking(move || recorder.close(patience)).await;
        self.stop_admin.send_replace(true);
        let _ = tokio::time::timeout(left(), self.figures).await;
        let _ = tokio::task::spawn_blocking(move || drop(self.watchers)).await;
        Drained {
            requests,
            records: records.unwrap_or(false),
        }
    }
}

async fn bind(config: &Config) -> Result<(Bound, Bound), StartError> {
    let [check, admin] = config.listeners().map(|(option, address)| async move {
        address.bind().await.map_err(|error| StartError::Bind {
            option,
            address: address.clone(),
            error,
        })
    });
    Ok((check.await?, admin.await?))
}

fn recorder(config: &Config) -> Result<Recorder, StartError> {
    let sink = match &config.decision_log {
        None => Sink::stdout(),
        Some(path) => Sink::file(path).map_err(|error| StartError::DecisionLog {
            path: path.clone(),
            error,
        })?,
    };
    Recorder::start(sink).map_err(StartError::Thread)
}

/// What runs on after the start.
struct Parts {
    live: Arc<Live>,
    bundles: Arc<Bundles>,
    health: Arc<Health>,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    refused: Arc<RefusedProxies>,
    tls: Option<Arc<ServerConfig>>,
    lease_ttl: LeaseTtl,
}

fn run(
    check_bound: Bound,
    admin_bound: Bound,
    parts: Parts,
    (watchers, endpoints): (Watchers, Endpoints),
) -> Running {
    let Parts {
        live,
        bundles,
        health,
        recorder,
        metrics,
        refused,
        tls,
        lease_ttl,
    } = parts;
    let (check, admin) = (check_bound.address().clone(), admin_bound.address().clone());
    let authorizer = Authorizer::new(Arc::clone(&live), recorder.clone(), Arc::clone(&metrics))
        .with_lease_ttl(lease_ttl);
    let exposition = Exposition::new(
        &metrics,
        Arc::clone(&live),
        bundles,
        Arc::clone(&health),
        recorder.clone(),
    );
    let (stop_checks, checks_stop) = watch::channel(false);
    let (stop_admin, admin_stop) = watch::channel(false);
    let answering = Answering {
        authorizer: Arc::new(authorizer),
        gate: Gate::new(Arc::clone(&live), recorder.clone(), Arc::clone(&metrics)),
        watchers: Arc::new(Semaphore::new(gate::MAX_WATCHERS)),
        metrics,
        refused,
        health: Arc::clone(&health),
        live,
        tls,
    };
    let checks = tokio::spawn(service::serve(check_bound, answering, checks_stop));
    let showing = admin::serve(admin_bound, Arc::clone(&health), exposition, admin_stop);
    let figures = tokio::spawn(async move {
        if let Err(error) = showing.await {
            tracing::error!(%error, "the admin listener failed");
        }
    });
    Running {
        check,
        admin,
        health,
        recorder,
        stop_checks,
        stop_admin,
        checks,
        figures,
        watchers,
        endpoints,
    }
}

#[cfg(test)]
mod tests;
