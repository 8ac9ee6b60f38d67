//! The SPIFFE Workload API: who we are, and whom each trust domain trusts, from an
//! agent on this machine.
//!
//! ```text
//!  connect ──► FetchX509SVID ──stream──► our SVID and key ──► OwnIdentity
//!     ▲                           │      bundles, ours and federated ──► Bundles
//!     └────── again, later ◄──────┴── a fault: said, and what we have stays
//! ```
//!
//! When the agent is gone, or issues us nothing any more, what it said last goes on:
//! others judge our certificate by its dates, and a bundle is no worse for being an hour
//! old. The crate's own `X509Source` is not used, because it tells neither when an outage
//! begins nor when it ends, and our certificate's age is ours to judge.

mod address;

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use callgate_policy::{SpiffeId, TrustDomain};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use spiffe::{WorkloadApiClient, WorkloadApiError, X509Bundle, X509Context};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_stream::{Stream, StreamExt as _};

pub use address::{WorkloadApiAddress, WorkloadApiAddressError};

use super::{Credential, CredentialError, OwnIdentity};
use crate::{
    bundle::{FeedOfSeveral, TrustBundle},
    clock,
};

/// How long a starting server waits for its first identity: agents and registrations
/// come up beside it. Then it gives up and is started again by whatever runs it.
const FIRST: Duration = Duration::from_secs(30);
/// From a connection to its first word.
const ANSWER: Duration = Duration::from_secs(10);
/// Between two attempts at first, and at most: an agent that is back is noticed soon.
const RETRY: Duration = Duration::from_millis(100);
const RETRY_AT_MOST: Duration = Duration::from_secs(5);
/// Trust domains that an agent may offer. SPIRE federations have a handful.
const MAX_BUNDLES: usize = 256;

/// What it is called in faults.
const ORIGIN: &str = "Workload API";

/// Why there is no identity to start with.
#[derive(Debug)]
pub struct NoIdentity {
    address: WorkloadApiAddress,
    patience: Duration,
    /// What went wrong last.
    fault: Fault,
}

/// An agent that is listened to, until this is dropped.
#[derive(Debug)]
pub struct WorkloadApi {
    task: JoinHandle<()>,
}

/// An agent that has said who we are, and will go on.
pub(crate) struct Heard {
    address: WorkloadApiAddress,
    stream: Contexts,
    context: X509Context,
}

type Contexts = Box<dyn Stream<Item = Result<X509Context, WorkloadApiError>> + Send + Unpin>;

/// What can go wrong with an agent.
#[derive(Debug)]
enum Fault {
    Api(WorkloadApiError),
    Silent,
    Ended,
    NoSvid,
    Credential(CredentialError),
}

impl Heard {
    /// Asks the agent at `address` until it says who we are, for half a minute.
    ///
    /// # Errors
    /// If it does not; with what it said last.
    pub(crate) async fn first(
        address: &WorkloadApiAddress,
    ) -> Result<(Self, Credential), NoIdentity> {
        Self::within(address, FIRST).await
    }

    async fn within(
        address: &WorkloadApiAddress,
        patience: Duration,
    ) -> Result<(Self, Credential), NoIdentity> {
        let (started, mut wait) = (Instant::now(), RETRY);
        loop {
            let fault = match Self::once(address).await {
                Ok(first) => return Ok(first),
                Err(fault) => fault,
            };
            if started.elapsed() + wait > patience {
                return Err(NoIdentity {
                    address: address.clone(),
                    patience,
                    fault,
                });
            }
            if wait == RETRY {
                tracing::warn!(%address, "waiting for the {ORIGIN}: {fault}");
            }
            sleep(wait).await;
            wait = later(wait);
        }
    }

    async fn once(address: &WorkloadApiAddress) -> Result<(Self, Credential), Fault> {
        let mut stream = address.listen().await?;
        let heard = timeout(ANSWER, hear(&mut stream)).await;
        let context = heard.unwrap_or(Err(Fault::Silent))?;
        let credential = credential(&context, None)?;
        let heard = Self {
            address: address.clone(),
            stream,
            context,
        };
        Ok((heard, credential))
    }

    /// Feeds the bundles that came with the identity, and all that comes from now on.
    pub(crate) fn go_on(self, identity: Arc<OwnIdentity>, feed: FeedOfSeveral) -> WorkloadApi {
        let mut agent = Agent {
            address: self.address,
            identity,
            feed,
            bundles: BTreeMap::new(),
        };
        agent.take(&self.context);
        WorkloadApi {
            task: tokio::spawn(agent.listen(self.stream)),
        }
    }
}

impl Drop for WorkloadApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Who listens, and what was heard.
struct Agent {
    address: WorkloadApiAddress,
    identity: Arc<OwnIdentity>,
    feed: FeedOfSeveral,
    /// The last good one of every trust domain that the agent offers.
    bundles: BTreeMap<TrustDomain, TrustBundle>,
}

impl Agent {
    async fn listen(mut self, mut stream: Contexts) {
        let mut wait = RETRY;
        loop {
            let mut heard = false;
            let fault = loop {
                match hear(&mut stream).await {
                    Ok(context) => {
                        self.take(&context);
                        heard = true;
                    }
                    Err(fault) => break fault,
                }
            };
            self.lose(&fault);
            wait = if heard { RETRY } else { later(wait) };
            stream = loop {
                sleep(wait).await;
                match self.address.listen().await {
                    Ok(stream) => break stream,
                    Err(fault) => self.lose(&fault),
                }
                wait = later(wait);
            };
        }
    }

    /// Everything is taken that is in order, and of the rest the last good one stays: a
    /// federated bundle that cannot be read must not keep our own from rotating.
    fn take(&mut self, context: &X509Context) {
        let now = clock::now();
        let mut faults = Vec::new();
        let mut bundles = BTreeMap::new();
        for (domain, offered) in context.bundle_set().iter().take(MAX_BUNDLES) {
            match bundle(domain.as_str(), offered) {
                Ok(bundle) => {
                    bundles.insert(bundle.trust_domain().clone(), bundle);
                }
                Err(fault) => {
                    let last = TrustDomain::parse(domain.as_str()).ok();
                    bundles.extend(last.and_then(|domain| self.bundles.remove_entry(&domain)));
                    faults.push(fault);
                }
            }
        }
        let more = context.bundle_set().len().saturating_sub(MAX_BUNDLES);
        if more > 0 {
            faults.push(format!("{more} trust domains more than {MAX_BUNDLES}"));
        }
        self.bundles = bundles;
        self.feed
            .replace(self.bundles.values().cloned().collect(), now);
        if !faults.is_empty() {
            self.feed.fault(faults.join("; "));
        }
        match credential(context, Some(self.identity.current().id())) {
            Ok(credential) => self.identity.renew(credential, now),
            Err(fault) => self.identity.keep(format!("{ORIGIN}: {fault}")),
        }
    }

    fn lose(&self, fault: &Fault) {
        // What there is stays, so this is one source's trouble and not yet the identity's;
        // unless the agent says that there is none for us any more.
        self.feed.fault(fault.to_string());
        if fault.is_refusal() {
            self.identity.keep(format!("{ORIGIN}: {fault}"));
        }
    }
}

impl WorkloadApiAddress {
    async fn listen(&self) -> Result<Contexts, Fault> {
        let asked = async {
            let client = WorkloadApiClient::connect(self.0.clone()).await?;
            client.stream_x509_contexts().await
        };
        match timeout(ANSWER, asked).await {
            Ok(Ok(stream)) => Ok(Box::new(Box::pin(stream))),
            Ok(Err(error)) => Err(Fault::Api(error)),
            Err(_) => Err(Fault::Silent),
        }
    }
}

async fn hear(stream: &mut Contexts) -> Result<X509Context, Fault> {
    match stream.next().await {
        Some(Ok(context)) => Ok(context),
        Some(Err(error)) => Err(Fault::Api(error)),
        None => Err(Fault::Ended),
    }
}

/// Of several SVIDs, that of whom we are already; else the first, which is the default
/// one (SPIFFE Workload API, section 5.3).
fn credential(context: &X509Context, ours: Option<&SpiffeId>) -> Result<Credential, Fault> {
    let is_ours = |id: &str| ours.is_some_and(|ours| ours.as_str() == id);
    let mut svids = context.svids().iter();
    let svid = svids
        .find(|svid| is_ours(&svid.spiffe_id().to_string()))
        .or_else(|| context.default_svid())
        .ok_or(Fault::NoSvid)?;
    let chain = svid.cert_chain().iter();
    let chain = chain.map(|der| der.as_bytes().to_vec()).collect();
    let key = PrivatePkcs8KeyDer::from(svid.private_key().as_bytes().to_vec());
    Credential::from_der(chain, PrivateKeyDer::Pkcs8(key)).map_err(Fault::Credential)
}

fn bundle(domain: &str, offered: &X509Bundle) -> Result<TrustBundle, String> {
    let refuse = |error: &dyn fmt::Display| format!("bundle of `{domain}`: {error}");
    let trust_domain = TrustDomain::parse(domain).map_err(|error| refuse(&error))?;
    TrustBundle::from_der(trust_domain, offered.authorities()).map_err(|error| refuse(&error))
}

fn later(wait: Duration) -> Duration {
    (wait * 2).min(RETRY_AT_MOST)
}

impl Fault {
    /// Whether the agent is there and has nothing for us.
    const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Api(WorkloadApiError::NoIdentityIssued | WorkloadApiError::PermissionDenied(_))
                | Self::NoSvid
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(error) => error.fmt(f),
            Self::Silent => write!(f, "no answer in {} s", ANSWER.as_secs()),
            Self::Ended => f.write_str("the agent has ended its stream"),
            Self::NoSvid => f.write_str("no SVID for this process"),
            Self::Credential(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for NoIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`--workload-api {}`: no identity in {} s: {}",
            self.address,
            self.patience.as_secs(),
            self.fault
        )
    }
}

impl std::error::Error for NoIdentity {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_agent_that_is_not_there_is_named_with_what_went_wrong() {
        let directory = tempfile::tempdir().unwrap();
        let address = format!("unix:{}/none.sock", directory.path().display());
        let address = address.parse().unwrap();
        let outcome = Heard::within(&address, Duration::from_millis(250)).await;
        let error = outcome.map(|_| ()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("--workload-api {address}")) && error.contains("no identity"),
            "{error}"
        );
    }

    #[test]
    fn attempts_are_spaced_and_go_on() {
        let waits = std::iter::successors(Some(RETRY), |wait| Some(later(*wait)));
        let waits: Vec<_> = waits.take(9).collect();
        assert_eq!(waits[1], Duration::from_millis(200));
        assert_eq!(waits[8], RETRY_AT_MOST);
    }
}
