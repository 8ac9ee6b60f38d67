//! A trust domain's authority over time.
//!
//! ```text
//!   root 1  ├── signs ───────────────────┤·· still trusted ··┤
//!   root 2               ├ announced ····├── signs ──────────────────┤··········┤
//!           0           1/2             5/6                  1
//! ```
//!
//! A new root is in the bundle well before it signs, so that whoever verifies knows
//! it by then, and the old one stays until nothing that it signed is valid any more.

use std::{sync::Arc, time::Duration};

use callgate_policy::{SpiffeId, TrustDomain};
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;

use crate::{
    bundle::Bundle,
    ca::{Ca, Root},
    config::Domain,
    error::IssuerError,
    svid::Svid,
};

/// Signs for one trust domain.
pub(crate) struct Authority {
    domain: TrustDomain,
    intermediates: u8,
    ttl: Duration,
    refresh_hint: Duration,
    also_trusted: Vec<CertificateDer<'static>>,
    current: Ca,
    next: Option<Ca>,
    retired: Vec<Root>,
    generation: u64,
    bundle: Arc<Bundle>,
}

/// What a look at the clock, or an order, has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// The bundle holds other roots.
    pub(crate) bundle: bool,
    /// Another key signs.
    pub(crate) signer: bool,
}

impl Authority {
    /// A new root, which signs from now on.
    pub(crate) fn new(
        config: &Domain,
        ttl: Duration,
        refresh_hint: Duration,
        now: OffsetDateTime,
    ) -> Result<Self, IssuerError> {
        let current = match &config.root {
            Some(root) => Ca::given(root, &config.name, config.intermediates, now)?,
            None => Ca::mint(&config.name, 1, config.intermediates, ttl, now)?,
        };
        let roots = roots(&current, None, &[], &config.also_trusted);
        Ok(Self {
            domain: config.name.clone(),
            intermediates: config.intermediates,
            ttl,
            refresh_hint,
            also_trusted: config.also_trusted.clone(),
            current,
            next: None,
            retired: Vec::new(),
            generation: 1,
            bundle: Arc::new(Bundle::new(config.name.clone(), roots, 1, refresh_hint)?),
        })
    }

    /// The roots to believe.
    pub(crate) const fn bundle(&self) -> &Arc<Bundle> {
        &self.bundle
    }

    /// Signs an SVID.
    pub(crate) fn sign(
        &self,
        id: &SpiffeId,
        ttl: Duration,
        now: OffsetDateTime,
    ) -> Result<Svid, IssuerError> {
        Ok(self.current.sign(id, ttl, now)?)
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: OffsetDateTime) -> Result<Change, IssuerError> {
        let mut change = Change::default();
        if self.next.is_none() && now >= self.current.issued + self.ttl / 2 {
            self.announce(now)?;
            change.bundle = true;
        }
        if now >= self.current.issued + self.ttl * 5 / 6 {
            self.activate(now)?;
            change.signer = true;
        }
        let before = self.retired.len();
        self.retired.retain(|root| now < root.not_after);
        change.bundle |= self.retired.len() != before;
        if change.bundle {
            self.publish()?;
        }
        Ok(change)
    }

    /// Signs with another root from now on; the old one is trusted to its end.
    pub(crate) fn rotate(&mut self, now: OffsetDateTime) -> Result<(), IssuerError> {
        self.activate(now)?;
        self.publish()
    }

    /// The same, and the old one is trusted no more: its key has leaked.
    pub(crate) fn replace(&mut self, now: OffsetDateTime) -> Result<(), IssuerError> {
        self.activate(now)?;
        self.retired.clear();
        self.publish()
    }

    fn announce(&mut self, now: OffsetDateTime) -> Result<(), IssuerError> {
        self.generation += 1;
        let next = Ca::mint(
            &self.domain,
            self.generation,
            self.intermediates,
            self.ttl,
            now,
        )?;
        self.next = Some(next);
        Ok(())
    }

    fn activate(&mut self, now: OffsetDateTime) -> Result<(), IssuerError> {
        if self.next.is_none() {
            self.announce(now)?;
        }
        if let Some(next) = self.next.take() {
            let old = std::mem::replace(&mut self.current, next);
            self.retired.push(old.root);
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<(), IssuerError> {
        let roots = roots(
            &self.current,
            self.next.as_ref(),
            &self.retired,
            &self.also_trusted,
        );
        let sequence = self.bundle.sequence() + 1;
        let bundle = Bundle::new(self.domain.clone(), roots, sequence, self.refresh_hint)?;
        self.bundle = Arc::new(bundle);
        Ok(())
    }
}

fn roots(
    current: &Ca,
    next: Option<&Ca>,
    retired: &[Root],
    also_trusted: &[CertificateDer<'static>],
) -> Vec<CertificateDer<'static>> {
    let own = [Some(current), next].into_iter().flatten();
    own.map(|ca| &ca.root.der)
        .chain(retired.iter().map(|root| &root.der))
        .chain(also_trusted)
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(600);

    fn start() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_798_761_600).unwrap()
    }

    fn authority() -> Authority {
        let config = Domain::new(TrustDomain::parse("example.org").unwrap());
        Authority::new(&config, TTL, Duration::from_secs(5), start()).unwrap()
    }

    fn id() -> SpiffeId {
        SpiffeId::parse("spiffe://example.org/a").unwrap()
    }

    /// Seconds after the start, and how many roots there are then.
    fn roots_at(authority: &mut Authority, seconds: i64) -> usize {
        authority
            .tick(start() + time::Duration::seconds(seconds))
            .unwrap();
        authority.bundle().roots().len()
    }

    #[test]
    fn a_root_is_announced_then_signs_and_the_old_one_leaves_when_it_has_expired() {
        let mut authority = authority();
        let first = authority.bundle().roots().to_vec();
        assert_eq!(roots_at(&mut authority, 299), 1);
        assert_eq!(roots_at(&mut authority, 300), 2);
        assert_eq!(authority.current.root.der, first[0], "it does not sign yet");
        assert_eq!(roots_at(&mut authority, 500), 2);
        assert_ne!(authority.current.root.der, first[0]);
        assert_eq!(roots_at(&mut authority, 599), 2);
        let last = roots_at(&mut authority, 600);
        assert!(!authority.bundle().roots().contains(&first[0]), "{last}");
    }

    #[test]
    fn every_published_bundle_has_a_higher_sequence() {
        let mut authority = authority();
        let mut seen = vec![authority.bundle().sequence()];
        for seconds in (0..3_000).step_by(50) {
            let before = Arc::clone(authority.bundle());
            roots_at(&mut authority, seconds);
            if before.roots() != authority.bundle().roots() {
                seen.push(authority.bundle().sequence());
            } else {
                assert_eq!(before.sequence(), authority.bundle().sequence());
            }
        }
        assert!(seen.len() > 8, "{seen:?}");
        assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    }

    #[test]
    fn whatever_is_valid_chains_to_the_bundle_of_its_time() {
        let mut authority = authority();
        for seconds in (0..3_000).step_by(20) {
            roots_at(&mut authority, seconds);
            let root = &authority.current.root;
            assert!(authority.bundle().roots().contains(&root.der));
            let now = start() + time::Duration::seconds(seconds);
            let svid = authority.sign(&id(), Duration::from_secs(60), now).unwrap();
            assert_eq!(svid.not_after(), now + Duration::from_secs(60));
        }
    }

    #[test]
    fn an_svid_ends_with_its_authority() {
        let authority = authority();
        let svid = authority.sign(&id(), TTL * 2, start()).unwrap();
        assert_eq!(svid.not_after(), start() + TTL);
    }

    #[test]
    fn a_rotated_root_stays_and_a_replaced_one_goes() {
        let mut authority = authority();
        let first = authority.bundle().roots()[0].clone();
        authority.rotate(start()).unwrap();
        assert_eq!(authority.bundle().roots().len(), 2);
        assert!(authority.bundle().roots().contains(&first));
        authority.replace(start()).unwrap();
        assert_eq!(authority.bundle().roots().len(), 1);
        assert!(!authority.bundle().roots().contains(&first));
    }

    #[test]
    fn a_given_root_signs_until_it_is_rotated() {
        let domain = TrustDomain::parse("example.org").unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.not_after = start() + Duration::from_secs(30);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let mut config = Domain::new(domain);
        config.root = Some(crate::SigningRoot::new(
            certificate.clone(),
            rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        ));
        let mut authority = Authority::new(&config, TTL, Duration::from_secs(5), start()).unwrap();
        assert_eq!(
            authority.bundle().roots(),
            std::slice::from_ref(&certificate)
        );
        let svid = authority.sign(&id(), TTL, start()).unwrap();
        assert_eq!(svid.not_after(), start() + Duration::from_secs(30));
        authority.rotate(start()).unwrap();
        assert_eq!(authority.bundle().roots().len(), 2);
        assert_eq!(authority.bundle().roots()[1], certificate);
    }

    #[test]
    fn intermediates_are_presented() {
        let mut config = Domain::new(TrustDomain::parse("example.org").unwrap());
        config.intermediates = 2;
        let authority = Authority::new(&config, TTL, Duration::from_secs(5), start()).unwrap();
        let svid = authority.sign(&id(), TTL, start()).unwrap();
        assert_eq!(svid.chain().len(), 3);
        assert_eq!(authority.bundle().roots().len(), 1);
        assert!(!svid.chain().contains(&authority.bundle().roots()[0]));
    }
}
