//! Answers: what goes on and how, and what a refused caller is told.

use std::collections::BTreeMap;

use callgate_policy::{Decision, Permit, PolicySet, Reason, SpiffeId};
use callgate_wire::{
    envoy::{
        config::core::v3::{
            HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction,
        },
        service::auth::v3::{
            CheckResponse, DeniedHttpResponse, OkHttpResponse, check_response::HttpResponse,
        },
        r#type::v3::HttpStatus,
    },
    google::rpc::Status,
    headers,
    problem::Problem,
    wanted,
};
use prost_types::{Struct, Value, value::Kind};

use super::{call::Call, forwarded::ClientCert};

/// gRPC's UNAVAILABLE.
const UNAVAILABLE: i32 = 14;

/// How a call goes on.
pub(super) struct Passage<'a> {
    /// The caller, if it is recognized.
    pub(super) caller: Option<&'a str>,
    /// Who passed the call on for it.
    pub(super) forwarder: Option<&'a str>,
    pub(super) client_cert: ClientCert,
    /// The service wants the headers that override method or URL.
    pub(super) keep_override_headers: bool,
}

/// The answer that lets a call go on. Without a [`Permit`] there is none.
pub(super) fn allow(
    _permit: &Permit,
    call: &Call<'_>,
    passage: &Passage<'_>,
    id: &str,
) -> CheckResponse {
    let Passage {
        caller,
        forwarder,
        client_cert,
        keep_override_headers,
    } = passage;
    let mut set = Vec::with_capacity(2);
    set.extend(caller.map(|caller| header(headers::CALLER, caller)));
    set.extend(forwarder.map(|forwarder| header(headers::FORWARDER, forwarder)));
    set.push(header(headers::DECISION, id));
    let mut headers_to_remove = forged(call.headers, *keep_override_headers, &set);
    match client_cert {
        ClientCert::Keep => {}
        ClientCert::Set(value) => set.push(header(headers::CLIENT_CERT, value)),
        ClientCert::Remove => headers_to_remove.push(headers::CLIENT_CERT.to_owned()),
    }
    CheckResponse {
        status: Some(status(Reason::Allow)),
        http_response: Some(HttpResponse::OkResponse(OkHttpResponse {
            headers: set,
            headers_to_remove,
            response_headers_to_add: Vec::new(),
        })),
        dynamic_metadata: keep_override_headers.then(keeps_override_headers),
    }
}

/// The answer that refuses a call. `told` is what a verified caller may learn.
pub(super) fn deny(
    call: &Call<'_>,
    reason: Reason,
    told: Option<&Decision<'_>>,
    id: &str,
) -> CheckResponse {
    let problem = Problem {
        reason: reason.as_str(),
        status: reason.http_status(),
        decision: id,
        policy: told.and_then(|decision| decision.policy),
        owner: told.and_then(|decision| decision.owner),
        help: told.and_then(|decision| decision.help),
    };
    let told = problem.tell(call.is_grpc());
    let set = told.headers.into_iter();
    CheckResponse {
        status: Some(status(reason)),
        http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: Some(HttpStatus {
                code: i32::from(reason.http_status()),
            }),
            headers: set.map(|(name, value)| header(name, value)).collect(),
            body: told.body,
        })),
        dynamic_metadata: None,
    }
}

/// The answer that is no decision, where one needs headers that the proxy did not look for:
/// all that decisions about the service may read, those that were missed first. A proxy
/// that does not know this answer refuses the call, so what is only tried does not ask for
/// more than there may be.
pub(super) fn incomplete(
    [decision, tried]: [Option<&Decision<'_>>; 2],
    sets: &[&PolicySet],
    service: Option<&SpiffeId>,
) -> Option<CheckResponse> {
    let missed = |decision: Option<&Decision<'_>>| {
        let unknown = decision.into_iter().flat_map(|one| one.inputs.unknown());
        unknown.map(|(_, name)| name.to_owned()).collect::<Vec<_>>()
    };
    let (needed, wished) = (missed(decision), missed(tried));
    if needed.is_empty() && wished.is_empty() {
        return None;
    }
    let needs_some = !needed.is_empty();
    let all = sets.iter().flat_map(|set| set.headers_for(service));
    let mut names = Vec::new();
    for name in needed
        .into_iter()
        .chain(wished)
        .chain(all.map(str::to_owned))
    {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    (needs_some || names.len() <= wanted::MAX_NAMES).then(|| ask_for(names))
}

fn ask_for(names: Vec<String>) -> CheckResponse {
    CheckResponse {
        status: Some(Status {
            code: UNAVAILABLE,
            message: "headers are wanted".to_owned(),
        }),
        http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: Some(HttpStatus { code: 503 }),
            headers: Vec::new(),
            body: String::new(),
        })),
        dynamic_metadata: Some(wanted::ask(names)),
    }
}

/// What native ext_authz cannot remove before it asks: names that only Callgate or the
/// proxy may set and, unless the service wants them, names that override method or URL. A name
/// that is set is not removed as well: proxies differ in the order.
fn forged(
    seen: &BTreeMap<String, String>,
    keep_override_headers: bool,
    set: &[HeaderValueOption],
) -> Vec<String> {
    let is_set = |name: &str| {
        let set = set.iter().filter_map(|option| option.header.as_ref());
        set.into_iter().any(|header| header.key == name)
    };
    seen.keys()
        .filter(|name| {
            let bytes = name.as_bytes();
            headers::is_callgate(bytes) && !is_set(name)
                || headers::is_client_cert(bytes) && *name != headers::CLIENT_CERT
                || !keep_override_headers && headers::overrides_request(bytes)
        })
        .cloned()
        .collect()
}

/// `{"callgate": {"overrideHeaders": "Keep"}}`
fn keeps_override_headers() -> Struct {
    let object = |name: &str, value: Kind| Struct {
        fields: [(name.to_owned(), Value { kind: Some(value) })].into(),
    };
    let keep = object("overrideHeaders", Kind::StringValue("Keep".to_owned()));
    object("callgate", Kind::StructValue(keep))
}

fn status(reason: Reason) -> Status {
    Status {
        code: reason.grpc_status(),
        message: reason.as_str().to_owned(),
    }
}

fn header(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            value: value.to_owned(),
            raw_value: Vec::new(),
        }),
        append: None,
        append_action: i32::from(HeaderAppendAction::OverwriteIfExistsOrAdd),
    }
}
