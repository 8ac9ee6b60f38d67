//! What a Check costs in the proxy: latency with one caller and throughput with many,
//! beside what else could stand in its place, in turns on the same Envoy. The filter asks
//! each time here; `leases` measures it when it need not.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result};
use callgate_bench_load::{
    calls::{Target as Call, latencies, throughput, usual_headers},
    cores::{Cores, used},
    variants::{Variant, gate},
};
use callgate_bench_mesh::{OPERATOR, Request, Sample, document, mesh, requests};
use callgate_bench_report::{Bar, Limit, Machine, Plot, Report, Table, Target, median, ratios};
use callgate_tests::{
    Gate,
    caller::{Caller, Http},
};
use serde::Serialize;

const VARIANTS: [Variant; 5] = [
    Variant::Nothing,
    Variant::Rbac,
    Variant::EmptyWasm,
    Variant::ExtAuthz,
    Variant::Asking,
];
const ROUNDS: usize = 7;
/// Calls of one round with one caller, unless its time is over first.
const CALLS: usize = 1_500;
const CONNECTIONS: usize = 32;
/// How long the one caller may, and the many do, call in one round.
const ROUND: Duration = Duration::from_millis(1_500);

fn main() -> Result<()> {
    let out = std::env::args().nth(1).unwrap_or_else(|| "out".into());
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build()?;
    runtime.block_on(measure(Path::new(&out)))
}

/// One variant's rounds. Latencies in microseconds.
struct Rounds {
    variant: Variant,
    call: Call,
    p50: Vec<f64>,
    p90: Vec<f64>,
    p99: Vec<f64>,
    rates: Vec<f64>,
    /// Core time for a call with many callers, in microseconds.
    envoy: Vec<f64>,
    server: Vec<f64>,
}

#[derive(Serialize)]
struct Figure {
    variant: &'static str,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    calls_per_second: f64,
    envoy_us_per_call: f64,
    server_us_per_call: f64,
}

async fn measure(out: &Path) -> Result<()> {
    let mesh = mesh(10, 100);
    let sample = requests(&mesh, Sample::Allowed, 100);
    let request = sample.iter().find(|r| r.method == "GET");
    let request = request.context("nobody gets anything")?;
    let cores = Cores::find()?;
    // The server gets one thread for this one core, which it shares with the callers;
    // Envoy has the other for itself.
    cores.rest()?;
    let mut gate = gate(&request.service, &VARIANTS, None).policy("mesh.yaml", OPERATOR);
    for service in &mesh.services {
        gate = gate.policy(&format!("{}.yaml", service.name), &document(service));
    }
    let gate = gate.start().await?;
    cores.measure(gate.envoy.process().id())?;
    let mut all = variants(&gate, request)?;
    for round in 1..=ROUNDS {
        eprintln!("proxy: round {round} of {ROUNDS} …");
        for rounds in &mut all {
            let label = rounds.variant.label();
            one_round(&gate, rounds).await.context(label)?;
        }
    }
    report(&all).publish(out)
}

fn variants(gate: &Gate, request: &Request) -> Result<Vec<Rounds>> {
    let caller = Caller::new(Some(&gate.pki.svid(&request.caller)?))?;
    VARIANTS
        .into_iter()
        .map(|variant| {
            let call = Call {
                caller: caller.clone(),
                address: gate.envoy.listener(variant.listener())?,
                http: Http::One,
                path: request.path.clone(),
                headers: usual_headers(),
            };
            Ok(Rounds {
                variant,
                call,
                p50: Vec::new(),
                p90: Vec::new(),
                p99: Vec::new(),
                rates: Vec::new(),
                envoy: Vec::new(),
                server: Vec::new(),
            })
        })
        .collect()
}

async fn one_round(gate: &Gate, rounds: &mut Rounds) -> Result<()> {
    let one = latencies(&rounds.call, CALLS, ROUND).await?;
    rounds.p50.push(one.percentile(50));
    rounds.p90.push(one.percentile(90));
    rounds.p99.push(one.percentile(99));
    let before = busy(gate)?;
    let rate = throughput(&rounds.call, CONNECTIONS, ROUND).await?;
    let after = busy(gate)?;
    let calls = rate * ROUND.as_secs_f64();
    rounds.rates.push(rate);
    rounds.envoy.push((after.0 - before.0) * 1e6 / calls);
    rounds.server.push((after.1 - before.1) * 1e6 / calls);
    Ok(())
}

/// Core time of Envoy and of the server so far.
fn busy(gate: &Gate) -> Result<(f64, f64)> {
    let envoy = used(gate.envoy.process().id())?;
    Ok((envoy, used(gate.server()?.process().id())?))
}

fn report(all: &[Rounds]) -> Report {
    let figures: Vec<Figure> = all.iter().map(figure).collect();
    Report {
        name: "proxy",
        machine: Machine::this(),
        tables: vec![table(&figures)],
        targets: targets(all),
        plots: vec![
            plot("Latency, one caller", "µs, p50", &figures, |f| f.p50_us),
            plot(
                "Throughput, 32 callers, one Envoy worker",
                "calls a second",
                &figures,
                |f| f.calls_per_second,
            ),
        ],
        figures: serde_json::json!(figures),
    }
}

fn figure(rounds: &Rounds) -> Figure {
    Figure {
        variant: rounds.variant.label(),
        p50_us: median(&rounds.p50),
        p90_us: median(&rounds.p90),
        p99_us: median(&rounds.p99),
        calls_per_second: median(&rounds.rates),
        envoy_us_per_call: median(&rounds.envoy),
        server_us_per_call: median(&rounds.server),
    }
}

fn targets(all: &[Rounds]) -> Vec<Target> {
    let find = |variant| all.iter().find(|rounds| rounds.variant == variant);
    let (Some(native), Some(ours)) = (find(Variant::ExtAuthz), find(Variant::Asking)) else {
        return Vec::new();
    };
    vec![
        Target::new(
            "p50 of the filter, of that of native ext_authz",
            Limit::AtMost(1.15),
            ratios(&ours.p50, &native.p50),
            "×",
        ),
        Target::new(
            "throughput of the filter, of that of native ext_authz",
            Limit::AtLeast(0.80),
            ratios(&ours.rates, &native.rates),
            "×",
        ),
    ]
}

fn table(figures: &[Figure]) -> Table {
    let mut table = Table::new(
        "Calls through Envoy over mutual TLS",
        &[
            "in the path",
            "p50 (µs)",
            "p90",
            "p99",
            "calls/s, 32 callers",
            "Envoy, µs of core a call",
            "server",
        ],
    );
    for f in figures {
        table.row(vec![
            f.variant.into(),
            format!("{:.0}", f.p50_us),
            format!("{:.0}", f.p90_us),
            format!("{:.0}", f.p99_us),
            format!("{:.0}", f.calls_per_second),
            format!("{:.0}", f.envoy_us_per_call),
            format!("{:.0}", f.server_us_per_call),
        ]);
    }
    table
}

fn plot(title: &str, unit: &'static str, figures: &[Figure], of: fn(&Figure) -> f64) -> Plot {
    let bar = |figure: &Figure| Bar {
        label: figure.variant.to_owned(),
        value: of(figure),
        ours: figure.variant == Variant::Asking.label(),
    };
    Plot {
        title: title.to_owned(),
        unit,
        logarithmic: false,
        bars: figures.iter().map(bar).collect(),
    }
}
