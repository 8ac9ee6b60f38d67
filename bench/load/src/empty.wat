;; A filter that does nothing (proxy-wasm ABI 0.2.1): Envoy calls it for each
;; request's and response's headers, and it answers "continue". What it costs is the
;; price of the boundary.
(module
  (memory (export "memory") 2)
  (global $free (mut i32) (i32.const 1024))

  ;; The host asks for room for names and values. Nothing here asks the host for
  ;; any, so it does so at most a few times at the start; nothing is given back.
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (local $start i32)
    (local.set $start (global.get $free))
    (global.set $free (i32.add (global.get $free) (local.get $size)))
    (local.get $start))

  (func (export "proxy_abi_version_0_2_1"))
  (func (export "_initialize"))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (i32.const 0))
  (func (export "proxy_on_done") (param i32) (result i32) (i32.const 1))
  (func (export "proxy_on_log") (param i32))
  (func (export "proxy_on_delete") (param i32)))
