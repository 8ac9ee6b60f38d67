//! What the filter refuses by itself: by a lease, or for want of a decision.

use std::{fmt, time::Duration};

use callgate_policy::{Decision, Reason};
use callgate_wire::problem::Problem;

use crate::{HostError, Reply, answer::AnswerFault};

/// Why there is no decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The configuration is not usable.
    Misconfigured,
    /// The proxy failed to do what the filter cannot do without. Counted as a
    /// misconfiguration: the filter is not where it can work.
    Host(HostError),
    /// Nothing answered, however often it was asked.
    Unreachable {
        /// How many Checks were tried.
        attempts: u8,
    },
    /// Nothing answered in time.
    Timeout {
        /// The time it had.
        after: Duration,
    },
    /// Nobody said for `maxStale` whether an open request may go on.
    Undecided,
    /// The answer makes no sense.
    Answer(AnswerFault),
    /// The call ended with a gRPC status that stands for no outcome.
    GrpcStatus(u32),
}

impl Fault {
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Misconfigured | Self::Host(_) => Reason::FilterMisconfigured,
            Self::Unreachable { .. } | Self::Undecided => Reason::AuthzUnreachable,
            Self::Timeout { .. } => Reason::AuthzTimeout,
            Self::Answer(_) | Self::GrpcStatus(_) => Reason::AuthzProtocol,
        }
    }

    /// Whether nobody answered, or not in time: what `danger_allow_on_error` is about.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Undecided | Self::Timeout { .. }
        )
    }

    /// The answer that a caller gets.
    pub(crate) fn reply(&self, grpc: bool, decision: &str) -> Reply {
        reply(self.reason(), None, decision, grpc)
    }
}

/// A refusal, as the server words it. `told` is what a verified caller may learn; `id` is
/// the decision's.
pub(crate) fn reply(reason: Reason, told: Option<&Decision<'_>>, id: &str, grpc: bool) -> Reply {
    let problem = Problem {
        reason: reason.as_str(),
        status: reason.http_status(),
        decision: id,
        policy: told.and_then(|decision| decision.policy),
        owner: told.and_then(|decision| decision.owner),
        help: told.and_then(|decision| decision.help),
    };
    let told = problem.tell(grpc);
    let headers = told.headers.into_iter();
    Reply {
        http_status: problem.status,
        grpc_status: reason.grpc_status().unsigned_abs(),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect(),
        body: told.body,
        details: format!("callgate_{reason}"),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misconfigured => f.write_str("the filter's configuration is not usable"),
            Self::Host(error) => error.fmt(f),
            Self::Unreachable { attempts } => write!(f, "no answer to {attempts} attempts"),
            Self::Timeout { after } => write!(f, "no answer within {after:?}"),
            Self::Undecided => f.write_str("nobody says whether an open request may go on"),
            Self::Answer(fault) => fault.fmt(f),
            Self::GrpcStatus(status) => write!(f, "the Check ended with gRPC status {status}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_gets_its_form() {
        let fault = Fault::Timeout {
            after: Duration::from_millis(100),
        };
        let http = fault.reply(false, "01ARZ3NDEK");
        assert_eq!((http.http_status, http.grpc_status), (503, 14));
        let body: serde_json::Value = serde_json::from_str(&http.body).unwrap();
        assert_eq!(body["type"], "urn:callgate:authz-timeout");
        assert_eq!(body["reason"], "authz-timeout");
        assert_eq!(body["decision"], "01ARZ3NDEK");
        assert_eq!(body["status"], 503);
        let grpc = fault.reply(true, "01ARZ3NDEK");
        assert_eq!(grpc.body, "the authorization server did not answer in time");
        assert!(grpc.headers.iter().all(|(name, _)| name != "content-type"));
    }
}
