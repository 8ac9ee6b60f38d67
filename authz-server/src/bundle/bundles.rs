//! Every bundle that verifies, whoever feeds it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use callgate_policy::{Timestamp, TrustDomain};

use super::{TrustBundle, outlook};
use crate::{health::Health, live::Live};

/// Keeps the last good bundle of every trust domain, and what is known of its source.
///
/// Sources feed it through a [`Feed`] (the bundle of one trust domain, which an
/// operator configured) or a [`FeedOfSeveral`] (all that a Workload API offers). What
/// is configured goes before what is offered.
#[derive(Debug)]
pub struct Bundles {
    live: Arc<Live>,
    health: Arc<Health>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    configured: BTreeMap<TrustDomain, Entry>,
    offered: BTreeMap<TrustDomain, Entry>,
    /// What is wrong with a source of several, by its name.
    faults: BTreeMap<Arc<str>, String>,
}

#[derive(Debug, Default)]
struct Entry {
    bundle: Option<TrustBundle>,
    /// What each source gave last, by digest.
    given: BTreeMap<Arc<str>, String>,
    /// The source of the bundle.
    origin: Option<Arc<str>>,
    /// When it last said that this is the bundle.
    confirmed: Option<Timestamp>,
    /// When it should have said so again.
    due: Option<Timestamp>,
    /// What is wrong with each source that has something wrong.
    faults: BTreeMap<Arc<str>, String>,
    warning: Option<String>,
}

/// The right to feed the bundle of one trust domain. Several sources may have it, such
/// as an endpoint and the file to begin with; the latest word counts.
#[derive(Clone, Debug)]
pub struct Feed {
    bundles: Arc<Bundles>,
    trust_domain: TrustDomain,
    /// The source, as it is called in faults.
    origin: Arc<str>,
}

/// The right to feed bundles of whatever trust domains, all at once.
#[derive(Clone, Debug)]
pub struct FeedOfSeveral {
    bundles: Arc<Bundles>,
    origin: Arc<str>,
}

/// What came of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It verifies from now on.
    New,
    /// It is the one that verified before.
    Same,
}

/// A trust domain's bundle, seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleState {
    /// Whose it is.
    pub trust_domain: TrustDomain,
    /// How many roots; None if there is no bundle yet.
    pub roots: Option<usize>,
    /// When the last root expires.
    pub not_after: Option<Timestamp>,
    /// When a source last said that this is the bundle.
    pub confirmed: Option<Timestamp>,
}

impl Bundles {
    /// Without any bundle. They go to `live`, word of them to `health`.
    #[must_use]
    pub fn new(live: Arc<Live>, health: Arc<Health>) -> Arc<Self> {
        Arc::new(Self {
            live,
            health,
            held: Mutex::default(),
        })
    }

    /// A source, called `origin` in faults, of the bundle of `trust_domain`. The trust
    /// domain is configured from now on: what a Workload API offers for it is used only
    /// until this source has a bundle.
    #[must_use]
    pub fn feed(self: &Arc<Self>, trust_domain: &TrustDomain, origin: &str) -> Feed {
        self.held().entry(trust_domain);
        Feed {
            bundles: Arc::clone(self),
            trust_domain: trust_domain.clone(),
            origin: origin.into(),
        }
    }

    /// A source, called `origin` in faults, that says itself which trust domains there
    /// are.
    #[must_use]
    pub fn feed_of_several(self: &Arc<Self>, origin: &str) -> FeedOfSeveral {
        FeedOfSeveral {
            bundles: Arc::clone(self),
            origin: origin.into(),
        }
    }

    /// Looks what time has done to the bundles: roots near their end, sources that
    /// are overdue. To be called about once a second.
    pub fn look_ahead(&self, now: Timestamp) {
        let mut held = self.held();
        let Held {
            configured,
            offered,
            ..
        } = &mut *held;
        for (trust_domain, entry) in configured.iter_mut().chain(offered) {
            let warning = outlook::warning(entry.bundle.as_ref(), entry.due, now);
            if warning != entry.warning
                && let Some(warning) = &warning
            {
                tracing::warn!(%trust_domain, "trust bundle: {warning}");
            }
            entry.warning = warning;
        }
        self.tell(&held);
    }

    /// Every trust domain, and how its bundle is.
    #[must_use]
    pub fn states(&self) -> Vec<BundleState> {
        let held = self.held();
        let state = |(trust_domain, entry): (&TrustDomain, &Entry)| BundleState {
            trust_domain: trust_domain.clone(),
            roots: entry.bundle.as_ref().map(TrustBundle::len),
            not_after: entry.bundle.as_ref().and_then(TrustBundle::not_after),
            confirmed: entry.confirmed,
        };
        held.effective().into_iter().map(state).collect()
    }

    /// Nothing that is done under this lock can panic half-way.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Verifies by what is `held` from now on. Under the lock, so that two changes at
    /// once do not overtake one another.
    fn verify_by(&self, held: &Held) {
        let entries = held.effective().into_values();
        self.live
            .set_bundles(entries.filter_map(|entry| entry.bundle.clone()));
    }

    /// Tells `health` of faults and warnings.
    fn tell(&self, held: &Held) {
        let entries = held.effective();
        self.health.change(|condition| {
            condition.bundle_sources.clone_from(&held.faults);
            condition
                .bundles
                .retain(|trust_domain, _| entries.contains_key(trust_domain));
            for (trust_domain, entry) in &entries {
                let loads = condition
                    .bundles
                    .entry((*trust_domain).clone())
                    .or_default();
                // Of what is configured, also while something else stands in for it.
                let sources = held.configured.get(trust_domain).unwrap_or(entry);
                let faults: Vec<&str> = sources.faults.values().map(String::as_str).collect();
                loads.fault = (!faults.is_empty()).then(|| faults.join("; "));
                loads.warning.clone_from(&entry.warning);
            }
        });
    }

    /// Counts a bundle that was taken, or one that was refused.
    fn count(&self, trust_domain: &TrustDomain, taken: Option<Timestamp>) {
        self.health.change(|condition| {
            let loads = condition.bundles.entry(trust_domain.clone()).or_default();
            match taken {
                Some(now) => {
                    loads.succeeded += 1;
                    loads.last_success = Some(now);
                }
                None => loads.failed += 1,
            }
        });
    }
}

impl Held {
    /// Every trust domain; where both are, what is configured, unless nothing came of
    /// it yet.
    fn effective(&self) -> BTreeMap<&TrustDomain, &Entry> {
        let waits = |domain: &&TrustDomain| self.offered.contains_key(*domain);
        let configured = self.configured.iter();
        let configured = configured.filter(|(d, e)| e.bundle.is_some() || !waits(d));
        self.offered.iter().chain(configured).collect()
    }

    fn entry(&mut self, trust_domain: &TrustDomain) -> &mut Entry {
        self.configured.entry(trust_domain.clone()).or_default()
    }
}

impl Entry {
    /// `bundle` is the one, says `origin` at `now`.
    fn take(&mut self, bundle: TrustBundle, origin: &Arc<str>, now: Timestamp) -> Taken {
        let new = self.bundle.as_ref() != Some(&bundle);
        self.faults.remove(origin);
        self.origin = Some(Arc::clone(origin));
        self.given
            .insert(Arc::clone(origin), bundle.digest().to_owned());
        self.confirmed = Some(now);
        self.due = None;
        self.warning = outlook::warning(Some(&bundle), None, now);
        self.bundle = Some(bundle);
        if new { Taken::New } else { Taken::Same }
    }
}

impl Feed {
    /// Whose bundle it feeds.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Verifies by `bundle` from now on; until `due` the source will be heard of again.
    ///
    /// A bundle of another trust domain is not taken, but a fault.
    pub fn take(&self, bundle: TrustBundle, due: Option<Timestamp>, now: Timestamp) -> Taken {
        if *bundle.trust_domain() != self.trust_domain {
            self.fault(format!("a bundle of `{}`", bundle.trust_domain()));
            return Taken::Same;
        }
        let (roots, mut held) = (bundle.len(), self.bundles.held());
        let entry = held.entry(&self.trust_domain);
        let taken = entry.take(bundle, &self.origin, now);
        entry.due = due;
        if taken == Taken::New {
            // First the change, then the word of it: who hears it may rely on it.
            self.bundles.verify_by(&held);
            self.bundles.count(&self.trust_domain, Some(now));
            let (trust_domain, origin) = (&self.trust_domain, &self.origin);
            tracing::info!(%trust_domain, roots, %origin, "trust bundle loaded");
        }
        self.bundles.tell(&held);
        taken
    }

    /// The source has looked, and what it said last still holds.
    pub fn confirm(&self, due: Option<Timestamp>, now: Timestamp) {
        let mut held = self.bundles.held();
        if let Some(entry) = held.configured.get_mut(&self.trust_domain) {
            // What is there now may be another source's.
            if entry.origin.as_ref() == Some(&self.origin) {
                entry.confirmed = Some(now);
                entry.due = due;
            }
            let mended = entry.faults.remove(&self.origin).is_some();
            if mended {
                self.bundles.tell(&held);
            }
        }
    }

    /// The source has nothing that could be taken: the last good bundle stays.
    pub fn fault(&self, fault: String) {
        let mut held = self.bundles.held();
        let faults = &mut held.entry(&self.trust_domain).faults;
        let known = faults.insert(Arc::clone(&self.origin), fault.clone());
        if known.as_ref() != Some(&fault) {
            let trust_domain = &self.trust_domain;
            tracing::error!(%trust_domain, "trust bundle: {fault}");
        }
        self.bundles.count(&self.trust_domain, None);
        self.bundles.tell(&held);
    }

    /// The digest of what another source of the same trust domain gave last.
    #[must_use]
    pub(super) fn given_by_another(&self) -> Option<String> {
        let held = self.bundles.held();
        let given = &held.configured.get(&self.trust_domain)?.given;
        let mut others = given.iter().filter(|(origin, _)| **origin != self.origin);
        others.next().map(|(_, digest)| digest.clone())
    }

    /// The bundle that verifies now, whichever source it came from.
    #[must_use]
    pub fn current(&self) -> Option<TrustBundle> {
        let held = self.bundles.held();
        let entry = held.configured.get(&self.trust_domain)?;
        entry.bundle.clone()
    }
}

impl FeedOfSeveral {
    /// These are all: verifies by `bundles` from now on, and no longer by those that
    /// were offered before and are not among them.
    pub fn replace(&self, bundles: Vec<TrustBundle>, now: Timestamp) -> Taken {
        let mut held = self.bundles.held();
        let present: BTreeSet<_> = bundles.iter().map(|b| b.trust_domain().clone()).collect();
        let before = held.offered.len();
        held.offered.retain(|domain, _| present.contains(domain));
        let mut changed = held.offered.len() != before;
        for bundle in bundles {
            let (trust_domain, roots) = (bundle.trust_domain().clone(), bundle.len());
            let origin = &self.origin;
            let configured = held.configured.get(&trust_domain);
            let used = configured.is_none_or(|entry| entry.bundle.is_none());
            let entry = held.offered.entry(trust_domain.clone()).or_default();
            if entry.take(bundle, origin, now) == Taken::New {
                changed = true;
                if used {
                    self.bundles.count(&trust_domain, Some(now));
                }
                tracing::info!(%trust_domain, roots, %origin, used, "trust bundle offered");
            }
        }
        held.faults.remove(&self.origin);
        if changed {
            self.bundles.verify_by(&held);
        }
        self.bundles.tell(&held);
        if changed { Taken::New } else { Taken::Same }
    }

    /// The source cannot be used now: what it said last stays.
    pub fn fault(&self, fault: String) {
        let mut held = self.bundles.held();
        let known = held.faults.insert(Arc::clone(&self.origin), fault.clone());
        if known.as_ref() != Some(&fault) {
            tracing::error!("trust bundles of the {}: {fault}", self.origin);
        }
        self.bundles.tell(&held);
    }
}
