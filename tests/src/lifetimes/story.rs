//! The story, step by step; each says what was seen.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tokio::task::JoinSet;

use super::{
    Provider, Workload,
    stage::{Stage, Way},
};
use crate::{
    caller::{Answer, Call, Connection},
    process::eventually,
};

/// Callers at once, in each way, while identities rotate.
const CALLERS: usize = 4;
/// How often orders' own certificate is renewed under them.
const RENEWALS: u64 = 3;
/// Between two looks at something that changes within seconds.
const LOOK: Duration = Duration::from_millis(100);
/// Certificates count whole seconds, and both ends round.
const ROUNDING: Duration = Duration::from_secs(2);
/// Envoy asks an agent again after at most half a minute, its longest back-off.
const RETRY: Duration = Duration::from_secs(45);

/// Tells it whole, and prints what happened.
///
/// # Errors
/// The first thing that was not as told, with the ends of all logs.
pub async fn tell(mut provider: Provider, directory: &Path) -> Result<()> {
    let started = Stage::start(&provider, directory).await;
    let stage = Arc::new(started.with_context(|| provider.report())?);
    let told = steps(&mut provider, &stage).await;
    told.with_context(|| format!("{}\n{}", stage.report(), provider.report()))
}

async fn steps(provider: &mut Provider, stage: &Arc<Stage>) -> Result<()> {
    decided(stage).await.context("who may call")?;
    rotation(provider, stage)
        .await
        .context("rotation under load")?;
    deleted(provider, stage).await.context("a deleted entry")?;
    hanging(provider, stage)
        .await
        .context("an agent that hangs")
}

/// Allowed, refused, and allowed from the other trust domain.
async fn decided(stage: &Stage) -> Result<()> {
    for way in Way::ALL {
        for caller in [Workload::Checkout, Workload::Picker] {
            let answer = stage.call(caller, way, "/orders/7").await?;
            ensure!(answer.status == 200, "{caller:?}, {way:?}: {answer:?}");
        }
        let answer = stage.call(Workload::Checkout, way, "/admin").await?;
        ensure!(answer.reason() == Some("no-rule"), "{way:?}: {answer:?}");
    }
    say("allowed, refused, and allowed from the federated trust domain, in every way");
    Ok(())
}

async fn rotation(provider: &Provider, stage: &Arc<Stage>) -> Result<()> {
    let (stop, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let mut load = JoinSet::new();
    for way in Way::ALL {
        let address = stage.address(Workload::Checkout, way)?;
        for _ in 0..CALLERS {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            load.spawn(async move {
                let mut connection = Connection::plain(address).await?;
                while !stop.load(Ordering::Acquire) {
                    let answer = connection.call(Call::new("GET", "/orders/8")).await?;
                    ensure!(answer.status == 200, "{way:?}: {answer:?}");
                    answered.fetch_add(1, Ordering::AcqRel);
                    // Load, not a benchmark: the machine has other tests to run.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Ok(())
            });
        }
    }
    let before = [
        Stage::renewals(&stage.orders).await?,
        Stage::renewals(&stage.checkout).await?,
    ];
    let limit = provider.life() * 4;
    let renewed = rotations(stage, before, limit, &mut load).await;
    stop.store(true, Ordering::Release);
    while let Some(ended) = load.join_next().await {
        ended??;
    }
    renewed?;
    say(&format!(
        "{} of {0} calls answered while every certificate was renewed {RENEWALS} times",
        answered.load(Ordering::Acquire)
    ));
    Ok(())
}

/// Returns when both sidecars were renewed often enough, or a call failed.
async fn rotations(
    stage: &Stage,
    before: [u64; 2],
    limit: Duration,
    load: &mut JoinSet<Result<()>>,
) -> Result<()> {
    let start = Instant::now();
    loop {
        let now = [
            Stage::renewals(&stage.orders).await?,
            Stage::renewals(&stage.checkout).await?,
        ];
        if now
            .iter()
            .zip(before)
            .all(|(now, before)| *now >= before + RENEWALS)
        {
            return Ok(());
        }
        ensure!(
            start.elapsed() < limit,
            "renewals: {before:?}, then {now:?}"
        );
        match tokio::time::timeout(LOOK, load.join_next()).await {
            Ok(Some(ended)) => ended??,
            Ok(None) => bail!("nobody calls"),
            Err(_) => {}
        }
    }
}

/// An entry that is gone ends with the last SVID, on whatever connection.
async fn deleted(provider: &mut Provider, stage: &Stage) -> Result<()> {
    let forgotten = Instant::now();
    provider.forget(Workload::Checkout)?;
    let limit = provider.life() + provider.lag() + ROUNDING;
    for way in Way::ALL {
        let answer = refused(stage, way, limit.saturating_sub(forgotten.elapsed())).await?;
        let known = match way {
            Way::Pooled => answer.reason() == Some("identity-expired"),
            // A full handshake is refused by orders' sidecar, which cannot say why.
            Way::Resumed | Way::New => {
                answer.reason() == Some("identity-expired") || answer.status == 503
            }
        };
        ensure!(known, "{way:?}: {answer:?}");
    }
    let took = forgotten.elapsed();
    for way in Way::ALL {
        let answer = stage.call(Workload::Checkout, way, "/orders/9").await?;
        ensure!(answer.status != 200, "{way:?}: {answer:?}");
    }
    // The others go on.
    let answer = stage
        .call(Workload::Picker, Way::Pooled, "/orders/9")
        .await?;
    ensure!(answer.status == 200, "{answer:?}");
    allowed_in_time(stage)?;
    say(&format!(
        "a deleted entry is refused in every way, {:.1} s after it was deleted",
        took.as_secs_f64()
    ));

    provider.remember(Workload::Checkout)?;
    served(stage, Workload::Checkout, provider.lag() + RETRY).await?;
    say("created again, it is served again");
    Ok(())
}

/// Nothing is renewed: a warning first, then refusals, then everything as before.
async fn hanging(provider: &Provider, stage: &Stage) -> Result<()> {
    provider.hang(true)?;
    let start = Instant::now();
    let limit = provider.life() + provider.lag() + ROUNDING;
    let warned = eventually(limit, "a warning on /readyz", async || {
        let ready = stage.server.admin("/readyz").await?;
        let degraded = ready.status == 200 && ready.body.starts_with(b"degraded");
        Ok(degraded.then(|| start.elapsed()))
    })
    .await?;
    let answer = stage
        .call(Workload::Checkout, Way::Pooled, "/orders/10")
        .await?;
    ensure!(
        answer.status == 200,
        "the warning came too late: {answer:?}"
    );
    for way in Way::ALL {
        let left = limit.saturating_sub(start.elapsed());
        let answer = refused(stage, way, left).await?;
        ensure!(matches!(answer.status, 403 | 503), "{way:?}: {answer:?}");
    }
    let ended = start.elapsed();
    allowed_in_time(stage)?;
    provider.hang(false)?;
    let back = Instant::now();
    for caller in [Workload::Checkout, Workload::Picker] {
        served(stage, caller, provider.lag() + RETRY).await?;
    }
    say(&format!(
        "nothing renewed: degraded after {:.1} s, closed after {:.1} s, served {:.1} s after it went on",
        warned.as_secs_f64(),
        ended.as_secs_f64(),
        back.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// The first answer that is not 200.
async fn refused(stage: &Stage, way: Way, limit: Duration) -> Result<Answer> {
    let what = format!("{way:?} calls to be refused");
    eventually(limit, &what, async || {
        let answer = stage.call(Workload::Checkout, way, "/orders/9").await?;
        Ok((answer.status != 200).then_some(answer))
    })
    .await
}

async fn served(stage: &Stage, caller: Workload, limit: Duration) -> Result<()> {
    for way in Way::ALL {
        let what = format!("{caller:?}'s {way:?} calls to be served");
        eventually(limit, &what, async || {
            let answer = stage.call(caller, way, "/orders/11").await?;
            Ok((answer.status == 200).then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// No call was ever allowed past the end of its caller's SVID.
fn allowed_in_time(stage: &Stage) -> Result<()> {
    let mut allowed = 0;
    for record in stage.server.records()? {
        if text(&record, "/verdict")? == "Allow" {
            let (time, end) = (text(&record, "/time")?, text(&record, "/source/notAfter")?);
            // Both are RFC 3339 in UTC; whole seconds of one form compare as text.
            ensure!(seconds(time) <= seconds(end), "{record}");
            allowed += 1;
        }
    }
    ensure!(allowed > 0, "no record of an allowed call");
    Ok(())
}

fn text<'a>(record: &'a Value, field: &str) -> Result<&'a str> {
    let value = record.pointer(field).and_then(Value::as_str);
    value.with_context(|| format!("no `{field}` in {record}"))
}

/// `2026-11-22T10:11:56` of `2026-11-22T10:11:56.129Z`.
fn seconds(time: &str) -> &str {
    time.get(..19).unwrap_or(time)
}

fn say(what: &str) {
    println!("  {what}");
}
