//! What the server's answer means.
//!
//! An answer is read whole before any of it takes effect. It lets a call go on
//! only when it says so with status OK; whatever does not make sense in any part
//! is a fault of the answer, never a weaker answer.

mod fault;
mod terms;

use callgate_policy::Reason;
use callgate_wire::{
    envoy::{
        config::core::v3::{
            HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction,
        },
        service::auth::v3::{
            CheckResponse, DeniedHttpResponse, OkHttpResponse, check_response::HttpResponse,
        },
    },
    google::rpc::Status,
    headers, wanted,
};
use prost::Message as _;
use prost_types::value::Kind;

pub use fault::AnswerFault;
pub use terms::Terms;
pub(crate) use terms::{Clocks, timestamp};

use crate::{Reply, counter::is_filters_own};

/// The longest answer, in bytes: the headers of a refusal and a page of body.
/// Envoy's own default for the headers of a response is 60 KiB.
pub const MAX_ANSWER: usize = 64 * 1024;

/// The most headers that an answer may change; ours change two.
pub(crate) const MAX_HEADERS: usize = 64;

/// gRPC's UNAVAILABLE, of an answer that is no decision.
const UNAVAILABLE: i32 = 14;

/// An answer that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The call goes on.
    Allow(Allow),
    /// The call is refused.
    Deny(Deny),
    /// No decision yet: it reads headers that were not looked for.
    Incomplete(Vec<String>),
}

/// How a call goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// What changes in the request's headers, in order.
    pub edits: Vec<Edit>,
    /// Whether the service wants the headers that override method or URL.
    pub keep_overrides: bool,
    /// How long it stands.
    pub terms: Option<Terms>,
}

/// One change of a request's headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// This value and no other.
    Set(String, Vec<u8>),
    /// This value besides others.
    Append(String, Vec<u8>),
    /// This value unless there is one.
    SetIfAbsent(String, Vec<u8>),
    /// This value if there is one.
    SetIfPresent(String, Vec<u8>),
    /// No value.
    Remove(String),
}

/// How a call is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deny {
    /// What the caller gets.
    pub reply: Reply,
    /// What `x-callgate-reason` says, when it is a reason this filter knows.
    pub reason: Option<Reason>,
    /// What other calls may be decided by.
    pub terms: Option<Terms>,
}

impl Answer {
    /// Reads an answer.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, AnswerFault> {
        if bytes.len() > MAX_ANSWER {
            return Err(AnswerFault::TooLong);
        }
        let response = CheckResponse::decode(bytes)
            .map_err(|error| AnswerFault::NotAnAnswer(error.to_string()))?;
        response.try_into()
    }
}

impl TryFrom<CheckResponse> for Answer {
    type Error = AnswerFault;

    fn try_from(response: CheckResponse) -> Result<Self, AnswerFault> {
        let CheckResponse {
            status,
            dynamic_metadata,
            http_response,
        } = response;
        let Status { code, message: _ } = status.ok_or(AnswerFault::NoStatus)?;
        match (code, http_response) {
            (0, Some(HttpResponse::DeniedResponse(_))) => Err(AnswerFault::Contradiction),
            (0, ok) => {
                let terms = Terms::of(dynamic_metadata.as_ref())?;
                let keep_overrides = keeps_overrides(dynamic_metadata)?;
                let edits = match ok {
                    Some(HttpResponse::OkResponse(ok)) => edits(ok)?,
                    _ => Vec::new(),
                };
                Ok(Self::Allow(Allow {
                    edits,
                    keep_overrides,
                    terms,
                }))
            }
            (_, Some(HttpResponse::OkResponse(_))) => Err(AnswerFault::Contradiction),
            (_, None) => Err(AnswerFault::NoDenial),
            (code, Some(HttpResponse::DeniedResponse(denied))) => {
                let asked = dynamic_metadata.as_ref().and_then(wanted::asked);
                match asked.filter(|_| code == UNAVAILABLE) {
                    Some(names) => names
                        .map(Self::Incomplete)
                        .map_err(|_| AnswerFault::WantedHeaders),
                    None => {
                        let terms = Terms::of(dynamic_metadata.as_ref())?;
                        deny(code, denied, terms).map(Self::Deny)
                    }
                }
            }
        }
    }
}

/// `{"callgate": {"overrideHeaders": "Keep"}}`, or nothing of the kind.
fn keeps_overrides(metadata: Option<prost_types::Struct>) -> Result<bool, AnswerFault> {
    let ours = metadata.and_then(|mut all| all.fields.remove("callgate"));
    let Some(Kind::StructValue(mut ours)) = ours.and_then(|value| value.kind) else {
        return Ok(false);
    };
    match ours
        .fields
        .remove("overrideHeaders")
        .map(|value| value.kind)
    {
        None => Ok(false),
        Some(Some(Kind::StringValue(text))) if text == "Keep" => Ok(true),
        Some(_) => Err(AnswerFault::OverrideHeaders),
    }
}

/// In ext_authz's order: what is set and appended, then what is removed.
fn edits(ok: OkHttpResponse) -> Result<Vec<Edit>, AnswerFault> {
    let OkHttpResponse {
        headers,
        headers_to_remove,
        response_headers_to_add,
    } = ok;
    if !response_headers_to_add.is_empty() {
        return Err(AnswerFault::ResponseHeaders);
    }
    if headers.len().saturating_add(headers_to_remove.len()) > MAX_HEADERS {
        return Err(AnswerFault::TooManyHeaders);
    }
    let set = headers.into_iter().map(Edit::try_from);
    let removed = headers_to_remove
        .into_iter()
        .map(|name| checked_name(name).map(Edit::Remove));
    set.chain(removed).collect()
}

impl TryFrom<HeaderValueOption> for Edit {
    type Error = AnswerFault;

    /// `append` left out means false and false means overwrite: what ext_authz
    /// documents for its own use of this message, whose own default is to append.
    fn try_from(option: HeaderValueOption) -> Result<Self, AnswerFault> {
        let HeaderValueOption {
            header,
            append,
            append_action,
        } = option;
        let (name, value) = checked(header)?;
        if append == Some(true) {
            return Ok(Self::Append(name, value));
        }
        match HeaderAppendAction::try_from(append_action) {
            Ok(
                HeaderAppendAction::AppendIfExistsOrAdd
                | HeaderAppendAction::OverwriteIfExistsOrAdd,
            ) => Ok(Self::Set(name, value)),
            Ok(HeaderAppendAction::AddIfAbsent) => Ok(Self::SetIfAbsent(name, value)),
            Ok(HeaderAppendAction::OverwriteIfExists) => Ok(Self::SetIfPresent(name, value)),
            Err(_) => Err(AnswerFault::UnclearHeader(name)),
        }
    }
}

fn deny(code: i32, denied: DeniedHttpResponse, terms: Option<Terms>) -> Result<Deny, AnswerFault> {
    let DeniedHttpResponse {
        status,
        headers: options,
        body,
    } = denied;
    // gRPC has sixteen codes besides OK.
    let grpc_status = u32::try_from(code)
        .ok()
        .filter(|code| (1..=16).contains(code));
    let grpc_status = grpc_status.ok_or(AnswerFault::UnknownStatus(code))?;
    let http_status = status.map_or(0, |status| status.code);
    let refusal = u16::try_from(http_status)
        .ok()
        .filter(|code| (400..600).contains(code));
    let refusal = refusal.ok_or(AnswerFault::HttpStatus(http_status))?;
    if options.len() > MAX_HEADERS {
        return Err(AnswerFault::TooManyHeaders);
    }
    // The response is new, so every action comes to the same.
    let headers = options.into_iter().map(|option| checked(option.header));
    let headers = headers.collect::<Result<Vec<_>, _>>()?;
    let reason = reason(&headers);
    let details = format!("callgate_{}", reason.map_or("denied", Reason::as_str));
    let reply = Reply {
        http_status: refusal,
        grpc_status,
        headers,
        body,
        details,
    };
    Ok(Deny {
        reply,
        reason,
        terms,
    })
}

/// A reason that a server refuses with; the others are not its to give.
fn reason(headers: &[(String, Vec<u8>)]) -> Option<Reason> {
    let (_, value) = headers.iter().find(|(name, _)| name == headers::REASON)?;
    let known = Reason::ALL
        .into_iter()
        .find(|reason| reason.as_str().as_bytes() == value);
    known.filter(|reason| !matches!(reason, Reason::Allow) && !is_filters_own(*reason))
}

fn checked(header: Option<HeaderValue>) -> Result<(String, Vec<u8>), AnswerFault> {
    let HeaderValue {
        key,
        value,
        raw_value,
    } = header.ok_or(AnswerFault::NoHeader)?;
    let name = checked_name(key)?;
    let value = match (value.is_empty(), raw_value.is_empty()) {
        (_, true) => value.into_bytes(),
        (true, false) => raw_value,
        (false, false) => return Err(AnswerFault::UnclearHeader(name)),
    };
    if !headers::is_value(&value) {
        return Err(AnswerFault::InvalidHeader(name));
    }
    Ok((name, value))
}

fn checked_name(name: String) -> Result<String, AnswerFault> {
    if headers::is_off_limits(name.as_bytes()) {
        return Err(AnswerFault::OffLimits(name));
    }
    if !headers::is_name(name.as_bytes()) {
        return Err(AnswerFault::InvalidHeader(name));
    }
    Ok(name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
