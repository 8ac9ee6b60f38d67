//! `make soak MINUTES=n`: one gate, called without a pause, while its rules change, callers
//! are revoked, certificates are renewed, its server is restarted, killed and stopped, and
//! its filter dies.
//!
//! ```text
//!  callers, streams ──mTLS──► Envoy, the filter ──► the service
//!     │                          │  ▲                 events: rules, revocations, a server
//!     │ each answer              ▼  │                 that goes, a filter that dies
//!     ▼                       callgate serve               │
//!  oracle: right? ◄──────── what was changed, when ────────┘
//!  accounts: recorded, once? ◄── decisions.jsonl
//! ```
//!
//! It ends well if no call was let in that the rules refused, none was refused that they
//! allowed, outside the bounds that are stated (`oracle.rs`), every decision is in the log
//! (`accounts.rs`), and memory is flat (`memory.rs`).
//!
//! `soak MINUTES open` does the same with a filter that lets calls pass when nobody can
//! decide. It must find that, and fails if it does not: a soak that cannot fail is no test.

mod accounts;
mod callers;
mod events;
mod memory;
mod oracle;
mod stage;
mod streams;

use std::{
    env,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use callgate_tests::{caller::Http, process::eventually};
use tokio::task::JoinSet;

use accounts::{Balance, Totals};
use callers::Script;
use memory::{Memory, TELLING};
use oracle::Workload;
use stage::{Stage, Tally};

/// Callers whose certificates are renewed in time.
const CALLERS: usize = 8;
/// Callers who are revoked, in turn.
const SUSPECTS: usize = 3;
/// Callers who hold on to each certificate until it has expired.
const LATE: usize = 2;
/// Callers with streams, a WebSocket and gRPC each.
const WATCHERS: usize = 3;
/// Calls that are under way at once, at most.
const AT_ONCE: u64 = 32;
/// How often certificates are renewed, if the run is long enough for it.
const ROTATION: Duration = Duration::from_secs(60);
/// The life of a late caller's certificate.
const SHORT: Duration = Duration::from_secs(12);
/// Between two events, if the run is long enough for it: longer than what is stale lasts,
/// so that there are times with one right answer.
const GAP: Duration = Duration::from_secs(12);
/// By when the last decisions are in the log.
const SETTLE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let minutes = arguments.next().unwrap_or_else(|| "10".to_owned());
    let open = arguments.next().as_deref() == Some("open");
    let ended = match minutes.parse::<f64>() {
        Ok(minutes) => soak(Duration::from_secs_f64(60.0 * minutes), open).await,
        Err(_) => Err(anyhow::anyhow!("`{minutes}` is not a number of minutes")),
    };
    match ended {
        Ok(good) if good != open => ExitCode::SUCCESS,
        Ok(_) if open => {
            println!("\nA filter that lets calls pass was not found out.");
            ExitCode::FAILURE
        }
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether it ended well.
async fn soak(length: Duration, open: bool) -> Result<bool> {
    println!("Starting the gate: an issuer, callgate serve, and an Envoy ...\n");
    let stage = Arc::new(Stage::set(length, open).await?);
    let end = Instant::now() + length;
    let mut callers = JoinSet::new();
    call(&stage, length, &mut callers);
    let suspects = workloads("suspect", SUSPECTS);
    let gap = GAP.min(length / 12);
    let mut weighed = Weighed::default();
    let ended = async {
        let (happened, ()) = tokio::try_join!(
            events::run(&stage, end, gap, &suspects),
            watch(&stage, end, &mut weighed, &mut callers),
        )?;
        stage.stop();
        while let Some(ended) = callers.join_next().await {
            ended??;
        }
        Ok::<_, anyhow::Error>((happened, settle(&stage).await?))
    };
    let (happened, balance) = ended.await.with_context(|| stage.gate.report())?;
    let (tally, totals) = (stage.tally().clone(), stage.accounts().totals);
    Ok(tell(&tally, totals, &balance, happened, (&weighed, length)))
}

fn workloads(name: &str, count: usize) -> Vec<Workload> {
    (0..count)
        .map(|n| Workload(format!("{name}-{n}")))
        .collect()
}

fn call(stage: &Arc<Stage>, length: Duration, callers: &mut JoinSet<Result<()>>) {
    let rotation = ROTATION.min(length / 4);
    let mut start = |workload: &Workload, rotation, late| {
        for http in [Http::One, Http::Two] {
            let script = Script {
                workload: workload.clone(),
                http,
                rotation,
                late,
            };
            callers.spawn(callers::run(Arc::clone(stage), script));
        }
    };
    for workload in workloads("caller", CALLERS)
        .iter()
        .chain(&workloads("suspect", SUSPECTS))
    {
        start(workload, rotation, false);
    }
    for workload in &workloads("late", LATE) {
        start(workload, SHORT, true);
    }
    for workload in workloads("watcher", WATCHERS) {
        for http in [Http::One, Http::Two] {
            let script = Script {
                workload: workload.clone(),
                http,
                rotation,
                late: false,
            };
            callers.spawn(streams::run(Arc::clone(stage), script));
        }
    }
}

/// The memory of both.
#[derive(Default)]
struct Weighed {
    envoy: Memory,
    server: Memory,
}

/// Until `end`: reads the log, weighs, and stops when a caller cannot go on.
async fn watch(
    stage: &Stage,
    end: Instant,
    weighed: &mut Weighed,
    callers: &mut JoinSet<Result<()>>,
) -> Result<()> {
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stage.accounts().read()?;
        weighed.envoy.look(stage.gate.envoy.process().id());
        // While something is done to the server there is nothing to weigh.
        if let Ok(server) = stage.server.try_lock() {
            weighed.server.look(server.process().id());
        }
        if let Some(ended) = callers.try_join_next() {
            ended??;
        }
    }
    Ok(())
}

/// Waits for what is on its way, ends the server, and reads the log to its end.
async fn settle(stage: &Stage) -> Result<Balance> {
    let settled = eventually(SETTLE, "the last records", async || {
        stage.accounts().read()?;
        Ok(stage.accounts().is_settled().then_some(()))
    })
    .await;
    // Some may be lost for good; which of them, the balance tells.
    drop(settled);
    stage.server.lock().await.stop(SETTLE).await?;
    stage.accounts().read()?;
    Ok(stage.accounts().balance())
}

/// Prints how it ended; whether well.
fn tell(
    tally: &Tally,
    totals: Totals,
    balance: &Balance,
    happened: usize,
    (weighed, length): (&Weighed, Duration),
) -> bool {
    println!(
        "\n{} calls allowed, {} refused, {} closed while something was gone;\n\
         {} certificates, {happened} events, {} streams, {} of them cut",
        tally.allowed,
        tally.refused,
        tally.closed,
        tally.certificates,
        tally.streams,
        tally.streams_cut,
    );
    println!(
        "{} decisions seen, {} recorded, {} of {} records leased, {} of open calls;\n\
         {} lost with what died, {} recorded again, {} recorded without an answer",
        totals.seen,
        totals.recorded,
        totals.leased,
        totals.lines,
        totals.rechecks,
        balance.lost,
        totals.repeated,
        balance.unseen,
    );
    let told = length >= TELLING;
    for (name, memory) in [("Envoy", &weighed.envoy), ("server", &weighed.server)] {
        let (early, late) = memory.quarters();
        let judged = if told { "" } else { " (too short to judge)" };
        println!("memory of {name}: {early:.0} MiB, {late:.0} MiB at the end{judged}");
    }
    println!();
    for line in &tally.wrong {
        println!("{line}");
    }
    for id in balance.missing.iter().take(20) {
        println!("NOT RECORDED   {id}");
    }
    for fault in balance.faults.iter().take(20) {
        println!("WRONG RECORD   {fault}");
    }
    // A Check that a dying server did not answer is asked again, and may be recorded twice.
    let explained = tally.streams + tally.closed + totals.overtaken + AT_ONCE * happened as u64;
    let invented = balance.unseen.saturating_sub(explained);
    let flat = !told || (weighed.envoy.is_flat() && weighed.server.is_flat());
    println!(
        "{} wrong allows, {} wrong refusals, {} not recorded, {} wrong records, {invented} of \
         calls that nobody made, memory {}",
        tally.wrong_allows,
        tally.wrong_refusals,
        balance.missing.len(),
        balance.faults.len(),
        if flat { "flat" } else { "GROWS" },
    );
    tally.wrong_allows + tally.wrong_refusals == 0
        && balance.missing.is_empty()
        && balance.faults.is_empty()
        && invented == 0
        && flat
}
