//! How long one leaf takes to verify: one that nobody has seen, and one that is
//! remembered; and what 100,000 of them take to remember.

use std::{
    hint::black_box,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use callgate_bench_identity::{Authority, Leaf};
use callgate_bench_report::{
    Bar, Latencies, Limit, Machine, Plot, Report, Table, Target, median, ratios,
};
use callgate_policy::Timestamp;
use callgate_server::{
    clock,
    svid::{PeerCertificate, Verifier},
};
use mimalloc::MiMalloc;
use rustls_pki_types::{CertificateDer, UnixTime};
use serde::{Deserialize, Serialize};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// The one that `callgate` ships with.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Of each kind, in each round.
const LEAVES: usize = 2_000;
const ROUNDS: usize = 7;
/// Distinct leaves in an hour: what has to fit into bounded memory.
const CROWD: usize = 100_000;

/// One row. Durations are medians over the rounds.
#[derive(Serialize)]
struct Figure {
    what: &'static str,
    p50_us: f64,
    p99_us: f64,
    /// How many times the library's p50, round by round; 0 where there is nothing to
    /// compare.
    times_library: f64,
}

#[derive(Debug, Default)]
struct Rounds {
    p50: Vec<f64>,
    p99: Vec<f64>,
}

#[derive(Deserialize, Serialize)]
struct Crowd {
    leaves: usize,
    entries: usize,
    bytes: f64,
    most_bytes: f64,
}

/// What is timed.
const KINDS: [&str; 5] = [
    "new, from PEM",
    "new, one intermediate, from PEM",
    "remembered, from PEM",
    "remembered, bytes at hand",
    "rustls-webpki alone: signature and path",
];

fn main() -> anyhow::Result<()> {
    let out = std::env::args().nth(1).unwrap_or_else(|| "out".into());
    eprintln!("identity: {LEAVES} leaves, twice …");
    let (flat, deep) = (Authority::new(false)?, Authority::new(true)?);
    let leaves = |authority: &Authority| -> anyhow::Result<Vec<Leaf>> {
        (0..LEAVES).map(|number| authority.leaf(number)).collect()
    };
    let (flat_leaves, deep_leaves) = (leaves(&flat)?, leaves(&deep)?);
    let mut rounds: [Rounds; KINDS.len()] = std::array::from_fn(|_| Rounds::default());
    for _ in 0..ROUNDS {
        // A verifier for each round, so that a new leaf is new again.
        let (verifier, other) = (flat.verifier()?, deep.verifier()?);
        let peers: Vec<PeerCertificate> = flat_leaves
            .iter()
            .map(|leaf| PeerCertificate::from_der(leaf.der.clone()))
            .collect();
        let timed = [
            time(&flat_leaves, |leaf, now| {
                verify(&verifier, leaf, &flat, now)
            })?,
            time(&deep_leaves, |leaf, now| verify(&other, leaf, &deep, now))?,
            time(&flat_leaves, |leaf, now| {
                verify(&verifier, leaf, &flat, now)
            })?,
            time(&peers, |peer, now| {
                verifier.verify(peer, Vec::new, now)?;
                Ok(())
            })?,
            time(&flat_leaves, |leaf, now| library(&flat, leaf, now))?,
        ];
        for (rounds, latencies) in rounds.iter_mut().zip(timed) {
            rounds.p50.push(latencies.percentile(50));
            rounds.p99.push(latencies.percentile(99));
        }
    }
    eprintln!("identity: {CROWD} leaves …");
    let crowd = crowd()?;
    publish(&figures(&rounds), &crowd, Path::new(&out))
}

/// Each of `these` by itself. The time to read the clock (some 20 ns) is counted.
fn time<T>(
    these: &[T],
    one: impl Fn(&T, Timestamp) -> anyhow::Result<()>,
) -> anyhow::Result<Latencies> {
    let now = clock::now();
    let mut nanos = Vec::with_capacity(these.len());
    for it in these {
        let it = black_box(it);
        let start = Instant::now();
        one(it, now)?;
        let elapsed = start.elapsed();
        nanos.push(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(Latencies::new(nanos))
}

/// As the server does it, from the text that a proxy sends.
fn verify(
    verifier: &Verifier,
    leaf: &Leaf,
    authority: &Authority,
    now: Timestamp,
) -> anyhow::Result<()> {
    let peer = verifier.read(&leaf.pem)?;
    black_box(verifier.verify(&peer, || authority.hints(), now)?);
    Ok(())
}

/// What nobody can do without: one signature, and a path of one step.
fn library(authority: &Authority, leaf: &Leaf, now: Timestamp) -> anyhow::Result<()> {
    let root = CertificateDer::from(authority.root());
    let anchor = anchor_from_trusted_cert(&root)?;
    let der = CertificateDer::from(leaf.der.as_slice());
    let seconds = u64::try_from(now.as_millis())? / 1_000;
    let path = EndEntityCert::try_from(&der)?;
    path.verify_for_usage(
        ALL_VERIFICATION_ALGS,
        &[anchor],
        &[],
        UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
        KeyUsage::client_auth(),
        None,
        None,
    )?;
    Ok(())
}

/// What a verifier keeps of a crowd, weighed in a process of its own.
fn crowd() -> anyhow::Result<Crowd> {
    let program = std::env::current_exe()?.with_file_name("identity-memory");
    let output = Command::new(&program)
        .arg(CROWD.to_string())
        .output()
        .with_context(|| format!("cannot run `{}`", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{said}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn figures(rounds: &[Rounds]) -> Vec<Figure> {
    let library = rounds.last().map(|rounds| rounds.p50.clone());
    let library = library.unwrap_or_default();
    let figures = KINDS.iter().zip(rounds).map(|(what, rounds)| Figure {
        what,
        p50_us: median(&rounds.p50),
        p99_us: median(&rounds.p99),
        times_library: ratios(&rounds.p50, &library),
    });
    figures.collect()
}

fn publish(figures: &[Figure], crowd: &Crowd, out: &Path) -> anyhow::Result<()> {
    let mut table = Table::new(
        "One leaf, P-256 (µs)",
        &["leaf", "p50", "p99", "× rustls-webpki"],
    );
    for figure in figures {
        table.row(vec![
            figure.what.into(),
            format!("{:.2}", figure.p50_us),
            format!("{:.2}", figure.p99_us),
            format!("{:.2}", figure.times_library),
        ]);
    }
    let mut memory = Table::new(
        "Many leaves, each shown once (live bytes, counted)",
        &[
            "leaves shown",
            "remembered",
            "memory",
            "at most",
            "bytes a leaf",
        ],
    );
    let megabytes = |bytes: f64| format!("{:.1} MB", bytes / 1e6);
    let entries = f64::from(u32::try_from(crowd.entries)?);
    memory.row(vec![
        crowd.leaves.to_string(),
        crowd.entries.to_string(),
        megabytes(crowd.bytes),
        megabytes(crowd.most_bytes),
        format!("{:.0}", crowd.bytes / entries),
    ]);
    let of = |what: &str| {
        let figure = figures.iter().find(|figure| figure.what == what);
        figure.map_or(f64::NAN, |figure| figure.p50_us)
    };
    let most =
        |what: &str, limit, measured, unit| Target::new(what, Limit::AtMost(limit), measured, unit);
    Report {
        name: "identity",
        machine: Machine::this(),
        tables: vec![table, memory],
        targets: vec![
            most("a new leaf, p50", 150.0, of(KINDS[0]), " µs"),
            most("a remembered leaf, from PEM, p50", 1.0, of(KINDS[2]), " µs"),
            most(
                "memory for 100,000 leaves",
                64.0,
                crowd.most_bytes / 1e6,
                " MB",
            ),
        ],
        plots: vec![plot(figures)],
        figures: serde_json::json!({ "identity": figures, "crowd": crowd }),
    }
    .publish(out)
}

fn plot(figures: &[Figure]) -> Plot {
    let bars = figures.iter().map(|figure| Bar {
        label: figure.what.to_owned(),
        value: figure.p50_us,
        ours: !figure.what.starts_with("rustls"),
    });
    Plot {
        title: "One leaf verified".to_owned(),
        unit: "µs",
        logarithmic: true,
        bars: bars.collect(),
    }
}
