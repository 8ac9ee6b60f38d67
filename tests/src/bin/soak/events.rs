//! What happens to the gate while it is called, one thing after the other.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use callgate_tests::caller::{Call, Caller, Http};
use nix::sys::signal::Signal;

use crate::{
    oracle::Workload,
    stage::{CALLEE, FACE, Stage},
};

/// After something is back, until calls are served again as if nothing had been: a new
/// connection, and requests that waited for an answer until their time was over.
const RECOVERY: Duration = Duration::from_secs(4);
/// A filter that died is started anew after a second (`envoy/sidecar.yaml`).
const RELOAD: Duration = Duration::from_secs(1);
/// Longer than leases last without a word from the server.
const SILENCE: Duration = Duration::from_secs(7);
/// A server that is told to end has this long.
const DRAIN: Duration = Duration::from_secs(15);

/// The things that happen, in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// The rule for guests goes, or comes back.
    Guests,
    /// Somebody is revoked.
    Revoke,
    /// A request kills the filter.
    Trap,
    /// Nobody is revoked any more.
    Lift,
    /// The server is told to end, and started again.
    Restart,
    /// The server is killed, and started again.
    Kill,
    /// The server stops where it is, and goes on.
    Silence,
}

const EVENTS: [Event; 9] = [
    Event::Guests,
    Event::Revoke,
    Event::Trap,
    Event::Guests,
    Event::Restart,
    Event::Lift,
    Event::Kill,
    Event::Guests,
    Event::Silence,
];

/// Until `end`, something each `gap`; how much has happened.
///
/// # Errors
/// When something cannot be done, or the server does not come back.
pub(crate) async fn run(
    stage: &Stage,
    end: Instant,
    gap: Duration,
    suspects: &[Workload],
) -> Result<usize> {
    let mut suspects = suspects.iter().cycle();
    let mut happened = 0;
    for event in EVENTS.iter().cycle() {
        tokio::time::sleep(gap).await;
        if Instant::now() >= end {
            break;
        }
        let at = stage.oracle().elapsed(Instant::now());
        println!("{:7.1} s  {event:?}", at.as_secs_f64());
        let suspect = suspects.next().context("no suspects")?;
        happen(stage, *event, suspect)
            .await
            .with_context(|| format!("{event:?}"))?;
        happened += 1;
    }
    Ok(happened)
}

async fn happen(stage: &Stage, event: Event, suspect: &Workload) -> Result<()> {
    match event {
        Event::Guests => stage.change(|world| world.guests = !world.guests),
        Event::Revoke => stage.change(|world| {
            world.revoked.insert(suspect.clone());
        }),
        Event::Lift => stage.change(|world| world.revoked.clear()),
        Event::Trap => trap(stage).await,
        Event::Restart => {
            let mut server = stage.server.lock().await;
            stage.oracle().outage(Instant::now());
            server.stop(DRAIN).await?;
            server.restart().await?;
            recover(stage).await;
            Ok(())
        }
        Event::Kill => {
            let mut server = stage.server.lock().await;
            stage.oracle().outage(Instant::now());
            stage.accounts().death(Instant::now());
            server.kill()?;
            server.restart().await?;
            // A batch that it did not answer comes again.
            stage.accounts().death(Instant::now());
            recover(stage).await;
            Ok(())
        }
        Event::Silence => {
            let server = stage.server.lock().await;
            stage.oracle().outage(Instant::now());
            server.process().pause()?;
            tokio::time::sleep(SILENCE).await;
            server.process().signal(Signal::SIGCONT)?;
            recover(stage).await;
            Ok(())
        }
    }
}

/// A request that only this build of the filter dies of.
async fn trap(stage: &Stage) -> Result<()> {
    let identity = stage.gate.pki.svid("/ns/soak/sa/killer")?;
    let address = stage.gate.address(CALLEE, FACE)?;
    let mut connection = Caller::new(Some(&identity))?
        .connect(address, Http::One)
        .await?;
    stage.oracle().outage(Instant::now());
    stage.accounts().death(Instant::now());
    // 503, or nothing at all: it is the filter that would have answered.
    let call = Call::new("GET", "/orders/trap").header("x-test-trap", "1");
    let _ = connection.call(call).await;
    stage.accounts().death(Instant::now());
    tokio::time::sleep(RELOAD).await;
    recover(stage).await;
    Ok(())
}

async fn recover(stage: &Stage) {
    tokio::time::sleep(RECOVERY).await;
    stage.oracle().recovered(Instant::now());
}
