//! How many Checks a second `callgate serve` answers on one core, beside a server
//! that answers OK to everything, on the same core in turns.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use callgate_bench_load::{
    checks::{self, Checks},
    cores::{Cores, used},
    empty,
    messages::{Form, framed},
};
use callgate_bench_mesh::{Mesh, Sample, document, mesh, requests};
use callgate_bench_report::{Bar, Limit, Machine, Plot, Report, Table, Target, median, ratios};
use callgate_tests::{
    callgate::{Callgate, Setup},
    pki::{Pki, TRUST_DOMAIN},
    process::{Process, eventually},
};
use mimalloc::MiMalloc;
use serde::Serialize;
use tokio::net::TcpListener;

/// The one that `callgate` ships with; for the empty server too.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
/// Different requests, of some hundred callers.
const REQUESTS: usize = 512;
/// `status.code` of an allowance and of a refusal.
const OK: u8 = 0;
const PERMISSION_DENIED: u8 = 7;

fn main() -> Result<()> {
    let argument = std::env::args().nth(1);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if argument.as_deref() == Some("empty") {
        return runtime.enable_all().build()?.block_on(serve_empty());
    }
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let out = argument.unwrap_or_else(|| "out".into());
    runtime
        .enable_all()
        .build()?
        .block_on(measure(Path::new(&out)))
}

/// On a free port, which it prints.
async fn serve_empty() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    empty::serve(listener).await
}

/// One server with one kind of Checks.
struct Peer {
    label: &'static str,
    ours: bool,
    process: u32,
    address: SocketAddr,
    checks: Checks,
    /// Answers a second, round by round.
    rates: Vec<f64>,
    /// Answers a second that its core was busy: what it would answer if the
    /// generator never made it wait.
    full: Vec<f64>,
}

#[derive(Serialize)]
struct Figure {
    peer: &'static str,
    checks_per_second: f64,
    checks_per_busy_second: f64,
    core_us_per_check: f64,
}

async fn measure(out: &Path) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mesh = mesh(10, 100);
    let pki = Pki::new()?;
    let cores = Cores::find()?;
    cores.measured()?;
    let server = start_callgate(directory.path(), &mesh, &pki).await?;
    let empty = start_empty(directory.path()).await?;
    cores.rest()?;
    let mut peers = peers(&mesh, &pki, &server, &empty)?;
    for round in 1..=ROUNDS {
        eprintln!("server: round {round} of {ROUNDS} …");
        for peer in &mut peers {
            put(peer).await?;
        }
    }
    report(&peers).publish(out)
}

async fn start_callgate(directory: &Path, mesh: &Mesh, pki: &Pki) -> Result<Callgate> {
    let policies = directory.join("policies");
    write_policies(&policies, mesh)?;
    let bundle = directory.join("bundle.pem");
    fs::write(&bundle, pki.root.bundle_pem())?;
    Callgate::start(Setup {
        policies,
        bundles: vec![(TRUST_DOMAIN.to_owned(), bundle)],
        identity: None,
        directory: directory.join("callgate"),
    })
    .await
}

/// This program again, as the server that does nothing.
async fn start_empty(directory: &Path) -> Result<(Process, SocketAddr)> {
    let program = std::env::current_exe()?;
    let log = directory.join("empty.log");
    let process = Process::start("empty", &program, &["empty".into()], &log)?;
    let address = eventually(Duration::from_secs(5), "the empty server", async || {
        Ok(process
            .log()
            .lines()
            .next()
            .and_then(|line| line.parse().ok()))
    })
    .await?;
    Ok((process, address))
}

fn peers(
    mesh: &Mesh,
    pki: &Pki,
    server: &Callgate,
    empty: &(Process, SocketAddr),
) -> Result<Vec<Peer>> {
    let allowed = requests(mesh, Sample::Allowed, REQUESTS);
    let refused = requests(mesh, Sample::NearMiss, REQUESTS);
    let filter = framed(pki, &allowed, Form::Filter)?;
    let native = framed(pki, &allowed, Form::Native)?;
    let refused = framed(pki, &refused, Form::Filter)?;
    let peer = |label, ours: bool, messages: &Vec<Vec<u8>>, wanted| Peer {
        label,
        ours,
        process: if ours {
            server.process().id()
        } else {
            empty.0.id()
        },
        address: if ours { server.listen } else { empty.1 },
        checks: Checks {
            messages: messages.clone(),
            wanted,
        },
        rates: Vec::new(),
        full: Vec::new(),
    };
    Ok(vec![
        peer("empty tonic server, filter's form", false, &filter, OK),
        peer("callgate serve, filter's form", true, &filter, OK),
        peer("empty tonic server, native form", false, &native, OK),
        peer("callgate serve, native form", true, &native, OK),
        peer(
            "callgate serve, refusals",
            true,
            &refused,
            PERMISSION_DENIED,
        ),
    ])
}

async fn put(peer: &mut Peer) -> Result<()> {
    let before = used(peer.process)?;
    let rate = checks::put(peer.address, &peer.checks, ROUND).await;
    let rate = rate.context(peer.label)?;
    let busy = (used(peer.process)? - before) / ROUND.as_secs_f64();
    peer.rates.push(rate);
    peer.full.push(rate / busy);
    Ok(())
}

fn report(peers: &[Peer]) -> Report {
    let figures: Vec<Figure> = peers.iter().map(figure).collect();
    let mut targets = Vec::new();
    if let [empty, ours, empty_native, native, _] = peers {
        for (what, ours, empty) in [
            ("filter's form", ours, empty),
            ("native form", native, empty_native),
        ] {
            targets.push(Target::new(
                format!("Checks a second of core, of those of an empty server, {what}"),
                Limit::AtLeast(0.7),
                ratios(&ours.full, &empty.full),
                "×",
            ));
        }
    }
    Report {
        name: "server",
        machine: Machine::this(),
        tables: vec![table(&figures)],
        targets,
        plots: vec![plot(peers)],
        figures: serde_json::json!(figures),
    }
}

fn figure(peer: &Peer) -> Figure {
    let full = median(&peer.full);
    Figure {
        peer: peer.label,
        checks_per_second: median(&peer.rates),
        checks_per_busy_second: full,
        core_us_per_check: 1e6 / full,
    }
}

fn table(figures: &[Figure]) -> Table {
    let mut table = Table::new(
        "Checks on one core, certificates verified and decisions recorded",
        &[
            "server",
            "Checks/s",
            "Checks/s of busy core",
            "µs of core a Check",
        ],
    );
    for f in figures {
        table.row(vec![
            f.peer.into(),
            format!("{:.0}", f.checks_per_second),
            format!("{:.0}", f.checks_per_busy_second),
            format!("{:.1}", f.core_us_per_check),
        ]);
    }
    table
}

fn plot(peers: &[Peer]) -> Plot {
    let bar = |peer: &Peer| Bar {
        label: peer.label.to_owned(),
        value: median(&peer.full),
        ours: peer.ours,
    };
    Plot {
        title: "Checks on one core".into(),
        unit: "a second",
        logarithmic: false,
        bars: peers.iter().map(bar).collect(),
    }
}

/// A document each, beside the operator's.
fn write_policies(directory: &Path, mesh: &Mesh) -> Result<()> {
    fs::create_dir_all(directory)?;
    for service in &mesh.services {
        let path = directory.join(format!("{}.yaml", service.name));
        fs::write(path, document(service))?;
    }
    Ok(fs::write(
        directory.join("mesh.yaml"),
        callgate_bench_mesh::OPERATOR,
    )?)
}
