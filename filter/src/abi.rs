//! The proxy-wasm ABI, version 0.2.1, as Envoy 1.40 imports and exports it: the
//! only module with `unsafe`.
//!
//! Here are the host's functions behind safe ones that turn every status into a
//! `Result`; `exports` has the module's own entry points.
//!
//! Memory: what the host returns it writes into blocks that it asks
//! [`exports::proxy_on_memory_allocate`] for; [`adopt`] takes them over, exactly
//! once each.
#![expect(unsafe_code, reason = "the module's one boundary to the proxy")]

mod exports;

use std::ptr;

use crate::HostError;

/// The ABI's `proxy_status_t`: 0 is OK.
type Status = u32;

const OK: Status = 0;
const NOT_FOUND: Status = 1;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> Status;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> Status;
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> Status;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> Status;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> Status;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> Status;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> Status;
    fn proxy_grpc_call(
        service: *const u8,
        service_size: usize,
        service_name: *const u8,
        service_name_size: usize,
        method: *const u8,
        method_size: usize,
        metadata: *const u8,
        metadata_size: usize,
        message: *const u8,
        message_size: usize,
        timeout_millis: u32,
        call: *mut u32,
    ) -> Status;
    fn proxy_grpc_stream(
        service: *const u8,
        service_size: usize,
        service_name: *const u8,
        service_name_size: usize,
        method: *const u8,
        method_size: usize,
        metadata: *const u8,
        metadata_size: usize,
        stream: *mut u32,
    ) -> Status;
    fn proxy_grpc_send(stream: u32, message: *const u8, size: usize, end: u32) -> Status;
    fn proxy_grpc_close(stream: u32) -> Status;
    fn proxy_grpc_cancel(call: u32) -> Status;
    fn proxy_set_tick_period_milliseconds(period: u32) -> Status;
    fn proxy_set_effective_context(context: u32) -> Status;
    fn proxy_done() -> Status;
    fn proxy_continue_stream(stream: u32) -> Status;
    fn proxy_send_local_response(
        http_status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: u32,
    ) -> Status;
    fn proxy_define_metric(kind: u32, name: *const u8, size: usize, metric: *mut u32) -> Status;
    fn proxy_increment_metric(metric: u32, offset: i64) -> Status;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, nanos: *mut u64) -> u32;
    fn random_get(buffer: *mut u8, size: usize) -> u32;
}

/// `proxy_map_type_t`.
#[derive(Clone, Copy)]
pub(crate) enum Map {
    RequestHeaders = 0,
    RequestTrailers = 1,
}

/// `proxy_buffer_type_t`.
#[derive(Clone, Copy)]
pub(crate) enum Buffer {
    GrpcCallMessage = 5,
    PluginConfiguration = 7,
}

/// `wasi_clock_id_t`.
#[derive(Clone, Copy)]
pub(crate) enum Clock {
    Realtime = 0,
    Monotonic = 1,
}

/// A gRPC call, each part as the ABI wants it.
pub(crate) struct GrpcCall<'a> {
    /// An encoded `GrpcService`.
    pub(crate) target: &'a [u8],
    pub(crate) service: &'a str,
    pub(crate) method: &'a str,
    /// A serialized map.
    pub(crate) metadata: &'a [u8],
    pub(crate) message: &'a [u8],
    pub(crate) timeout_millis: u32,
}

/// A local response, each part as the ABI wants it.
pub(crate) struct LocalResponse<'a> {
    pub(crate) http_status: u16,
    pub(crate) grpc_status: u32,
    pub(crate) details: &'a str,
    pub(crate) body: &'a str,
    /// A serialized map.
    pub(crate) headers: &'a [u8],
}

/// Logs at a `proxy_log_level_t`. A log that cannot be written is nobody's fault
/// and has nowhere to be told.
pub(crate) fn log(level: u32, message: &str) {
    // SAFETY: the host reads `message` during the call.
    let _ = unsafe { proxy_log(level, message.as_ptr(), message.len()) };
}

/// Reads a buffer, at most `max_size` bytes of it.
pub(crate) fn buffer(buffer: Buffer, max_size: usize) -> Result<Vec<u8>, HostError> {
    returned("proxy_get_buffer_bytes", |data, size| {
        // SAFETY: both pointers are valid for a write during the call.
        unsafe { proxy_get_buffer_bytes(buffer as u32, 0, max_size, data, size) }
    })
}

/// Reads a property; its path's parts are separated by NUL.
pub(crate) fn property(path: &[u8]) -> Result<Option<Vec<u8>>, HostError> {
    let value = returned("proxy_get_property", |data, size| {
        // SAFETY: as above, and the host reads `path` during the call.
        unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) }
    });
    match value {
        Ok(value) => Ok(Some(value)),
        Err(HostError {
            status: NOT_FOUND, ..
        }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a whole map, serialized.
pub(crate) fn map(map: Map) -> Result<Vec<u8>, HostError> {
    returned("proxy_get_header_map_pairs", |data, size| {
        // SAFETY: both pointers are valid for a write during the call.
        unsafe { proxy_get_header_map_pairs(map as u32, data, size) }
    })
}

/// Adds a value.
pub(crate) fn add(map: Map, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    let (name_size, size) = (name.len(), value.len());
    // SAFETY: the host reads both during the call.
    let status = unsafe {
        proxy_add_header_map_value(map as u32, name.as_ptr(), name_size, value.as_ptr(), size)
    };
    ok("proxy_add_header_map_value", status)
}

/// Gives a name this one value.
pub(crate) fn replace(map: Map, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    let (name_size, size) = (name.len(), value.len());
    // SAFETY: the host reads both during the call.
    let status = unsafe {
        proxy_replace_header_map_value(map as u32, name.as_ptr(), name_size, value.as_ptr(), size)
    };
    ok("proxy_replace_header_map_value", status)
}

/// Removes a name with all its values.
pub(crate) fn remove(map: Map, name: &[u8]) -> Result<(), HostError> {
    // SAFETY: the host reads `name` during the call.
    let status = unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) };
    ok("proxy_remove_header_map_value", status)
}

/// Starts a unary gRPC call and gives its number.
pub(crate) fn grpc_call(call: &GrpcCall<'_>) -> Result<u32, HostError> {
    let mut id = 0;
    // SAFETY: the host reads every slice, and writes `id`, during the call.
    let status = unsafe {
        proxy_grpc_call(
            call.target.as_ptr(),
            call.target.len(),
            call.service.as_ptr(),
            call.service.len(),
            call.method.as_ptr(),
            call.method.len(),
            call.metadata.as_ptr(),
            call.metadata.len(),
            call.message.as_ptr(),
            call.message.len(),
            call.timeout_millis,
            &raw mut id,
        )
    };
    ok("proxy_grpc_call", status).map(|()| id)
}

/// Starts a gRPC stream, sends its one message and closes this side of it.
///
/// Closed by itself, not with the message: the host forgets a stream that both sides have
/// closed, and notices of this side only the former.
pub(crate) fn grpc_stream(
    target: &[u8],
    service: &str,
    method: &str,
    message: &[u8],
) -> Result<u32, HostError> {
    let metadata: &[u8] = &[0; 4];
    let mut id = 0;
    // SAFETY: the host reads every slice, and writes `id`, during the call.
    let status = unsafe {
        proxy_grpc_stream(
            target.as_ptr(),
            target.len(),
            service.as_ptr(),
            service.len(),
            method.as_ptr(),
            method.len(),
            metadata.as_ptr(),
            metadata.len(),
            &raw mut id,
        )
    };
    ok("proxy_grpc_stream", status)?;
    // SAFETY: the host reads `message` during the call.
    let status = unsafe { proxy_grpc_send(id, message.as_ptr(), message.len(), 0) };
    let sent = ok("proxy_grpc_send", status).and_then(|()| {
        // SAFETY: no memory is involved.
        ok("proxy_grpc_close", unsafe { proxy_grpc_close(id) })
    });
    match sent {
        Ok(()) => Ok(id),
        Err(error) => {
            grpc_cancel(id);
            Err(error)
        }
    }
}

/// Cancels a gRPC call or stream; one that is over already is none to cancel.
pub(crate) fn grpc_cancel(call: u32) {
    // SAFETY: no memory is involved.
    let _ = unsafe { proxy_grpc_cancel(call) };
}

/// Has the host call the current plugin's `proxy_on_tick` that often.
pub(crate) fn set_tick_period(millis: u32) -> Result<(), HostError> {
    // SAFETY: no memory is involved.
    ok("proxy_set_tick_period_milliseconds", unsafe {
        proxy_set_tick_period_milliseconds(millis)
    })
}

/// Acts for this context until the current callback returns.
pub(crate) fn set_effective_context(context: u32) -> Result<(), HostError> {
    // SAFETY: no memory is involved.
    ok("proxy_set_effective_context", unsafe {
        proxy_set_effective_context(context)
    })
}

/// The current plugin, whose `proxy_on_done` was false, may go now.
pub(crate) fn done() {
    // SAFETY: no memory is involved.
    let _ = unsafe { proxy_done() };
}

/// Lets the paused request of the current context go on.
pub(crate) fn continue_request() -> Result<(), HostError> {
    // SAFETY: no memory is involved.
    ok("proxy_continue_stream", unsafe { proxy_continue_stream(0) })
}

/// Answers the request of the current context.
pub(crate) fn send_local_response(response: &LocalResponse<'_>) -> Result<(), HostError> {
    // SAFETY: the host reads every slice during the call.
    let status = unsafe {
        proxy_send_local_response(
            u32::from(response.http_status),
            response.details.as_ptr(),
            response.details.len(),
            response.body.as_ptr(),
            response.body.len(),
            response.headers.as_ptr(),
            response.headers.len(),
            response.grpc_status,
        )
    };
    ok("proxy_send_local_response", status)
}

/// Defines a counter and gives its number.
pub(crate) fn define_counter(name: &str) -> Result<u32, HostError> {
    let mut metric = 0;
    // SAFETY: the host reads `name`, and writes `metric`, during the call.
    let status = unsafe { proxy_define_metric(0, name.as_ptr(), name.len(), &raw mut metric) };
    ok("proxy_define_metric", status).map(|()| metric)
}

/// Adds one to a counter; one that does not exist counts nothing.
pub(crate) fn increment(metric: u32) {
    // SAFETY: no memory is involved.
    let _ = unsafe { proxy_increment_metric(metric, 1) };
}

/// Nanoseconds on a clock; 0 if the host has none.
pub(crate) fn clock(clock: Clock) -> u64 {
    let mut nanos = 0;
    // SAFETY: the host writes `nanos` during the call.
    match unsafe { clock_time_get(clock as u32, 1, &raw mut nanos) } {
        0 => nanos,
        _ => 0,
    }
}

/// Random bytes; zeros if the host has none. Good for ids, not for keys.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // SAFETY: the host writes N bytes during the call.
    let _ = unsafe { random_get(bytes.as_mut_ptr(), N) };
    bytes
}

fn ok(call: &'static str, status: Status) -> Result<(), HostError> {
    if status == OK {
        Ok(())
    } else {
        Err(HostError { call, status })
    }
}

/// Makes a call that returns bytes.
fn returned(
    call: &'static str,
    make: impl FnOnce(*mut *mut u8, *mut usize) -> Status,
) -> Result<Vec<u8>, HostError> {
    let (mut data, mut size) = (ptr::null_mut(), 0);
    let status = make(&raw mut data, &raw mut size);
    ok(call, status)?;
    // SAFETY: on OK the host has handed over the block that it asked for and filled.
    Ok(unsafe { adopt(data, size) })
}

/// Takes over a block that [`exports::proxy_on_memory_allocate`] gave to the host.
///
/// # Safety
/// `data` is null, or came from there for exactly `size` bytes, all written, and
/// is adopted once.
unsafe fn adopt(data: *mut u8, size: usize) -> Vec<u8> {
    if data.is_null() || size == 0 {
        return Vec::new();
    }
    // SAFETY: the caller's promise; the layout is that of the allocation.
    unsafe { Vec::from_raw_parts(data, size, size) }
}
