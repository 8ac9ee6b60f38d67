//! Looks again and again, each endpoint in its own time.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use callgate_policy::Timestamp;
use rustls::ClientConfig;
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    address::BundleEndpoint,
    copies::{Copies, Copy},
    fetch::fetch,
    tls::{self, TlsError},
};
use crate::{
    bundle::{Bundles, Feed, Taken, TrustBundle},
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
/// How old the time in a copy may become while nothing changes.
const KEEP_EVERY_MILLIS: i64 = 60_000;
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
    /// Where what is fetched is kept.
    copies: Option<Copies>,
    /// When it was kept last.
    kept: Option<Timestamp>,
    /// For one look, redirects and all.
    patience: Duration,
}

/// Why endpoints cannot be polled.
#[derive(Debug)]
#[non_exhaustive]
pub enum EndpointsError {
    /// They could never be verified.
    Tls(TlsError),
    /// The directory of copies cannot be used.
    Copies {
        /// Its path.
        directory: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// A bundle, and the document that it was read from.
struct Fetched {
    bundle: TrustBundle,
    document: String,
}

impl Endpoints {
    /// Polls `endpoints` for `bundles`, from now on. Those of the profile
    /// `https_spiffe` are verified by the bundles in `live`. Needs a runtime.
    ///
    /// What they say is kept in `directory`, if there is one, and what was kept there
    /// before is used until they answer.
    ///
    /// # Errors
    /// If one is of the profile `https_web` and the system has no CA certificates, or if
    /// there is no such directory.
    pub fn start(
        endpoints: &[BundleEndpoint],
        directory: Option<&Path>,
        bundles: &Arc<Bundles>,
        live: &Arc<Live>,
    ) -> Result<Self, EndpointsError> {
        let copies = directory.map(|directory| {
            Copies::open(directory).map_err(|error| EndpointsError::Copies {
                directory: directory.to_owned(),
                error,
            })
        });
        let copies = copies.transpose()?;
        let mut pollers = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            let config = tls::config(endpoint.profile(), live, tls::roots_of_the_system)
                .map_err(EndpointsError::Tls)?;
            let mut poller = Poller::new(endpoint, config, bundles);
            poller.copies.clone_from(&copies);
            poller.recall(clock::now());
            pollers.push(poller);
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
            copies: None,
            kept: None,
            patience: PATIENCE,
        }
    }

    async fn run(mut self) {
        let mut interval = None;
        let mut pause = FIRST_PAUSE;
        loop {
            match self.turn(clock::now).await {
                Ok(next) => interval = Some(next),
                Err(fault) => {
                    let url = self.endpoint.url();
                    self.feed.fault(format!("cannot use `{url}`: {fault}"));
                }
            }
            tokio::time::sleep(interval.unwrap_or(pause)).await;
            pause = (pause * 2).min(INTERVAL);
        }
    }

    /// Looks, takes what is there, and says how long it holds.
    async fn turn(&mut self, clock: impl Fn() -> Timestamp) -> Result<Duration, String> {
        let Fetched { bundle, document } = self.look().await?;
        let (interval, now) = (interval_of(&bundle), clock());
        let taken = self.feed.take(bundle, Some(due(now, interval)), now);
        self.keep(document, taken, now).await;
        Ok(interval)
    }

    async fn look(&self) -> Result<Fetched, String> {
        let fetching = fetch(self.endpoint.url(), &self.tls);
        let document = match timeout(self.patience, fetching).await {
            Ok(fetched) => fetched.map_err(|error| error.to_string())?,
            Err(_) => return Err(format!("no answer within {:?}", self.patience)),
        };
        let bundle = self.parse(&document)?;
        let held = self.feed.current();
        match (held.and_then(|held| held.sequence()), bundle.sequence()) {
            (Some(held), Some(sequence)) if sequence < held => Err(format!(
                "its `spiffe_sequence` {sequence} is older than {held}, which is here"
            )),
            _ => Ok(Fetched { bundle, document }),
        }
    }

    fn parse(&self, document: &str) -> Result<TrustBundle, String> {
        TrustBundle::parse_jwks(self.endpoint.trust_domain().clone(), document)
            .map_err(|error| error.to_string())
    }

    /// Takes what was kept, unless an operator has changed the file to begin with since.
    fn recall(&self, now: Timestamp) {
        let Some(copies) = &self.copies else {
            return;
        };
        let trust_domain = self.endpoint.trust_domain();
        let path = copies.path(trust_domain);
        let copy = match copies.load(trust_domain) {
            Ok(Some(copy)) => copy,
            Ok(None) => return,
            // It is there to help, and everything works without.
            Err(error) => {
                tracing::warn!(%trust_domain, "not used: `{}`: {error}", path.display());
                return;
            }
        };
        if copy.begun_with != self.feed.given_by_another() {
            tracing::info!(%trust_domain, "older than the file: `{}`", path.display());
            return;
        }
        match self.parse(&copy.document) {
            Ok(bundle) => {
                let fetched = Timestamp::from_millis(copy.fetched.min(now.as_millis()));
                let due = due(fetched, interval_of(&bundle));
                self.feed.take(bundle, Some(due), fetched);
            }
            Err(fault) => {
                tracing::warn!(%trust_domain, "not used: `{}`: {fault}", path.display());
            }
        }
    }

    async fn keep(&mut self, document: String, taken: Taken, now: Timestamp) {
        let Some(copies) = self.copies.clone() else {
            return;
        };
        let age = |kept: Timestamp| now.as_millis() - kept.as_millis();
        let fresh = self.kept.is_some_and(|kept| age(kept) < KEEP_EVERY_MILLIS);
        if taken == Taken::Same && fresh {
            return;
        }
        let trust_domain = self.endpoint.trust_domain().clone();
        let path = copies.path(&trust_domain);
        let copy = Copy {
            fetched: now.as_millis(),
            begun_with: self.feed.given_by_another(),
            document,
        };
        let keeping = spawn_blocking(move || copies.keep(&trust_domain, &copy));
        match keeping.await {
            Ok(Ok(())) => self.kept = Some(now),
            Ok(Err(error)) => {
                let trust_domain = self.endpoint.trust_domain();
                tracing::error!(%trust_domain, "not kept: `{}`: {error}", path.display());
            }
            // The server is stopping.
            Err(_) => {}
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

impl fmt::Display for EndpointsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(error) => write!(f, "`--bundle-endpoint`: {error}"),
            Self::Copies { directory, error } => {
                write!(f, "`--bundle-cache {}`: {error}", directory.display())
            }
        }
    }
}

impl std::error::Error for EndpointsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Tls(error) => Some(error),
            Self::Copies { error, .. } => Some(error),
        }
    }
}

#[cfg(test)]
mod tests;
