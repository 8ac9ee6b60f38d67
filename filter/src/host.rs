//! The port between one request and the proxy it passes through.
//!
//! Everything the state machine may know or do goes through [`Host`]; nothing in
//! it belongs to one kind of proxy extension, so that a test or another host can
//! stand in. A method that can fail says so, and the machine then refuses.

use std::{fmt, time::Duration};

use crate::Counter;

/// What a proxy gives the filter while one request passes.
pub trait Host {
    /// Reads an attribute; `None` when the proxy has no value for it.
    ///
    /// # Errors
    /// When the proxy fails to say whether there is one.
    fn attribute(&mut self, attribute: Attribute) -> Result<Option<Vec<u8>>, HostError>;

    /// Shows every field of `section` as (name, value), in order, repeated ones
    /// each by itself. Pseudo-headers come as `:method`, `:path`, `:authority`
    /// and `:scheme`. Neither part needs to be UTF-8.
    ///
    /// # Errors
    /// When the proxy cannot show the whole section; some fields may have been seen.
    fn fields(
        &mut self,
        section: Section,
        see: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), HostError>;

    /// Removes every field of that exact name; fine if there is none.
    ///
    /// # Errors
    /// When the fields may still be there.
    fn remove(&mut self, section: Section, name: &[u8]) -> Result<(), HostError>;

    /// Gives a request header this one value, whatever it had before.
    ///
    /// # Errors
    /// When the header may not have that value.
    fn set_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), HostError>;

    /// Adds a value to a request header.
    ///
    /// # Errors
    /// When the value may not have been added.
    fn append_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), HostError>;

    /// Sends a Check. The outcome arrives later, as [`Exchange::answered`] or
    /// [`Exchange::failed`] with the id returned here; never during this call.
    ///
    /// # Errors
    /// When nothing was sent.
    ///
    /// [`Exchange::answered`]: crate::Exchange::answered
    /// [`Exchange::failed`]: crate::Exchange::failed
    fn ask(&mut self, ask: &Ask<'_>) -> Result<CallId, HostError>;

    /// Gives up a call whose outcome nobody waits for any more.
    fn cancel(&mut self, call: CallId);

    /// Answers the request in the proxy, with both statuses: the proxy picks the
    /// form that the caller understands. Called at most once a request, and not
    /// together with [`Host::resume`].
    ///
    /// # Errors
    /// When no answer was sent; the request then stays paused.
    fn reply(&mut self, reply: &Reply) -> Result<(), HostError>;

    /// Lets a paused request go on.
    ///
    /// # Errors
    /// When it stays paused.
    fn resume(&mut self) -> Result<(), HostError>;

    /// A clock that only goes forward, from an arbitrary beginning.
    fn monotonic_now(&mut self) -> Duration;

    /// The time since the Unix epoch.
    fn wall_now(&mut self) -> Duration;

    /// Random bytes: good for ids, not for keys.
    fn random(&mut self) -> [u8; 16];

    /// Adds one to a counter.
    fn count(&mut self, counter: Counter);

    /// Writes a line to the proxy's log.
    fn log(&mut self, level: Level, message: &str);
}

/// What a proxy gives besides, for what belongs to no request.
pub trait Root: Host {
    /// From now on until the callback ends, what [`Host`] is told is for this request.
    ///
    /// # Errors
    /// When there is no such request any more.
    fn act_for(&mut self, request: u32) -> Result<(), HostError>;

    /// Opens a stream `callgate.v1.Gate/Watch` with this encoded `WatchRequest`. What comes
    /// of it arrives later, as [`Contexts::answered`] any number of times and
    /// [`Contexts::failed`] once; never during this call.
    ///
    /// # Errors
    /// When nothing was sent.
    ///
    /// [`Contexts::answered`]: crate::Contexts::answered
    /// [`Contexts::failed`]: crate::Contexts::failed
    fn watch(&mut self, cluster: &str, message: &[u8]) -> Result<CallId, HostError>;

    /// Sends a batch of decisions, `callgate.v1.Gate/Record` with this encoded
    /// `RecordRequest`. The outcome arrives as that of a Check does.
    ///
    /// # Errors
    /// When nothing was sent.
    fn record(
        &mut self,
        cluster: &str,
        message: &[u8],
        timeout: Duration,
    ) -> Result<CallId, HostError>;

    /// The current plugin, for which [`Contexts::done`] said that there is something left
    /// to do, has done it.
    ///
    /// [`Contexts::done`]: crate::Contexts::done
    fn done(&mut self);

    /// Calls [`Contexts::tick`] of the current plugin that often from now on.
    ///
    /// # Errors
    /// When it does not.
    ///
    /// [`Contexts::tick`]: crate::Contexts::tick
    fn tick_every(&mut self, period: Duration) -> Result<(), HostError>;
}

/// What the filter reads of a connection or request besides its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// The proxy's number of the connection from downstream, in eight bytes: no other
    /// connection has it as long as the proxy lives.
    ConnectionId,
    /// The caller's leaf certificate, PEM. None when it showed none.
    PeerCertificate,
    /// The SHA-256 of that leaf, in hex.
    PeerFingerprint,
    /// The called service's own SPIFFE ID, from the certificate that the proxy
    /// presents for it.
    LocalUriSan,
    /// The HTTP version, such as `HTTP/2`.
    Protocol,
}

/// Where fields stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The request's headers.
    Headers,
    /// The request's trailers.
    Trailers,
}

/// A Check to send: `envoy.service.auth.v3.Authorization/Check`.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The proxy's name for the authorization server.
    pub cluster: &'a str,
    /// The encoded `CheckRequest`.
    pub message: &'a [u8],
    /// Goes along as metadata (W3C Trace Context).
    pub traceparent: Option<&'a str>,
    /// When the proxy gives the call up by itself.
    pub timeout: Duration,
}

/// Names a call that is under way; unique among those under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub u32);

/// An answer given in the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// For a caller that is not gRPC.
    pub http_status: u16,
    /// For a caller that is.
    pub grpc_status: u32,
    /// Both get these.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, or what becomes `grpc-message`.
    pub body: String,
    /// What the proxy's access log says of it.
    pub details: String,
}

/// What becomes of the part of a request that the proxy just showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    /// It goes on.
    Continue,
    /// It waits, headers and body alike, until [`Host::resume`]; or it has been
    /// answered.
    Pause,
}

/// How bad a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Worth knowing.
    Info,
    /// A request was refused, or let through, for want of a decision.
    Warn,
    /// Every request will be.
    Error,
}

/// The proxy did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostError {
    /// What it was asked.
    pub call: &'static str,
    /// What it said, in its own numbers.
    pub status: u32,
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` failed with status {}", self.call, self.status)
    }
}

impl std::error::Error for HostError {}
