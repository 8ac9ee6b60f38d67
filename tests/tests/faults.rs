//! What the filter on a real Envoy makes of a server that misbehaves: each fault has
//! one answer, in bounded time, and the service never sees the request.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use callgate_tests::{
    Face, Gate, Host, Validation,
    authz::{Authz, Script, path_of},
    caller::{Answer, Call, Caller, Connection, Http, grpc},
    process::eventually,
    suite::{self, Suite},
};
use callgate_wire::{
    envoy::{
        config::core::v3::{HeaderValue, HeaderValueOption},
        service::auth::v3::{CheckResponse, OkHttpResponse, check_response::HttpResponse},
    },
    google::rpc::Status,
};

const ORDERS: &str = "/ns/shop/sa/orders";
const GATED: Face = (Host::Filter, Validation::Spiffe);
/// Long enough for every decision that is meant to come, on a busy machine.
const TIMEOUT: &str = "2s";
const TOO_LATE: Duration = Duration::from_secs(6);
/// In time, and after a caller can have gone.
const SOON: Duration = Duration::from_millis(300);
const LIMIT: Duration = Duration::from_secs(20);

/// A fault, the reason that answers it, and how often the server is asked.
type Row = (&'static str, fn() -> Script, &'static str, usize);

const PROTOCOL: &str = "authz-protocol";
const UNREACHABLE: &str = "authz-unreachable";
const TIMED_OUT: &str = "authz-timeout";

const ROWS: &[Row] = &[
    ("no_status", || Script::Answer(Box::default()), PROTOCOL, 1),
    ("a_status_that_is_no_verdict", || verdict(9), PROTOCOL, 1),
    ("a_negative_status", || verdict(-1), PROTOCOL, 1),
    ("refused_without_a_denial", || verdict(7), PROTOCOL, 1),
    (
        "truncated_message",
        || Script::Bytes(vec![0x0a, 0x20, 0x08]),
        PROTOCOL,
        1,
    ),
    (
        "not_a_message",
        || Script::Bytes(vec![0xff; 64]),
        PROTOCOL,
        1,
    ),
    ("empty_message", || Script::Bytes(Vec::new()), PROTOCOL, 1),
    (
        "truncated_frame",
        || Script::Data(vec![0, 0, 0, 1, 0, 1]),
        PROTOCOL,
        1,
    ),
    ("not_a_frame", || Script::Data(vec![0xff; 16]), PROTOCOL, 1),
    ("no_frame", || Script::Data(Vec::new()), PROTOCOL, 1),
    (
        "an_answer_of_1_mib",
        || Script::Bytes(vec![0x12; 1 << 20]),
        PROTOCOL,
        1,
    ),
    (
        "grpc_cancelled",
        || Script::Status(1, b"x".to_vec()),
        PROTOCOL,
        1,
    ),
    (
        "grpc_deadline_exceeded",
        || Script::Status(4, b"x".to_vec()),
        PROTOCOL,
        1,
    ),
    (
        "grpc_permission_denied",
        || Script::Status(7, b"x".to_vec()),
        PROTOCOL,
        1,
    ),
    (
        "grpc_unimplemented",
        || Script::Status(12, b"x".to_vec()),
        PROTOCOL,
        1,
    ),
    (
        "grpc_internal",
        || Script::Status(13, b"x".to_vec()),
        PROTOCOL,
        1,
    ),
    (
        "grpc_unauthenticated",
        || Script::Status(16, b"x".to_vec()),
        PROTOCOL,
        1,
    ),
    (
        "grpc_ok_and_nothing_else",
        || Script::Status(0, Vec::new()),
        PROTOCOL,
        1,
    ),
    (
        "a_grpc_status_that_does_not_exist",
        || Script::Status(999, b"x".to_vec()),
        PROTOCOL,
        1,
    ),
    (
        "bad_utf8_in_grpc_message",
        || Script::Status(13, b"\xff\xfe\xc0\xaf".to_vec()),
        PROTOCOL,
        1,
    ),
    (
        "percent_bytes_in_grpc_message",
        || Script::Status(13, b"%ff%00%zz".to_vec()),
        PROTOCOL,
        1,
    ),
    (
        "grpc_unavailable",
        || Script::Status(14, b"x".to_vec()),
        UNREACHABLE,
        2,
    ),
    (
        "unavailable_with_bad_utf8",
        || Script::Status(14, b"\xff\xfe".to_vec()),
        UNREACHABLE,
        2,
    ),
    ("http_500", || Script::Http(500), PROTOCOL, 1),
    ("http_403", || Script::Http(403), PROTOCOL, 1),
    ("http_503", || Script::Http(503), UNREACHABLE, 2),
    ("no_trailers", || Script::NoTrailers, PROTOCOL, 1),
    ("silence", || Script::Silence, TIMED_OUT, 1),
    (
        "an_allow_too_late",
        || Script::Late(TOO_LATE, Box::new(verdict(0))),
        TIMED_OUT,
        1,
    ),
];

/// What no answer may touch.
const OFF_LIMITS: [&str; 10] = [
    ":path",
    ":method",
    ":authority",
    ":scheme",
    "host",
    "connection",
    "te",
    "upgrade",
    "content-length",
    "transfer-encoding",
];

struct Faulty {
    gate: Gate,
    authz: Authz,
}

fn main() -> ExitCode {
    suite::run(
        async || {
            let authz = Authz::start(|check| cue(path_of(check))).await?;
            let gate = Gate::of(&[ORDERS])
                .faces(&[GATED])
                .asking(&authz)
                .timeout(TIMEOUT);
            Ok(Faulty {
                gate: gate.start().await?,
                authz,
            })
        },
        add,
        |faulty| faulty.gate.report(),
    )
}

fn add(tests: &mut Suite<Faulty>) {
    for &(name, _, reason, asked) in ROWS {
        tests.case(format!("http/{name}"), move |faulty| {
            over_http(faulty, name, reason, asked)
        });
        tests.case(format!("grpc/{name}"), move |faulty| {
            over_grpc(faulty, name, reason)
        });
    }
    for name in OFF_LIMITS {
        for change in ["set", "remove"] {
            tests.case(format!("mutation/{change}_{name}"), move |faulty| {
                mutated(faulty, format!("/{change}/{name}"))
            });
        }
    }
    tests.test("reset_stream/is_closed_either_way", reset);
    tests.test("header/a_name_that_is_no_name", |faulty| {
        mutated(faulty, "/no-name".into())
    });
    tests.test("header/a_value_with_a_line_end", |faulty| {
        mutated(faulty, "/line-end".into())
    });
    tests.test("caller/leaves_while_the_server_is_asked", leaves);
    tests.test("after_all_that/an_allow_still_goes_on", still_allows);
    tests.test("counters/one_outcome_for_each_request", counters);
}

/// The row that a path names, or a yes with the change that it names.
fn cue(path: &str) -> Script {
    if let Some((_, script, ..)) = ROWS.iter().find(|row| path.ends_with(row.0)) {
        return script();
    }
    let mut ok = OkHttpResponse::default();
    match path.strip_prefix('/').and_then(|rest| rest.split_once('/')) {
        Some(("set", name)) => ok.headers.push(header(name, "x")),
        Some(("remove", name)) => ok.headers_to_remove.push(name.to_owned()),
        _ if path == "/no-name" => ok.headers.push(header("x y", "x")),
        _ if path == "/line-end" => ok
            .headers
            .push(header("x-callgate-caller", "a\r\nx-admin: 1")),
        _ if path.starts_with("/leaves") => return Script::Late(SOON, Box::new(allow())),
        _ if path == "/reset" => return Script::Reset,
        _ => return verdict(0),
    }
    answer(0, Some(HttpResponse::OkResponse(ok)))
}

fn allow() -> Script {
    answer(0, Some(HttpResponse::OkResponse(OkHttpResponse::default())))
}

fn verdict(code: i32) -> Script {
    answer(code, None)
}

fn answer(code: i32, http_response: Option<HttpResponse>) -> Script {
    let status = Some(Status {
        code,
        ..Status::default()
    });
    Script::Answer(Box::new(CheckResponse {
        status,
        http_response,
        ..CheckResponse::default()
    }))
}

fn header(name: &str, value: &str) -> HeaderValueOption {
    let header = HeaderValue {
        key: name.to_owned(),
        value: value.to_owned(),
        ..HeaderValue::default()
    };
    HeaderValueOption {
        header: Some(header),
        ..HeaderValueOption::default()
    }
}

impl Faulty {
    async fn connect(&self, http: Http) -> Result<Connection> {
        let checkout = self.gate.pki.svid("/ns/shop/sa/checkout")?;
        Caller::new(Some(&checkout))?
            .connect(self.gate.address(ORDERS, GATED)?, http)
            .await
    }

    fn unseen(&self, path: &str) -> Result<()> {
        ensure!(
            self.gate.upstream.seen(path).is_empty(),
            "the service saw {path}"
        );
        Ok(())
    }
}

async fn over_http(
    faulty: Arc<Faulty>,
    name: &'static str,
    reason: &'static str,
    asked: usize,
) -> Result<()> {
    let path = format!("/http/{name}");
    let answer = faulty
        .connect(Http::One)
        .await?
        .call(Call::new("GET", &path))
        .await?;
    closed(&answer, reason)?;
    faulty.unseen(&path)?;
    let times = faulty.authz.asked(&path).len();
    ensure!(times == asked, "asked {times} times");
    Ok(())
}

/// 503, a problem document that says why, and an id to ask about.
fn closed(answer: &Answer, reason: &str) -> Result<()> {
    ensure!(answer.status == 503, "{answer:?}");
    ensure!(answer.reason() == Some(reason), "{answer:?}");
    let decision = answer.decision().context("no decision id")?;
    ensure!(decision.len() == 26, "`{decision}` is no ULID");
    ensure!(
        answer.header("content-type") == Some("application/problem+json"),
        "{answer:?}"
    );
    let problem = answer.json()?;
    ensure!(
        problem
            .pointer("/reason")
            .is_some_and(|told| told == reason),
        "{problem}"
    );
    ensure!(
        problem
            .pointer("/decision")
            .is_some_and(|told| told == decision),
        "{problem}"
    );
    Ok(())
}

async fn over_grpc(faulty: Arc<Faulty>, name: &'static str, reason: &'static str) -> Result<()> {
    let path = format!("/grpc.Service/{name}");
    let call = grpc::unary(&path, b"message");
    let answer = faulty.connect(Http::Two).await?.call(call).await?;
    ensure!(
        answer.status == 200 && answer.headers_only,
        "not trailers-only: {answer:?}"
    );
    ensure!(answer.grpc_status() == Some(14), "{answer:?}");
    ensure!(answer.reason() == Some(reason), "{answer:?}");
    faulty.unseen(&path)
}

async fn mutated(faulty: Arc<Faulty>, path: String) -> Result<()> {
    let call = Call::new("GET", &path).header("te", "trailers");
    let answer = faulty.connect(Http::One).await?.call(call).await?;
    closed(&answer, PROTOCOL)?;
    faulty.unseen(&path)
}

/// Envoy reports a reset as one status or another; neither lets the request through.
async fn reset(faulty: Arc<Faulty>) -> Result<()> {
    let answer = faulty
        .connect(Http::One)
        .await?
        .call(Call::new("GET", "/reset"))
        .await?;
    let reason = answer.reason().context("no reason")?;
    ensure!([PROTOCOL, UNREACHABLE].contains(&reason), "{answer:?}");
    closed(&answer, reason)?;
    faulty.unseen("/reset")
}

async fn still_allows(faulty: Arc<Faulty>) -> Result<()> {
    let answer = faulty
        .connect(Http::Two)
        .await?
        .call(Call::new("GET", "/fine"))
        .await?;
    ensure!(
        answer.status == 200 && answer.reason().is_none(),
        "{answer:?}"
    );
    ensure!(faulty.gate.upstream.seen("/fine").len() == 1);
    Ok(())
}

/// Its answer arrives for a stream that is no more.
async fn leaves(faulty: Arc<Faulty>) -> Result<()> {
    for http in [Http::One, Http::Two] {
        let path = format!("/leaves/{http:?}");
        let mut connection = faulty.connect(http).await?;
        let call = connection.call(Call::new("GET", &path));
        let asked = eventually(LIMIT, "the Check", async || {
            Ok((!faulty.authz.asked(&path).is_empty()).then_some(()))
        });
        tokio::select! {
            answer = call => anyhow::bail!("answered: {answer:?}"),
            asked = asked => asked?,
        }
        drop(connection);
        // One that is decided later is through; so the earlier answer has come.
        let later = faulty
            .connect(http)
            .await?
            .call(Call::new("GET", "/leaves/later"))
            .await?;
        ensure!(later.status == 200, "{later:?}");
        faulty.unseen(&path)?;
    }
    ensure!(
        faulty
            .gate
            .envoy
            .stat("wasm.callgate.vm_reload_success")
            .await?
            == 0
    );
    Ok(())
}

/// At least, because the other tests count as well.
async fn counters(faulty: Arc<Faulty>) -> Result<()> {
    const ALLOWED: &str = "wasmcustom.callgate.allowed";
    const ERRORS: &str = "wasmcustom.callgate.errors.authz-protocol";
    let envoy = &faulty.gate.envoy;
    let (allowed, errors) = (envoy.stat(ALLOWED).await?, envoy.stat(ERRORS).await?);
    let mut connection = faulty.connect(Http::One).await?;
    for path in ["/counted", "/counted", "/counted/no_status"] {
        connection.call(Call::new("GET", path)).await?;
    }
    ensure!(envoy.stat(ALLOWED).await? >= allowed + 2);
    ensure!(envoy.stat(ERRORS).await? > errors);
    ensure!(
        envoy.stat("wasm.callgate.vm_reload_success").await? == 0,
        "the filter has died"
    );
    Ok(())
}
