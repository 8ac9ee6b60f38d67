//! Times single decisions, engine by engine, in turns.

use std::{hint::black_box, time::Instant};

use callgate_bench_mesh::Request;
use callgate_bench_report::Latencies;

use crate::Engine;

/// One engine's rounds: a percentile of each, in microseconds.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// The medians.
    pub p50: Vec<f64>,
    /// The 99th percentiles.
    pub p99: Vec<f64>,
}

/// Times every engine on `requests`, `rounds` times, one engine after the other in
/// each round, so that none is measured in a better hour than another. The time to
/// read the clock (some 20 ns) is counted.
#[must_use]
pub fn interleaved(
    engines: &mut [Box<dyn Engine>],
    requests: &[Request],
    rounds: usize,
) -> Vec<Round> {
    let mut results = vec![Round::default(); engines.len()];
    for _ in 0..rounds {
        for (engine, result) in engines.iter_mut().zip(&mut results) {
            let latencies = time(engine.as_mut(), requests);
            result.p50.push(latencies.percentile(50));
            result.p99.push(latencies.percentile(99));
        }
    }
    results
}

fn time(engine: &mut dyn Engine, requests: &[Request]) -> Latencies {
    let mut nanos = Vec::with_capacity(requests.len());
    for request in requests {
        // A server has just read the request when it decides: fresh in the cache.
        let request = black_box(request.clone());
        let start = Instant::now();
        black_box(engine.decide(&request));
        let elapsed = start.elapsed();
        nanos.push(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
    }
    Latencies::new(nanos)
}
