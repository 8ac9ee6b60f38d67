//! Callers who do not wait: latency at fixed rates.

use std::time::Duration;

use anyhow::{Context as _, Result};
use callgate_bench_load::{
    open::{Offered, offer},
    variants::Variant,
};
use callgate_tests::caller::Http;

use crate::Stage;

const ROUNDS: usize = 3;
/// Requests a second: what is offered is the same for all.
pub(crate) const RATES: [u32; 4] = [1_000, 2_500, 5_000, 10_000];
const ROUND: Duration = Duration::from_secs(1);
/// What a variant that was offered too much left behind is over by then.
const SETTLE: Duration = Duration::from_millis(300);

/// One variant at one rate.
pub(crate) struct Rounds {
    pub(crate) variant: Variant,
    pub(crate) rate: u32,
    pub(crate) rounds: Vec<Offered>,
}

impl Rounds {
    /// Whether it did in most rounds.
    pub(crate) fn kept_up(&self) -> bool {
        let kept = self.rounds.iter().filter(|offered| offered.kept_up);
        kept.count() * 2 > self.rounds.len()
    }

    /// Round by round, in microseconds.
    pub(crate) fn percentile(&self, percent: usize) -> Vec<f64> {
        let rounds = self.rounds.iter();
        rounds
            .map(|offered| offered.latencies.percentile(percent))
            .collect()
    }
}

/// Every variant at every rate, by HTTP/2.
pub(crate) async fn measure(stage: &Stage) -> Result<Vec<Rounds>> {
    let mut all = Vec::new();
    for rate in RATES {
        for &variant in &stage.variants {
            all.push(Rounds {
                variant,
                rate,
                rounds: Vec::new(),
            });
        }
    }
    for round in 1..=ROUNDS {
        eprintln!("leases: open loop, round {round} of {ROUNDS} …");
        for rounds in &mut all {
            let target = stage.target(rounds.variant, Http::Two)?;
            let offered = offer(&target, rounds.rate, ROUND).await;
            let offered = offered.context(rounds.variant.label())?;
            if !offered.kept_up {
                tokio::time::sleep(SETTLE).await;
            }
            rounds.rounds.push(offered);
        }
    }
    Ok(all)
}
