//! Level 1 of the table: `PolicySet::decide`, natively.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use callgate_policy::{Caller, Decision, IdentityFault, PolicySet, Request, Verdict};
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
    let now = row.at.unwrap_or_else(clock::now);
    told(&set.decide(&request, now)).map(Got::Decided)
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
        miss: decision.nearest_miss.as_ref().map(|miss| Miss {
            rule: Some(miss.rule.name.to_owned()),
            clause: format!("{:?}", miss.clause).to_lowercase(),
        }),
        parties: None,
    })
}
