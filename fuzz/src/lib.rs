//! Fuzz targets for every parser that reads what callers, proxies or teams write.
//!
//! A target takes bytes and holds the parser to more than not crashing: to a reference
//! that is written naively and elsewhere, to a round trip, to what must never happen.
//! `tests/fuzz.rs` runs them; `fuzz/run` runs them for long.

mod certificate;
mod check_request;
mod check_response;
mod condition;
mod configuration;
mod decision_log;
mod document;
mod identity;
mod import;
mod mutate;
mod path;
mod policy_test;
mod record_request;
mod rule;
mod slice;
mod trust_bundle;
mod xfcc;

pub use certificate::certificate;
pub use check_request::check_request;
pub use check_response::check_response;
pub use condition::condition;
pub use configuration::filter_configuration;
pub use decision_log::decision_log;
pub use document::document;
pub use identity::spiffe_id;
pub use import::imported;
pub use mutate::Corpus;
pub use path::path;
pub use policy_test::policy_test;
pub use record_request::record_request;
pub use rule::rule;
pub use slice::slice;
pub use trust_bundle::trust_bundle;
pub use xfcc::client_cert_header;
