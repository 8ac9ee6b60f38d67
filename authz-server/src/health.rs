//! What the server knows of its own condition, and whether that is good enough.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use callgate_policy::{Timestamp, TrustDomain};
use tokio::sync::watch;

use crate::identity::Life;

/// How long ago what is on disk may have been looked at for the server to say how things
/// stand: twice as long as it takes when nothing is in the way.
const CURRENT: Duration = Duration::from_secs(2);

/// The server's condition. Writers are the loaders; readers are `/readyz`, gRPC
/// health and the metrics.
#[derive(Debug)]
pub struct Health {
    condition: watch::Sender<Condition>,
    /// Not part of the condition, which changes seldom.
    scan: Scan,
    revocation_scan: Scan,
}

/// When something was last compared with what is on disk: when that began, since what
/// changed meanwhile may not have been seen.
#[derive(Debug)]
struct Scan {
    /// Milliseconds of the clock, for people.
    moment: AtomicI64,
    origin: Instant,
    /// Milliseconds since the origin, whatever happens to the clock.
    elapsed: AtomicU64,
}

/// How loading goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// The policies.
    pub policies: Loads,
    /// The policies that are tried beside them; nothing depends on these.
    pub candidate: Loads,
    /// The revocations.
    pub revocations: Loads,
    /// The trust bundles, by trust domain.
    pub bundles: BTreeMap<TrustDomain, Loads>,
    /// What is wrong with sources of several trust bundles, by their names.
    pub bundle_sources: BTreeMap<Arc<str>, String>,
    /// The server's own certificate, if it has one.
    pub identity: Option<OwnCertificate>,
    /// The server is about to stop.
    pub draining: bool,
}

/// How the server's own certificate is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnCertificate {
    /// Certificates that were taken and refused.
    pub loads: Loads,
    /// How much is left of the one that is shown.
    pub life: Life,
    /// Its last moment.
    pub not_after: Option<Timestamp>,
}

/// How the loading of one thing goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loads {
    /// Versions that were taken.
    pub succeeded: u64,
    /// Versions that were refused; the last good one stayed.
    pub failed: u64,
    /// When a version was last taken.
    pub last_success: Option<Timestamp>,
    /// What is wrong with what is there now, in one line.
    pub fault: Option<String>,
    /// What will go wrong unless somebody does something, in one line.
    pub warning: Option<String>,
}

/// Whether the server can be sent Checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// All is well.
    Ready,
    /// It decides, but by older documents or bundles than those that are there, or will
    /// soon not be able to: each reason in one line.
    Degraded(Vec<String>),
    /// It has never had a valid set of policies, its own certificate has expired, or it
    /// is about to stop.
    NotReady(String),
}

impl Default for Health {
    fn default() -> Self {
        Self {
            condition: watch::Sender::default(),
            scan: Scan::never(),
            revocation_scan: Scan::never(),
        }
    }
}

impl Health {
    /// The condition now.
    #[must_use]
    pub fn condition(&self) -> Condition {
        self.condition.borrow().clone()
    }

    /// Tells of every change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Condition> {
        self.condition.subscribe()
    }

    /// Whether the server can be sent Checks.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.condition.borrow().readiness()
    }

    /// When policies and bundles were last compared with what is on disk.
    #[must_use]
    pub fn last_scan(&self) -> Option<Timestamp> {
        self.scan.moment()
    }

    /// When revocations were.
    #[must_use]
    pub fn last_revocation_scan(&self) -> Option<Timestamp> {
        self.revocation_scan.moment()
    }

    /// Whether both were, within the last two seconds. If not, something may have been
    /// written long ago that the server does not know of.
    #[must_use]
    pub fn is_current(&self) -> bool {
        let scans = [&self.scan, &self.revocation_scan];
        scans.into_iter().all(|scan| scan.is_within(CURRENT))
    }

    pub(crate) fn revocations_scanned(&self, now: Timestamp, began: Instant) {
        self.revocation_scan.note(now, began);
    }

    pub(crate) fn scanned(&self, now: Timestamp, began: Instant) {
        self.scan.note(now, began);
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Condition)) {
        self.condition.send_if_modified(|condition| {
            let before = condition.clone();
            change(condition);
            *condition != before
        });
    }

    /// From now on not ready, so that no new callers are sent here.
    pub fn drain(&self) {
        self.change(|condition| condition.draining = true);
    }
}

impl Scan {
    fn never() -> Self {
        Self {
            moment: AtomicI64::new(i64::MIN),
            origin: Instant::now(),
            elapsed: AtomicU64::new(0),
        }
    }

    fn note(&self, now: Timestamp, began: Instant) {
        let elapsed = began.saturating_duration_since(self.origin).as_millis();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        self.elapsed.store(elapsed, Ordering::Relaxed);
        self.moment.store(now.as_millis(), Ordering::Release);
    }

    fn moment(&self) -> Option<Timestamp> {
        match self.moment.load(Ordering::Acquire) {
            i64::MIN => None,
            millis => Some(Timestamp::from_millis(millis)),
        }
    }

    fn is_within(&self, age: Duration) -> bool {
        if self.moment().is_none() {
            return false;
        }
        let last = Duration::from_millis(self.elapsed.load(Ordering::Relaxed));
        self.origin.elapsed().saturating_sub(last) <= age
    }
}

impl Condition {
    /// Whether that is good enough.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        if self.draining {
            return Readiness::NotReady("draining".to_owned());
        }
        if self.policies.succeeded == 0 {
            let fault = self.policies.fault.as_deref().unwrap_or("not loaded yet");
            return Readiness::NotReady(format!("no valid set of policies: {fault}"));
        }
        if let Some(own) = &self.identity
            && own.life == Life::Expired
        {
            return Readiness::NotReady(format!("own certificate: {}", own.life));
        }
        let policies = self.policies.fault.iter();
        let mut faults: Vec<String> = policies.map(|fault| format!("policies: {fault}")).collect();
        let revocations = self.revocations.fault.iter();
        faults.extend(revocations.map(|fault| format!("revocations: {fault}")));
        for (domain, loads) in &self.bundles {
            let told = loads.fault.iter().chain(&loads.warning);
            faults.extend(told.map(|told| format!("trust bundle of `{domain}`: {told}")));
        }
        let sources = self.bundle_sources.iter();
        faults.extend(sources.map(|(name, fault)| format!("trust bundles of the {name}: {fault}")));
        faults.extend(self.identity.iter().flat_map(OwnCertificate::faults));
        if faults.is_empty() {
            Readiness::Ready
        } else {
            Readiness::Degraded(faults)
        }
    }
}

impl OwnCertificate {
    fn faults(&self) -> impl Iterator<Item = String> {
        let fault = self.loads.fault.clone();
        let life = (self.life != Life::Well).then(|| match self.not_after {
            Some(not_after) => format!("{}, and expires at {not_after}", self.life),
            None => self.life.to_string(),
        });
        let faults = fault.into_iter().chain(life);
        faults.map(|fault| format!("own certificate: {fault}"))
    }
}

impl Loads {
    pub(crate) fn taken(&mut self, now: Timestamp) {
        self.succeeded += 1;
        self.last_success = Some(now);
        self.fault = None;
    }

    pub(crate) fn refused(&mut self, fault: String) {
        self.failed += 1;
        self.fault = Some(fault);
    }
}

impl Readiness {
    /// Whether the server can be sent Checks.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        !matches!(self, Self::NotReady(_))
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Degraded(faults) => write!(f, "degraded: {}", faults.join("; ")),
            Self::NotReady(why) => write!(f, "not ready: {why}"),
        }
    }
}
