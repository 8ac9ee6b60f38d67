//! The development issuer, in this process.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use callgate_issuer::{Config, Domain, Issuer};
use callgate_policy::{SpiffeId, TrustDomain};

use super::Workload;
use crate::pki::{PARTNER_DOMAIN, TRUST_DOMAIN};

/// Short, so that the story is; long enough for a busy machine to hear of renewals,
/// which come at half of it.
pub(super) const SVID_TTL: Duration = Duration::from_secs(12);
/// The least that there is, so that roots rotate while the story is told: the next one
/// is in the bundle after 36 s and signs after a minute.
const CA_TTL: Duration = Duration::from_secs(72);

/// A running issuer for two trust domains.
#[derive(Debug)]
pub struct Embedded {
    issuer: Issuer,
}

impl Embedded {
    /// Starts it; its sockets are in `directory`. An intermediate is between roots and
    /// leaves, as where SPIRE has an upstream authority.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(directory: &Path) -> Result<Self> {
        let mut config = Config::new(directory.join("mesh"));
        for name in [TRUST_DOMAIN, PARTNER_DOMAIN] {
            let mut domain = Domain::new(TrustDomain::parse(name)?);
            domain.intermediates = 1;
            config.domains.push(domain);
        }
        config.svid_ttl = SVID_TTL;
        config.ca_ttl = CA_TTL;
        for workload in Workload::ALL {
            config.workloads.push(entry(workload)?);
        }
        Ok(Self {
            issuer: Issuer::start(config).await?,
        })
    }

    pub(super) fn socket(&self, workload: Workload) -> Result<PathBuf> {
        let socket = self.issuer.socket(workload.name());
        Ok(socket.context("no socket")?.to_owned())
    }

    pub(super) fn forget(&self, workload: Workload) -> Result<()> {
        ensure!(self.issuer.remove(workload.name()), "no entry");
        Ok(())
    }

    pub(super) fn remember(&mut self, workload: Workload) -> Result<()> {
        Ok(self.issuer.add(entry(workload)?)?)
    }

    pub(super) fn hang(&self, hanging: bool) {
        self.issuer.hold(hanging);
    }
}

fn entry(workload: Workload) -> Result<callgate_issuer::Workload> {
    Ok(callgate_issuer::Workload {
        name: workload.name().to_owned(),
        id: SpiffeId::parse(workload.id())?,
    })
}
