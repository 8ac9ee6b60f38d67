//! How sources feed bundles.

use std::{collections::BTreeSet, sync::Arc};

use callgate_policy::{Timestamp, TrustDomain};

use super::{Bundles, Taken, TrustBundle};

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

impl Bundles {
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
