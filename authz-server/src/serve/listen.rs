//! Listeners: TCP or a unix socket, one kind of stream for both.

use std::{
    fmt, fs, io,
    net::SocketAddr,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    pin::Pin,
    str::FromStr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// Connections at once. A proxy opens one from each of its workers, so this is a thousand
/// proxies or two; more wait in the system's backlog. With TLS and a Watch stream on each,
/// 10,000 of them take less than 1 GiB.
const MAX_CONNECTIONS: usize = 16_384;
/// After a failed accept: out of file descriptors does not get better by asking again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A proxy that vanished without a word is noticed after these two, whether or not an
/// answer to it is under way. The system sees to it: HTTP/2 pings would read the clock
/// for every frame.
const PROBE_AFTER: Duration = Duration::from_secs(30);
const PROBE_PATIENCE: Duration = Duration::from_secs(10);

/// Where to listen. Written `127.0.0.1:9191` or `unix:/run/callgate.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address and a port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A path in the file system. Who may connect is said by its directory's mode.
    Unix(PathBuf),
}

/// A text that names no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenError;

/// A bound listener.
#[derive(Debug)]
pub(super) struct Bound {
    socket: Socket,
    address: Listen,
    places: Arc<Semaphore>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// An accepted connection, which holds its place until it is closed.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listen {
    /// Whether only this machine can connect.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    pub(super) async fn bind(&self) -> io::Result<Bound> {
        let (socket, address) = match self {
            Self::Tcp(address) => {
                let listener = TcpListener::bind(address).await?;
                let address = Self::Tcp(listener.local_addr()?);
                (Socket::Tcp(listener), address)
            }
            Self::Unix(path) => {
                remove_stale(path)?;
                (Socket::Unix(UnixListener::bind(path)?), self.clone())
            }
        };
        Ok(Bound {
            socket,
            address,
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        })
    }
}

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        match text.strip_prefix("unix:") {
            Some("") => Err(ListenError),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp).map_err(|_| ListenError),
        }
    }
}

impl Bound {
    /// The address, with the port that was taken.
    pub(super) const fn address(&self) -> &Listen {
        &self.address
    }

    /// The next connection; waits while there are too many.
    pub(super) async fn accept(&self) -> Connection {
        loop {
            // The semaphore is never closed.
            if let Ok(place) = Arc::clone(&self.places).acquire_owned().await {
                match self.socket.accept().await {
                    Ok(stream) => {
                        return Connection {
                            stream,
                            _place: place,
                        };
                    }
                    Err(error) => {
                        tracing::warn!(%error, address = %self.address, "cannot accept");
                    }
                }
            }
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Listen::Unix(path) = &self.address {
            let _ = fs::remove_file(path);
        }
    }
}

impl Socket {
    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Answers are small; they must not wait for an acknowledgement.
                stream.set_nodelay(true)?;
                probe(&stream)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

/// Has the system end `stream` when the other end's machine answers no more.
fn probe(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let probes = TcpKeepalive::new()
        .with_time(PROBE_AFTER)
        .with_interval(PROBE_PATIENCE);
    socket.set_tcp_keepalive(&probes)?;
    // Bounds the answers that nobody acknowledges, and the probes (tcp(7)).
    socket.set_tcp_user_timeout(Some(PROBE_AFTER + PROBE_PATIENCE))
}

/// A server that was killed leaves its socket behind. One that answers is in use.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        fs::remove_file(path)?;
    }
    Ok(())
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not an address such as `127.0.0.1:9191`, `[::1]:9191` or `unix:/run/callgate.sock`",
        )
    }
}

impl std::error::Error for ListenError {}
