//! A proxy for one request, as far as the filter can tell: it shows what Envoy with the
//! shipped configuration shows, and does what it is told.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use callgate_filter::{
    Ask, Attribute, CallId, Counter, Host, HostError, Level, Reply, Root, Section,
};
use callgate_policy::SpiffeId;
use callgate_server::clock;
use callgate_wire::headers::CLIENT_CERT;

use super::{
    AUTHORITY, CallerSpec, Forwarded, Got, Headers, Refusal, Row, Shown, Wallet, Workloads,
    wallet::url_encoded,
};

/// A proxy with one request.
#[derive(Debug)]
pub struct Proxy {
    headers: Vec<(String, Vec<u8>)>,
    leaf: Option<Vec<u8>>,
    fingerprint: Option<Vec<u8>>,
    callee: Option<Vec<u8>>,
    /// Its clock.
    pub now: Duration,
    /// Checks that it was told to send.
    pub sent: Vec<Vec<u8>>,
    /// Watches that it was told to open.
    pub watches: Vec<(CallId, Vec<u8>)>,
    /// Batches of decisions that it was told to send.
    pub batches: Vec<Vec<u8>>,
    /// It has nobody to send a Check to.
    pub deaf: bool,
    replies: Vec<Reply>,
    resumed: usize,
}

impl Proxy {
    /// Holds the request of `row`.
    ///
    /// # Errors
    /// When the row is not one of the table.
    pub fn new(row: &Row, wallet: &Wallet, workloads: &Workloads) -> Result<Self> {
        let call = &row.asked(wallet, workloads)?;
        let callee = workloads.callee(&row.to)?;
        let peer = match workloads.caller(row.peer())? {
            Some(spec) => Some((spec, wallet.shown(row.peer()).context("not in the wallet")?)),
            None => None,
        };
        let mut headers = vec![(":method".to_owned(), call.method.clone().into_bytes())];
        // Plain CONNECT has no path (RFC 9113 section 8.5).
        if call.method != "CONNECT" {
            headers.push((":path".to_owned(), call.target.clone()));
        }
        if call.authority {
            headers.push((":authority".to_owned(), AUTHORITY.into()));
        }
        headers.push((":scheme".to_owned(), b"https".to_vec()));
        let kept = call.headers.iter().filter(|(name, _)| name != CLIENT_CERT);
        headers.extend(kept.map(|(name, value)| (name.to_ascii_lowercase(), value.clone())));
        if let Some((spec, shown)) = peer {
            let own = client_cert(spec, shown, callee).into_bytes();
            // SANITIZE_SET drops the caller's own word, APPEND_FORWARD keeps it. Without a
            // certificate it is dropped either way.
            let said = call.header(CLIENT_CERT).filter(|_| row.world.appends());
            let all: Vec<Vec<u8>> = said.into_iter().chain([own]).collect();
            headers.push((CLIENT_CERT.to_owned(), all.join(&b","[..])));
        }
        Ok(Self {
            headers,
            leaf: peer.map(|(_, shown)| shown.leaf.clone().into_bytes()),
            fingerprint: peer.map(|(_, shown)| shown.sha256.clone().into_bytes()),
            callee: callee.map(|id| id.as_str().as_bytes().to_vec()),
            now: Duration::from_secs(1),
            sent: Vec::new(),
            watches: Vec::new(),
            batches: Vec::new(),
            deaf: false,
            replies: Vec::new(),
            resumed: 0,
        })
    }

    /// The request's headers as they are now.
    #[must_use]
    pub fn headers(&self) -> Headers {
        Headers(self.headers.clone())
    }

    /// What became of the request; `continued` if the filter let it go on at once.
    ///
    /// # Errors
    /// When it hangs, or was answered and let go on, or twice either.
    pub fn outcome(mut self, continued: bool) -> Result<Got> {
        let went_on = self.resumed + usize::from(continued);
        ensure!(
            went_on + self.replies.len() == 1,
            "{went_on} times on, {} replies",
            self.replies.len()
        );
        let Some(reply) = self.replies.pop() else {
            return self.forwarded();
        };
        Ok(Got::Refused(Box::new(Refusal {
            http: Some(reply.http_status),
            grpc: Some(i32::try_from(reply.grpc_status)?),
            headers: Headers(reply.headers),
            body: reply.body.into_bytes(),
            record: None,
        })))
    }

    fn forwarded(self) -> Result<Got> {
        let path = self.headers.iter().find(|(name, _)| name == ":path");
        let Some((_, path)) = path else {
            bail!("a request without a path went on")
        };
        let path = Some(path.clone());
        Ok(Got::Forwarded(Box::new(Forwarded {
            path,
            headers: Headers(self.headers),
            record: None,
        })))
    }
}

fn client_cert(spec: &CallerSpec, shown: &Shown, callee: Option<&SpiffeId>) -> String {
    let by = callee.map_or("", |id| id.as_str());
    let (hash, uri) = (&shown.sha256, spec.uri());
    let chain = url_encoded(&shown.chain);
    format!("By={by};Hash={hash};Chain=\"{chain}\";URI={uri}")
}

impl Host for Proxy {
    fn attribute(&mut self, attribute: Attribute) -> Result<Option<Vec<u8>>, HostError> {
        Ok(match attribute {
            // Each row comes by another one.
            Attribute::ConnectionId => None,
            Attribute::PeerCertificate => self.leaf.clone(),
            Attribute::PeerFingerprint => self.fingerprint.clone(),
            Attribute::LocalUriSan => self.callee.clone(),
            Attribute::Protocol => Some(b"HTTP/2".to_vec()),
        })
    }

    fn fields(
        &mut self,
        section: Section,
        see: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), HostError> {
        if section == Section::Headers {
            self.headers
                .iter()
                .for_each(|(name, value)| see(name.as_bytes(), value));
        }
        Ok(())
    }

    fn remove(&mut self, _: Section, name: &[u8]) -> Result<(), HostError> {
        self.headers
            .retain(|(present, _)| present.as_bytes() != name);
        Ok(())
    }

    fn set_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), HostError> {
        self.remove(Section::Headers, name)?;
        self.append_header(name, value)
    }

    fn append_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), HostError> {
        self.headers
            .push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
        Ok(())
    }

    fn ask(&mut self, ask: &Ask<'_>) -> Result<CallId, HostError> {
        if self.deaf {
            return Err(HostError {
                call: "ask",
                status: 1,
            });
        }
        self.sent.push(ask.message.to_vec());
        Ok(CallId(u32::try_from(self.sent.len()).unwrap_or(u32::MAX)))
    }

    fn cancel(&mut self, _: CallId) {}

    fn reply(&mut self, reply: &Reply) -> Result<(), HostError> {
        self.replies.push(reply.clone());
        Ok(())
    }

    fn resume(&mut self) -> Result<(), HostError> {
        self.resumed += 1;
        Ok(())
    }

    fn monotonic_now(&mut self) -> Duration {
        self.now
    }

    fn wall_now(&mut self) -> Duration {
        Duration::from_millis(u64::try_from(clock::now().as_millis()).unwrap_or_default())
    }

    fn random(&mut self) -> [u8; 16] {
        let drawn = u128::from(DRAWN.fetch_add(1, Ordering::Relaxed));
        // Ids count on from here, so it stands in the bits that are used first.
        (drawn << 96).to_be_bytes()
    }

    fn count(&mut self, _: Counter) {}

    fn log(&mut self, _: Level, _: &str) {}
}

/// What is drawn at random differs, from proxy to proxy too.
static DRAWN: AtomicU64 = AtomicU64::new(1);

/// Calls that are no Checks are numbered from here on.
const OTHERS: u32 = 1 << 16;

impl Root for Proxy {
    fn act_for(&mut self, _: u32) -> Result<(), HostError> {
        Ok(())
    }

    fn watch(&mut self, _: &str, message: &[u8]) -> Result<CallId, HostError> {
        let call = CallId(OTHERS + u32::try_from(self.watches.len()).unwrap_or_default());
        self.watches.push((call, message.to_vec()));
        Ok(call)
    }

    fn record(&mut self, _: &str, message: &[u8], _: Duration) -> Result<CallId, HostError> {
        self.batches.push(message.to_vec());
        let number = u32::try_from(self.batches.len()).unwrap_or_default();
        Ok(CallId(2 * OTHERS + number))
    }

    fn done(&mut self) {}

    fn tick_every(&mut self, _: Duration) -> Result<(), HostError> {
        Ok(())
    }
}
