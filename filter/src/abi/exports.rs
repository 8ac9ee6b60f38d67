//! The module's entry points, which hand over to [`crate::wasm`].
//!
//! Callbacks that the filter has no use for are not exported: Envoy then saves the
//! way into the VM.

use std::{alloc::Layout, ptr};

/// Marks the module for this version of the ABI; never called.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_abi_version_0_2_1() {}

/// Runs the constructors once. Without it the linker takes every entry point for a
/// `main` of its own and runs them before each.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn _initialize() {
    unsafe extern "C" {
        fn __wasm_call_ctors();
    }
    // SAFETY: the linker makes this function; the host calls `_initialize` first
    // and once.
    unsafe { __wasm_call_ctors() }
}

/// Gives the host `size` bytes to write a result into; null when there are none.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    match Layout::array::<u8>(size) {
        // SAFETY: the size is not zero.
        Ok(layout) if size > 0 => unsafe { std::alloc::alloc(layout) },
        Ok(_) => ptr::NonNull::dangling().as_ptr(),
        Err(_) => ptr::null_mut(),
    }
}

/// A context begins: a plugin if `parent` is 0, else a request of that plugin.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_context_create(context: u32, parent: u32) {
    crate::wasm::context_created(context, parent);
}

/// Always true: a plugin that cannot work has to be there to refuse.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_configure(plugin: u32, size: usize) -> u32 {
    crate::wasm::configure(plugin, size);
    1
}

/// Request headers.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_request_headers(context: u32, _fields: u32, _end: u32) -> u32 {
    crate::wasm::request_headers(context)
}

/// Request trailers.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_request_trailers(context: u32, _fields: u32) -> u32 {
    crate::wasm::request_trailers(context)
}

/// Time passes.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_tick(plugin: u32) {
    crate::wasm::tick(plugin);
}

/// The answer to a call, or a message of a stream.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_grpc_receive(_plugin: u32, call: u32, size: usize) {
    crate::wasm::grpc_receive(call, size);
}

/// The end of a call without an answer, or of a stream.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_grpc_close(_plugin: u32, call: u32, grpc_status: u32) {
    crate::wasm::grpc_close(call, grpc_status);
}

/// A context ends; 0 if it has something left to do, and calls `proxy_done` then. Nothing is
/// left to do when it is deleted, so that `proxy_on_delete` is not exported.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_done(context: u32) -> u32 {
    u32::from(crate::wasm::done(context))
}
