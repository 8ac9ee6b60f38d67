//! How long a million recorded decisions take to be decided again, and what memory.

use std::{
    fs::{self, File},
    io::BufWriter,
    path::Path,
    process::Command,
};

use anyhow::Context as _;
use callgate_bench_mesh::Mesh;
use callgate_bench_replay::{made_up, write_log};
use callgate_bench_report::{Bar, Limit, Machine, Plot, Report, Table, Target, median};
use flate2::{Compression, write::GzEncoder};
use serde::{Deserialize, Serialize};

const RECORDS: usize = 1_000_000;
const ROUNDS: usize = 5;

/// How a log is kept, and whether every decision in it comes out otherwise.
const KINDS: [(&str, &str, bool); 4] = [
    ("plain", "plain.jsonl", false),
    ("gzip", "packed.jsonl.gz", false),
    ("zstd", "packed.jsonl.zst", false),
    ("plain, every decision changed", "changed.jsonl", true),
];

/// What one run came to.
#[derive(Deserialize)]
struct Once {
    seconds: f64,
    busy: f64,
    records: usize,
    changed: usize,
    bytes: f64,
}

/// One row.
#[derive(Serialize)]
struct Figure {
    log: &'static str,
    megabytes: f64,
    seconds: f64,
    busy: f64,
    records_per_second: f64,
    peak_megabytes: f64,
}

fn main() -> anyhow::Result<()> {
    let out = std::env::args().nth(1).unwrap_or_else(|| "out".into());
    let logs = Path::new(&out).join("replay");
    fs::create_dir_all(&logs)?;
    eprintln!("replay: writing {RECORDS} records, four times …");
    let mesh = made_up();
    for (_, name, changed) in KINDS {
        write(&mesh, &logs.join(name), changed)?;
    }
    let mut figures = Vec::new();
    for (log, name, changed) in KINDS {
        eprintln!("replay: {log} …");
        figures.push(measure(log, &logs.join(name), changed)?);
    }
    fs::remove_dir_all(&logs)?;
    Report {
        name: "replay",
        machine: Machine::this(),
        tables: vec![table(&figures)],
        targets: targets(&figures),
        plots: vec![plot(&figures)],
        figures: serde_json::to_value(&figures)?,
    }
    .publish(Path::new(&out))
}

fn write(mesh: &Mesh, path: &Path, changed: bool) -> anyhow::Result<()> {
    let file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    match path.extension().and_then(|kind| kind.to_str()) {
        Some("gz") => {
            let mut packed = GzEncoder::new(file, Compression::default());
            write_log(mesh, RECORDS, changed, &mut packed)?;
            packed.finish()?;
        }
        Some("zst") => {
            let mut packed = zstd::Encoder::new(file, 0)?;
            write_log(mesh, RECORDS, changed, &mut packed)?;
            packed.finish()?;
        }
        _ => write_log(mesh, RECORDS, changed, file)?,
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "megabytes, for people")]
fn measure(log: &'static str, path: &Path, changed: bool) -> anyhow::Result<Figure> {
    let program = std::env::current_exe()?.with_file_name("replay-once");
    let (mut seconds, mut busy, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let output = Command::new(&program)
            .arg(path)
            .output()
            .with_context(|| format!("cannot run `{}`", program.display()))?;
        let told = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{told}");
        let once: Once = serde_json::from_slice(&output.stdout)?;
        let expected = if changed { RECORDS } else { 0 };
        anyhow::ensure!(
            once.records == RECORDS && once.changed == expected,
            "{} records, {} changed",
            once.records,
            once.changed
        );
        seconds.push(once.seconds);
        busy.push(once.busy);
        bytes.push(once.bytes);
    }
    let seconds = median(&seconds);
    Ok(Figure {
        log,
        megabytes: fs::metadata(path)?.len() as f64 / 1e6,
        seconds,
        busy: median(&busy),
        records_per_second: RECORDS as f64 / seconds,
        peak_megabytes: median(&bytes) / 1e6,
    })
}

fn table(figures: &[Figure]) -> Table {
    let mut table = Table::new(
        "1,000,000 recorded decisions, decided again among 10,000 rules",
        &[
            "log",
            "MB",
            "seconds",
            "of processors",
            "records/s",
            "memory at most (MB)",
        ],
    );
    for figure in figures {
        table.row(vec![
            figure.log.into(),
            format!("{:.0}", figure.megabytes),
            format!("{:.2}", figure.seconds),
            format!("{:.2}", figure.busy),
            format!("{:.0}", figure.records_per_second),
            format!("{:.0}", figure.peak_megabytes),
        ]);
    }
    table
}

fn targets(figures: &[Figure]) -> Vec<Target> {
    let time = figures.iter().map(|figure| {
        let what = format!("1,000,000 records, {}", figure.log);
        Target::new(what, Limit::AtMost(6.0), figure.seconds, " s")
    });
    let memory = figures.iter().map(|figure| {
        let what = format!("memory, {}", figure.log);
        Target::new(what, Limit::AtMost(64.0), figure.peak_megabytes, " MB")
    });
    time.chain(memory).collect()
}

fn plot(figures: &[Figure]) -> Plot {
    let bars = figures.iter().map(|figure| Bar {
        label: figure.log.into(),
        value: figure.seconds,
        ours: true,
    });
    Plot {
        title: "1,000,000 recorded decisions, decided again".into(),
        unit: "s",
        logarithmic: false,
        bars: bars.collect(),
    }
}
