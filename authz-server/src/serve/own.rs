//! The server's own identity, from its source to the TLS of the Check port.

use std::{path::PathBuf, sync::Arc};

use callgate_policy::CallerPattern;
use rustls::ServerConfig;

use super::StartError;
use crate::{
    clock,
    health::Health,
    identity::{
        Admission, CredentialFiles, IdentityKeeper, OwnIdentity, RefusedProxies, server_config,
    },
    live::Live,
};

/// Where the server's own identity comes from.
#[derive(Clone, Debug)]
pub enum IdentitySource {
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
    pub(super) keeper: Option<IdentityKeeper>,
}

impl Own {
    /// Becomes who `source` says. Proxies that one of `proxy_ids` covers may connect.
    pub(super) fn start(
        source: Option<&IdentitySource>,
        proxy_ids: &[CallerPattern],
        live: &Arc<Live>,
        health: &Arc<Health>,
        refused: &Arc<RefusedProxies>,
    ) -> Result<Self, StartError> {
        match (source, proxy_ids.is_empty()) {
            (Some(_), true) => return Err(StartError::NoProxyId),
            (None, false) => return Err(StartError::ProxyIdWithoutIdentity),
            _ => {}
        }
        let Some(source) = source else {
            return Ok(Self::default());
        };
        let (files, first) = match source {
            IdentitySource::Files { chain, key } => {
                CredentialFiles::open(chain, key).map_err(StartError::OwnFiles)?
            }
        };
        let identity = Arc::new(OwnIdentity::new(first, Arc::clone(health), clock::now()));
        let tls = server_config(
            Arc::clone(&identity),
            Arc::clone(live),
            Admission::new(proxy_ids.iter().cloned()),
            Arc::clone(refused),
        );
        let keeper = IdentityKeeper::start(identity, Some(files)).map_err(StartError::Thread)?;
        Ok(Self {
            tls: Some(Arc::new(tls.map_err(StartError::Tls)?)),
            keeper: Some(keeper),
        })
    }
}
