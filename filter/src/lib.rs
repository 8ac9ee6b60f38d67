//! The gate in the proxy: takes the caller's identity from the connection, decides by a
//! lease or asks the authorization server, and enforces what was decided.
//!
//! ```text
//!  Envoy ──► abi ──► wasm ──► Contexts ──► Exchange ──Host──► proxy
//!           (FFI)   (glue)   (who is who)     │ one request
//!                                             ├─ request: one look at headers and connection
//!                                             ├─ leased:  by a lease ─► decision ─► ledger
//!                                             ├─ inquiry: or asked ─► CheckRequest
//!                                             ├─ answer:  CheckResponse ─► Allow | Deny | fault
//!                                             └─ refusal: what is refused here
//! ```
//!
//! Everything from [`Contexts`] to the right knows no proxy: it is driven through
//! [`Host`], natively in tests and by whatever host comes next. `abi` is the only
//! module with `unsafe`, and it and `wasm` exist only in the wasm build.
//!
//! # Limits
//!
//! | what | limit | why |
//! |---|---|---|
//! | answer | 64 KiB | Envoy's default limit for response headers |
//! | headers that an answer changes | 64 | ours change two |
//! | Checks for a request | 2, within `timeout` | |
//! | `Chain` hint | 16 KiB | four certificates |
//! | `traceparent` | 256 bytes | version 00 has 55 |
//! | connections remembered | 1,024 for a plugin | with a certificate and a header of at most 4 KiB each |
//! | leases | 4,096 and 4 MiB for a plugin; 4 certificates of a caller; an hour | half of what a worker may take |
//! | request line that a lease decides | 16 KiB with `upgrade` and `content-type`, UTF-8 | its record waits in memory |
//! | records that wait | 1 MiB for a callee; batches of 64 KiB or 200 ms | refusals are kept longest |
//! | services watched | 64 for a plugin; others are asked about each time | a gateway stands in front of some |
//! | until a Watch that ended is opened again | 100 ms to 5 s, at random | servers that come back |
//! | silence of a Watch until it is given up | `maxStale`, at least 3 s | the server speaks each second |
//! | Checks for open requests | 64 at once for a worker | those that wait come first |
//! | an open request without an answer | `maxStale` | |
//! | open requests ended at once | 256 within a callback | an HTTP/2 connection bounds what it ends at once |
//! | a batch of records under way | 5 s; 1 s when the plugin ends | |
//! | log lines for refused requests | 8 a second and worker | |
//! | headers of a request | Envoy's own, `max_request_headers_kb` | |
//!
//! # What it needs of the proxy
//!
//! - Envoy 1.40 or what speaks its proxy-wasm ABI 0.2.1; `failure_policy: FAIL_RELOAD`.
//! - `connection.id`, given once in the proxy's life; without it, the connection is asked
//!   about at each request.
//! - An HTTP/2 cluster for the server, named in the configuration.
//! - `forward_client_cert_details: SANITIZE_SET`, with `chain` where leaves do not chain
//!   to the bundle by themselves: under another setting the hints are the caller's own
//!   words. They are never more than hints.
//! - Nothing after it that changes the path, and no route or upgrade without it.
//!
//! # What a fault of the proxy is
//!
//! An attribute that the proxy says it does not have is sent as absent, and the
//! server decides (no leaf is `identity-missing`). An attribute or header that the
//! proxy *fails* to read, remove or set refuses the request with
//! `filter-misconfigured`: nothing may be decided on a guess.
//!
//! The cargo feature `test-trap` is for fault tests only: a request with
//! `x-test-trap: 1` makes the module trap.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

#[cfg(target_arch = "wasm32")]
mod abi;
mod callee;
mod config;
mod connection;
mod contexts;
mod counter;
mod exchange;
#[cfg(any(target_arch = "wasm32", test))]
mod grpc_service;
mod host;
mod id;
mod inquiry;
mod lease;
mod leased;
mod ledger;
#[cfg(any(target_arch = "wasm32", test))]
mod pairs;
mod plugin;
mod refusal;
mod request;
mod rewrite;
mod streams;
#[cfg(target_arch = "wasm32")]
mod wasm;
mod watch;

pub mod answer;

#[cfg(test)]
mod fake;

pub use answer::{Allow, Answer, Deny, Edit};
pub use callee::Callee;
pub use config::{Config, ConfigError};
pub use contexts::{Contexts, TICK};
pub use counter::Counter;
pub use exchange::Exchange;
pub use host::{Ask, Attribute, CallId, Flow, Host, HostError, Level, Reply, Root, Section};
pub use ledger::Ledger;
pub use plugin::Plugin;
pub use watch::{MAX_CALLEES, Revision, Watches};
