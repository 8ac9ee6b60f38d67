//! Looks again and again, each endpoint in its own time.

use std::{sync::Arc, time::Duration};

use callgate_policy::Timestamp;
use rustls::ClientConfig;
use tokio::{task::JoinSet, time::timeout};
use tokio_rustls::TlsConnector;

use super::{
    address::BundleEndpoint,
    fetch::fetch,
    tls::{self, TlsError},
};
use crate::{
    bundle::{Bundles, Feed, TrustBundle},
    clock,
    live::Live,
};

/// Without a hint (SPIFFE Federation, section 4.1, recommends it).
const INTERVAL: Duration = Duration::from_secs(300);
/// However impatient a hint is.
const SHORTEST: Duration = Duration::from_secs(1);
/// However patient a hint is: a CA that was removed is trusted for that long.
const LONGEST: Duration = Duration::from_secs(3_600);
/// For one look. What takes longer is no bundle of a few kilobytes.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first pause while an endpoint has not answered yet; each further one is twice
/// as long. Once it has answered, failures wait for the next turn (SPIFFE Federation,
/// section 6.2).
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Turns that an endpoint may miss before it is overdue. Keys should be published
/// three to five turns before they are used (section 4.1).
const MISSED_TURNS: u32 = 3;

/// The endpoints that are polled, until this is dropped.
#[derive(Debug)]
pub struct Endpoints {
    _tasks: JoinSet<()>,
}

struct Poller {
    endpoint: BundleEndpoint,
    tls: TlsConnector,
    feed: Feed,
    /// For one look, redirects and all.
    patience: Duration,
}

impl Endpoints {
    /// Polls `endpoints` for `bundles`, from now on. Those of the profile
    /// `https_spiffe` are verified by the bundles in `live`. Needs a runtime.
    ///
    /// # Errors
    /// If one is of the profile `https_web` and the system has no CA certificates.
    pub fn start(
        endpoints: &[BundleEndpoint],
        bundles: &Arc<Bundles>,
        live: &Arc<Live>,
    ) -> Result<Self, TlsError> {
        let mut pollers = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            let config = tls::config(endpoint.profile(), live, tls::roots_of_the_system)?;
            pollers.push(Poller::new(endpoint, config, bundles));
        }
        Ok(Self {
            _tasks: pollers.into_iter().map(Poller::run).collect(),
        })
    }
}

impl Poller {
    fn new(endpoint: &BundleEndpoint, config: ClientConfig, bundles: &Arc<Bundles>) -> Self {
        let url = endpoint.url();
        Self {
            endpoint: endpoint.clone(),
            tls: TlsConnector::from(Arc::new(config)),
            feed: bundles.feed(endpoint.trust_domain(), &format!("`{url}`")),
            patience: PATIENCE,
        }
    }

    async fn run(self) {
        let mut interval = None;
        let mut pause = FIRST_PAUSE;
        loop {
            match self.look().await {
                Ok(bundle) => {
                    let next = interval_of(&bundle);
                    let now = clock::now();
                    self.feed.take(bundle, Some(due(now, next)), now);
                    interval = Some(next);
                }
                Err(fault) => {
                    let url = self.endpoint.url();
                    self.feed.fault(format!("cannot use `{url}`: {fault}"));
                }
            }
            tokio::time::sleep(interval.unwrap_or(pause)).await;
            pause = (pause * 2).min(INTERVAL);
        }
    }

    async fn look(&self) -> Result<TrustBundle, String> {
        let fetching = fetch(self.endpoint.url(), &self.tls);
        let text = match timeout(self.patience, fetching).await {
            Ok(fetched) => fetched.map_err(|error| error.to_string())?,
            Err(_) => return Err(format!("no answer within {:?}", self.patience)),
        };
        let bundle = TrustBundle::parse_jwks(self.endpoint.trust_domain().clone(), &text)
            .map_err(|error| error.to_string())?;
        let held = self.feed.current();
        match (held.and_then(|held| held.sequence()), bundle.sequence()) {
            (Some(held), Some(sequence)) if sequence < held => Err(format!(
                "its `spiffe_sequence` {sequence} is older than {held}, which is here"
            )),
            _ => Ok(bundle),
        }
    }
}

/// How long until the next look.
fn interval_of(bundle: &TrustBundle) -> Duration {
    bundle
        .refresh_hint()
        .map_or(INTERVAL, |hint| hint.clamp(SHORTEST, LONGEST))
}

/// When nothing new is late, if there is a look every `interval`.
fn due(now: Timestamp, interval: Duration) -> Timestamp {
    let wait = (interval * MISSED_TURNS + PATIENCE).as_millis();
    let wait = i64::try_from(wait).unwrap_or(i64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_add(wait))
}

#[cfg(test)]
mod tests;
