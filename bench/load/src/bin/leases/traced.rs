//! A trace of a thousand callers: how often is asked, and what remembering them takes.

use std::time::Duration;

use anyhow::Result;
use callgate_bench_load::{
    cores::{Cores, private},
    trace::{CALLEE, CALLERS, Trace, checks, meet, one_template},
    variants::{Variant, gate},
};
use callgate_tests::Gate;
use serde::Serialize;

/// Enough for the first call of each caller to be one in some two hundred.
const CALLS: usize = 200_000;
/// Paths under one template.
const PATHS: usize = 200;
/// By when a proxy has heard of the service that it asks about.
const HEARD: Duration = Duration::from_secs(2);
/// Of each caller, so that nine in ten of the workers meet it.
const CONNECTIONS: usize = 8;
/// Workers beside the first one: what allocators happen to hold counts that much less.
const MORE: u32 = 3;
/// Callers by whom every worker hears of the service.
const FIRST: usize = 5;

/// What came of it. Memory is in MiB.
#[derive(Serialize)]
pub(crate) struct Traced {
    pub(crate) calls: usize,
    pub(crate) calls_per_second: f64,
    pub(crate) checks: u64,
    /// Of all calls, those that were decided in the proxy; from 0 to 1.
    pub(crate) hit_rate: f64,
    pub(crate) paths: usize,
    /// Checks for that many paths under one template.
    pub(crate) checks_for_paths: u64,
    pub(crate) leases: Memory,
    pub(crate) empty: Memory,
}

/// Of Envoy that has met every caller, with one worker and with four.
#[derive(Serialize)]
pub(crate) struct Memory {
    pub(crate) one: f64,
    pub(crate) four: f64,
}

impl Memory {
    pub(crate) fn each_worker(&self) -> f64 {
        (self.four - self.one) / f64::from(MORE)
    }
}

/// Each part with an Envoy of its own.
pub(crate) async fn measure(cores: Cores) -> Result<Traced> {
    let trace = Trace::new(CALLS);
    eprintln!("leases: the trace …");
    let gate = stage(&trace, Variant::Leases, 1).await?;
    cores.measure(gate.envoy.process().id())?;
    let address = gate.envoy.listener(Variant::Leases.listener())?;
    one_template(&gate.pki, address, 1).await?;
    tokio::time::sleep(HEARD).await;
    let server = gate.server()?;
    let before = checks(server).await?;
    let ran = trace.run(&gate.pki, address).await?;
    let after = checks(server).await?;
    one_template(&gate.pki, address, PATHS).await?;
    let checks_for_paths = checks(server).await? - after;
    drop(gate);
    let asked = after - before;
    Ok(Traced {
        calls: ran.calls,
        calls_per_second: count(ran.calls) / ran.seconds,
        checks: asked,
        hit_rate: 1.0 - count(usize::try_from(asked)?) / count(ran.calls),
        paths: PATHS,
        checks_for_paths,
        empty: weigh(&trace, Variant::EmptyWasm).await?,
        leases: weigh(&trace, Variant::Leases).await?,
    })
}

async fn weigh(trace: &Trace, variant: Variant) -> Result<Memory> {
    eprintln!("leases: memory, {} …", variant.label());
    let mut weighed = [0.0; 2];
    for (workers, memory) in [1, 1 + MORE].into_iter().zip(&mut weighed) {
        let gate = stage(trace, variant, workers).await?;
        let address = gate.envoy.listener(variant.listener())?;
        // So that every worker has heard of the service before it is to remember callers.
        meet(&gate.pki, address, FIRST, CONNECTIONS).await?;
        tokio::time::sleep(HEARD).await;
        meet(&gate.pki, address, CALLERS, CONNECTIONS).await?;
        *memory = private(gate.envoy.process().id())?;
    }
    let [one, four] = weighed;
    Ok(Memory { one, four })
}

async fn stage(trace: &Trace, variant: Variant, workers: u32) -> Result<Gate> {
    let gate = gate(CALLEE, &[variant], None).policy("all.yaml", &trace.policy());
    gate.workers(workers).start().await
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}
