//! Every bundle that verifies, whoever feeds it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use callgate_policy::{Timestamp, TrustDomain};

use super::{TrustBundle, outlook};
use crate::{health::Health, live::Live};

/// Keeps the last good bundle of every trust domain, and what is known of its source.
///
/// Sources feed it through a [`Feed`](super::Feed) (the bundle of one trust domain, which
/// an operator configured) or a [`FeedOfSeveral`](super::FeedOfSeveral) (all that a Workload API offers). What
/// is configured goes before what is offered.
#[derive(Debug)]
pub struct Bundles {
    live: Arc<Live>,
    health: Arc<Health>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) configured: BTreeMap<TrustDomain, Entry>,
    pub(super) offered: BTreeMap<TrustDomain, Entry>,
    /// What is wrong with a source of several, by its name.
    pub(super) faults: BTreeMap<Arc<str>, String>,
}

/// What is known of the bundle of one trust domain.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) bundle: Option<TrustBundle>,
    /// What each source gave last, by digest.
    pub(super) given: BTreeMap<Arc<str>, String>,
    /// The source of the bundle.
    pub(super) origin: Option<Arc<str>>,
    /// When it last said that this is the bundle.
    pub(super) confirmed: Option<Timestamp>,
    /// When it should have said so again.
    pub(super) due: Option<Timestamp>,
    /// What is wrong with each source that has something wrong.
    pub(super) faults: BTreeMap<Arc<str>, String>,
    warning: Option<String>,
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
    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Verifies by what is `held` from now on. Under the lock, so that two changes at
    /// once do not overtake one another.
    pub(super) fn verify_by(&self, held: &Held) {
        let entries = held.effective().into_values();
        self.live
            .set_bundles(entries.filter_map(|entry| entry.bundle.clone()));
    }

    /// Tells `health` of faults and warnings.
    pub(super) fn tell(&self, held: &Held) {
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
    pub(super) fn count(&self, trust_domain: &TrustDomain, taken: Option<Timestamp>) {
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

    /// The configured one.
    pub(super) fn entry(&mut self, trust_domain: &TrustDomain) -> &mut Entry {
        self.configured.entry(trust_domain.clone()).or_default()
    }
}

impl Entry {
    /// `bundle` is the one, says `origin` at `now`.
    pub(super) fn take(&mut self, bundle: TrustBundle, origin: &Arc<str>, now: Timestamp) -> Taken {
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
