//! Level 1 of the table: `PolicySet::decide`, natively; and the same rows by slices, which
//! are what a lease carries.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use callgate_policy::{
    Caller, Decision, IdentityFault, PolicySet, Request, Slice, Timestamp, Verdict,
};
use callgate_server::clock;
use callgate_tests::table::{
    AUTHORITY, CallerSpec, Decided, Got, Miss, Place, Report, Row, Table, World,
};

type Sets = BTreeMap<World, PolicySet>;

#[test]
fn every_row_is_decided_as_told() {
    let table = Table::load().unwrap_or_else(|error| panic!("{error:#}"));
    let sets = sets().unwrap_or_else(|error| panic!("{error:#}"));
    let mut report = Report::default();
    for row in &table.rows {
        match decide(&table, &sets, row) {
            Ok(got) => report.judge(&table.workloads, row, Place::DECIDE, &got),
            Err(error) => report.broken(row, Place::DECIDE, &error),
        }
    }
    report.finish(450);
}

/// Rows that are decided by slices: nearly all with a verified caller.
const LEAST_BY_SLICE: usize = 350;

#[test]
fn every_row_is_decided_alike_by_a_slice() {
    let table = Table::load().unwrap_or_else(|error| panic!("{error:#}"));
    let sets = sets().unwrap_or_else(|error| panic!("{error:#}"));
    let (mut decided, mut asked) = (0, 0);
    for row in &table.rows {
        let Some(set) = sets.get(&row.world) else {
            continue;
        };
        // Where every rule has a condition.
        let asks = row.file == "conditions.yaml";
        let by_slice = with_request(&table, set, row, |request, now| {
            by_slice(set, request, now, asks)
        });
        match by_slice {
            Ok(Some(true)) => decided += 1,
            Ok(Some(false)) => asked += 1,
            Ok(None) => {}
            Err(error) => panic!("{}:{}: `{}`: {error:#}", row.file, row.line, row.name),
        }
    }
    println!("{decided} rows decided by slices, {asked} asked");
    assert!(decided >= LEAST_BY_SLICE, "only {decided} by slices");
}

/// Whether a slice decides it; `None` where there is none.
fn by_slice(
    set: &PolicySet,
    request: &Request<'_>,
    now: Timestamp,
    asks: bool,
) -> Result<Option<bool>> {
    let Caller::Verified(caller) = request.caller else {
        return Ok(None);
    };
    let Some(bytes) = set.slice(caller, request.service) else {
        return Ok(None);
    };
    let slice = Slice::decode(&bytes)?;
    let whole = set.decide(request, now);
    let Some(decision) = slice.decide(request, now, now) else {
        let lets_pass = !whole.enforced || whole.shadow.is_some();
        ensure!(asks || lets_pass, "asks, but depends on nothing: {whole:?}");
        return Ok(Some(false));
    };
    ensure!(
        answer(&decision) == answer(&whole),
        "{decision:?} by the slice, {whole:?} by the set"
    );
    ensure!(decision.nearest_miss.is_none());
    told(&decision).map(|_| Some(true))
}

/// What a caller or a record is told of a decision, but for the nearest miss.
fn answer<'d>(decision: &Decision<'d>) -> impl PartialEq + use<'d> {
    (
        (decision.verdict, decision.reason, decision.enforced),
        (decision.rule, decision.policy),
        (decision.owner, decision.help),
        (decision.keep_override_headers, decision.expires),
    )
}

fn sets() -> Result<Sets> {
    let mut sets = Sets::new();
    for world in World::ALL {
        sets.extend(world.load()?.map(|loaded| (world, loaded.policies)));
    }
    Ok(sets)
}

fn decide(table: &Table, sets: &Sets, row: &Row) -> Result<Got> {
    let Some(set) = sets.get(&row.world) else {
        return Ok(Got::Cannot);
    };
    with_request(table, set, row, |request, now| {
        told(&set.decide(request, now)).map(Got::Decided)
    })
}

fn with_request<T>(
    table: &Table,
    set: &PolicySet,
    row: &Row,
    decide: impl FnOnce(&Request<'_>, Timestamp) -> Result<T>,
) -> Result<T> {
    let service = table.workloads.callee(&row.to)?;
    let caller = table.workloads.caller(row.peer())?;
    let identity = match caller.map(CallerSpec::identity) {
        Some(identity) => identity?,
        None => Err(IdentityFault::Missing),
    };
    let original = match (&row.via, &identity, service) {
        // Nobody listens to others.
        (Some(via), Ok(peer), Some(service)) if set.is_forwarder(peer, service) => {
            let caller = table.workloads.caller(&row.caller)?;
            Some(via.original(caller.context("nobody to forward")?)?)
        }
        _ => None,
    };
    let target = text(&row.call.target);
    let [upgrade, content_type] =
        ["upgrade", "content-type"].map(|name| row.call.header(name).map(|value| text(&value)));
    let request = Request {
        caller: match (&identity, &original) {
            (Ok(id), None) => Caller::Verified(id),
            (Ok(forwarder), Some(Ok(original))) => Caller::Forwarded {
                original,
                forwarder,
            },
            (Err(fault), _) | (_, Some(Err(fault))) => Caller::Unverified(*fault),
        },
        service,
        method: &row.call.method,
        path: &target,
        upgrade: upgrade.as_deref(),
        content_type: content_type.as_deref(),
        host: row.call.authority.then_some(AUTHORITY),
        headers: &row.call,
    };
    decide(&request, row.at.unwrap_or_else(clock::now))
}

/// As the filter tells bytes that are not UTF-8: percent-encoded.
fn text(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("%{byte:02X}")));
    }
    text
}

fn told(decision: &Decision<'_>) -> Result<Decided> {
    let goes_on = decision.verdict == Verdict::Allow || !decision.enforced;
    ensure!(
        decision.permit().is_some() == goes_on,
        "a permit that does not fit: {decision:?}"
    );
    Ok(Decided {
        verdict: decision.verdict,
        reason: decision.reason,
        enforced: decision.enforced,
        rule: decision.rule.map(|rule| rule.name.to_owned()),
        miss: decision.nearest_miss.as_deref().map(|miss| Miss {
            rule: Some(miss.rule.name.to_owned()),
            clause: format!("{:?}", miss.clause).to_lowercase(),
        }),
        parties: None,
    })
}
