//! Level 2 of the table, each call twice: the filter's state machine through its host port.
//! What the second call is answered, by a lease wherever there is one, is the answer to the
//! first one but for its id, and is recorded as well.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use callgate_filter::{Contexts, Flow, Plugin};
use callgate_server::clock;
use callgate_tests::{
    pki::Pki,
    table::{Got, Place, Proxy, Report, Row, Service, Table, Wallet, World},
};
use callgate_wire::{
    callgate::v1::{RecordRequest, WatchRequest},
    envoy::service::auth::v3::CheckRequest,
};
use prost::Message as _;

/// The plugin, and its two requests.
const ROOT: u32 = 1;
const FIRST: u32 = 2;
const SECOND: u32 = 3;

/// What became of the second call, and whether a lease said so.
struct Twice {
    got: Got,
    leased: bool,
}

#[test]
fn every_row_is_answered_the_second_time_as_the_first() {
    let (table, pki) = (Table::load().unwrap(), Pki::new().unwrap());
    let wallet = Wallet::mint(&table, &pki).unwrap();
    let served = World::ALL.into_iter().filter(|world| world.is_served());
    let services: BTreeMap<World, Service> = served
        .map(|world| (world, Service::start(world, &pki).unwrap()))
        .collect();
    let rows: Vec<&Row> = table
        .rows
        .iter()
        .filter(|row| services.contains_key(&row.world))
        .collect();
    let twice = |row: &Row| twice(row, &services[&row.world], &table, &wallet);
    let answers: Vec<Result<Twice>> = rows.iter().map(|row| twice(row)).collect();
    let records = services
        .into_iter()
        .map(|(world, service)| (world, service.finish().unwrap()));
    let records: BTreeMap<_, _> = records.collect();

    let mut report = Report::default();
    let (mut leased, mut asked) = (0, Vec::new());
    for (row, answer) in rows.iter().zip(answers) {
        let answer = answer.and_then(|mut twice| {
            records[&row.world].add_to(&mut twice.got)?;
            Ok(twice)
        });
        match answer {
            Ok(twice) => {
                report.judge(&table.workloads, row, Place::FILTER, &twice.got);
                match twice.leased {
                    true => leased += 1,
                    false => asked.push(format!("{}: {}", row.file, row.name)),
                }
            }
            Err(error) => report.broken(row, Place::FILTER, &error),
        }
    }
    report.finish(450);
    println!(
        "{leased} rows by leases; asked twice:\n{}",
        asked.join("\n")
    );
    assert!(leased >= 390, "{leased} rows were decided by leases");
}

fn twice(row: &Row, service: &Service, table: &Table, wallet: &Wallet) -> Result<Twice> {
    let mut contexts = Contexts::default();
    contexts.created(ROOT, 0);
    contexts.configured(ROOT, Plugin::new(br#"{"cluster":"callgate"}"#));
    let [mut first, mut second] = [
        Proxy::new(row, wallet, &table.workloads)?,
        Proxy::new(row, wallet, &table.workloads)?,
    ];
    let went_on = call(&mut contexts, FIRST, &mut first, service)?;
    let first = first.outcome(went_on)?;
    let went_on = call(&mut contexts, SECOND, &mut second, service)?;
    let leased = second.sent.is_empty();

    contexts.done(ROOT, &mut second);
    let batches = std::mem::take(&mut second.batches);
    ensure!(
        batches.len() == usize::from(leased),
        "{leased} and not recorded"
    );
    for batch in batches {
        service.record(&RecordRequest::decode(batch.as_slice())?, clock::now())?;
    }
    let got = second.outcome(went_on)?;
    let (before, after) = (told(&first)?, told(&got)?);
    ensure!(before == after, "first\n{before}\nthen\n{after}");
    Ok(Twice { got, leased })
}

/// Makes one call, and does with the calls to the server what a proxy does with them.
/// Whether it went on at once.
fn call(
    contexts: &mut Contexts,
    request: u32,
    proxy: &mut Proxy,
    service: &Service,
) -> Result<bool> {
    contexts.created(request, ROOT);
    let flow = contexts.request_headers(request, proxy);
    for (watch, message) in std::mem::take(&mut proxy.watches) {
        let asked = WatchRequest::decode(message.as_slice())?;
        match service.announce(&asked.service, clock::now()) {
            Ok(announced) => contexts.answered(watch, proxy, &announced.encode_to_vec()),
            Err(_) => contexts.failed(watch, proxy, 14),
        }
    }
    let mut answered = 0;
    while let Some(message) = proxy.sent.get(answered) {
        answered += 1;
        ensure!(answered <= 2, "it asks a third time");
        let check = CheckRequest::decode(message.as_slice())?;
        let call = callgate_filter::CallId(u32::try_from(answered)?);
        match service.check(&check, clock::now()) {
            Ok(answer) => contexts.answered(call, proxy, &answer.encode_to_vec()),
            Err(_) => contexts.failed(call, proxy, 3),
        }
    }
    Ok(flow == Flow::Continue)
}

/// All that can be seen of it, but for the decision's id.
fn told(got: &Got) -> Result<String> {
    let (status, headers, body) = match got {
        Got::Forwarded(forwarded) => ("goes on".to_owned(), &forwarded.headers, &[][..]),
        Got::Refused(refusal) => {
            let status = format!("{:?} {:?}", refusal.http, refusal.grpc);
            (status, &refusal.headers, refusal.body.as_slice())
        }
        _ => anyhow::bail!("neither went on nor refused"),
    };
    let headers = headers.0.iter();
    let headers = headers.map(|(name, value)| format!("{name}: {}", value.escape_ascii()));
    let headers: Vec<String> = headers.collect();
    let told = format!("{status}\n{}\n{}", headers.join("\n"), body.escape_ascii());
    let id = got.decision().context("no decision")?;
    Ok(told.replace(id, "ID"))
}
