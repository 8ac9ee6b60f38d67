//! Callers who wait for their answer: one, and many.

use std::time::Duration;

use anyhow::{Context as _, Result};
use callgate_bench_load::{
    calls::{Target, latencies, throughput},
    variants::Variant,
};
use callgate_tests::caller::Http;

use crate::Stage;

const ROUNDS: usize = 5;
/// Calls of one round with one caller, unless its time is over first.
const CALLS: usize = 1_500;
pub(crate) const CONNECTIONS: usize = 32;
/// How long the one caller may, and the many do, call in one round.
const ROUND: Duration = Duration::from_secs(1);

/// One variant's rounds by one version of HTTP. Times in microseconds.
pub(crate) struct Rounds {
    pub(crate) variant: Variant,
    pub(crate) http: Http,
    target: Target,
    pub(crate) p50: Vec<f64>,
    pub(crate) p90: Vec<f64>,
    pub(crate) p99: Vec<f64>,
    /// Calls a second of many callers.
    pub(crate) rates: Vec<f64>,
    /// Core time for one of those.
    pub(crate) envoy: Vec<f64>,
    /// The same, of what is asked.
    pub(crate) server: Vec<f64>,
}

/// Every variant, by HTTP/1.1 and by HTTP/2.
pub(crate) async fn measure(stage: &Stage) -> Result<Vec<Rounds>> {
    let mut all = Vec::new();
    for http in [Http::One, Http::Two] {
        for &variant in &stage.variants {
            all.push(Rounds {
                variant,
                http,
                target: stage.target(variant, http)?,
                p50: Vec::new(),
                p90: Vec::new(),
                p99: Vec::new(),
                rates: Vec::new(),
                envoy: Vec::new(),
                server: Vec::new(),
            });
        }
    }
    for round in 1..=ROUNDS {
        eprintln!("leases: round {round} of {ROUNDS} …");
        for rounds in &mut all {
            let label = rounds.variant.label();
            one_round(stage, rounds).await.context(label)?;
        }
    }
    Ok(all)
}

async fn one_round(stage: &Stage, rounds: &mut Rounds) -> Result<()> {
    let one = latencies(&rounds.target, CALLS, ROUND).await?;
    rounds.p50.push(one.percentile(50));
    rounds.p90.push(one.percentile(90));
    rounds.p99.push(one.percentile(99));
    let before = stage.busy(rounds.variant)?;
    let rate = throughput(&rounds.target, CONNECTIONS, ROUND).await?;
    let after = stage.busy(rounds.variant)?;
    let calls = rate * ROUND.as_secs_f64();
    rounds.rates.push(rate);
    rounds.envoy.push((after.0 - before.0) * 1e6 / calls);
    rounds.server.push((after.1 - before.1) * 1e6 / calls);
    Ok(())
}
