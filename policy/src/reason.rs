//! The one cause that every answer has.

use std::fmt;

/// Why a call goes on or not; the `reason` of answers, records and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// An allow rule matches and no deny rule does.
    Allow,
    /// The caller showed no client certificate.
    IdentityMissing,
    /// The certificate is not a valid X.509-SVID.
    IdentityInvalid,
    /// The certificate is outside its validity now.
    IdentityExpired,
    /// The certificate does not verify against its trust domain's bundle, or
    /// that trust domain has none.
    IdentityUntrusted,
    /// The identity or the certificate is revoked.
    IdentityRevoked,
    /// The path can be read in more than one way.
    PathAmbiguous,
    /// The called service has no policy.
    NoPolicy,
    /// No rule matches.
    NoRule,
    /// A deny rule matches.
    DenyRule,
    /// Only an allow rule whose exception has expired matches.
    ExceptionExpired,
    /// The server has no valid policy set.
    PolicyUnavailable,
    /// The authorization server could not be reached. The filter's own.
    AuthzUnreachable,
    /// The authorization server was too slow. The filter's own.
    AuthzTimeout,
    /// The authorization server's answer made no sense. The filter's own.
    AuthzProtocol,
    /// The filter's configuration is not usable. The filter's own.
    FilterMisconfigured,
}

impl Reason {
    /// Every reason, in the order of the answers table.
    pub const ALL: [Self; 16] = [
        Self::Allow,
        Self::IdentityMissing,
        Self::IdentityInvalid,
        Self::IdentityExpired,
        Self::IdentityUntrusted,
        Self::IdentityRevoked,
        Self::PathAmbiguous,
        Self::NoPolicy,
        Self::NoRule,
        Self::DenyRule,
        Self::ExceptionExpired,
        Self::AuthzUnreachable,
        Self::AuthzTimeout,
        Self::AuthzProtocol,
        Self::FilterMisconfigured,
        Self::PolicyUnavailable,
    ];

    /// The word used in answers, records, metrics and documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::IdentityMissing => "identity-missing",
            Self::IdentityInvalid => "identity-invalid",
            Self::IdentityExpired => "identity-expired",
            Self::IdentityUntrusted => "identity-untrusted",
            Self::IdentityRevoked => "identity-revoked",
            Self::PathAmbiguous => "path-ambiguous",
            Self::NoPolicy => "no-policy",
            Self::NoRule => "no-rule",
            Self::DenyRule => "deny-rule",
            Self::ExceptionExpired => "exception-expired",
            Self::PolicyUnavailable => "policy-unavailable",
            Self::AuthzUnreachable => "authz-unreachable",
            Self::AuthzTimeout => "authz-timeout",
            Self::AuthzProtocol => "authz-protocol",
            Self::FilterMisconfigured => "filter-misconfigured",
        }
    }

    /// The reason with this word, if there is one.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }

    /// The HTTP status of the answer (RFC 9110); 200 stands for "goes on".
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Allow => 200,
            Self::PathAmbiguous => 400,
            Self::PolicyUnavailable
            | Self::AuthzUnreachable
            | Self::AuthzTimeout
            | Self::AuthzProtocol
            | Self::FilterMisconfigured => 503,
            _ => 403,
        }
    }

    /// The gRPC status code of the answer: OK, INVALID_ARGUMENT,
    /// PERMISSION_DENIED or UNAVAILABLE.
    #[must_use]
    pub const fn grpc_status(self) -> i32 {
        match self.http_status() {
            200 => 0,
            400 => 3,
            403 => 7,
            _ => 14,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
