//! What a lease saves: calls through Envoy that are decided in the proxy, beside those
//! that ask and what else could stand there, in turns on the same Envoy; then a trace of
//! a thousand callers, and the memory that their leases take.
//!
//! `leases hold LISTENER SECONDS` keeps calling one listener, such as `leases` or
//! `empty-wasm`, for a profiler, and says which process to profile.

mod closed;
mod offered;
mod report;
mod traced;

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result};
use callgate_bench_load::{
    calls::{Target, throughput, usual_headers},
    cores::{Cores, used},
    opa::Opa,
    variants::{Variant, gate},
};
use callgate_bench_mesh::{OPERATOR, Request, Sample, document, mesh, requests};
use callgate_tests::{
    Gate,
    caller::{Caller, Http},
    process::Process,
};

/// In the order of the tables.
const VARIANTS: [Variant; 7] = [
    Variant::Nothing,
    Variant::Rbac,
    Variant::EmptyWasm,
    Variant::Leases,
    Variant::ExtAuthz,
    Variant::Asking,
    Variant::Opa,
];

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let out = arguments.next().unwrap_or_else(|| "out".into());
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build()?;
    if out != "hold" {
        return runtime.block_on(measure(Path::new(&out)));
    }
    let listener = arguments.next().context("which listener?")?;
    let seconds = arguments.next().context("how many seconds?")?.parse()?;
    runtime.block_on(hold(&listener, Duration::from_secs(seconds)))
}

async fn hold(listener: &str, time: Duration) -> Result<()> {
    let cores = Cores::find()?;
    cores.rest()?;
    let stage = Stage::set(cores).await?;
    let mut variants = stage.variants.iter();
    let variant = variants.find(|variant| variant.listener() == listener);
    let variant = *variant.context("no such listener")?;
    let target = stage.target(variant, Http::One)?;
    println!("Envoy is process {}", stage.gate.envoy.process().id());
    let before = stage.busy(variant)?;
    let rate = throughput(&target, closed::CONNECTIONS, time).await?;
    let after = stage.busy(variant)?;
    let each = (after.0 - before.0) * 1e6 / (rate * time.as_secs_f64());
    println!("{rate:.0} calls/s, {each:.1} µs of Envoy's core each");
    Ok(())
}

async fn measure(out: &Path) -> Result<()> {
    let cores = Cores::find()?;
    // What decides gets one core, which it shares with the callers; Envoy has the other
    // for itself.
    cores.rest()?;
    let stage = Stage::set(cores).await?;
    let closed = closed::measure(&stage).await?;
    let offered = offered::measure(&stage).await?;
    drop(stage);
    let traced = traced::measure(cores).await?;
    report::report(&closed, &offered, &traced).publish(out)
}

/// Everything that calls are made through.
struct Stage {
    gate: Gate,
    opa: Option<Opa>,
    request: Request,
    variants: Vec<Variant>,
    _directory: tempfile::TempDir,
}

impl Stage {
    async fn set(cores: Cores) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let opa = Opa::start(directory.path()).await?;
        let mut variants = VARIANTS.to_vec();
        variants.retain(|variant| *variant != Variant::Opa || opa.is_some());
        let mesh = mesh(10, 100);
        let sample = requests(&mesh, Sample::Allowed, 100);
        let request = sample.into_iter().find(|r| r.method == "GET");
        let request = request.context("nobody gets anything")?;
        let address = opa.as_ref().map(|opa| opa.address);
        let mut gate = gate(&request.service, &variants, address).policy("mesh.yaml", OPERATOR);
        for service in &mesh.services {
            gate = gate.policy(&format!("{}.yaml", service.name), &document(service));
        }
        let gate = gate.start().await?;
        cores.measure(gate.envoy.process().id())?;
        Ok(Self {
            gate,
            opa,
            request,
            variants,
            _directory: directory,
        })
    }

    fn target(&self, variant: Variant, http: Http) -> Result<Target> {
        let identity = self.gate.pki.svid(&self.request.caller)?;
        Ok(Target {
            caller: Caller::new(Some(&identity))?,
            address: self.gate.envoy.listener(variant.listener())?,
            http,
            path: self.request.path.clone(),
            headers: usual_headers(),
        })
    }

    /// Seconds of core that Envoy, and what `variant` asks, have used.
    fn busy(&self, variant: Variant) -> Result<(f64, f64)> {
        let asked = match (variant, &self.opa) {
            (Variant::Opa, Some(opa)) => &opa.process,
            _ => self.gate.server()?.process(),
        };
        let used = |process: &Process| used(process.id());
        Ok((used(self.gate.envoy.process())?, used(asked)?))
    }
}
