//! One call, as the core sees it.

use crate::{Headers, Reason, SpiffeId};

/// A call that wants a decision. Borrowed: building one allocates nothing.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who calls, or why that is not known.
    pub caller: Caller<'a>,
    /// The service that is called, if the proxy has a SPIFFE ID for it.
    pub service: Option<&'a SpiffeId>,
    /// The HTTP method, case-sensitive (RFC 9110 section 9.1).
    pub method: &'a str,
    /// The request target as the proxy routes and forwards it, query included.
    pub path: &'a str,
    /// The `upgrade` header. HTTP/2 extended CONNECT arrives with it as well.
    pub upgrade: Option<&'a str>,
    /// The `content-type` header, repeated ones joined with `,`.
    pub content_type: Option<&'a str>,
    /// The host that is asked for, `:authority` or `host`, for conditions.
    pub host: Option<&'a str>,
    /// Its headers, for conditions. Where it has none, [`NoHeaders`](crate::NoHeaders).
    pub headers: &'a dyn Headers,
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub enum Caller<'a> {
    /// The identity was verified at this request.
    Verified(&'a SpiffeId),
    /// A verified proxy says for whom it forwards the call. That counts if the mesh's
    /// policy lists it as a forwarder for the service that may assert this caller.
    Forwarded {
        /// Whom it says: verified too, if it showed the certificate.
        original: &'a SpiffeId,
        /// The proxy, verified at this request.
        forwarder: &'a SpiffeId,
    },
    /// There is no identity to decide about.
    Unverified(IdentityFault),
}

/// What is wrong with a caller's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdentityFault {
    /// No client certificate.
    Missing,
    /// Not a valid X.509-SVID (X.509-SVID standard, sections 2 to 5).
    Invalid,
    /// Outside its validity now.
    Expired,
    /// No path to the bundle of its own trust domain, or no such bundle.
    Untrusted,
    /// Revoked.
    Revoked,
}

impl IdentityFault {
    /// The reason that an answer gives for this fault.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Missing => Reason::IdentityMissing,
            Self::Invalid => Reason::IdentityInvalid,
            Self::Expired => Reason::IdentityExpired,
            Self::Untrusted => Reason::IdentityUntrusted,
            Self::Revoked => Reason::IdentityRevoked,
        }
    }
}
