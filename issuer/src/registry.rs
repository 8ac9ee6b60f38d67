//! Who has which SVID, and what each workload is told.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use callgate_policy::{SpiffeId, TrustDomain};
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::{
    authority::Authority,
    bundle::Bundle,
    config::{Config, Workload},
    error::IssuerError,
    svid::Svid,
};

/// How often others are told to look for a new bundle.
const REFRESH_HINT: Duration = Duration::from_secs(5);

/// Everything that a workload gets, at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// Its identity.
    pub svid: Arc<Svid>,
    /// The roots of its own trust domain.
    pub bundle: Arc<Bundle>,
    /// Those of the domains that it believes besides.
    pub federated: Vec<Arc<Bundle>>,
}

/// A workload's view; nothing once its entry is gone.
pub(crate) type View = watch::Receiver<Option<Arc<Snapshot>>>;

pub(crate) struct Registry {
    authorities: BTreeMap<TrustDomain, Authority>,
    foreign: BTreeMap<TrustDomain, Arc<Bundle>>,
    entries: BTreeMap<String, Entry>,
    svid_ttl: Duration,
}

struct Entry {
    id: SpiffeId,
    told: watch::Sender<Option<Arc<Snapshot>>>,
}

impl Registry {
    pub(crate) fn new(config: &Config, now: OffsetDateTime) -> Result<Self, IssuerError> {
        let mut authorities = BTreeMap::new();
        for domain in &config.domains {
            let authority = Authority::new(domain, config.ca_ttl, REFRESH_HINT, now)?;
            authorities.insert(domain.name.clone(), authority);
        }
        Ok(Self {
            authorities,
            foreign: BTreeMap::new(),
            entries: BTreeMap::new(),
            svid_ttl: config.svid_ttl,
        })
    }

    /// Gives a workload an identity, for the first time or again.
    pub(crate) fn add(
        &mut self,
        workload: &Workload,
        now: OffsetDateTime,
    ) -> Result<View, IssuerError> {
        let svid = Arc::new(self.sign(&workload.id, now)?);
        let snapshot = Some(Arc::new(self.snapshot(svid)?));
        let entry = self.entries.entry(workload.name.clone());
        let entry = entry.or_insert_with(|| Entry {
            id: workload.id.clone(),
            told: watch::Sender::new(None),
        });
        entry.id = workload.id.clone();
        entry.told.send_replace(snapshot);
        Ok(entry.told.subscribe())
    }

    /// Takes a workload's entry away: it gets no further SVID, and its streams end.
    /// Whether there was one.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let entry = self.entries.get(name);
        entry.is_some_and(|entry| entry.told.send_replace(None).is_some())
    }

    /// What a workload has now.
    pub(crate) fn snapshot_of(&self, name: &str) -> Option<Arc<Snapshot>> {
        self.entries.get(name)?.told.borrow().clone()
    }

    /// Every own bundle.
    pub(crate) fn bundles(&self) -> Vec<Arc<Bundle>> {
        let own = self.authorities.values();
        own.map(|authority| Arc::clone(authority.bundle()))
            .collect()
    }

    /// Believes another domain by that bundle.
    pub(crate) fn federate(
        &mut self,
        bundle: Bundle,
        now: OffsetDateTime,
    ) -> Result<(), IssuerError> {
        let bundle = Arc::new(bundle);
        let domain = bundle.trust_domain().clone();
        let old = self.foreign.insert(domain, Arc::clone(&bundle));
        if old.is_some_and(|old| old == bundle) {
            return Ok(());
        }
        self.tell(|_| false, now)
    }

    /// Renews whatever is due.
    pub(crate) fn tick(&mut self, now: OffsetDateTime) -> Result<(), IssuerError> {
        let (mut bundle, mut resigned) = (false, Vec::new());
        for (domain, authority) in &mut self.authorities {
            let change = authority.tick(now)?;
            bundle |= change.bundle;
            if change.signer {
                resigned.push(domain.clone());
            }
        }
        let due = |svid: &Svid| {
            let domain = svid.id().trust_domain();
            svid.is_due(now) || resigned.iter().any(|name| name.as_str() == domain)
        };
        let renew = self.entries.values().any(|entry| {
            let told = entry.told.borrow();
            told.as_ref().is_some_and(|told| due(&told.svid))
        });
        if bundle || renew {
            self.tell(due, now)?;
        }
        Ok(())
    }

    /// Signs with another root from now on. `trusted`: the old one stays in the
    /// bundle until it expires; else it leaves at once.
    pub(crate) fn rotate(
        &mut self,
        domain: &str,
        trusted: bool,
        now: OffsetDateTime,
    ) -> Result<(), IssuerError> {
        let mut authorities = self.authorities.iter_mut();
        let found = authorities.find(|(name, _)| name.as_str() == domain);
        let (_, authority) = found.ok_or_else(|| IssuerError::Domain(domain.to_owned()))?;
        if trusted {
            authority.rotate(now)?;
        } else {
            authority.replace(now)?;
        }
        self.tell(|svid| svid.id().trust_domain() == domain, now)
    }

    /// A new SVID for every workload, whatever is left of the old one.
    pub(crate) fn renew(&mut self, now: OffsetDateTime) -> Result<(), IssuerError> {
        self.tell(|_| true, now)
    }

    /// An SVID that no socket serves.
    pub(crate) fn sign(&self, id: &SpiffeId, now: OffsetDateTime) -> Result<Svid, IssuerError> {
        self.authority(id)?.sign(id, self.svid_ttl, now)
    }

    /// Tells every workload how things are now, with a new SVID where `renew` says so.
    fn tell(&self, renew: impl Fn(&Svid) -> bool, now: OffsetDateTime) -> Result<(), IssuerError> {
        for entry in self.entries.values() {
            let told = entry.told.borrow().clone();
            if let Some(told) = told {
                let svid = if renew(&told.svid) {
                    Arc::new(self.sign(&entry.id, now)?)
                } else {
                    Arc::clone(&told.svid)
                };
                let snapshot = self.snapshot(svid)?;
                entry.told.send_replace(Some(Arc::new(snapshot)));
            }
        }
        Ok(())
    }

    fn snapshot(&self, svid: Arc<Svid>) -> Result<Snapshot, IssuerError> {
        let bundle = Arc::clone(self.authority(svid.id())?.bundle());
        let own = self.bundles().into_iter();
        let all = own.chain(self.foreign.values().cloned());
        let federated = all
            .filter(|other| other.trust_domain() != bundle.trust_domain())
            .collect();
        Ok(Snapshot {
            svid,
            bundle,
            federated,
        })
    }

    fn authority(&self, id: &SpiffeId) -> Result<&Authority, IssuerError> {
        let domain = id.trust_domain();
        let mut authorities = self.authorities.iter();
        authorities
            .find(|(name, _)| name.as_str() == domain)
            .map(|(_, authority)| authority)
            .ok_or_else(|| IssuerError::Domain(domain.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Domain;

    fn start() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_798_761_600).unwrap()
    }

    fn after(seconds: i64) -> OffsetDateTime {
        start() + time::Duration::seconds(seconds)
    }

    fn workload(name: &str, id: &str) -> Workload {
        Workload {
            name: name.to_owned(),
            id: SpiffeId::parse(id).unwrap(),
        }
    }

    fn registry() -> (Registry, View) {
        let mut config = Config::new("/nowhere".into());
        for name in ["example.org", "partner.example"] {
            config
                .domains
                .push(Domain::new(TrustDomain::parse(name).unwrap()));
        }
        let mut registry = Registry::new(&config, start()).unwrap();
        let orders = workload("orders", "spiffe://example.org/orders");
        let view = registry.add(&orders, start()).unwrap();
        (registry, view)
    }

    fn seen(view: &mut View) -> Arc<Snapshot> {
        view.borrow_and_update().clone().unwrap()
    }

    #[test]
    fn an_svid_is_renewed_at_half_of_its_life() {
        let (mut registry, mut view) = registry();
        let first = seen(&mut view);
        registry.tick(after(29)).unwrap();
        assert!(!view.has_changed().unwrap());
        registry.tick(after(30)).unwrap();
        let second = seen(&mut view);
        assert_ne!(first.svid.chain(), second.svid.chain());
        assert_eq!(second.svid.not_after(), after(90));
    }

    #[test]
    fn it_is_never_told_an_expired_svid() {
        let (mut registry, mut view) = registry();
        for seconds in 0..8_000 {
            registry.tick(after(seconds)).unwrap();
            let told = seen(&mut view);
            assert!(told.svid.not_after() > after(seconds + 29), "{seconds}");
        }
    }

    #[test]
    fn domains_federate_with_each_other() {
        let (_, mut view) = registry();
        let told = seen(&mut view);
        assert_eq!(told.bundle.id(), "spiffe://example.org");
        let others: Vec<String> = told.federated.iter().map(|b| b.id()).collect();
        assert_eq!(others, ["spiffe://partner.example"]);
    }

    #[test]
    fn another_domains_new_root_is_told_with_the_same_svid() {
        let (mut registry, mut view) = registry();
        let before = seen(&mut view);
        registry.rotate("partner.example", true, after(1)).unwrap();
        let told = seen(&mut view);
        assert!(Arc::ptr_eq(&before.svid, &told.svid));
        assert_eq!(told.federated[0].roots().len(), 2);
    }

    #[test]
    fn a_replaced_root_leaves_and_takes_its_svids_along() {
        let (mut registry, mut view) = registry();
        let before = seen(&mut view);
        registry.rotate("example.org", false, after(1)).unwrap();
        let told = seen(&mut view);
        assert!(!told.bundle.roots().contains(&before.bundle.roots()[0]));
        assert_ne!(before.svid.chain(), told.svid.chain());
    }

    #[test]
    fn an_entry_that_is_removed_is_told_nothing_more_until_it_is_back() {
        let (mut registry, mut view) = registry();
        assert!(registry.remove("orders"));
        assert!(!registry.remove("orders"));
        assert!(view.borrow_and_update().is_none());
        registry.tick(after(40)).unwrap();
        registry.renew(after(41)).unwrap();
        assert!(!view.has_changed().unwrap());
        let orders = workload("orders", "spiffe://example.org/orders");
        registry.add(&orders, after(42)).unwrap();
        assert_eq!(seen(&mut view).svid.not_after(), after(102));
    }

    #[test]
    fn nobody_is_issued_for_in_a_domain_that_is_not_there() {
        let (mut registry, _) = registry();
        let stranger = workload("stranger", "spiffe://other.example/a");
        assert!(registry.add(&stranger, start()).is_err());
        assert!(registry.rotate("other.example", true, start()).is_err());
    }
}
