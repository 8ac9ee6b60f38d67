//! The figures as tables, bars and targets.

use callgate_bench_load::variants::Variant;
use callgate_bench_report::{
    Bar, Limit, Machine, Plot, Report, Table, Target, differences, median, ratios,
};
use callgate_tests::caller::Http;
use serde::Serialize;

use crate::{
    closed,
    offered::{self, RATES},
    traced::Traced,
};

#[derive(Serialize)]
struct Figure {
    variant: &'static str,
    http: &'static str,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    calls_per_second: f64,
    /// Microseconds for one call are milliseconds for a thousand.
    envoy_ms_per_1000: f64,
    server_ms_per_1000: f64,
}

#[derive(Serialize)]
struct OpenFigure {
    variant: &'static str,
    rate: u32,
    kept_up: bool,
    p50_us: f64,
    p99_us: f64,
}

pub(crate) fn report(
    closed: &[closed::Rounds],
    offered: &[offered::Rounds],
    traced: &Traced,
) -> Report {
    let figures: Vec<Figure> = closed.iter().map(figure).collect();
    let open: Vec<OpenFigure> = offered.iter().map(open_figure).collect();
    Report {
        name: "leases",
        machine: Machine::this(),
        tables: vec![
            one_caller(&figures),
            many_callers(&figures),
            open_loop(&open),
            trace(traced),
        ],
        targets: targets(closed, traced),
        plots: plots(&figures, &open),
        figures: serde_json::json!({"closed": figures, "open": open, "trace": traced}),
    }
}

const fn version(http: Http) -> &'static str {
    match http {
        Http::One => "HTTP/1.1",
        Http::Two => "HTTP/2",
    }
}

fn figure(rounds: &closed::Rounds) -> Figure {
    Figure {
        variant: rounds.variant.label(),
        http: version(rounds.http),
        p50_us: median(&rounds.p50),
        p90_us: median(&rounds.p90),
        p99_us: median(&rounds.p99),
        calls_per_second: median(&rounds.rates),
        envoy_ms_per_1000: median(&rounds.envoy),
        server_ms_per_1000: median(&rounds.server),
    }
}

fn open_figure(rounds: &offered::Rounds) -> OpenFigure {
    OpenFigure {
        variant: rounds.variant.label(),
        rate: rounds.rate,
        kept_up: rounds.kept_up(),
        p50_us: median(&rounds.percentile(50)),
        p99_us: median(&rounds.percentile(99)),
    }
}

/// The figures of one variant: HTTP/1.1, then HTTP/2.
fn by_variant(figures: &[Figure]) -> impl Iterator<Item = (&Figure, &Figure)> {
    let (one, two) = figures.split_at(figures.len() / 2);
    one.iter().zip(two)
}

fn one_caller(figures: &[Figure]) -> Table {
    let mut table = Table::new(
        "One caller, who waits for each answer (µs)",
        &[
            "in the path",
            "HTTP/1.1 p50",
            "p90",
            "p99",
            "HTTP/2 p50",
            "p90",
            "p99",
        ],
    );
    for (one, two) in by_variant(figures) {
        let mut cells = vec![one.variant.to_owned()];
        for f in [one, two] {
            cells.extend([f.p50_us, f.p90_us, f.p99_us].map(|us| format!("{us:.0}")));
        }
        table.row(cells);
    }
    table
}

fn many_callers(figures: &[Figure]) -> Table {
    let mut table = Table::new(
        "32 callers, who wait for each answer; ms of core for 1,000 calls",
        &[
            "in the path",
            "HTTP/1.1 calls/s",
            "Envoy",
            "server",
            "HTTP/2 calls/s",
            "Envoy",
            "server",
        ],
    );
    for (one, two) in by_variant(figures) {
        let mut cells = vec![one.variant.to_owned()];
        for f in [one, two] {
            cells.push(format!("{:.0}", f.calls_per_second));
            cells.push(format!("{:.0}", f.envoy_ms_per_1000));
            cells.push(format!("{:.1}", f.server_ms_per_1000));
        }
        table.row(cells);
    }
    table
}

fn open_loop(open: &[OpenFigure]) -> Table {
    let heads = RATES.map(|rate| format!("{rate}/s p50, p99"));
    let mut columns = vec!["in the path"];
    columns.extend(heads.iter().map(String::as_str));
    let mut table = Table::new(
        "Requests that come when they come, HTTP/2 (µs since they were due)",
        &columns,
    );
    let variants = open.iter().take(open.len() / RATES.len());
    for variant in variants.map(|figure| figure.variant) {
        let cells = open.iter().filter(|figure| figure.variant == variant);
        let cells = cells.map(|f| {
            if f.kept_up {
                format!("{:.0}, {:.0}", f.p50_us, f.p99_us)
            } else {
                "does not keep up".to_owned()
            }
        });
        table.row(std::iter::once(variant.to_owned()).chain(cells).collect());
    }
    table
}

fn trace(traced: &Traced) -> Table {
    let mut table = Table::new(
        "A trace: 1,000 callers, 100 templates, every path another one",
        &["", ""],
    );
    let mut row = |what: &str, figure: String| table.row(vec![what.to_owned(), figure]);
    row("calls", traced.calls.to_string());
    row(
        "calls/s, 32 at once",
        format!("{:.0}", traced.calls_per_second),
    );
    row("Checks for them", traced.checks.to_string());
    row(
        "decided in the proxy",
        format!("{:.2} %", traced.hit_rate * 100.0),
    );
    row(
        &format!("Checks for {} paths of one template", traced.paths),
        traced.checks_for_paths.to_string(),
    );
    for (what, memory) in [
        ("memory of Envoy that has met them", &traced.leases),
        ("the same, with an empty filter", &traced.empty),
    ] {
        let (one, four, each) = (memory.one, memory.four, memory.each_worker());
        row(
            what,
            format!("{one:.1} MiB, {four:.1} with four workers: {each:.1} each"),
        );
    }
    table
}

fn targets(closed: &[closed::Rounds], traced: &Traced) -> Vec<Target> {
    let mut targets = Vec::new();
    for http in [Http::One, Http::Two] {
        against_peers(closed, http, &mut targets);
    }
    targets.push(Target::new(
        "memory of a worker beyond that of an empty filter",
        Limit::AtMost(8.0),
        traced.leases.each_worker() - traced.empty.each_worker(),
        " MiB",
    ));
    targets.push(Target::new(
        "calls of the trace that are decided in the proxy",
        Limit::AtLeast(99.0),
        traced.hit_rate * 100.0,
        " %",
    ));
    targets.push(Target::new(
        "Checks for 200 paths of one template",
        Limit::AtMost(1.0),
        f64::from(u32::try_from(traced.checks_for_paths).unwrap_or(u32::MAX)),
        "",
    ));
    targets
}

fn against_peers(closed: &[closed::Rounds], http: Http, targets: &mut Vec<Target>) {
    let find = |variant| {
        let mut all = closed.iter();
        all.find(|rounds| rounds.variant == variant && rounds.http == http)
    };
    let [Some(ours), Some(empty), Some(native)] =
        [Variant::Leases, Variant::EmptyWasm, Variant::ExtAuthz].map(find)
    else {
        return;
    };
    let version = version(http);
    targets.push(Target::new(
        format!("p50 of leases, of that of native ext_authz, {version}"),
        Limit::AtMost(0.50),
        ratios(&ours.p50, &native.p50),
        "×",
    ));
    targets.push(Target::new(
        format!("p50 of leases above that of an empty wasm filter, {version}"),
        Limit::AtMost(15.0),
        differences(&ours.p50, &empty.p50),
        " µs",
    ));
    targets.push(Target::new(
        format!("throughput of leases, of that of native ext_authz, {version}"),
        Limit::AtLeast(1.7),
        ratios(&ours.rates, &native.rates),
        "×",
    ));
    if let Some(opa) = find(Variant::Opa) {
        targets.push(Target::new(
            format!("throughput of leases, of that of OPA, {version}"),
            Limit::AtLeast(4.0),
            ratios(&ours.rates, &opa.rates),
            "×",
        ));
    }
}

fn plots(figures: &[Figure], open: &[OpenFigure]) -> Vec<Plot> {
    let mut plots = Vec::new();
    for version in [Http::One, Http::Two].map(version) {
        let some: Vec<&Figure> = figures.iter().filter(|f| f.http == version).collect();
        let bars = |of: fn(&Figure) -> f64| some.iter().map(|f| bar(f.variant, of(f))).collect();
        plots.push(plot(
            format!("Latency, one caller, {version}"),
            "µs, p50",
            bars(|f| f.p50_us),
        ));
        plots.push(plot(
            format!("Throughput, 32 callers, one Envoy worker, {version}"),
            "calls a second",
            bars(|f| f.calls_per_second),
        ));
        plots.push(plot(
            format!("Cores, Envoy and server, {version}"),
            "ms for 1,000 calls",
            bars(|f| f.envoy_ms_per_1000 + f.server_ms_per_1000),
        ));
    }
    for rate in RATES {
        let some = open.iter().filter(|f| f.rate == rate && f.kept_up);
        plots.push(plot(
            format!("Open loop, {rate} requests a second, those that keep up"),
            "µs, p99",
            some.map(|f| bar(f.variant, f.p99_us)).collect(),
        ));
    }
    plots
}

fn bar(variant: &'static str, value: f64) -> Bar {
    Bar {
        label: variant.to_owned(),
        value,
        ours: variant == Variant::Leases.label(),
    }
}

fn plot(title: String, unit: &'static str, bars: Vec<Bar>) -> Plot {
    Plot {
        title,
        unit,
        logarithmic: false,
        bars,
    }
}
