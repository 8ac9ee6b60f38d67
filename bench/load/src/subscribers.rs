//! Proxies that watch: each one connection, over mutual TLS if it has an identity, and one
//! `Watch` stream on it. They share one thread and do as little as they can, because the
//! machine is the server's.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use callgate_wire::callgate::v1::{Announcement, WatchRequest};
use h2::{RecvStream, client::SendRequest};
use prost::{Message as _, bytes::Bytes};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// Connecting at once: handshakes are the server's work, and it has a backlog of 1,024.
const AT_ONCE: usize = 64;
/// For a connection, and for what a stream is to say at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who subscribes.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// What it watches: its own service.
    pub service: String,
    /// What it shows; without it, it speaks no TLS.
    pub shown: Option<Arc<ClientConfig>>,
}

/// All of them, once each has heard its first revision.
#[derive(Debug)]
pub struct Subscribers {
    heard: Arc<Heard>,
    count: usize,
}

/// What was heard, by all together.
#[derive(Debug, Default)]
struct Heard {
    /// Revisions that differ from the one before, as microseconds of the clock.
    news: std::sync::Mutex<Vec<u64>>,
    more: Notify,
    announcements: AtomicU64,
    /// Microseconds.
    longest_silence: AtomicU64,
    ended: AtomicUsize,
}

/// What was heard since the last time that somebody asked.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeats {
    /// Announcements.
    pub announcements: u64,
    /// The longest time that one of them heard nothing.
    pub longest_silence: Duration,
    /// Streams that have ended; none should.
    pub ended: usize,
}

impl Subscribers {
    /// Connects them all.
    ///
    /// # Errors
    /// When one of them is not told a revision.
    pub async fn connect(address: SocketAddr, all: Vec<Subscriber>) -> Result<Self> {
        let heard = Arc::new(Heard::default());
        let count = all.len();
        let places = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
        let mut joining = tokio::task::JoinSet::new();
        for subscriber in all {
            let place = Arc::clone(&places).acquire_owned().await?;
            let heard = Arc::clone(&heard);
            joining.spawn(async move {
                let _place = place;
                let stream = timeout(PATIENCE, subscriber.join(address)).await??;
                tokio::spawn(listen(stream, heard));
                anyhow::Ok(())
            });
        }
        while let Some(joined) = joining.join_next().await {
            joined??;
        }
        Ok(Self { heard, count })
    }

    /// When each of them heard of the next change, as microseconds of the clock since 1970.
    ///
    /// # Errors
    /// When one of them does not within a minute.
    pub async fn news(&self) -> Result<Vec<u64>> {
        let all = async {
            loop {
                let more = self.heard.more.notified();
                let mut news = self.heard.news();
                if news.len() >= self.count {
                    return std::mem::take(&mut *news);
                }
                drop(news);
                more.await;
            }
        };
        timeout(PATIENCE, all)
            .await
            .context("somebody has heard nothing")
    }

    /// What was heard since the last call.
    #[must_use]
    pub fn heartbeats(&self) -> Heartbeats {
        let heard = &self.heard;
        let silence = heard.longest_silence.swap(0, Ordering::Relaxed);
        Heartbeats {
            announcements: heard.announcements.swap(0, Ordering::Relaxed),
            longest_silence: Duration::from_micros(silence),
            ended: heard.ended.load(Ordering::Relaxed),
        }
    }
}

impl Heard {
    fn news(&self) -> std::sync::MutexGuard<'_, Vec<u64>> {
        self.news
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A stream that has said its first revision.
struct Watching {
    messages: Messages,
    revision: Vec<u8>,
    /// Its connection ends with it.
    _requests: SendRequest<Bytes>,
}

/// The messages of a stream. A frame may hold several, or a part of one.
struct Messages {
    body: RecvStream,
    bytes: Vec<u8>,
}

impl Subscriber {
    async fn join(self, address: SocketAddr) -> Result<Watching> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        match self.shown {
            None => watch(tcp, &self.service).await,
            Some(shown) => {
                let name = ServerName::try_from("callgate.test")?;
                let tls = TlsConnector::from(shown).connect(name, tcp).await?;
                watch(tls, &self.service).await
            }
        }
    }
}

async fn watch<S>(stream: S, service: &str) -> Result<Watching>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (requests, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(connection);
    let mut requests = requests.ready().await?;
    let head = http::Request::post("http://gate/callgate.v1.Gate/Watch")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())?;
    let (response, mut sending) = requests.send_request(head, false)?;
    let request = WatchRequest {
        service: service.to_owned(),
    };
    let message = request.encode_to_vec();
    let length = u32::try_from(message.len())?.to_be_bytes();
    sending.send_data([&[0], &length[..], &message].concat().into(), true)?;
    let response = response.await?;
    ensure!(
        !response.headers().contains_key("grpc-status"),
        "refused: {:?}",
        response.headers()
    );
    let mut messages = Messages {
        body: response.into_body(),
        bytes: Vec::new(),
    };
    let first = messages.next().await?.context("it ended at once")?;
    Ok(Watching {
        messages,
        revision: first.revision,
        _requests: requests,
    })
}

/// Until it ends.
async fn listen(mut stream: Watching, heard: Arc<Heard>) {
    let mut last = Instant::now();
    while let Ok(Some(announcement)) = stream.messages.next().await {
        let now = Instant::now();
        let silence = now.duration_since(last).as_micros();
        let silence = u64::try_from(silence).unwrap_or(u64::MAX);
        heard.longest_silence.fetch_max(silence, Ordering::Relaxed);
        heard.announcements.fetch_add(1, Ordering::Relaxed);
        last = now;
        if announcement.revision != stream.revision {
            stream.revision = announcement.revision;
            heard.news().push(micros());
            heard.more.notify_one();
        }
    }
    heard.ended.fetch_add(1, Ordering::Relaxed);
}

impl Messages {
    /// The next announcement.
    async fn next(&mut self) -> Result<Option<Announcement>> {
        loop {
            if let Some(announcement) = self.take()? {
                return Ok(Some(announcement));
            }
            let Some(bytes) = self.body.data().await else {
                return Ok(None);
            };
            let bytes = bytes?;
            self.body.flow_control().release_capacity(bytes.len())?;
            self.bytes.extend_from_slice(&bytes);
        }
    }

    /// The first one that is there whole (gRPC over HTTP/2, "Length-Prefixed-Message").
    fn take(&mut self) -> Result<Option<Announcement>> {
        let Some((head, rest)) = self.bytes.split_first_chunk::<5>() else {
            return Ok(None);
        };
        let [_, length @ ..] = *head;
        let length = usize::try_from(u32::from_be_bytes(length))?;
        let Some(message) = rest.get(..length) else {
            return Ok(None);
        };
        let announcement = Announcement::decode(message)?;
        self.bytes.drain(..head.len() + length);
        Ok(Some(announcement))
    }
}

/// Microseconds of the clock since 1970, which all processes of a machine share.
#[must_use]
pub fn micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

/// What a proxy with this certificate shows. It does not look at the server's: what that
/// costs is the proxy's.
///
/// # Errors
/// When the key is not that of the certificate.
pub fn shown(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ClientConfig>> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting));
    let mut config = config.with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
