//! The proxy-wasm host: the port on top of [`crate::abi`], and the VM's state.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use crate::{
    Ask, Attribute, CallId, Contexts, Counter, Flow, Host, HostError, Level, Plugin, Reply, Root,
    Section, abi, answer::MAX_ANSWER, grpc_service, pairs,
};

/// The longest configuration that is read: a hundred times what there is to say.
const MAX_CONFIGURATION: usize = 64 * 1024;

const SERVICE: &str = "envoy.service.auth.v3.Authorization";
const METHOD: &str = "Check";

/// What there is of our own beside it.
const GATE: &str = "callgate.v1.Gate";
const WATCH: &str = "Watch";
const RECORD: &str = "Record";

/// `Continue`.
const CONTINUE: u32 = 0;

/// Envoy's `StopAllIterationAndWatermark`: nothing of the request goes on, its
/// body included. The ABI's own Pause (1) comes to the same, except on a plugin with
/// `allow_on_headers_stop_iteration`: there (measured on Envoy 1.40) a body goes
/// on and takes the headers with it, undecided. A setting must not open the gate.
const STOP_ALL: u32 = 4;

/// `StopIteration` for trailers.
const STOP_TRAILERS: u32 = 1;

thread_local! {
    static CONTEXTS: RefCell<Contexts> = RefCell::new(Contexts::default());
    /// The host's numbers of the counters; 0 where there is none.
    static METRICS: [Cell<u32>; Counter::COUNT] = const { [const { Cell::new(0) }; Counter::COUNT] };
}

/// Runs `act` on the VM's state. A callback within a callback would find it in
/// use; the ABI has none, and if one comes it gets `otherwise`, which opens nothing.
fn with<T>(otherwise: T, act: impl FnOnce(&mut Contexts) -> T) -> T {
    CONTEXTS.with(|contexts| match contexts.try_borrow_mut() {
        Ok(mut contexts) => act(&mut contexts),
        Err(_) => {
            abi::log(4, "a callback within a callback");
            otherwise
        }
    })
}

pub(crate) fn context_created(context: u32, parent: u32) {
    with((), |contexts| contexts.created(context, parent));
}

pub(crate) fn configure(root: u32, size: usize) {
    define_metrics();
    let json = match abi::buffer(
        abi::Buffer::PluginConfiguration,
        size.min(MAX_CONFIGURATION),
    ) {
        Ok(json) if size <= MAX_CONFIGURATION => json,
        _ => Vec::new(),
    };
    let plugin = Plugin::new(&json);
    match plugin.config() {
        Ok(config) => {
            let (cluster, timeout) = (config.cluster(), config.timeout());
            let line = format!("asks cluster `{cluster}` within {timeout:?}");
            Envoy.log(Level::Info, &line);
            if config.danger_allow_on_error() {
                let line = "danger_allow_on_error is set: without a decision calls go on";
                Envoy.log(Level::Warn, line);
            }
        }
        Err(error) => {
            let line = format!("{error}; every request is refused with filter-misconfigured");
            Envoy.log(Level::Error, &line);
        }
    }
    with((), |contexts| contexts.configured(root, plugin));
}

pub(crate) fn request_headers(context: u32) -> u32 {
    match with(Flow::Pause, |contexts| {
        contexts.request_headers(context, &mut Envoy)
    }) {
        Flow::Continue => CONTINUE,
        Flow::Pause => STOP_ALL,
    }
}

pub(crate) fn request_trailers(context: u32) -> u32 {
    match with(Flow::Pause, |contexts| {
        contexts.request_trailers(context, &mut Envoy)
    }) {
        Flow::Continue => CONTINUE,
        Flow::Pause => STOP_TRAILERS,
    }
}

pub(crate) fn grpc_receive(call: u32, size: usize) {
    let call = CallId(call);
    with((), |contexts| {
        if !contexts.awaits(call) {
            return;
        }
        // One byte too many is enough to know that it is too long.
        let most = size.min(MAX_ANSWER.saturating_add(1));
        let message = abi::buffer(abi::Buffer::GrpcCallMessage, most);
        // An answer that cannot be read is an empty one, and that has no status.
        contexts.answered(call, &mut Envoy, &message.unwrap_or_default());
    });
}

pub(crate) fn grpc_close(call: u32, grpc_status: u32) {
    with((), |contexts| {
        contexts.failed(CallId(call), &mut Envoy, grpc_status);
    });
}

pub(crate) fn tick(root: u32) {
    with((), |contexts| contexts.tick(root, &mut Envoy));
}

pub(crate) fn done(context: u32) -> bool {
    with(true, |contexts| contexts.done(context, &mut Envoy))
}

/// Once a VM, however many plugins there are in it.
fn define_metrics() {
    METRICS.with(|metrics| {
        for (counter, metric) in Counter::all().zip(metrics) {
            if metric.get() == 0 {
                let name = counter.name();
                match abi::define_counter(&name) {
                    Ok(id) => metric.set(id),
                    Err(error) => Envoy.log(Level::Warn, &format!("no `{name}`: {error}")),
                }
            }
        }
    });
}

/// The context that the current callback is for, or acts for.
struct Envoy;

impl Host for Envoy {
    fn attribute(&mut self, attribute: Attribute) -> Result<Option<Vec<u8>>, HostError> {
        abi::property(match attribute {
            Attribute::ConnectionId => b"connection\0id",
            Attribute::PeerCertificate => b"connection\0peer_certificate",
            Attribute::PeerFingerprint => b"connection\0sha256_peer_certificate_digest",
            Attribute::LocalUriSan => b"connection\0uri_san_local_certificate",
            Attribute::Protocol => b"request\0protocol",
        })
    }

    fn fields(
        &mut self,
        section: Section,
        see: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), HostError> {
        // No status of the host says this: it is what it sent that is wrong.
        let malformed = HostError {
            call: "proxy_get_header_map_pairs",
            status: u32::MAX,
        };
        pairs::read(&abi::map(section.into())?, see).map_err(|_| malformed)
    }

    fn remove(&mut self, section: Section, name: &[u8]) -> Result<(), HostError> {
        abi::remove(section.into(), name)
    }

    fn set_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), HostError> {
        abi::replace(abi::Map::RequestHeaders, name, value)
    }

    fn append_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), HostError> {
        abi::add(abi::Map::RequestHeaders, name, value)
    }

    fn ask(&mut self, ask: &Ask<'_>) -> Result<CallId, HostError> {
        let trace = ask
            .traceparent
            .map(|value| (&b"traceparent"[..], value.as_bytes()));
        let metadata = pairs::write(trace.as_slice());
        let call = abi::grpc_call(&abi::GrpcCall {
            target: &grpc_service::encode(ask.cluster),
            service: SERVICE,
            method: METHOD,
            metadata: &metadata,
            message: ask.message,
            timeout_millis: millis(ask.timeout),
        })?;
        Ok(CallId(call))
    }

    fn cancel(&mut self, call: CallId) {
        abi::grpc_cancel(call.0);
    }

    fn reply(&mut self, reply: &Reply) -> Result<(), HostError> {
        let headers: Vec<_> = reply
            .headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_slice()))
            .collect();
        abi::send_local_response(&abi::LocalResponse {
            http_status: reply.http_status,
            grpc_status: reply.grpc_status,
            details: &reply.details,
            body: &reply.body,
            headers: &pairs::write(&headers),
        })
    }

    fn resume(&mut self) -> Result<(), HostError> {
        abi::continue_request()
    }

    fn monotonic_now(&mut self) -> Duration {
        Duration::from_nanos(abi::clock(abi::Clock::Monotonic))
    }

    fn wall_now(&mut self) -> Duration {
        Duration::from_nanos(abi::clock(abi::Clock::Realtime))
    }

    fn random(&mut self) -> [u8; 16] {
        abi::random()
    }

    fn count(&mut self, counter: Counter) {
        METRICS.with(|metrics| {
            if let Some(metric) = metrics.get(counter.index()) {
                abi::increment(metric.get());
            }
        });
    }

    fn log(&mut self, level: Level, message: &str) {
        // `proxy_log_level_t`.
        let level = match level {
            Level::Info => 2,
            Level::Warn => 3,
            Level::Error => 4,
        };
        abi::log(level, message);
    }
}

impl Root for Envoy {
    fn act_for(&mut self, request: u32) -> Result<(), HostError> {
        abi::set_effective_context(request)
    }

    fn watch(&mut self, cluster: &str, message: &[u8]) -> Result<CallId, HostError> {
        abi::grpc_stream(&grpc_service::encode(cluster), GATE, WATCH, message).map(CallId)
    }

    fn record(
        &mut self,
        cluster: &str,
        message: &[u8],
        timeout: Duration,
    ) -> Result<CallId, HostError> {
        let call = abi::grpc_call(&abi::GrpcCall {
            target: &grpc_service::encode(cluster),
            service: GATE,
            method: RECORD,
            metadata: &pairs::write(&[]),
            message,
            timeout_millis: millis(timeout),
        })?;
        Ok(CallId(call))
    }

    fn done(&mut self) {
        abi::done();
    }

    fn tick_every(&mut self, period: Duration) -> Result<(), HostError> {
        abi::set_tick_period(millis(period))
    }
}

/// Rounded up, so that nothing ends before its time.
fn millis(duration: Duration) -> u32 {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    u32::try_from(millis).unwrap_or(u32::MAX)
}

impl From<Section> for abi::Map {
    fn from(section: Section) -> Self {
        match section {
            Section::Headers => Self::RequestHeaders,
            Section::Trailers => Self::RequestTrailers,
        }
    }
}
