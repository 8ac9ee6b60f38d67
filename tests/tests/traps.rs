//! A filter that dies (`target/trap`, which only these tests have), on a real Envoy:
//! nothing passes while it is gone, and what waited in it is let go in bounded time.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use callgate_tests::{
    Face, Gate, Host, Validation, artifact,
    authz::{Authz, Script, path_of},
    caller::{Answer, Call, Caller, Connection, Http},
    process::eventually,
    suite,
};
use callgate_wire::{
    envoy::service::auth::v3::{CheckResponse, OkHttpResponse, check_response::HttpResponse},
    google::rpc::Status,
};

const ORDERS: &str = "/ns/shop/sa/orders";
const GATED: Face = (Host::Filter, Validation::Spiffe);
const LIMIT: Duration = Duration::from_secs(30);

struct Dying {
    gate: Gate,
    authz: Authz,
}

fn main() -> ExitCode {
    suite::run(
        async || {
            let authz = Authz::start(|check| cue(path_of(check))).await?;
            let gate = Gate::of(&[ORDERS]).faces(&[GATED]).asking(&authz);
            let gate = gate.filter(artifact::trapping_filter()?);
            Ok(Dying {
                gate: gate.start().await?,
                authz,
            })
        },
        |tests| tests.test("a_filter_that_dies", dies),
        |dying| dying.gate.report(),
    )
}

fn cue(path: &str) -> Script {
    if path == "/waits" {
        return Script::Silence;
    }
    let status = Some(Status {
        code: 0,
        ..Status::default()
    });
    let ok = HttpResponse::OkResponse(OkHttpResponse::default());
    Script::Answer(Box::new(CheckResponse {
        status,
        http_response: Some(ok),
        ..CheckResponse::default()
    }))
}

impl Dying {
    async fn connect(&self) -> Result<Connection> {
        let checkout = self.gate.pki.svid("/ns/shop/sa/checkout")?;
        Caller::new(Some(&checkout))?
            .connect(self.gate.address(ORDERS, GATED)?, Http::One)
            .await
    }

    async fn call(&self, call: Call) -> Result<Answer> {
        self.connect().await?.call(call).await
    }
}

async fn dies(dying: Arc<Dying>) -> Result<()> {
    // A stream that is open, and a request that waits for its decision.
    let mut open = dying
        .connect()
        .await?
        .upgrade("/open", "websocket")
        .await?
        .stream()?;
    ensure!(open.echo(b"before").await? == b"before");
    let waiting = tokio::spawn({
        let dying = Arc::clone(&dying);
        async move { dying.call(Call::new("POST", "/waits").body("held")).await }
    });
    eventually(LIMIT, "the Check of the waiting request", async || {
        Ok((!dying.authz.asked("/waits").is_empty()).then_some(()))
    })
    .await?;

    let killed = dying
        .call(Call::new("GET", "/kills").header("x-test-trap", "1"))
        .await?;
    closed(&killed)?;
    // Until a new one is started, which Envoy does after a second and not before.
    closed(&dying.call(Call::new("GET", "/next")).await?)?;
    ensure!(
        open.echo(b"after").await.is_err(),
        "an open stream goes on without its filter"
    );

    eventually(LIMIT, "the filter to be back", async || {
        let answer = dying.call(Call::new("GET", "/again")).await?;
        Ok((answer.status == 200).then_some(()))
    })
    .await?;
    // Its timer died with the filter; the stream's own lets it go.
    closed(&waiting.await??)?;

    for path in ["/kills", "/next", "/waits"] {
        ensure!(
            dying.gate.upstream.seen(path).is_empty(),
            "the service saw {path}"
        );
    }
    ensure!(dying.authz.asked("/kills").is_empty());
    ensure!(
        dying
            .gate
            .envoy
            .stat("wasm.callgate.vm_reload_success")
            .await?
            > 0
    );
    Ok(())
}

/// 503 by Envoy itself: there is no filter that could give a reason.
fn closed(answer: &Answer) -> Result<()> {
    ensure!(
        answer.status == 503 && answer.reason().is_none(),
        "{answer:?}"
    );
    Ok(())
}
