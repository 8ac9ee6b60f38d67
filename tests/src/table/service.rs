//! The authorization service of a world, in process and without a socket.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use callgate_policy::{
    Timestamp, TrustDomain,
    document::{LoadError, LoadOptions, Loaded, load},
};
use callgate_server::{
    bundle::TrustBundle,
    check::{Authorizer, Unanswered},
    gate::{Callee, Gate},
    identity::Asker,
    live::{Live, Policies},
    metrics::Metrics,
    record::{Recorder, Sink},
    revocation::{RevocationFiles, Revocations},
    store::read_sources,
    svid::Verifier,
};
use callgate_wire::{
    callgate::v1::{Announcement, RecordRequest},
    envoy::service::auth::v3::{CheckRequest, CheckResponse},
};

use super::{Records, World};
use crate::pki::{PARTNER_DOMAIN, Pki, TRUST_DOMAIN};

/// Writing a few hundred lines to memory.
const PATIENCE: Duration = Duration::from_secs(30);

/// A service that decides by a world's documents.
#[derive(Debug)]
pub struct Service {
    authorizer: Authorizer,
    gate: Gate,
    recorder: Recorder,
    log: Log,
}

/// A decision log in memory.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl World {
    /// Its documents, compiled; nothing if it has none.
    ///
    /// # Errors
    /// When they are not in order; the error shows every finding.
    pub fn load(self) -> Result<Option<Loaded>> {
        let Some(directory) = self.policies() else {
            return Ok(None);
        };
        let sources = read_sources(&directory).with_context(|| directory.display().to_string())?;
        match load(&sources, &LoadOptions::default()) {
            Ok(loaded) => Ok(Some(loaded)),
            Err(LoadError::Findings(findings)) => bail!("{}", findings.render(&sources, false)),
            Err(error) => bail!("{}: {error}", directory.display()),
        }
    }

    /// Who is believed no longer.
    #[must_use]
    pub fn revocations(self) -> Revocations {
        let Some(directory) = self.policies() else {
            return Revocations::default();
        };
        let mut files = RevocationFiles::new(directory);
        files.look(Duration::ZERO);
        Revocations::new(files.revocations().cloned())
    }
}

impl Service {
    /// Loads the documents of `world`, and trusts the authorities of `pki`.
    ///
    /// # Errors
    /// When either is not in order.
    pub fn start(world: World, pki: &Pki) -> Result<Self> {
        let bundles = [(TRUST_DOMAIN, &pki.root), (PARTNER_DOMAIN, &pki.partner)];
        let bundles = bundles.map(|(domain, authority)| {
            let bundle = TrustBundle::parse(TrustDomain::parse(domain)?, &authority.bundle_pem());
            bundle.context("a trust bundle")
        });
        let bundles: Vec<TrustBundle> = bundles.into_iter().collect::<Result<_>>()?;
        let live = Arc::new(Live::new(Verifier::new(bundles)));
        live.set_revocations(world.revocations());
        if let Some(loaded) = world.load()? {
            live.set_policies(Policies {
                set: loaded.policies,
                counts: loaded.counts,
                trust_domain: loaded.trust_domain,
                digest: String::new(),
            });
        }
        let log = Log::default();
        let recorder = Recorder::start(Sink::stream(log.clone()))?;
        let metrics = Arc::new(Metrics::default());
        let gate = Gate::new(Arc::clone(&live), recorder.clone(), Arc::clone(&metrics));
        let authorizer = Authorizer::new(live, recorder.clone(), metrics);
        Ok(Self {
            authorizer,
            gate,
            recorder,
            log,
        })
    }

    /// Answers one Check.
    ///
    /// # Errors
    /// When it is none.
    pub fn check(&self, check: &CheckRequest, now: Timestamp) -> Result<CheckResponse, Unanswered> {
        self.authorizer.check(Asker::Unnamed, check, now)
    }

    /// What a Watch of the service with this name says first.
    ///
    /// # Errors
    /// When it says nothing.
    pub fn announce(&self, service: &str, now: Timestamp) -> Result<Announcement> {
        let callee = Callee::named(service).context("no name of a service")?;
        let announced = self
            .gate
            .announce(Asker::Unnamed, &callee, Duration::ZERO, now);
        Ok(announced?)
    }

    /// Takes a batch of decisions.
    ///
    /// # Errors
    /// When it is none.
    pub fn record(&self, batch: &RecordRequest, now: Timestamp) -> Result<()> {
        Ok(self.gate.record(Asker::Unnamed, batch, now)?)
    }

    /// Ends, and gives what was recorded.
    ///
    /// # Errors
    /// When not everything was written.
    pub fn finish(self) -> Result<Records> {
        ensure!(self.recorder.close(PATIENCE), "records are missing");
        let log = self.log.0.lock().unwrap_or_else(PoisonError::into_inner);
        Records::parse(std::str::from_utf8(&log)?)
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
