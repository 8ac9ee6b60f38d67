//! What a server is told, and what can be said of it before anything is started.

use std::{collections::BTreeSet, io, path::PathBuf};

use callgate_policy::{CallerPattern, TrustDomain};

use super::{IdentitySource, Listen, StartError};
use crate::{bundle::BundleEndpoint, check::LeaseTtl};

/// The option of the listener that TLS is for.
const CHECK: &str = "--listen";

/// What a server is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The directory of documents.
    pub policies: PathBuf,
    /// A directory of documents that are tried beside them, and decide nothing.
    pub candidate: Option<PathBuf>,
    /// What relative identities belong to, if no `MeshPolicy` says so.
    pub trust_domain: Option<TrustDomain>,
    /// The file of each trust domain's roots.
    pub trust_bundles: Vec<(TrustDomain, PathBuf)>,
    /// Where trust domains publish their roots. One that has a file as well begins with
    /// what is in the file.
    pub bundle_endpoints: Vec<BundleEndpoint>,
    /// The directory where bundles of endpoints are kept for the next start.
    pub bundle_cache: Option<PathBuf>,
    /// Where Checks are answered.
    pub listen: Listen,
    /// Where health and metrics are shown.
    pub admin: Listen,
    /// Where decision records go; None is standard output.
    pub decision_log: Option<PathBuf>,
    /// Who the server itself is. With an identity, Checks come over mutual TLS.
    pub identity: Option<IdentitySource>,
    /// Which proxies may connect then.
    pub proxy_ids: Vec<CallerPattern>,
    /// How long proxies may decide by what an answer tells them.
    pub lease_ttl: LeaseTtl,
    /// Listen without TLS where others can connect.
    pub danger_plaintext: bool,
}

impl Config {
    /// Everything that can be said without touching anything.
    pub(super) fn check(&self) -> Result<(), StartError> {
        self.check_listeners()?;
        let path = &self.policies;
        let metadata = std::fs::metadata(path).and_then(|found| {
            if found.is_dir() {
                Ok(())
            } else {
                Err(io::ErrorKind::NotADirectory.into())
            }
        });
        metadata.map_err(|error| StartError::Policies {
            path: path.clone(),
            error,
        })?;
        let offered = matches!(self.identity, Some(IdentitySource::WorkloadApi(_)));
        if self.trust_bundles.is_empty() && self.bundle_endpoints.is_empty() && !offered {
            return Err(StartError::NoTrustBundle);
        }
        let mut domains = BTreeSet::new();
        for endpoint in &self.bundle_endpoints {
            if !domains.insert(endpoint.trust_domain()) {
                return Err(StartError::TwoEndpoints(endpoint.trust_domain().clone()));
            }
        }
        Ok(())
    }

    /// Where it listens, by option.
    pub(super) const fn listeners(&self) -> [(&'static str, &Listen); 2] {
        [(CHECK, &self.listen), ("--admin", &self.admin)]
    }

    fn check_listeners(&self) -> Result<(), StartError> {
        for (option, address) in self.listeners() {
            let tls = option == CHECK && self.identity.is_some();
            if !address.is_local() && !tls && !self.danger_plaintext {
                return Err(StartError::Plaintext {
                    option,
                    address: address.clone(),
                });
            }
        }
        Ok(())
    }
}
