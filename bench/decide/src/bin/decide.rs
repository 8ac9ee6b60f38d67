//! How long one decision takes, from the caller's and the service's identity and the
//! path as strings, beside other engines on the same rules and requests.

use std::{path::Path, process::Command, time::Instant};

use anyhow::Context as _;
use callgate_bench_decide::{CALLGATE, CONDITIONAL, Engine, agree, interleaved, sources};
use callgate_bench_mesh::{Mesh, Sample, mesh, requests};
use callgate_bench_report::{Bar, Limit, Machine, Plot, Report, Table, Target, median, ratios};
use mimalloc::MiMalloc;
use serde::Serialize;

/// The one that `callgate` ships with; for the peers too, which are faster with it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Services and rules of each.
const MESHES: [(&str, usize, usize); 4] = [
    ("10", 1, 10),
    ("1,000", 10, 100),
    ("100,000", LARGEST.0, LARGEST.1),
    ("10,000 of one service", CROWDED.0, CROWDED.1),
];
const LARGEST: (usize, usize) = (1_000, 100);
/// Reported without a target: nobody is known to have such a service.
const CROWDED: (usize, usize) = (1, 10_000);
/// Enough for 50 beyond the 99th percentile.
const REQUESTS: usize = 5_000;
const ROUNDS: usize = 7;

/// One engine on one mesh. Durations are medians over the rounds.
#[derive(Serialize)]
struct Figure {
    rules: &'static str,
    engine: &'static str,
    hit_p50_us: f64,
    hit_p99_us: f64,
    refusal_p50_us: f64,
    refusal_p99_us: f64,
    load_s: f64,
    /// How many times Callgate's p50 of a hit, round by round.
    times_callgate: f64,
}

fn main() -> anyhow::Result<()> {
    let out = std::env::args().nth(1).unwrap_or_else(|| "out".into());
    let mut figures = Vec::new();
    for (rules, services, each) in MESHES {
        eprintln!("decide: {rules} rules …");
        figures.extend(measure(rules, &mesh(services, each))?);
    }
    eprintln!("decide: memory …");
    let bytes = bytes_per_rule()?;
    Report {
        name: "decide",
        machine: Machine::this(),
        tables: vec![table(&figures), memory_table(&bytes)],
        targets: targets(&figures, &bytes),
        plots: vec![plot(&figures, "1,000"), plot(&figures, "100,000")],
        figures: serde_json::json!({ "decide": figures, "bytesPerRule": bytes }),
    }
    .publish(Path::new(&out))
}

fn measure(rules: &'static str, mesh: &Mesh) -> anyhow::Result<Vec<Figure>> {
    let (mut engines, loads) = load(mesh)?;
    let hits = requests(mesh, Sample::Hit, REQUESTS);
    let misses = requests(mesh, Sample::NearMiss, REQUESTS);
    agree(&mut engines, &hits)?;
    agree(&mut engines, &misses)?;
    let hits = interleaved(&mut engines, &hits, ROUNDS);
    let misses = interleaved(&mut engines, &misses, ROUNDS);
    let ours = hits.first().cloned().unwrap_or_default();
    let mut figures = Vec::new();
    for (((engine, load_s), hit), miss) in engines.iter().zip(loads).zip(&hits).zip(&misses) {
        figures.push(Figure {
            rules,
            engine: engine.name(),
            hit_p50_us: median(&hit.p50),
            hit_p99_us: median(&hit.p99),
            refusal_p50_us: median(&miss.p50),
            refusal_p99_us: median(&miss.p99),
            load_s,
            times_callgate: ratios(&hit.p50, &ours.p50),
        });
    }
    Ok(figures)
}

type Loaded = (Vec<Box<dyn Engine>>, Vec<f64>);

/// Every engine, and the seconds that it took to load.
fn load(mesh: &Mesh) -> anyhow::Result<Loaded> {
    let (mut engines, mut seconds) = (Vec::new(), Vec::new());
    for source in sources(mesh) {
        let start = Instant::now();
        engines.push(source.load()?);
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok((engines, seconds))
}

type Bytes = std::collections::BTreeMap<String, f64>;

/// Bytes a rule that each engine keeps at the largest mesh.
fn bytes_per_rule() -> anyhow::Result<Bytes> {
    let (services, each) = LARGEST;
    let memory = std::env::current_exe()?.with_file_name("memory");
    let output = Command::new(&memory)
        .args([services.to_string(), each.to_string()])
        .output()
        .with_context(|| format!("cannot run `{}`", memory.display()))?;
    anyhow::ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut bytes: Bytes = serde_json::from_slice(&output.stdout)?;
    let rules = f64::from(u32::try_from(services * each)?);
    bytes.values_mut().for_each(|bytes| *bytes /= rules);
    Ok(bytes)
}

fn table(figures: &[Figure]) -> Table {
    let mut table = Table::new(
        "One decision, identities and path parsed (µs)",
        &[
            "rules",
            "engine",
            "hit p50",
            "hit p99",
            "refusal p50",
            "refusal p99",
            "load (s)",
            "× callgate",
        ],
    );
    for f in figures {
        table.row(vec![
            f.rules.into(),
            f.engine.into(),
            format!("{:.2}", f.hit_p50_us),
            format!("{:.2}", f.hit_p99_us),
            format!("{:.2}", f.refusal_p50_us),
            format!("{:.2}", f.refusal_p99_us),
            format!("{:.3}", f.load_s),
            format!("{:.1}", f.times_callgate),
        ]);
    }
    table
}

fn memory_table(bytes: &Bytes) -> Table {
    let mut table = Table::new(
        "Memory at 100,000 rules (live bytes, counted)",
        &["engine", "bytes a rule"],
    );
    for (engine, bytes) in bytes {
        table.row(vec![engine.clone(), format!("{bytes:.0}")]);
    }
    table
}

fn targets(figures: &[Figure], bytes: &Bytes) -> Vec<Target> {
    let ours = |rules: &str| {
        figures
            .iter()
            .find(|f| f.rules == rules && f.engine == CALLGATE)
    };
    let of = |rules: &str, value: fn(&Figure) -> f64| ours(rules).map_or(f64::NAN, value);
    let most =
        |what: &str, limit, measured, unit| Target::new(what, Limit::AtMost(limit), measured, unit);
    let mut targets = vec![
        most(
            "hit p50, 1,000 rules",
            0.5,
            of("1,000", |f| f.hit_p50_us),
            " µs",
        ),
        most(
            "hit p50, 100,000 rules",
            1.0,
            of("100,000", |f| f.hit_p50_us),
            " µs",
        ),
        most(
            "hit p99, 100,000 rules",
            2.0,
            of("100,000", |f| f.hit_p99_us),
            " µs",
        ),
        most(
            "load, 100,000 rules",
            1.0,
            of("100,000", |f| f.load_s),
            " s",
        ),
    ];
    let targeted = || {
        MESHES
            .iter()
            .filter(|(_, services, each)| (*services, *each) != CROWDED)
    };
    for (rules, ..) in targeted() {
        let refusal = of(rules, |f| f.refusal_p50_us);
        targets.push(most(
            &format!("refusal p50, {rules} rules"),
            10.0,
            refusal,
            " µs",
        ));
    }
    for rules in ["1,000", "100,000"] {
        let conditional = figures
            .iter()
            .find(|f| f.rules == rules && f.engine == CONDITIONAL);
        targets.push(most(
            &format!("hit p50 with `when`, {rules} rules"),
            5.0,
            conditional.map_or(f64::NAN, |f| f.hit_p50_us),
            " µs",
        ));
    }
    let peers = figures
        .iter()
        .filter(|f| ![CALLGATE, CONDITIONAL].contains(&f.engine));
    for peer in peers.filter(|f| targeted().any(|(rules, ..)| *rules == f.rules)) {
        targets.push(Target::new(
            format!("faster than {}, {} rules", peer.engine, peer.rules),
            Limit::AtLeast(10.0),
            peer.times_callgate,
            "×",
        ));
    }
    let ours = bytes.get("callgate").copied().unwrap_or(f64::NAN);
    targets.push(most("memory a rule, 100,000 rules", 1_024.0, ours, " B"));
    targets
}

fn plot(figures: &[Figure], rules: &str) -> Plot {
    let bars = figures
        .iter()
        .filter(|f| f.rules == rules)
        .flat_map(|f| {
            [("hit p50", f.hit_p50_us), ("hit p99", f.hit_p99_us)].map(|(what, value)| Bar {
                label: format!("{} {what}", f.engine),
                value,
                ours: [CALLGATE, CONDITIONAL].contains(&f.engine),
            })
        })
        .collect();
    Plot {
        title: format!("One decision among {rules} rules"),
        unit: "µs",
        logarithmic: true,
        bars,
    }
}
