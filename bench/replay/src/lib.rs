//! A decision log as servers write it, of a made-up mesh, and the rules of that mesh.

use std::io::{self, Write};

use callgate_bench_mesh::{Answer, Mesh, OPERATOR, Request, Sample, document, mesh, requests};
use callgate_policy::{
    PolicySet,
    document::{LoadOptions, Source, load},
};
use serde_json::json;

/// Services, and rules of each.
const MESH: (usize, usize) = (100, 100);
/// Different calls in the log: they repeat.
const CALLS: usize = 50_000;

/// The mesh whose log it is.
#[must_use]
pub fn made_up() -> Mesh {
    mesh(MESH.0, MESH.1)
}

/// Its rules, as its servers have them.
///
/// # Errors
/// If the generator writes what does not load.
pub fn policies(mesh: &Mesh) -> anyhow::Result<PolicySet> {
    let teams = mesh.services.iter();
    let teams = teams.map(|one| Source::new(format!("{}.yaml", one.name), document(one)));
    let sources: Vec<Source> = std::iter::once(Source::new("mesh.yaml", OPERATOR))
        .chain(teams)
        .collect();
    Ok(load(&sources, &LoadOptions::default())?.policies)
}

/// Writes `records` decisions: nine hits, then a refusal, over and over. With `changed`,
/// each of them the other way around.
///
/// # Errors
/// If they cannot be written.
pub fn write_log(mesh: &Mesh, records: usize, changed: bool, mut to: impl Write) -> io::Result<()> {
    let hits = requests(mesh, Sample::Hit, CALLS);
    let misses = requests(mesh, Sample::NearMiss, CALLS);
    let calls = hits.chunks(9).zip(&misses);
    let calls: Vec<&Request> = calls
        .flat_map(|(hits, miss)| hits.iter().chain([miss]))
        .collect();
    for (number, call) in calls.iter().cycle().take(records).enumerate() {
        let allow = (call.answer == Answer::Allow) != changed;
        serde_json::to_writer(&mut to, &record(number, call, allow))?;
        to.write_all(b"\n")?;
    }
    to.flush()
}

/// One line, with every field that a server writes.
fn record(number: usize, call: &Request, allow: bool) -> serde_json::Value {
    let (seconds, millis) = (number / 1_000, number % 1_000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    let time = format!(
        "2027-01-01T12:{:02}:{seconds:02}.{millis:03}Z",
        minutes % 60
    );
    let reason = match (allow, call.answer) {
        (true, _) => "allow",
        (false, Answer::DenyRule) => "deny-rule",
        (false, _) => "no-rule",
    };
    let miss = json!({
        "rule": "rule-12", "policy": "svc-1.yaml:77", "clause": "method",
        "expected": "GET", "actual": "PATCH",
    });
    json!({
        "time": time,
        "id": format!("01MB78QN{number:018}"),
        "verdict": if allow { "Allow" } else { "Deny" },
        "reason": reason,
        "rule": allow.then_some("rule-12"),
        "policy": allow.then_some("svc-1.yaml:70"),
        "nearestMiss": (reason == "no-rule").then_some(miss),
        "enforced": true,
        "leased": false,
        "source": {
            "id": call.caller,
            "certificateSha256": format!("{number:064x}"),
            "notBefore": "2027-01-01T11:30:00.000Z",
            "notAfter": "2027-01-01T13:30:00.000Z",
            "issuer": "O=SPIRE,C=US",
        },
        "destination": call.service,
        "method": call.method,
        "path": call.path,
        "inputs": {},
        "host": "svc.shop.example.org",
        "grpc": call.grpc,
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "proxy": call.service,
        "revision": "5f2c7a1d9e3b4860",
    })
}
