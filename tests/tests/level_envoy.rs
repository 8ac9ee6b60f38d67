//! Level 4 of the table: real Envoy, real mTLS, the shipped configurations; the filter and
//! native `ext_authz`, HTTP/1.1 and HTTP/2.

use std::{collections::BTreeSet, fs, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use callgate_policy::{CallerPattern, TrustDomain};
use callgate_server::check::LeaseTtl;
use callgate_server::serve::{Config, IdentitySource, Listen, Running, start};
use callgate_tests::{
    Asked, Face, Gate, Host, Validation, append_client_cert,
    authz::{Authz, Script},
    pki::{CALLGATE, Pki, TRUST_DOMAIN},
    process::eventually,
    table::{Callers, Form, Got, Place, Records, Report, Row, Table, World},
};

/// Callers that the shipped validation believes, and those without a certificate, come
/// as shipped; for the others the handshake is opened, so that the server has to judge.
const FACES: [Face; 4] = [
    (Host::Filter, Validation::Optional),
    (Host::Filter, Validation::AcceptAny),
    (Host::Native, Validation::Optional),
    (Host::Native, Validation::AcceptAny),
];

/// Batches of records are sent five times a second.
const RECORDED: Duration = Duration::from_secs(10);
/// A drain has nothing to wait for.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_answered_as_told() {
    let table = Table::load().unwrap_or_else(|error| panic!("{error:#}"));
    let mut report = Report::default();
    for world in World::ALL {
        let began = std::time::Instant::now();
        let ran = run(&table, world, &mut report).await;
        ran.unwrap_or_else(|error| panic!("{world:?}: {error:#}"));
        println!("{world:?}: {:?}", began.elapsed());
    }
    report.finish(1_800);
}

/// What stands where `callgate serve` would, and ends with the world.
enum Stand {
    Callgate,
    Empty(Box<Running>),
    Script { _authz: Authz },
}

async fn run(table: &Table, world: World, report: &mut Report) -> Result<()> {
    let names: BTreeSet<&str> = table.of(world).map(|row| row.to.as_str()).collect();
    let callees = names.into_iter().map(|name| table.workloads.callee(name));
    let callees: Vec<&str> = callees
        .filter_map(Result::transpose)
        .map(|id| Ok(id?.as_str()))
        .collect::<Result<_>>()?;
    let scratch = tempfile::tempdir()?;
    let (stand, gate) = raise(world, Gate::of(&callees).faces(&FACES), &scratch).await?;
    let outcome = ask_all(table, world, &gate, report).await;
    if let Stand::Empty(running) = stand {
        running.drain(PATIENCE).await;
    }
    outcome.with_context(|| gate.report())
}

async fn raise(
    world: World,
    gate: callgate_tests::GateBuilder,
    scratch: &tempfile::TempDir,
) -> Result<(Stand, Gate)> {
    if let Some(policies) = world.policies() {
        let gate = if world.appends() {
            gate.adapt(append_client_cert)
        } else {
            gate
        };
        return Ok((Stand::Callgate, gate.policies_at(&policies).start().await?));
    }
    let script = match world {
        World::NoPolicies => {
            let pki = Arc::new(Pki::new()?);
            let running = start(&without_policies(scratch.path(), &pki)?).await?;
            let Listen::Tcp(address) = running.check_address().clone() else {
                anyhow::bail!("not TCP");
            };
            return Ok((
                Stand::Empty(Box::new(running)),
                gate.asking(Asked { address, pki }).start().await?,
            ));
        }
        World::Failing => Script::Status(13, b"broken".to_vec()),
        _ => Script::Silence,
    };
    let mut authz = Authz::start(move |_| script.clone()).await?;
    let gate = gate.asking(&authz);
    let gate = match world {
        World::Silent => gate.timeout("0.2s"),
        // Native ext_authz has nothing to configure, and does not load this.
        World::Misconfigured => gate.faces(&FACES[..2]).timeout("soon"),
        _ => gate,
    };
    let gate = gate.start().await?;
    if world == World::Unreachable {
        authz.stop();
    }
    Ok((Stand::Script { _authz: authz }, gate))
}

fn without_policies(scratch: &std::path::Path, pki: &Pki) -> Result<Config> {
    let (policies, bundle) = (scratch.join("policies"), scratch.join("bundle.pem"));
    fs::create_dir_all(&policies)?;
    fs::write(&bundle, pki.root.bundle_pem())?;
    pki.svid(CALLGATE)?.write_to(scratch)?;
    let proxies = format!("spiffe://{TRUST_DOMAIN}/**");
    Ok(Config {
        candidate: None,
        policies,
        trust_domain: None,
        trust_bundles: vec![(TrustDomain::parse(TRUST_DOMAIN)?, bundle)],
        bundle_endpoints: Vec::new(),
        bundle_cache: None,
        listen: "127.0.0.1:0".parse()?,
        admin: "127.0.0.1:0".parse()?,
        decision_log: Some(scratch.join("decisions.jsonl")),
        identity: Some(IdentitySource::Files {
            chain: scratch.join("chain.pem"),
            key: scratch.join("key.pem"),
        }),
        proxy_ids: vec![CallerPattern::parse(&proxies, None)?],
        lease_ttl: LeaseTtl::default(),
        danger_plaintext: false,
    })
}

async fn ask_all(table: &Table, world: World, gate: &Gate, report: &mut Report) -> Result<()> {
    let mut callers = Callers::of(gate, table)?;
    let mut answers = Vec::new();
    for row in table.of(world) {
        for &protocol in &row.over {
            for form in [Form::Ours, Form::Native] {
                let got = if world == World::Misconfigured && form == Form::Native {
                    Ok(Got::Cannot)
                } else {
                    callers
                        .ask(row, form, validation(table, row)?, protocol)
                        .await
                };
                answers.push((row, Place::envoy(form, protocol), got));
            }
        }
    }
    let records = records(gate, &answers).await?;
    for (row, place, got) in answers {
        let recorded = got.and_then(|mut got| {
            records
                .as_ref()
                .map_or(Ok(()), |records| records.add_to(&mut got))?;
            Ok(got)
        });
        match recorded {
            Ok(got) => report.judge(&table.workloads, row, place, &got),
            Err(error) => report.broken(row, place, &error),
        }
    }
    Ok(())
}

/// What `callgate serve` recorded, once all is: of what proxies decide by leases it is told
/// a little later. What is missing then, rows are told.
async fn records(gate: &Gate, answers: &[(&Row, Place, Result<Got>)]) -> Result<Option<Records>> {
    if gate.server().is_err() {
        return Ok(None);
    }
    let decisions = || {
        let got = answers.iter().filter_map(|(_, _, got)| got.as_ref().ok());
        got.filter_map(Got::decision)
    };
    if decisions().next().is_none() {
        return Ok(None);
    }
    let read = || {
        let log = fs::read_to_string(gate.directory().join("callgate/decisions.jsonl"))?;
        // The last line may be under way.
        Records::parse(log.rsplit_once('\n').map_or("", |(whole, _)| whole))
    };
    let whole = eventually(RECORDED, "every record", async || {
        let records = read()?;
        let all = decisions().all(|id| records.has(id));
        Ok(all.then_some(records))
    });
    match whole.await {
        Ok(records) => Ok(Some(records)),
        Err(_) => read().map(Some),
    }
}

fn validation(table: &Table, row: &Row) -> Result<Validation> {
    let believed = match table.workloads.caller(row.peer())? {
        None => true,
        Some(caller) => caller.is_believed_as_shipped()?,
    };
    Ok(if believed {
        Validation::Optional
    } else {
        Validation::AcceptAny
    })
}
