//! A real SPIRE: a server and an agent for each of two trust domains, which federate.

mod authority;
mod programs;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};

pub use programs::Missing;

use super::Workload;
use crate::pki::{PARTNER_DOMAIN, TRUST_DOMAIN};
use authority::{Authority, Entry};
use programs::Programs;

/// The least that is useful with SPIRE, which renews at half of it.
pub(super) const SVID_TTL: Duration = Duration::from_secs(60);
/// Agents ask their server every five seconds, a little more or less.
pub(super) const SYNC_LIMIT: Duration = Duration::from_secs(30);

/// Two running SPIREs.
#[derive(Debug)]
pub struct Spire {
    own: Authority,
    partner: Authority,
    /// Links to the programs, one for each workload.
    programs: PathBuf,
    entries: BTreeMap<&'static str, String>,
}

impl Spire {
    /// Whether there is one.
    ///
    /// # Errors
    /// The program that is missing.
    pub fn on_path() -> Result<(), Missing> {
        Programs::on_path().map(drop)
    }

    /// Starts both, with an entry for every workload.
    ///
    /// # Errors
    /// When SPIRE is not on PATH, or does not start.
    pub async fn start(directory: &Path) -> Result<Self> {
        let found = Programs::on_path()?;
        let programs = directory.join("bin");
        found.link(&programs)?;
        let own = Authority::start(&found, TRUST_DOMAIN, &directory.join("own")).await?;
        let partner = Authority::start(&found, PARTNER_DOMAIN, &directory.join("partner")).await?;
        own.believe(&partner)?;
        partner.believe(&own)?;
        let mut spire = Self {
            own,
            partner,
            programs,
            entries: BTreeMap::new(),
        };
        for workload in Workload::ALL {
            spire.remember(workload)?;
        }
        Ok(spire)
    }

    pub(super) fn socket(&self, workload: Workload) -> PathBuf {
        self.authority(workload).agent_socket()
    }

    pub(super) fn program(&self, workload: Workload) -> PathBuf {
        self.programs.join(workload.name())
    }

    pub(super) fn forget(&mut self, workload: Workload) -> Result<()> {
        let id = self.entries.remove(workload.name()).context("no entry")?;
        self.authority(workload).delete(&id)
    }

    pub(super) fn remember(&mut self, workload: Workload) -> Result<()> {
        let program = self.program(workload);
        let authority = self.authority(workload);
        let other = match workload {
            Workload::Picker => &self.own,
            _ => &self.partner,
        };
        let id = authority.create(&Entry {
            id: workload.id(),
            program: &program,
            ttl: SVID_TTL,
            federates_with: other.domain(),
        })?;
        self.entries.insert(workload.name(), id);
        Ok(())
    }

    pub(super) fn hang(&self, hanging: bool) -> Result<()> {
        self.own.hang(hanging)?;
        self.partner.hang(hanging)
    }

    pub(super) fn report(&self) -> String {
        format!("{}\n{}", self.own.report(), self.partner.report())
    }

    const fn authority(&self, workload: Workload) -> &Authority {
        match workload {
            Workload::Picker => &self.partner,
            _ => &self.own,
        }
    }
}
