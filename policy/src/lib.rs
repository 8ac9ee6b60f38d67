//! The decision core: who is calling, what they want, what the rules say.
//!
//! ```text
//!  documents (YAML) ──load──► PolicySet ─┐
//!                                        ├─decide──► Decision ──► Permit (goes on)
//!  Request {caller, service, method, …} ─┘              └──► reason, rule, nearest miss
//! ```
//!
//! Pure: no I/O, no clock, no async; the time is an argument. It is built for the
//! host and for wasm, and the server, the command line and the filter all decide
//! with this code. Reading documents needs the `documents` feature, which the
//! filter leaves off.

mod binding;
mod build;
mod call;
mod case;
mod condition;
mod decide;
#[cfg(feature = "documents")]
mod digest;
mod explanation;
mod identity;
mod lease;
mod nearest;
mod path;
mod pattern;
mod policy_set;
mod reason;
mod request;
pub mod spec;
mod table;
#[cfg(test)]
mod testing;
mod time;
mod trust;

#[cfg(feature = "documents")]
pub mod document;

pub use binding::{BindingError, check_captures};
pub use build::BuildError;
pub use call::{Ambiguity, is_grpc};
pub use condition::{
    Condition, ConditionError, ConditionFault, ConditionFinding, ConditionFindingKind, Header,
    Headers, Input, InputPart, Inputs, NoHeaders, Unreadable,
};
pub use decide::{Decision, Permit, ShadowMatch, Verdict};
#[cfg(feature = "documents")]
pub use digest::PolicyDigest;
pub use explanation::{
    Addition, Clause, ClauseCheck, Entry, Location, MissStory, NearestMiss, RuleRef,
};
pub use identity::{SpiffeId, SpiffeIdError, TrustDomain};
pub use lease::{Slice, SliceError};
pub use path::{CanonicalPath, PathError, PathOptions, without_query};
pub use pattern::{
    CallerPattern, CallerSegment, Operation, PathSegment, PatternError, PatternErrorKind, Side,
};
pub use policy_set::PolicySet;
pub use reason::Reason;
pub use request::{Caller, IdentityFault, Request};
pub use time::Timestamp;
