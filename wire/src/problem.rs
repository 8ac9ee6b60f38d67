//! What a refused caller is told, whoever refuses it: RFC 9457 to HTTP callers, a short
//! title to gRPC callers. Never more than it takes to ask about it; a verified caller
//! also learns whom.

use std::borrow::Cow;

use serde::Serialize;

use crate::headers;

/// The media type of the body (RFC 9457 section 3).
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem<'a> {
    /// The reason's word.
    pub reason: &'a str,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The decision's id.
    pub decision: &'a str,
    /// The name of the service's policy, if the caller may learn it.
    pub policy: Option<&'a str>,
    /// Who owns the policy, if the caller may learn it.
    pub owner: Option<&'a str>,
    /// Where to ask, if the caller may learn it.
    pub help: Option<&'a str>,
}

/// How it is told: what the local reply has besides its statuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told<'a> {
    /// In this order.
    pub headers: Vec<(&'static str, &'a str)>,
    /// The body; what Envoy makes `grpc-message` of, to a gRPC caller.
    pub body: String,
}

impl<'a> Problem<'a> {
    /// Tells it to a caller that speaks gRPC, or to another.
    #[must_use]
    pub fn tell(&self, grpc: bool) -> Told<'a> {
        let mut headers = Vec::with_capacity(3);
        headers.push((headers::REASON, self.reason));
        headers.push((headers::DECISION, self.decision));
        // To a gRPC caller, Envoy sets the content type itself.
        let body = if grpc {
            self.title().into_owned()
        } else {
            headers.push(("content-type", MEDIA_TYPE));
            self.json()
        };
        Told { headers, body }
    }

    fn title(&self) -> Cow<'static, str> {
        let fixed = match self.reason {
            "identity-missing" => "a client certificate is required",
            "identity-invalid" => "the client certificate is not a valid identity",
            "identity-expired" => "the client certificate is outside its validity",
            "identity-untrusted" => "the client certificate is not trusted",
            "identity-revoked" => "the client's identity is revoked",
            "path-ambiguous" => "the path can be read in more than one way",
            "policy-unavailable" => "no decision can be made now",
            "no-policy" => "the service has no policy",
            "authz-unreachable" => "the authorization server cannot be reached",
            "authz-timeout" => "the authorization server did not answer in time",
            "authz-protocol" => "the authorization server's answer cannot be used",
            "filter-misconfigured" => "the gate of this service is not configured correctly",
            _ => match self.policy {
                Some(policy) => return Cow::Owned([policy, " does not allow this call"].concat()),
                None => "this call is not allowed",
            },
        };
        Cow::Borrowed(fixed)
    }

    fn json(&self) -> String {
        let body = Body {
            r#type: &["urn:callgate:", self.reason].concat(),
            title: &self.title(),
            status: self.status,
            reason: self.reason,
            decision: self.decision,
            owner: self.owner,
            help: self.help,
        };
        // Text and a number always are JSON.
        serde_json::to_string(&body).unwrap_or_default()
    }
}

/// The body of an answer, in this order.
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    reason: &'a str,
    decision: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
}

/// Whether a caller with this content type speaks gRPC, as Envoy decides it when it picks
/// the form of a refusal: exactly `application/grpc`, or `application/grpc+…`.
#[must_use]
pub fn is_grpc(content_type: &[u8]) -> bool {
    let rest = content_type.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"+"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBLEM: Problem<'_> = Problem {
        reason: "no-rule",
        status: 403,
        decision: "01JD8M3Q",
        policy: Some("orders"),
        owner: Some("team-orders"),
        help: Some("#team-orders"),
    };

    #[test]
    fn an_http_caller_gets_a_problem() {
        let told = PROBLEM.tell(false);
        assert_eq!(
            told.body,
            r##"{"type":"urn:callgate:no-rule","title":"orders does not allow this call","status":403,"reason":"no-rule","decision":"01JD8M3Q","owner":"team-orders","help":"#team-orders"}"##
        );
        let headers = [
            ("x-callgate-reason", "no-rule"),
            ("x-callgate-decision", "01JD8M3Q"),
            ("content-type", "application/problem+json"),
        ];
        assert_eq!(told.headers, headers);
    }

    #[test]
    fn a_grpc_caller_gets_a_title() {
        let told = PROBLEM.tell(true);
        assert_eq!(told.body, "orders does not allow this call");
        assert!(told.headers.iter().all(|(name, _)| *name != "content-type"));
    }

    #[test]
    fn what_nobody_may_learn_is_not_there() {
        let problem = Problem {
            policy: None,
            owner: None,
            help: None,
            ..PROBLEM
        };
        let body = problem.tell(false).body;
        assert!(body.contains(r#""title":"this call is not allowed""#));
        assert!(!body.contains("owner") && !body.contains("help"));
    }

    #[test]
    fn whatever_a_policy_says_is_one_json_string() {
        let all: String = ('\0'..='\u{7f}').chain(['ä', '\u{2028}', '🦀']).collect();
        let problem = Problem {
            owner: Some(&all),
            ..PROBLEM
        };
        let body = problem.tell(false).body;
        assert!(body.bytes().all(|byte| byte >= b' '));
        assert!(body.contains(r##"\u0000\u0001"##) && body.contains(r##"\u000b"##));
        assert!(body.contains(r##"!\"#$"##) && body.contains(r"[\\]"));
        assert!(body.contains("ä\u{2028}🦀"));
    }

    #[test]
    fn who_speaks_grpc() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc-web", false),
            ("application/grpc;a=b", false),
            ("Application/grpc", false),
            ("", false),
        ] {
            assert_eq!(is_grpc(value.as_bytes()), expected, "{value}");
        }
    }
}
