//! How many proxies one `callgate serve` can keep told: memory, processor time while
//! nothing changes, and how long a revocation takes to reach all of them. The proxies are
//! a process of their own.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use callgate_bench_load::{
    cores::used,
    subscribers::{Subscriber, Subscribers, micros, shown},
};
use callgate_bench_mesh::mesh;
use callgate_bench_report::{Bar, Latencies, Limit, Machine, Plot, Report, Table, Target};
use callgate_tests::{
    callgate::{Callgate, Own, Setup},
    pki::{CALLGATE, Pki, TRUST_DOMAIN},
};
use mimalloc::MiMalloc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustls_pki_types::PrivateKeyDer;
use serde::{Deserialize, Serialize};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Streams, each on a connection of its own.
const SUBSCRIBERS: usize = 10_000;
/// Proxies that they belong to: ten workers each, with one SVID.
const PROXIES: usize = 1_000;
/// Revocations, one after the other.
const ROUNDS: usize = 5;
/// How long nothing changes while processor time is counted.
const QUIET: Duration = Duration::from_secs(10);

fn main() -> Result<()> {
    raise_file_limit()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [word, address, count, proxies] if word == "subscribe" => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let proxies = Path::new(proxies);
            runtime.block_on(subscribe(address.parse()?, count.parse()?, proxies))
        }
        arguments => {
            let out = arguments.first().map_or("out", String::as_str);
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?;
            runtime.block_on(measure(Path::new(out)))
        }
    }
}

/// Each subscriber is a file, here and at the server.
fn raise_file_limit() -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let needed = u64::try_from(SUBSCRIBERS)? + 100;
    ensure!(
        most >= needed,
        "{most} open files are allowed, {needed} are needed"
    );
    Ok(())
}

/// A proxy's identity, for the process that is all of them.
#[derive(Serialize, Deserialize)]
struct ProxyFile {
    id: String,
    chain: Vec<String>,
    key: String,
}

/// What that process says, a line each time it is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Said {
    /// When each heard of the change, in microseconds since 1970.
    news: Vec<u64>,
    announcements: u64,
    longest_silence_us: u64,
    ended: usize,
}

/// The proxies: connects them, then answers `heartbeats` and `news`.
async fn subscribe(address: SocketAddr, count: usize, proxies: &Path) -> Result<()> {
    let files: Vec<ProxyFile> = serde_json::from_slice(&fs::read(proxies)?)?;
    let proxies: Vec<Subscriber> = files.iter().map(subscriber).collect::<Result<_>>()?;
    let all = proxies.iter().cycle().take(count).cloned().collect();
    let subscribers = Subscribers::connect(address, all).await?;
    println!("{count}");
    let subscribers = Arc::new(subscribers);
    loop {
        let line = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).map(|_| line)
        });
        let news = match line.await??.trim() {
            "" => return Ok(()),
            "news" => subscribers.news().await?,
            _ => Vec::new(),
        };
        let heard = subscribers.heartbeats();
        let said = Said {
            news,
            announcements: heard.announcements,
            longest_silence_us: u64::try_from(heard.longest_silence.as_micros())?,
            ended: heard.ended,
        };
        println!("{}", serde_json::to_string(&said)?);
    }
}

fn subscriber(file: &ProxyFile) -> Result<Subscriber> {
    let certificate = |text: &String| anyhow::Ok(BASE64.decode(text)?.into());
    let chain: Vec<_> = file.chain.iter().map(certificate).collect::<Result<_>>()?;
    let key = BASE64.decode(&file.key)?;
    let key = PrivateKeyDer::Pkcs8(key.into());
    Ok(Subscriber {
        service: file.id.clone(),
        shown: match chain.is_empty() {
            true => None,
            false => Some(shown(chain, key)?),
        },
    })
}

/// How subscribers connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Plaintext,
    MutualTls,
}

impl Form {
    const fn label(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::MutualTls => "mutual TLS",
        }
    }
}

#[derive(Serialize)]
struct Figure {
    form: &'static str,
    subscribers: usize,
    /// Before anybody came.
    idle_mib: f64,
    /// The most that it ever had.
    peak_mib: f64,
    kib_per_subscriber: f64,
    cpu_percent_quiet: f64,
    announcements_per_second: f64,
    longest_silence_ms: f64,
    /// From the file's rename to the last subscriber, of all rounds.
    reach_p50_ms: f64,
    reach_p99_ms: f64,
    reach_most_ms: f64,
}

async fn measure(out: &Path) -> Result<()> {
    let mut figures = Vec::new();
    for form in [Form::Plaintext, Form::MutualTls] {
        eprintln!("watch: {SUBSCRIBERS} subscribers, {} …", form.label());
        figures.push(one(form).await.context(form.label())?);
    }
    report(&figures).publish(out)
}

async fn one(form: Form) -> Result<Figure> {
    let directory = tempfile::tempdir()?;
    let directory = directory.path();
    let pki = Pki::new()?;
    let server = start(directory, &pki, form).await?;
    let process = server.process().id();
    let idle = memory(process, "VmRSS")?;
    let mut proxies = Proxies::start(&server, &proxies(directory, &pki, form)?)?;

    proxies.ask("heartbeats")?;
    let before = used(process)?;
    tokio::time::sleep(QUIET).await;
    let busy = used(process)? - before;
    let quiet = proxies.ask("heartbeats")?;
    let mut reached = Vec::new();
    for round in 0..ROUNDS {
        let revoked = revoke(server.policies(), round)?;
        let news = proxies.ask("news")?.news;
        let late = |heard: u64| heard.saturating_sub(revoked).saturating_mul(1_000);
        reached.extend(news.into_iter().map(late));
    }
    let last = proxies.ask("heartbeats")?;
    ensure!(last.ended == 0, "{} streams have ended", last.ended);
    let most = reached.iter().max().copied().unwrap_or(0);
    let reached = Latencies::new(reached);
    let peak = memory(process, "VmHWM")?;
    Ok(Figure {
        form: form.label(),
        subscribers: SUBSCRIBERS,
        idle_mib: idle / 1_024.0,
        peak_mib: peak / 1_024.0,
        kib_per_subscriber: (peak - idle) / small(SUBSCRIBERS)?,
        cpu_percent_quiet: busy / QUIET.as_secs_f64() * 100.0,
        announcements_per_second: small(usize::try_from(quiet.announcements)?)?
            / QUIET.as_secs_f64(),
        longest_silence_ms: Duration::from_micros(quiet.longest_silence_us).as_secs_f64() * 1e3,
        reach_p50_ms: reached.percentile(50) / 1e3,
        reach_p99_ms: reached.percentile(99) / 1e3,
        reach_most_ms: Duration::from_nanos(most).as_secs_f64() * 1e3,
    })
}

async fn start(directory: &Path, pki: &Pki, form: Form) -> Result<Callgate> {
    let policies = directory.join("policies");
    fs::create_dir_all(&policies)?;
    for service in &mesh(10, 100).services {
        let path = policies.join(format!("{}.yaml", service.name));
        fs::write(path, callgate_bench_mesh::document(service))?;
    }
    fs::write(policies.join("mesh.yaml"), callgate_bench_mesh::OPERATOR)?;
    let bundle = directory.join("bundle.pem");
    fs::write(&bundle, pki.root.bundle_pem())?;
    let own = directory.join("own");
    fs::create_dir_all(&own)?;
    pki.svid(CALLGATE)?.write_to(&own)?;
    Callgate::start(Setup {
        policies,
        bundles: vec![(TRUST_DOMAIN.to_owned(), bundle)],
        identity: (form == Form::MutualTls).then_some(Own::Files(own)),
        directory: directory.join("callgate"),
    })
    .await
}

/// Their identities, in a file.
fn proxies(directory: &Path, pki: &Pki, form: Form) -> Result<PathBuf> {
    let proxy = |n: usize| -> Result<ProxyFile> {
        let id = format!("spiffe://{TRUST_DOMAIN}/ns/shop/sa/service-{n}");
        let svid = pki.svid(&id)?;
        let chain = svid.chain.iter().filter(|_| form == Form::MutualTls);
        Ok(ProxyFile {
            id,
            chain: chain.map(|der| BASE64.encode(der)).collect(),
            key: BASE64.encode(svid.key.secret_der()),
        })
    };
    let all: Vec<ProxyFile> = (0..PROXIES).map(proxy).collect::<Result<_>>()?;
    let path = directory.join("proxies.json");
    fs::write(&path, serde_json::to_vec(&all)?)?;
    Ok(path)
}

/// The process that is all proxies; ended when this is dropped.
struct Proxies {
    process: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Proxies {
    /// Returns once every one of them has heard its first revision.
    fn start(server: &Callgate, proxies: &Path) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("subscribe")
            .args([server.listen.to_string(), SUBSCRIBERS.to_string()])
            .arg(proxies)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = process.stdout.take().context("no output")?;
        let mut proxies = Self {
            process,
            lines: BufReader::new(lines),
        };
        let ready = proxies.line()?;
        ensure!(ready.trim() == SUBSCRIBERS.to_string(), "it says `{ready}`");
        Ok(proxies)
    }

    fn ask(&mut self, what: &str) -> Result<Said> {
        let input = self.process.stdin.as_mut().context("no input")?;
        writeln!(input, "{what}")?;
        Ok(serde_json::from_str(&self.line()?)?)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the subscribers have given up");
        Ok(line)
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Revokes somebody; when the file was there, in microseconds since 1970.
fn revoke(policies: &Path, round: usize) -> Result<u64> {
    let text = format!(
        "kind: Revocation\nmetadata: {{name: revoked-{round}}}\nspec:\n  \
         id: spiffe://{TRUST_DOMAIN}/ns/nobody/sa/nobody-{round}\n  reason: a benchmark\n  \
         revokedBy: nobody@example.org\n"
    );
    // Nobody reads what begins with a dot.
    let new = policies.join(".revoked");
    fs::write(&new, text)?;
    let began = micros();
    fs::rename(new, policies.join(format!("revoked-{round}.yaml")))?;
    Ok(began)
}

/// A field of a process's memory, in KiB (proc_pid_status(5)).
fn memory(process: u32, field: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = value.and_then(|value| value.split_whitespace().next());
    Ok(kib.context("no such field")?.parse()?)
}

/// Exact: such counts are small.
fn small(count: usize) -> Result<f64> {
    Ok(f64::from(u32::try_from(count)?))
}

fn report(figures: &[Figure]) -> Report {
    let mut table = Table::new(
        format!("{SUBSCRIBERS} proxies' workers that watch, {ROUNDS} revocations"),
        &[
            "connections",
            "server idle, MiB",
            "most, MiB",
            "KiB a worker",
            "of a core, nothing changing",
            "announcements/s",
            "longest silence, ms",
            "revocation heard: p50, ms",
            "p99, ms",
            "by the last, ms",
        ],
    );
    let mut targets = Vec::new();
    for f in figures {
        table.row(vec![
            f.form.into(),
            format!("{:.0}", f.idle_mib),
            format!("{:.0}", f.peak_mib),
            format!("{:.1}", f.kib_per_subscriber),
            format!("{:.0} %", f.cpu_percent_quiet),
            format!("{:.0}", f.announcements_per_second),
            format!("{:.0}", f.longest_silence_ms),
            format!("{:.0}", f.reach_p50_ms),
            format!("{:.0}", f.reach_p99_ms),
            format!("{:.0}", f.reach_most_ms),
        ]);
        let memory = format!("memory of the server, {}", f.form);
        targets.push(Target::new(
            memory,
            Limit::AtMost(1_024.0),
            f.peak_mib,
            " MiB",
        ));
        let reach = format!("a revocation reaches all, {}", f.form);
        targets.push(Target::new(
            reach,
            Limit::AtMost(1_000.0),
            f.reach_most_ms,
            " ms",
        ));
    }
    let plot = |title: &str, unit, value: fn(&Figure) -> f64| Plot {
        title: title.into(),
        unit,
        logarithmic: false,
        bars: figures
            .iter()
            .map(|figure| Bar {
                label: figure.form.into(),
                value: value(figure),
                ours: true,
            })
            .collect(),
    };
    Report {
        name: "watch",
        machine: Machine::this(),
        tables: vec![table],
        targets,
        plots: vec![
            plot("A revocation, heard by the last of 10,000", "ms", |f| {
                f.reach_most_ms
            }),
            plot("Memory with 10,000 subscribers", "MiB", |f| f.peak_mib),
        ],
        figures: serde_json::json!(figures),
    }
}
