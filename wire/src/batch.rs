//! How much there may be in a batch of records
//! ([`RecordRequest`](crate::callgate::v1::RecordRequest)). One with more is refused whole,
//! however often it is sent.

/// Bytes of an encoded batch: what a filter keeps for a server that does not answer.
pub const MAX_BYTES: usize = 1_048_576;
/// Decisions of a batch, and callers, and rules. An encoded decision has 80 bytes at least.
pub const MAX_ENTRIES: usize = 16_384;
/// Bytes of one text in it: no header of a request is longer, by the proxy's defaults.
pub const MAX_TEXT_BYTES: usize = 65_536;
/// Bytes of [`RecordRequest::worker`](crate::callgate::v1::RecordRequest::worker).
pub const WORKER_BYTES: usize = 16;
/// Bytes of a service revision.
pub const REVISION_BYTES: usize = 32;
