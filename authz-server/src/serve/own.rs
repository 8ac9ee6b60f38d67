//! The server's own identity, from its source to the TLS of the Check port.

use std::{path::PathBuf, sync::Arc};

use callgate_policy::CallerPattern;
use rustls::ServerConfig;

use super::StartError;
use crate::{
    bundle::Bundles,
    clock,
    health::Health,
    identity::{
        Admission, CredentialFiles, Heard, IdentityKeeper, OwnIdentity, RefusedProxies,
        WorkloadApi, WorkloadApiAddress, server_config,
    },
    live::Live,
};

/// Where the server's own identity comes from.
#[derive(Clone, Debug)]
pub enum IdentitySource {
    /// The SPIFFE Workload API, which gives trust bundles as well.
    WorkloadApi(WorkloadApiAddress),
    /// PEM files, which are watched.
    Files {
        /// The chain, leaf first.
        chain: PathBuf,
        /// Its key.
        key: PathBuf,
    },
}

/// An identity that is kept, until this is dropped.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// None without an identity.
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) keeping: Option<Keeping>,
}

/// Who keeps it.
#[derive(Debug)]
pub(super) struct Keeping {
    _keeper: IdentityKeeper,
    _agent: Option<WorkloadApi>,
}

/// Where the next certificate comes from.
enum Next {
    Files(CredentialFiles),
    Agent(Heard),
}

impl Own {
    /// Becomes who `source` says. Proxies that one of `proxy_ids` covers may connect.
    /// What it learns of trust domains goes to `bundles`.
    pub(super) async fn start(
        source: Option<&IdentitySource>,
        proxy_ids: &[CallerPattern],
        live: &Arc<Live>,
        bundles: &Arc<Bundles>,
        refused: &Arc<RefusedProxies>,
        health: &Arc<Health>,
    ) -> Result<Self, StartError> {
        match (source, proxy_ids.is_empty()) {
            (Some(_), true) => return Err(StartError::NoProxyId),
            (None, false) => return Err(StartError::ProxyIdWithoutIdentity),
            _ => {}
        }
        let Some(source) = source else {
            return Ok(Self::default());
        };
        let (next, first) = match source {
            IdentitySource::WorkloadApi(address) => {
                let heard = Heard::first(address).await;
                let (heard, first) = heard.map_err(StartError::NoIdentity)?;
                (Next::Agent(heard), first)
            }
            IdentitySource::Files { chain, key } => {
                let opened = CredentialFiles::open(chain, key);
                let (files, first) = opened.map_err(StartError::OwnFiles)?;
                (Next::Files(files), first)
            }
        };
        let identity = Arc::new(OwnIdentity::new(first, Arc::clone(health), clock::now()));
        let tls = server_config(
            Arc::clone(&identity),
            Arc::clone(live),
            Admission::new(proxy_ids.iter().cloned()),
            Arc::clone(refused),
        );
        let keeping = Keeping::start(next, identity, bundles);
        Ok(Self {
            tls: Some(Arc::new(tls.map_err(StartError::Tls)?)),
            keeping: Some(keeping.map_err(StartError::Thread)?),
        })
    }
}

impl Keeping {
    fn start(
        next: Next,
        identity: Arc<OwnIdentity>,
        bundles: &Arc<Bundles>,
    ) -> std::io::Result<Self> {
        let (files, agent) = match next {
            Next::Files(files) => (Some(files), None),
            Next::Agent(heard) => {
                let feed = bundles.feed_of_several("Workload API");
                (None, Some(heard.go_on(Arc::clone(&identity), feed)))
            }
        };
        Ok(Self {
            _keeper: IdentityKeeper::start(identity, files)?,
            _agent: agent,
        })
    }
}
